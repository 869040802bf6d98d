"""Segmenter: the interface that every mask-making backend implements, in process or elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.limits import CancelToken

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels, x2 > x1 and y2 > y1."""

Locator = Callable[[np.ndarray, str], "Box | None"]
"""Finds one thing by description in an (H, W, 3) uint8 RGB picture; None where it is not visible."""


@dataclass(frozen=True)
class SegmentInput:
    """color: (H, W, 3) uint8 RGB; depth: (H, W) float32 metres with NaN holes, or None; intrinsics of that picture, or
    None."""

    color: np.ndarray
    depth: np.ndarray | None = None
    intrinsics: Intrinsics | None = None


@dataclass(frozen=True)
class Prompt:
    """What to segment: exactly one of text, box, or points (N, 2) in pixels with labels (N,), 1 inside and 0
    outside."""

    text: str = ""
    box: Box | None = None
    points: tuple[tuple[float, float], ...] = ()
    point_labels: tuple[int, ...] = ()
    threshold: float = 0.3


@dataclass(frozen=True)
class Masks:
    """masks: (N, H, W) bool, best first; scores: (N,) float in [0, 1]; backend: the segmenter that made them."""

    masks: np.ndarray
    scores: np.ndarray
    backend: str
    notes: tuple[str, ...] = ()


class Segmenter(Protocol):
    """Makes masks. Finding nothing is an empty result, not an error; a wrong prompt raises PerceptionError."""

    name: str

    def segment(self, image: SegmentInput, prompt: Prompt, cancel: CancelToken) -> Masks: ...
