"""Bench: what one kernel's tools share: the goal's frames, the way to the node, and what the current cell collected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spatialclaw_ros.workbench.errors import RequestRateExceeded, ToolError
from spatialclaw_ros.workbench.images import FrameImage, InputImages
from spatialclaw_ros.workbench.shared_arrays import map_shared

BrokerCall = Callable[[str, dict[str, Any]], dict[str, Any]]
"""(method, params) -> result; raises ToolError, NoMaskFound, BrokerError."""

Publish = Callable[[dict[str, Any], dict[str, Any]], None]
"""(data by MIME type, metadata) -> None: one display_data message on the kernel's output stream."""


@dataclass
class Bench:
    """State of one kernel; `images` and `manifest` belong to the goal, notes, answer and tool_calls to the running
    cell."""

    call: BrokerCall
    publish: Publish
    images: InputImages = field(default_factory=InputImages)
    manifest: Any = None
    folder: Path = Path()
    notes: list[str] = field(default_factory=list)
    answer: dict[str, Any] | None = None
    tool_calls: int = 0
    world: Any = None
    robot: Any = None

    @property
    def world_frame(self) -> str:
        return getattr(self.manifest, "world_frame", "odom")

    def note(self, text: str) -> None:
        """Tell the model something once per cell, beside its own output."""
        if text not in self.notes:
            self.notes.append(text)

    def ask_node(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One request to the node, made again once where it came too soon after the others; the model is told then.

        Raises: ToolError, NoMaskFound, BrokerError.
        """
        self.tool_calls += 1
        try:
            return self.call(method, params)
        except RequestRateExceeded as error:  # which comes when the next one may follow
            self.note(f"requests were slowed down: {error}")
            return self.call(method, params)

    def start_cell(self) -> None:
        """Forget what the previous cell collected."""
        self.notes, self.answer, self.tool_calls = [], None, 0

    def image_reference(self, image: Any) -> dict[str, Any]:
        """The broker's form of an image: an unmodified frame of this goal travels by number, all else as pixels.

        Numbers begin anew when time does, so that an item kept from an earlier goal may carry another frame's number.
        Raises: ToolError.
        """
        if isinstance(image, FrameImage) and not image.is_edited and self._is_of_this_goal(image):
            return {"frame": image.frame_index}
        pixels = rgb_pixels(image)
        return {"shape": list(pixels.shape), "data": pixels.tobytes()}

    def _is_of_this_goal(self, image: FrameImage) -> bool:
        mine = image.frame.color_payload
        return any(
            other.frame.color_payload is mine or (mine.file != "" and other.frame.color_payload.file == mine.file)
            for other in self.images
            if other.frame_index == image.frame_index
        )

    def shared_array(self, reference: Any) -> np.ndarray:
        """The array behind a broker's reference, mapped read-only (an array passes through). Raises: BrokerError."""
        if isinstance(reference, np.ndarray):
            return reference
        return map_shared(reference, self.folder)


def rgb_pixels(image: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB pixels of a frame, a PIL image, or an (H, W[, 3 or 4]) array. Raises: ToolError."""
    if isinstance(image, Image.Image):
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    if isinstance(image, np.ndarray) and image.ndim in (2, 3) and image.size:
        return np.ascontiguousarray(_rgb_array(image))
    detail = f"an array of shape {image.shape}" if isinstance(image, np.ndarray) else f"a {type(image).__name__}"
    raise ToolError(
        f"expected an image (an item of InputImages, a PIL image, or an (H, W, 3) uint8 array); got {detail}"
    )


def _rgb_array(array: np.ndarray) -> np.ndarray:
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        raise ToolError(f"an image array is (H, W), (H, W, 3) or (H, W, 4); got {array.shape}")
    if array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype != np.uint8:
        if array.dtype.kind not in "fiu":
            raise ToolError(f"an image array holds numbers; got dtype {array.dtype}")
        scale = 255.0 if array.dtype.kind == "f" and np.nanmax(array, initial=0.0) <= 1.0 else 1.0
        array = np.nan_to_num(np.asarray(array, np.float32) * scale).clip(0, 255).astype(np.uint8)
    if array.ndim == 2:
        array = array[..., None]
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[..., :3]
