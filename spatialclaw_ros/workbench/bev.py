"""A top-down picture of a reconstruction, for the model to look at."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from PIL import Image

MARGIN = 0.05
MAX_FRAMES = 12
PIXEL_STEP = 3


def render_bev(recon: Any, frames: Any, size: int, height_range: tuple[float, float] | None) -> Image.Image:
    """Draw points from above, higher ones on top; cameras as red dots with their view direction. See
    Reconstruction.render_bev."""
    indices = _drawn_frames(recon, frames)
    points, colors = _cloud(recon, indices, height_range)
    cameras = np.array([recon.extrinsics[i] for i in indices])
    ground = np.concatenate([points[:, [0, 2]], cameras[:, :3, 3][:, [0, 2]]])
    low, high = np.percentile(ground, [1, 99], axis=0) if len(ground) > 50 else (ground.min(axis=0), ground.max(axis=0))
    span = max(float((high - low).max()), 0.5) * (1 + 2 * MARGIN)
    scale, origin = size / span, (low + high) / 2 - span / 2
    picture = np.full((size, size, 3), 32, np.uint8)
    order = np.argsort(points[:, 1])
    pixels = ((points[order][:, [0, 2]] - origin) * scale).astype(int)
    inside = ((pixels >= 0) & (pixels < size)).all(axis=1)
    picture[pixels[inside, 1], pixels[inside, 0]] = colors[order][inside]
    for pose in cameras:
        at = (pose[[0, 2], 3] - origin) * scale
        ahead = at + pose[[0, 2], 2] * 0.04 * size
        cv2.arrowedLine(picture, _pixel(at), _pixel(ahead), (255, 60, 60), 1, cv2.LINE_AA, tipLength=0.4)
    cv2.line(picture, (10, size - 12), (10 + int(scale), size - 12), (255, 255, 255), 2)
    cv2.putText(picture, "1 m", (12, size - 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    result = Image.fromarray(picture)
    result.info.update(metres_per_pixel=1.0 / scale, x_left=float(origin[0]), z_top=float(origin[1]))
    return result


def _drawn_frames(recon: Any, frames: Any) -> list[int]:
    if frames is not None:
        return [int(i) for i in np.atleast_1d(frames)]
    indices = recon.frame_indices
    return [
        indices[i]
        for i in np.unique(np.linspace(0, len(indices) - 1, min(len(indices), MAX_FRAMES)).round().astype(int))
    ]


def _cloud(recon: Any, indices: list[int], height_range: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray]:
    points, colors = [np.zeros((0, 3), np.float32)], [np.zeros((0, 3), np.uint8)]
    for index in indices:
        grid = recon.points[index][::PIXEL_STEP, ::PIXEL_STEP]
        known = recon.points.confidence[index][::PIXEL_STEP, ::PIXEL_STEP] > 0
        if height_range is not None:
            known &= (grid[..., 1] >= height_range[0]) & (grid[..., 1] <= height_range[1])
        color = recon.item(index).color
        if color.shape[:2] != recon.depth[index].shape:
            color = cv2.resize(color, recon.depth[index].shape[::-1])
        points.append(grid[known])
        colors.append(color[::PIXEL_STEP, ::PIXEL_STEP][known])
    return np.concatenate(points), np.concatenate(colors)


def _pixel(at: np.ndarray) -> tuple[int, int]:
    return int(round(float(at[0]))), int(round(float(at[1])))
