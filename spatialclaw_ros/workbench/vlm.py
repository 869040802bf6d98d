"""vlm: questions to the vision-language model about pictures, through the node."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from spatialclaw_ros.kernel.methods import MAX_IMAGES
from spatialclaw_ros.workbench.bench import Bench, rgb_pixels
from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.images import FrameImage, as_images

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Location(str):
    """Where the model sees a thing: text "x1 y1 x2 y2" in 0-1000 (one line per image), or "Not visible".

    box: [x1, y1, x2, y2] in pixels of the first image that shows it, None where none does; point: its middle (x, y);
    visible: bool; boxes: one entry per image; frame_index: of the image that `box` belongs to (-1: not a frame, or not
    visible).
    """

    boxes: list[list[float] | None]
    frame_index: int

    def __new__(cls, lines: list[str], boxes: list[list[float] | None], indices: list[int]) -> Location:
        result = super().__new__(cls, "\n".join(lines))
        result.boxes = boxes
        result.frame_index = next((i for i, box in zip(indices, boxes, strict=True) if box is not None), -1)
        return result

    @property
    def box(self) -> list[float] | None:
        return next((box for box in self.boxes if box is not None), None)

    @property
    def point(self) -> tuple[float, float] | None:
        return None if self.box is None else ((self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2)

    @property
    def visible(self) -> bool:
        return self.box is not None


class Vlm:
    """The vision-language model's eyes: for finding and describing; measuring is better done with masks and depth."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def locate(self, images: Any, question: str) -> Location:
        """Find one thing by description in an image (or in each of a list): a str in 0-1000 with .box and .point in
        pixels and .visible; SAM3.segment_image_by_box takes it as its box. Raises: ToolError."""
        many = self._checked(images, question)
        lines, boxes = [], []
        for image in many:
            reply = self._bench.ask_node(
                "locate", {"images": [self._bench.image_reference(image)], "question": question}
            )
            height, width = _shape(image)
            lines.append(str(reply["text"]).strip())
            boxes.append(_pixels(lines[-1], width, height))
        return Location(lines, boxes, [getattr(image, "frame_index", -1) for image in many])

    def ask_with_thinking(self, images: Any, question: str) -> str:
        """The model's answer in words to a question about images (at most 16), with reasoning before it. Raises:
        ToolError."""
        many = self._checked(images, question)
        reply = self._bench.ask_node(
            "ask", {"images": [self._bench.image_reference(image) for image in many], "question": question}
        )
        return str(reply["text"])

    def _checked(self, images: Any, question: Any) -> list[Any]:
        many = as_images(images)
        if len(many) > MAX_IMAGES:
            raise ToolError(
                f"at most {MAX_IMAGES} images fit one question, got {len(many)}; choose the ones that show it best"
            )
        if not isinstance(question, str) or not question.strip():
            raise ToolError(f"the question is text; got {question!r}. The order is (images, question)")
        return many


def _shape(image: Any) -> tuple[int, int]:
    if isinstance(image, FrameImage):
        return image.height, image.width
    return rgb_pixels(image).shape[:2]


def _pixels(text: str, width: int, height: int) -> list[float] | None:
    numbers = [float(n) for n in _NUMBER.findall(text)]
    if "not visible" in text.lower() or len(numbers) < 4:
        return None
    x1, y1, x2, y2 = np.clip(numbers[:4], 0, 1000) / 1000.0 * [width, height, width, height]
    if x2 <= x1 or y2 <= y1:
        return None
    return [float(x1), float(y1), float(x2), float(y2)]
