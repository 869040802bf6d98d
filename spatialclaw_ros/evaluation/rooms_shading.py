"""Colour of the surfaces that rays hit: a base colour, a faint procedural texture, and two lamps with a soft shadow."""

from __future__ import annotations

import numpy as np

TEXTURES = ("plain", "planks", "plaster", "rug", "grain", "bright", "painting")
"""Names by number. All change brightness only, so that a surface keeps its hue."""

AMBIENT = 0.60
KEY = 0.40
FILL = 0.16


def texture_brightness(texture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) float32 factor about 1 for texture numbers (N,) at points (N, 3) metres."""
    x, y, z = points.T
    factor = np.ones(len(points), np.float32)
    for number, name in enumerate(TEXTURES):
        chosen = np.flatnonzero(texture == number)
        if chosen.size and name in _PATTERNS:
            factor[chosen] = _PATTERNS[name](x[chosen], y[chosen], z[chosen])
    return factor


def shade(
    base: np.ndarray, normals: np.ndarray, points: np.ndarray, lit: np.ndarray, lamps: np.ndarray, glow: np.ndarray
) -> np.ndarray:
    """(N, 3) RGB in [0, 1] by Lambert's law with a sky-like ambient term.

    base: (N, 3); normals: (N, 3) unit, facing the viewer; points: (N, 3) metres; lit: (N,) share of the key lamp's
    light that arrives; lamps: (2, 3) positions of key and fill; glow: (N,) True where a surface shines by itself.
    """
    brightness = AMBIENT * (0.9 + 0.1 * normals[:, 2])
    for lamp, strength, share in ((lamps[0], KEY, lit), (lamps[1], FILL, 1.0)):
        towards = lamp.astype(np.float32) - points
        length = np.sqrt(np.einsum("ij,ij->i", towards, towards))
        cosine = np.einsum("ij,ij->i", normals, towards) / length
        brightness = brightness + strength * share * np.clip(cosine, 0, 1) * (1.25 / (1.0 + 0.04 * length * length))
    brightness = np.where(glow, 1.0, brightness)
    return np.clip(base * brightness[:, None], 0.0, 1.0)


def _planks(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    row = np.floor(y / 0.16)
    along = x / 1.3 + 0.37 * row
    tone = _hash(row, np.floor(along))
    seam = (np.abs(y / 0.16 - row - 0.5) > 0.47) | (np.abs(along - np.floor(along) - 0.5) > 0.495)
    grain = 0.02 * np.sin(55.0 * y + 3.0 * np.sin(2.1 * x + 5.0 * tone))
    return 0.93 + 0.12 * tone + grain - 0.16 * seam


def _plaster(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return 1.0 + 0.006 * np.sin(9.0 * (x + y) + 4.0 * np.sin(3.0 * z)) + 0.005 * np.sin(31.0 * z + 17.0 * (x - y))


def _rug(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    border = (np.abs(np.abs(x) - 1.12) < 0.05) & (np.abs(y) < 0.93) | (np.abs(np.abs(y) - 0.88) < 0.05) & (
        np.abs(x) < 1.17
    )
    return 1.0 + 0.05 * np.sin(160.0 * x) * np.sin(160.0 * y) + 0.45 * border


def _grain(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return 1.0 + 0.02 * np.sin(24.0 * z + 5.0 * np.sin(3.0 * x) + 19.0 * y) + 0.008 * np.sin(60.0 * x + 47.0 * y)


def _painting(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    hills = 1.55 + 0.10 * np.sin(5.0 * (x + y)) + 0.05 * np.sin(13.0 * (x - y))
    return np.where(z > hills, 1.12, 0.78 + 0.1 * np.sin(25.0 * z))


def _hash(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A value in [0, 1) for each pair of whole numbers, the same everywhere."""
    mixed = np.sin(a * 12.9898 + b * 78.233) * 43758.5453
    return mixed - np.floor(mixed)


_PATTERNS = {"planks": _planks, "plaster": _plaster, "rug": _rug, "grain": _grain, "painting": _painting}
