"""Arrays that the node shares with this kernel: files in its frames folder, checked before they are mapped."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spatialclaw_ros.workbench.errors import BrokerError

FOLDER = "results"
"""In the frames folder; whatever the node shares lies in it."""


def map_shared(reference: Mapping[str, Any], frames_folder: Path) -> np.ndarray:
    """The array of a reference {"file", "dtype", "shape"}, read-only.

    Raises: BrokerError for a file outside of the folder, one that is gone, or one that is not as large as its shape.
    """
    shape, dtype = tuple(reference["shape"]), np.dtype(reference["dtype"])
    folder, file = os.path.realpath(frames_folder / FOLDER), os.path.realpath(frames_folder / reference["file"])
    if os.path.dirname(file) != folder:
        raise BrokerError(f"the node named the file {file!r:.200}; expected one in {folder}")
    expected = math.prod(shape) * dtype.itemsize
    try:
        size = os.stat(file).st_size
        if size != expected:
            raise BrokerError(f"the node's array has {size} bytes; {dtype} of shape {list(shape)} has {expected}")
        return np.memmap(file, dtype, "r", shape=shape) if size else np.zeros(shape, dtype)
    except OSError as error:
        raise BrokerError(f"the node's array cannot be read: {error}; make the request once more") from error
