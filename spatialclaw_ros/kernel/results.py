"""Arrays from the broker to a kernel: written once into its read-only folder, mapped there without a copy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatialclaw_ros.errors import KernelError

if TYPE_CHECKING:
    from spatialclaw_ros.kernel.session import KernelSession


def share_array(session: KernelSession, array: np.ndarray) -> dict[str, Any]:
    """Write `array` for the kernel; returns {"file": path inside the kernel, "dtype": str, "shape": [ints]}.

    The newest arrays of a session are kept up to `kernel.max_result_bytes`; a kernel that mapped an older one keeps it.
    Raises: KernelError for an array above that limit or of Python objects, and where shared memory is full.
    """
    array = np.ascontiguousarray(array)
    if array.dtype.hasobject:
        raise KernelError(f"an array of {array.dtype} cannot be shared with a kernel; expected numbers or booleans")
    if array.nbytes > session.max_result_bytes:
        limit = f"{session.max_result_bytes >> 20} MiB (kernel.max_result_bytes)"
        raise KernelError(f"an array of {array.nbytes >> 20} MiB is too large to share with a kernel; at most {limit}")
    path = session.next_result_file()
    _make_room(path.parent, session.max_result_bytes - array.nbytes)
    try:
        with open(path, "xb") as file:
            file.write(array.data)
    except OSError as error:
        path.unlink(missing_ok=True)  # half of it would only take room
        raise KernelError(
            f"an array of {array.nbytes >> 10} KiB could not be shared with a kernel: {error}; is the shared memory "
            f"full (df /dev/shm)?"
        ) from error
    session.show_result(path)
    inside = f"{session.frames_path_inside}/{path.parent.name}/{path.name}"
    return {"file": inside, "dtype": array.dtype.str, "shape": list(array.shape)}


def _make_room(folder: Path, most: int) -> None:
    """Remove the oldest files until the rest takes at most `most` bytes."""
    files = sorted((int(Path(entry.name).stem), entry.stat().st_size, entry.path) for entry in os.scandir(folder))
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= most:
            return
        os.unlink(path)
        total -= size
