"""Read-only maps of shared-memory files that hold no file descriptor, so that hundreds can be mapped at once."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

from spatialclaw_ros.errors import ImageError
from spatialclaw_ros.frames.payload import ImagePayload

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_int64)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_MAP_FAILED = ctypes.c_void_p(-1).value


class _Pages:
    """Owns one mapping: arrays made of it keep it alive, and it is unmapped when the last of them is gone."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = 0
        # mmap.mmap would keep a duplicate of the descriptor open for as long as the map lives (until Python 3.13)
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address in (None, _MAP_FAILED):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self.address, self.size = address, size

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"data": (self.address, True), "shape": (self.size,), "typestr": "|u1", "version": 3}

    def __del__(self) -> None:
        if self.size:
            _libc.munmap(self.address, self.size)


def map_descriptor(descriptor: int, size: int) -> memoryview:
    """Map `size` bytes of an open file read-only; the descriptor may be closed afterwards. Raises: OSError."""
    if size == 0:
        return memoryview(b"")
    return np.asarray(_Pages(descriptor, size)).data


def map_file(path: str | Path) -> memoryview:
    """Map a whole file read-only. Raises: ImageError where it is gone or cannot be mapped."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return map_descriptor(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ImageError(f"{path}: the image's shared memory cannot be mapped: {error.strerror}") from error


class MappedPayload(ImagePayload):
    """An image payload whose file is mapped when `data` is first used, and not before."""

    def __init__(
        self,
        encoding: str,
        file: str,
        width: int = 0,
        height: int = 0,
        step: int = 0,
        is_bigendian: bool = False,
        source: str = "",
    ) -> None:
        fields = {
            "encoding": encoding,
            "file": file,
            "width": width,
            "height": height,
            "step": step,
            "is_bigendian": is_bigendian,
            "source": source,
        }
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name != "data":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        data = map_file(self.file)
        self.__dict__["data"] = data
        return data
