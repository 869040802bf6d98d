"""Colour names: which pixels of a picture a name such as 'red' can mean, in shade and in light."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Hue:
    """A band of hues in degrees (low may exceed high: it wraps through 0) and the bounds of saturation and value in
    0..1.

    strong_value: an object's bright pixels (75th percentile) lie in this range; that tells orange from brown.
    """

    low: float
    high: float
    min_saturation: float = 0.35
    min_value: float = 0.12
    max_saturation: float = 1.0
    strong_value: tuple[float, float] = (0.0, 1.0)


Hsv = tuple[np.ndarray, np.ndarray, np.ndarray]
"""hue (H, W) in degrees, saturation and value (H, W) in 0..1."""

ORANGE_FROM_BROWN = 0.46
CHROMATIC: dict[str, Hue] = {
    "red": Hue(345, 12, 0.42),
    "orange": Hue(12, 42, 0.45, strong_value=(ORANGE_FROM_BROWN, 1.0)),
    "brown": Hue(8, 42, 0.25, 0.08, strong_value=(0.0, 0.68)),
    "yellow": Hue(42, 70, 0.35, 0.2),
    "green": Hue(70, 165, 0.25),
    "cyan": Hue(165, 200, 0.25),
    "blue": Hue(200, 255, 0.3),
    "purple": Hue(255, 295, 0.22),
    "magenta": Hue(295, 345, 0.25),
}
ACHROMATIC: dict[str, tuple[float, float, float]] = {
    "white": (0.18, 0.72, 1.01),
    "grey": (0.18, 0.25, 0.72),
    "black": (1.0, 0.0, 0.25),
}
"""name: (saturation below, value from, value below)."""
SYNONYMS = {
    "gray": "grey",
    "silver": "grey",
    "pink": "magenta",
    "fuchsia": "magenta",
    "violet": "purple",
    "lilac": "purple",
    "turquoise": "cyan",
    "teal": "cyan",
    "aqua": "cyan",
    "navy": "blue",
    "lime": "green",
    "olive": "green",
    "scarlet": "red",
    "crimson": "red",
    "maroon": "red",
    "amber": "orange",
    "golden": "yellow",
    "gold": "yellow",
    "beige": "brown",
    "tan": "brown",
}
_WORD = re.compile(r"[a-z]+")


def colour_name(prompt: str) -> str | None:
    """The first colour that a prompt names, in its standard name ('the gray box' -> 'grey'); None without one."""
    for word in _WORD.findall(prompt.lower()):
        name = SYNONYMS.get(word, word)
        if name in CHROMATIC or name in ACHROMATIC:
            return name
    return None


def colour_names() -> list[str]:
    """The standard names."""
    return [*CHROMATIC, *ACHROMATIC]


def hsv_of(color: np.ndarray) -> Hsv:
    """Hue (H, W) in degrees, saturation and value in 0..1 of (H, W, 3) uint8 RGB, float32."""
    hsv = cv2.cvtColor(color.astype(np.float32) / 255.0, cv2.COLOR_RGB2HSV)
    return hsv[..., 0], hsv[..., 1], hsv[..., 2]


def candidate_pixels(hsv: Hsv, name: str) -> np.ndarray:
    """(H, W) bool: pixels that can belong to a thing of that colour."""
    hue, saturation, value = hsv
    if name in ACHROMATIC:
        below, low, high = ACHROMATIC[name]
        return (saturation < below) & (value >= low) & (value < high)
    band = CHROMATIC[name]
    inside = (hue >= band.low) & (hue < band.high) if band.low < band.high else (hue >= band.low) | (hue < band.high)
    # chroma (saturation * value) keeps the noisy hues of near-black pixels out
    return inside & (saturation >= band.min_saturation) & (value >= band.min_value) & (saturation * value > 0.06)


def fits_colour(hsv: Hsv, mask: np.ndarray, name: str) -> bool:
    """Whether a whole component has the colour: its bright pixels decide between orange and brown, whatever the
    shade."""
    band = CHROMATIC.get(name)
    if band is None or band.strong_value == (0.0, 1.0):
        return True
    bright = float(np.percentile(hsv[2][mask], 75))
    return band.strong_value[0] <= bright <= band.strong_value[1]
