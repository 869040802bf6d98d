"""InputImages: the goal's frames as a list by time; each item is a PIL image that knows its depth, camera and pose."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from PIL import Image

from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.workbench.errors import ToolError

NANOSECONDS = 1_000_000_000
READ_ONLY = "a frame is read-only; pixels = np.array(item) is a copy to write to"


class FrameImage(NDArrayOperatorsMixin, Image.Image):
    """One camera frame: a PIL image (RGB; size is (width, height); crop, resize, convert, copy, ... return plain PIL
    images), and read like an array (H, W, 3) uint8: item.shape, item.mean(axis=0), item[10:20, 30], item / 255.0.
    OpenCV takes arrays only: give cv2 functions np.asarray(item); np.array(item) is a copy to write to.

    frame_index: int, unique over all cameras, the key of Reconstruction and masks. stamp: float seconds of ROS time;
    stamp_ns: the same, exact, int nanoseconds. camera: name.
    depth: (H, W) float32 metres along the optical axis, NaN where unknown, or None. intrinsics: (3, 3) float64 K, or
    None.
    pose: (4, 4) float64, camera (x right, y down, z forward) to the world frame `frame_id`, or None. notes: what is
    missing.
    """

    def __init__(self, frame: Frame) -> None:
        self._edited = False
        super().__init__()
        self.readonly = 1  # drawing on the item makes Pillow copy first, which comes back through the setter of `im`
        self._frame = frame
        self._mode = "RGB"
        self._size = _picture_size(frame)

    @property
    def im(self) -> Any:  # Pillow's pixel storage: filled on first use
        if self._im is None:
            self._im = Image.fromarray(self._frame.color).im
        return self._im

    @im.setter
    def im(self, value: Any) -> None:
        self._im = value
        self._edited = value is not None

    def load(self) -> Any:
        """Decode the picture if it is not decoded yet (Pillow calls this before it touches pixels)."""
        return self.im.pixel_access(self.readonly)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        if self._edited:
            return super().__array_interface__
        interface = dict(self._frame.color.__array_interface__)
        interface["data"] = (interface["data"][0], True)  # read-only, as for every PIL image
        return interface

    @property
    def frame(self) -> Frame:
        return self._frame

    @property
    def is_edited(self) -> bool:
        """True after somebody drew on the item."""
        return self._edited

    @property
    def image(self) -> FrameImage:
        return self

    @property
    def frame_index(self) -> int:
        return self._frame.index

    @property
    def stamp(self) -> float:
        return self._frame.stamp / NANOSECONDS

    @property
    def stamp_ns(self) -> int:
        return self._frame.stamp

    @property
    def camera(self) -> str:
        return self._frame.camera

    @property
    def frame_id(self) -> str:
        return self._frame.frame_id

    @property
    def depth(self) -> np.ndarray | None:
        return self._frame.depth

    @property
    def intrinsics(self) -> np.ndarray | None:
        return None if self._frame.intrinsics is None else self._frame.intrinsics.matrix

    @property
    def pose(self) -> np.ndarray | None:
        return None if self._frame.pose is None else np.array(self._frame.pose)

    @property
    def notes(self) -> tuple[str, ...]:
        return self._frame.notes

    def _repr_png_(self) -> None:
        """No picture for a bare `item` at the end of a cell; `show(item)` sends one."""

    def _repr_jpeg_(self) -> None:
        """See _repr_png_."""

    def __getattr__(self, name: str) -> Any:
        """What an array has and a PIL image lacks: shape, ndim, dtype, mean, astype, ..."""
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"a frame has no attribute {name!r}; it is a PIL image, np.asarray(item) is its array")
        return getattr(np.asarray(self), name)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **kwargs: Any) -> Any:
        if any(isinstance(target, FrameImage) for target in out):
            raise ToolError(READ_ONLY)
        arrays = [np.asarray(given) if isinstance(given, FrameImage) else given for given in inputs]
        return getattr(ufunc, method)(*arrays, **({"out": out} if out else {}), **kwargs)

    def __len__(self) -> int:
        return self.height

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self)[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        raise ToolError(READ_ONLY)

    def __eq__(self, other: object) -> Any:
        """Pixel by pixel against numbers and arrays; otherwise, as in lists of frames, whether it is the same one."""
        if isinstance(other, (np.ndarray, np.generic, int, float)):
            return np.asarray(self) == other
        return self is other

    def __ne__(self, other: object) -> Any:
        if isinstance(other, (np.ndarray, np.generic, int, float)):
            return np.asarray(self) != other
        return self is not other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        parts = ["depth" if self._frame.depth_payload is not None else "no depth"]
        parts.append("pose" if self._frame.pose is not None else "no pose")
        return (
            f"<frame {self.frame_index} of '{self.camera}' at {self.stamp:.3f} s, {self.width}x{self.height} RGB, "
            f"{', '.join(parts)}>"
        )


class InputImages(list):
    """Every kept frame of the goal's time window, over all cameras, ordered by stamp.

    InputImages[i] (position in the list) is one frame; InputImages[2:9] or InputImages[[0, 5]] is a sub-list. The
    absolute index used by Reconstruction and masks is item.frame_index; `frame_indices` lists them; `at(frame_index)`
    finds one.
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return type(self)(super().__getitem__(key))
        if isinstance(key, (int, np.integer)) and not isinstance(key, (bool, np.bool_)):
            if not -len(self) <= key < len(self):
                raise IndexError(
                    f"there is no frame at position {int(key)}: the list has {len(self)} (0 to {len(self) - 1})"
                )
            return super().__getitem__(int(key))
        if isinstance(key, Iterable) and not isinstance(key, str):
            keys = np.asarray(list(key))
            if keys.dtype == bool:
                keys = np.flatnonzero(keys)
            return type(self)(self[int(k)] for k in keys)
        raise TypeError(f"index InputImages by an int, a slice or a list of ints; got {type(key).__name__}")

    @property
    def frame_indices(self) -> list[int]:
        """Absolute indices of the items, in list order."""
        return [item.frame_index for item in self]

    @property
    def stamps(self) -> np.ndarray:
        """(N,) float64 seconds of ROS time."""
        return np.array([item.stamp for item in self])

    def at(self, frame_index: int) -> FrameImage:
        """The item with this absolute frame index. Raises: KeyError that lists the valid ones."""
        for item in self:
            if item.frame_index == frame_index:
                return item
        raise KeyError(f"no frame has index {frame_index}; valid: {index_list(self.frame_indices)}")

    def nearest(self, stamp: float) -> FrameImage:
        """The item whose stamp (float seconds of ROS time) is nearest."""
        if not self:
            raise ToolError("there are no frames")
        return self[int(np.argmin(np.abs(self.stamps - stamp)))]

    def __repr__(self) -> str:
        if not self:
            return "InputImages: empty"
        cameras = ", ".join(sorted({item.camera for item in self}))
        depth = sum(item.frame.depth_payload is not None for item in self)
        posed = sum(item.frame.pose is not None for item in self)
        return (
            f"InputImages: {len(self)} frames of {cameras}, {self[0].width}x{self[0].height}, frame indices "
            f"{index_list(self.frame_indices)}, "
            f"stamps {self[0].stamp:.3f} to {self[-1].stamp:.3f} s, {depth} with depth, {posed} with pose in "
            f"'{self[0].frame_id}'"
        )

    __str__ = __repr__


def index_list(indices: Iterable[int], limit: int = 40) -> str:
    """Indices in words, runs as a..b: '0..31, 40'."""
    numbers = [int(i) for i in indices]
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = [str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}..{b}" for a, b in runs]
    return ", ".join(words[:limit]) + (f", ... ({len(numbers)} in all)" if len(words) > limit else "")


def as_item(image: Any) -> Any:
    """One image from what a tool was given: the image itself or the only one of a list. Raises: ToolError."""
    if isinstance(image, (list, tuple)):
        if len(image) != 1:
            raise ToolError(f"give one image, got a list of {len(image)}; write a loop: for image in images: ...")
        return image[0]
    return image


def as_images(images: Any) -> list[Any]:
    """A list of images from a list or from a single image. Raises: ToolError when empty."""
    many = list(images) if isinstance(images, (list, tuple)) else [images]
    if not many:
        raise ToolError("got an empty list of images; give at least one, such as InputImages[0]")
    return many


def _picture_size(frame: Frame) -> tuple[int, int]:
    """(width, height) without decoding the picture."""
    payload = frame.color_payload
    if payload.width and payload.height:
        return payload.width, payload.height
    with Image.open(BytesIO(payload.data)) as header:
        return header.size
