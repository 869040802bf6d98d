"""FakeSegmenter: a segmenter that gives the masks a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.interfaces import Box, Masks, Prompt, SegmentInput

MAX_BLOCKED = 600.0
"""s: a test that forgets to unblock ends all the same."""


@dataclass(frozen=True)
class RecordedSegmentation:
    """One call of `segment`: the picture's size and the prompt."""

    width: int
    height: int
    prompt: Prompt


class FakeSegmenter:
    """Makes rectangular masks: the boxes listed for a text prompt, the box itself for a box, a square around a point.

    boxes: text prompt → boxes in pixels (clipped to the picture); a text that is not listed finds nothing.
    maker: replaces all of that with a function (image, prompt) → Masks. error: raised by every call when set.
    block(): makes every later call wait until `unblock()`, deaf to its cancel; `waiting` is set while a call waits.
    """

    name = "fake"

    def __init__(
        self,
        boxes: Mapping[str, list[Box]] | None = None,
        maker: Callable[[SegmentInput, Prompt], Masks] | None = None,
        error: Exception | None = None,
    ) -> None:
        self._boxes = dict(boxes or {})
        self._maker = maker
        self.error = error
        self.calls: list[RecordedSegmentation] = []
        self.waiting = threading.Event()
        self._free = threading.Event()
        self._free.set()

    def segment(self, image: SegmentInput, prompt: Prompt, cancel: CancelToken) -> Masks:
        """Raises: Canceled, or the error the test set."""
        cancel.raise_if_set()
        height, width = image.color.shape[:2]
        self.calls.append(RecordedSegmentation(width, height, prompt))
        self._wait_until_free()
        if self.error is not None:
            raise self.error
        if self._maker is not None:
            return self._maker(image, prompt)
        masks = [_rectangle(box, height, width) for box in self._boxes_for(prompt)]
        masks = [mask for mask in masks if mask.any()]
        stacked = np.stack(masks) if masks else np.zeros((0, height, width), bool)
        return Masks(stacked, np.ones(len(masks)), self.name)

    def block(self) -> None:
        self._free.clear()

    def unblock(self) -> None:
        self._free.set()

    def _wait_until_free(self) -> None:
        if self._free.is_set():
            return
        self.waiting.set()
        self._free.wait(MAX_BLOCKED)
        self.waiting.clear()

    def _boxes_for(self, prompt: Prompt) -> list[Box]:
        if prompt.text:
            return self._boxes.get(prompt.text, [])
        if prompt.box is not None:
            return [prompt.box]
        inside = [point for point, label in zip(prompt.points, prompt.point_labels, strict=False) if label]
        return [(x - 10, y - 10, x + 11, y + 11) for x, y in inside]


def _rectangle(box: Box, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    x1, y1, x2, y2 = (int(max(0, round(value))) for value in box)
    mask[y1:y2, x1:x2] = True
    return mask
