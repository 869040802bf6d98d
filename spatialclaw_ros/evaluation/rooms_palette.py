"""The colours of generated rooms: eight saturated hues for the named things, near-greys for everything else."""

from __future__ import annotations

import colorsys

HUES: dict[str, float] = {
    "red": 0.0,
    "orange": 28.0,
    "yellow": 54.0,
    "green": 120.0,
    "cyan": 184.0,
    "blue": 225.0,
    "purple": 274.0,
    "pink": 322.0,
}
"""Hue in degrees (HSV). A hue belongs to one kind of thing per room, so that colour alone can find it."""

SATURATION = 0.8
VALUE = {"yellow": 0.95, "cyan": 0.9, "pink": 0.98, "orange": 0.98}
"""HSV values that keep light hues from looking brown or dull; 0.88 for the rest."""

Rgb = tuple[float, float, float]

WALL: Rgb = (0.86, 0.855, 0.84)
CEILING: Rgb = (0.94, 0.94, 0.935)
FLOOR: Rgb = (0.60, 0.575, 0.545)
RUG: Rgb = (0.42, 0.42, 0.43)
TRIM: Rgb = (0.95, 0.95, 0.95)
DARK: Rgb = (0.22, 0.22, 0.23)
METAL: Rgb = (0.66, 0.66, 0.67)
PAPER: tuple[Rgb, ...] = ((0.80, 0.79, 0.77), (0.50, 0.50, 0.51), (0.34, 0.34, 0.35), (0.68, 0.67, 0.65))
GLASS: Rgb = (0.97, 0.975, 0.98)


def colour_of(name: str) -> Rgb:
    """RGB in [0, 1] of a named hue. Raises: KeyError for a name that is not in HUES."""
    return colorsys.hsv_to_rgb(HUES[name] / 360.0, SATURATION, VALUE.get(name, 0.88))
