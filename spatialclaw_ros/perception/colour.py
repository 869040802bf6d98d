"""ColourSegmenter: masks of things named with a colour ('red box'), by hue and connected components in depth."""

from __future__ import annotations

import cv2
import numpy as np

from spatialclaw_ros.errors import PerceptionError
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.colours import (
    ACHROMATIC,
    Hsv,
    candidate_pixels,
    colour_name,
    colour_names,
    fits_colour,
    hsv_of,
)
from spatialclaw_ros.perception.components import depth_components, join_pieces
from spatialclaw_ros.perception.interfaces import Masks, Prompt, SegmentInput

MIN_PIXELS_SHARE = 2e-4
MIN_PIXELS = 30
MAX_MASKS = 20
SLIVER_SHARE = 0.12
"""A thing of which less is left when its rim is taken away is no thing."""
FULL_SIZE_SCORE = 5e-3
"""Share of the picture from which size no longer lowers the score."""


class ColourSegmenter:
    """Finds things by the colour in a text prompt; the kind of thing is not looked at. For generated rooms and tests.

    A box or points with it choose among what has the colour of their middle. No downloads, tens of milliseconds on a
    CPU.
    """

    name = "colour"

    def segment(self, image: SegmentInput, prompt: Prompt, cancel: CancelToken) -> Masks:
        """Masks of everything of the colour, best first. Raises: PerceptionError for a prompt without a known colour,
        Canceled."""
        cancel.raise_if_set()
        hsv = hsv_of(image.color)
        name = colour_name(prompt.text) if prompt.text else _colour_at(hsv, prompt)
        if name is None:
            raise PerceptionError(
                f"the colour segmenter needs a colour in the prompt; got {prompt.text!r}. It knows "
                f"{', '.join(colour_names())}; "
                f"configure perception.segmenter: grabcut with a backbone that sees pictures for other prompts"
            )
        depth = image.depth if image.depth is not None and image.depth.shape == hsv[0].shape else None
        floor = max(MIN_PIXELS, int(MIN_PIXELS_SHARE * hsv[0].size))
        labels = depth_components(_cleaned(candidate_pixels(hsv, name)), depth)
        cancel.raise_if_set()
        things = [m for m in join_pieces(labels, depth, image.intrinsics, floor) if fits_colour(hsv, m, name)]
        things = [mask for mask in things if not _is_sliver(mask)]
        if not prompt.text:
            things = [mask for mask in things if _prompted(mask, prompt)]
        return _scored(things, hsv, name, prompt.threshold if prompt.text else 0.0, self.name)


def _cleaned(mask: np.ndarray) -> np.ndarray:
    """Without specks and pinholes of sensor noise and JPEG blocks."""
    return cv2.medianBlur(mask.astype(np.uint8), 3).astype(bool)


def _is_sliver(mask: np.ndarray) -> bool:
    """True for the thin rims that JPEG's coarse colour leaves beside a saturated thing."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    return int(inner.sum()) < SLIVER_SHARE * int(mask.sum())


def _scored(things: list[np.ndarray], hsv: Hsv, name: str, threshold: float, backend: str) -> Masks:
    shape = hsv[0].shape
    scores = [_score(mask, hsv, name) for mask in things]
    order = [i for i in np.argsort([-s for s in scores], kind="stable") if scores[i] >= threshold][:MAX_MASKS]
    masks = np.stack([things[i] for i in order]) if order else np.zeros((0, *shape), bool)
    notes = (f"{len(things)} {name} things found, the best {MAX_MASKS} kept",) if len(things) > MAX_MASKS else ()
    return Masks(masks, np.array([scores[i] for i in order], float), backend, notes)


def _score(mask: np.ndarray, hsv: Hsv, name: str) -> float:
    """0.3 to 1: half by size, half by how clear the colour is."""
    size = min(1.0, float(mask.mean()) / FULL_SIZE_SCORE)
    clear = float(np.median(hsv[1][mask]))
    clear = 1.0 - clear if name in ACHROMATIC and name != "black" else 1.0 if name == "black" else clear
    return 0.3 + 0.35 * size + 0.35 * min(1.0, clear)


def _colour_at(hsv: Hsv, prompt: Prompt) -> str | None:
    """The colour that most pixels in the middle of the box, or around the points, can have."""
    height, width = hsv[0].shape
    window = np.zeros((height, width), bool)
    if prompt.box is not None:
        x1, y1, x2, y2 = prompt.box
        dx, dy = (x2 - x1) / 4, (y2 - y1) / 4
        window[int(y1 + dy) : int(y2 - dy) + 1, int(x1 + dx) : int(x2 - dx) + 1] = True
    for (x, y), label in zip(prompt.points, prompt.point_labels, strict=False):
        if label:
            window[max(0, int(y) - 2) : int(y) + 3, max(0, int(x) - 2) : int(x) + 3] = True
    if not window.any():
        raise PerceptionError("the prompt has neither text, box nor points inside the picture")
    counts = {name: int((candidate_pixels(hsv, name) & window).sum()) for name in colour_names()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def _prompted(mask: np.ndarray, prompt: Prompt) -> bool:
    """Whether a mask holds a point, or lies mostly inside the box."""
    if prompt.box is not None:
        x1, y1, x2, y2 = (int(v) for v in prompt.box)
        return mask[y1 : y2 + 1, x1 : x2 + 1].sum() > 0.5 * mask.sum()
    inside = [mask[int(y), int(x)] for (x, y), label in zip(prompt.points, prompt.point_labels, strict=False) if label]
    return any(inside)
