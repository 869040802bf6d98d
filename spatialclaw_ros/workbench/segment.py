"""tools.SAM3: masks of things named in words, by a box or by points, made by the node's segmenter."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatialclaw_ros.workbench.bench import Bench
from spatialclaw_ros.workbench.errors import BrokerError, NoMaskFound, ToolError
from spatialclaw_ros.workbench.images import FrameImage, as_images, as_item
from spatialclaw_ros.workbench.masks import PerFrameMask


class Sam3Tool:
    """Masks by words, box or points. One image per call: an item of InputImages (3D measuring needs one), PIL image or
    array."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def segment_image_by_text(
        self, image: Any, prompt: str, label: str | None = None, confidence_threshold: float = 0.3
    ) -> PerFrameMask:
        """Masks of everything that the words name ("red mug"), best first.

        label: name of the objects in the result (None = the prompt). Raises: NoMaskFound, ToolError.
        """
        if not isinstance(prompt, str) or not prompt.strip():
            raise ToolError(f"the prompt names the thing to segment, such as 'red mug'; got {prompt!r}")
        return self._segment(image, {"text": prompt.strip()}, label or prompt.strip(), float(confidence_threshold))

    def segment_image_by_points(
        self, image: Any, points: Any, point_labels: Any = None, label: str = "object"
    ) -> PerFrameMask:
        """The object under points: [[x, y], ...] in pixels, point_labels 1 inside, 0 outside (None = all inside).

        Raises: NoMaskFound, ToolError.
        """
        image = as_item(image)
        array, labels = self._points(points, point_labels, _size(image))
        return self._segment(image, {"points": array.tolist(), "labels": labels}, label, 0.0)

    def segment_image_by_box(self, image: Any, box: Any, label: str = "object") -> PerFrameMask:
        """The object that fills a box [x1, y1, x2, y2] in pixels; a vlm.locate result is taken by its box.

        Raises: NoMaskFound, ToolError.
        """
        image = as_item(image)
        return self._segment(image, {"box": self._box(box, _size(image))}, label, 0.0)

    def is_object_exist(self, images: Any, object_name: str) -> dict[str, Any]:
        """Whether a thing is seen in any of the images: {"exists": bool, "counts": {frame_index: n}, "summary":
        str}."""
        counts: dict[int, int] = {}
        for position, image in enumerate(as_images(images)):
            key = image.frame_index if isinstance(image, FrameImage) else position
            try:
                counts[key] = self.segment_image_by_text(image, object_name).num_objects
            except NoMaskFound:
                counts[key] = 0
        seen = sum(count > 0 for count in counts.values())
        summary = f"'{object_name}' is seen in {seen} of {len(counts)} images, at most {max(counts.values())} at once"
        return {"exists": seen > 0, "counts": counts, "summary": summary}

    def _segment(self, image: Any, prompt: dict[str, Any], label: str, threshold: float) -> PerFrameMask:
        image = as_item(image)
        reply = self._bench.ask_node(
            "segment", {"image": self._bench.image_reference(image), "prompt": prompt, "threshold": threshold}
        )
        masks = np.asarray(self._bench.shared_array(reply["masks"])).astype(bool)
        width, height = _size(image)
        if masks.shape != (len(reply["scores"]), height, width):
            raise BrokerError(
                f"the node made masks of shape {list(masks.shape)} with {len(reply['scores'])} scores for a picture of "
                f"{width}x{height} pixels"
            )
        notes = [str(note) for note in reply.get("notes", [])]
        if len(masks) == 0:
            raise NoMaskFound(_advice(image, prompt, label, str(reply.get("backend", "")), notes))
        for note in notes:
            self._bench.note(f"segment '{label}': {note}")
        return PerFrameMask(image, masks, reply["scores"], label, str(reply["backend"]), notes, self._bench)

    def _points(self, points: Any, labels: Any, size: tuple[int, int]) -> tuple[np.ndarray, list[int]]:
        array = _numbers(getattr(points, "point", points), "points")
        if array.ndim == 1 and array.size == 2:
            self._bench.note(
                "segment_image_by_points: a flat [x, y] was taken as one point; the argument is [[x, y], ...]"
            )
            array = array[None]
        if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
            raise ToolError(f"points are [[x, y], ...] in pixels; got an array of shape {array.shape}")
        marks = [1] * len(array) if labels is None else [int(v) for v in np.atleast_1d(labels).ravel()]
        if len(marks) != len(array) or not set(marks) <= {0, 1} or 1 not in marks:
            raise ToolError(
                f"point_labels needs one 1 (inside) or 0 (outside) per point and at least one 1; got {marks} for "
                f"{len(array)} points"
            )
        width, height = size
        if ((array < 0) | (array >= [width, height])).any():
            raise ToolError(f"points {array.tolist()} leave the picture of {width}x{height} pixels (x right, y down)")
        return array, marks

    def _box(self, box: Any, size: tuple[int, int]) -> list[float]:
        if getattr(box, "visible", True) is False:
            raise ToolError("the located thing is not visible in that image; try another frame")
        array = _numbers(getattr(box, "box", box), "a box").ravel()
        width, height = size
        if array.size != 4:
            raise ToolError(f"a box is [x1, y1, x2, y2] in pixels; got {array.size} numbers")
        if array.max() <= 1.0 and array.min() >= 0.0:
            self._bench.note(
                "segment_image_by_box: the box was taken as fractions of the picture; the argument is in pixels"
            )
            array = array * [width, height, width, height]
        x1, x2 = sorted((array[0], array[2]))
        y1, y2 = sorted((array[1], array[3]))
        x1, y1, x2, y2 = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
        if x2 - x1 < 2 or y2 - y1 < 2:
            raise ToolError(
                f"box {array.tolist()} covers under 2 pixels of the {width}x{height} picture; a box is [x1, y1, x2, "
                "y2] in pixels"
            )
        return [x1, y1, x2, y2]


def _numbers(value: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        raise ToolError(f"{what}: expected numbers in pixels, got {str(value)[:80]!r}") from None
    if not np.isfinite(array).all() or array.size == 0:
        raise ToolError(f"{what}: expected finite numbers in pixels, got {str(value)[:80]!r}")
    return array


def _size(image: Any) -> tuple[int, int]:
    if isinstance(image, np.ndarray) and image.ndim >= 2:
        return image.shape[1], image.shape[0]
    size = getattr(image, "size", None)
    if not isinstance(size, tuple):
        raise ToolError(
            f"expected an image (an item of InputImages, a PIL image or an array), got a {type(image).__name__}"
        )
    return size


def _advice(image: Any, prompt: dict[str, Any], label: str, backend: str, notes: list[str]) -> str:
    where = f"frame {image.frame_index}" if isinstance(image, FrameImage) else "the image"
    said = f" ({'; '.join(notes)})" if notes else ""
    if "text" in prompt:
        advice = (
            "look at the frame with show(); try a simpler name (colour + thing), a lower confidence_threshold, "
            "another frame, or "
            "a box: SAM3.segment_image_by_box(image, vlm.locate(image, name))"
        )
    else:
        advice = "check the box or points on the picture with show(), or use another frame"
    return f"no mask for '{label}' in {where} by {backend or 'the segmenter'}{said}; {advice}"
