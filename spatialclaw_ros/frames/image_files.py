"""ImageFiles: kept images as one shared-memory file each, with pins and a count of bytes."""

from __future__ import annotations

import errno
import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path

from spatialclaw_ros.frames.mapping import map_descriptor
from spatialclaw_ros.frames.payload import ImagePayload

_numbers = itertools.count()


def new_file_name(kind: str) -> str:
    """A name that no other image of this process has, so that images of several stores can lie in one folder."""
    return f"{next(_numbers):08d}.{kind}"


class SharedMemoryFull(Exception):
    """The file system of the images has no room left."""


@dataclass(eq=False)
class StoredImage:
    """payload: its data is a read-only map of the file. pins: snapshots that need it; in_ring: the ring has it."""

    payload: ImagePayload
    path: str
    size: int
    pins: int = 0
    in_ring: bool = True


class ImageFiles:
    """Writes images into a folder and removes them when neither the ring nor a snapshot needs them. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bytes = 0

    def write(self, payload: ImagePayload, kind: str, width: int, height: int) -> StoredImage:
        """Copy a payload's bytes, once, into a file of its own. Raises: SharedMemoryFull; OSError otherwise.

        write() fills fresh pages without zeroing them first, which a copy into a map would.
        """
        path = os.path.join(self.folder, new_file_name(kind))
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o400)
        try:
            size = write_all(descriptor, payload.data)
            data = map_descriptor(descriptor, size)
        except OSError as error:
            os.unlink(path)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SharedMemoryFull(f"{self.folder} is full at {self.bytes} bytes of images") from error
            raise
        finally:
            os.close(descriptor)
        self.bytes += size
        return StoredImage(replace(payload, data=data, width=width, height=height, file=path), path, size)

    def drop(self, image: StoredImage) -> None:
        """The ring no longer needs the image."""
        image.in_ring = False
        self._remove_unneeded(image)

    def unpin(self, image: StoredImage) -> None:
        """A snapshot no longer needs the image."""
        image.pins -= 1
        self._remove_unneeded(image)

    def _remove_unneeded(self, image: StoredImage) -> None:
        if image.in_ring or image.pins:
            return
        self.bytes -= image.size
        try:
            os.unlink(image.path)
        except FileNotFoundError:
            return  # the folder was closed first


def write_all(descriptor: int, data: memoryview) -> int:
    """Write a buffer to a descriptor. Returns its bytes. Raises: OSError."""
    view = data.cast("B") if data.format != "B" or data.ndim != 1 else data
    written = 0
    while written < view.nbytes:  # a nearly full file system takes a part, then says that it is full
        written += os.write(descriptor, view[written:])
    return written
