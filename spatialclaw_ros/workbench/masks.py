"""PerFrameMask: an object's masks in a frame, and what can be measured on them in 3D."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from PIL import Image

from spatialclaw_ros.workbench.bench import Bench, rgb_pixels
from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.images import FrameImage, index_list
from spatialclaw_ros.workbench.measure import MIN_PIXELS, Box3D, dominant_piece, trusted_pixels, upright_box
from spatialclaw_ros.workbench.reconstruct import Reconstruction, frame_key

COLOURS = (
    (0, 200, 255),
    (255, 80, 80),
    (80, 220, 80),
    (255, 200, 0),
    (200, 100, 255),
    (255, 120, 0),
    (0, 255, 200),
    (255, 90, 200),
)


class PerFrameMask:
    """Masks of N objects in one image, best first. `object` below is a position 0..N-1 or a label.

    result[frame_index]: (N, H, W) bool. masks: {frame_index: (N, H, W) bool}. labels: N names; object_ids: N ints;
    scores: (N,) in [0, 1]; num_objects; frame_indices: one absolute index (-1 for an image that is not a frame);
    backend: the segmenter that made the masks; notes: what it wants known.
    """

    def __init__(
        self, image: Any, masks: np.ndarray, scores: Any, label: str, backend: str, notes: Any, bench: Bench
    ) -> None:
        self._image = image
        self._bench = bench
        self._index = image.frame_index if isinstance(image, FrameImage) else -1
        self.frame_indices = [self._index]
        self.masks = {self._index: np.asarray(masks, bool)}
        self.num_objects = len(masks)
        self.labels = [label] * self.num_objects
        self.object_ids = list(range(self.num_objects))
        self.scores = np.asarray(scores, float)
        self.backend = backend
        self.notes = tuple(notes)

    def __getitem__(self, frame_index: Any) -> np.ndarray:
        return self.masks[self._key(frame_index)]

    def __len__(self) -> int:
        return self.num_objects

    def get_mask(self, frame: Any = None, object: int | str = 0) -> np.ndarray:
        """(H, W) bool mask of one object. frame: index or item (None = the only one). Raises: KeyError that lists the
        valid ones."""
        masks = self.masks[self._key(frame)]
        return masks[self._position(object)]

    def get_masked_points(self, recon: Reconstruction, frame: Any = None, object: int | str = 0) -> np.ndarray:
        """(N, 3) float64 points on one object's visible surface, metres, in the reconstruction's world.

        Robust: the mask's edge, depth holes, flying pixels and pieces far from the main one are left out.
        Raises: ToolError when fewer than 10 pixels have depth; KeyError for an unknown frame or object.
        """
        index = self._key(frame)
        mask = self.get_mask(index, object)
        depth = self._depth_of(recon, index, mask)
        trusted = trusted_pixels(mask, depth)
        if trusted.sum() < MIN_PIXELS:
            raise ToolError(
                f"'{self.labels[self._position(object)]}' in frame {index}: {int(mask.sum())} mask pixels, only "
                f"{int(trusted.sum())} of them with depth (at least {MIN_PIXELS} are "
                "needed); measure it in another frame"
            )
        points = recon.points[index][trusted].astype(np.float64)
        spacing = float(np.median(depth[trusted])) / recon.intrinsics[index][0, 0]
        return points[dominant_piece(points, spacing)]

    def get_centroid_3d(self, recon: Reconstruction, frame: Any = None, object: int | str = 0) -> np.ndarray:
        """(3,) metres: the median point of the object's visible surface in the reconstruction's world. The solid's
        centre lies about half its thickness farther from the camera; boxes over several views (Geometry.upright_box)
        come nearer to it."""
        return np.median(self.get_masked_points(recon, frame, object), axis=0)

    def get_box_3d(self, recon: Reconstruction, frame: Any = None, object: int | str = 0) -> Box3D:
        """The upright box around the object's visible points: center, size (length, height, width), yaw, corners;
        metres."""
        return upright_box(self.get_masked_points(recon, frame, object))

    def visualize(self, frame: Any = None) -> Image.Image:
        """The picture with the masks drawn over it, each with its number and score (PIL)."""
        masks = self.masks[self._key(frame)]
        texts = [
            f"{n}: {label} {score:.2f}" for n, (label, score) in enumerate(zip(self.labels, self.scores, strict=True))
        ]
        return Image.fromarray(overlay(rgb_pixels(self._image), masks, texts))

    def _key(self, frame: Any) -> int:
        index = self._index if frame is None else frame_key(frame)
        if index not in self.masks:
            raise KeyError(
                f"no masks for frame {index}; this result has frame {index_list(self.frame_indices)}: segment that "
                "frame first"
            )
        return index

    def _position(self, object: int | str) -> int:
        if isinstance(object, str):
            if object not in self.labels:
                raise KeyError(f"no object is labelled {object!r}; labels: {sorted(set(self.labels))}")
            return self.labels.index(object)
        if not 0 <= int(object) < self.num_objects:
            raise KeyError(f"no object {object}; there are {self.num_objects} (0 to {self.num_objects - 1})")
        return int(object)

    def _depth_of(self, recon: Reconstruction, index: int, mask: np.ndarray) -> np.ndarray:
        if index == -1:
            raise ToolError(
                "these masks belong to an image without depth and pose; segment an item of InputImages to measure in 3D"
            )
        if not isinstance(recon, Reconstruction):
            raise ToolError(
                f"expected a Reconstruction (tools.Reconstruct.Reconstruct(...)), got a {type(recon).__name__}"
            )
        depth = recon.depth[index]
        if depth.shape != mask.shape:
            raise ToolError(
                f"the mask has shape {mask.shape}, the depth of frame {index} {depth.shape}; they must agree"
            )
        return depth

    def __repr__(self) -> str:
        masks = self.masks[self._index]
        sizes = ", ".join(
            f"{score:.2f}/{int(mask.sum())} px" for score, mask in zip(self.scores[:6], masks[:6], strict=True)
        )
        more = ", ..." if self.num_objects > 6 else ""
        where = f"frame {self._index}" if self._index >= 0 else "an image that is not a frame"
        label = f" of '{self.labels[0]}'" if self.labels else ""
        return (
            f"PerFrameMask: {self.num_objects} objects{label} in {where}, {masks.shape[2]}x{masks.shape[1]} px "
            f"(score/area: {sizes}{more}), by {self.backend}"
        )


def overlay(color: np.ndarray, masks: np.ndarray, texts: list[str] | None = None) -> np.ndarray:
    """(H, W, 3) uint8: masks (N, H, W) tinted and outlined over a picture, with texts at their tops."""
    picture = np.array(color)
    for n, mask in enumerate(masks):
        colour = np.array(COLOURS[n % len(COLOURS)], np.uint8)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            continue
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        patch, inside = picture[window], mask[window]
        patch[inside] = patch[inside] // 2 + colour // 2
        outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(picture, outlines, -1, colour.tolist(), 1, offset=(int(columns[0]), int(rows[0])))
        if texts:
            at = (int(columns[0]), max(12, int(rows[0]) - 4))
            cv2.putText(picture, texts[n], at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.putText(picture, texts[n], at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour.tolist(), 1, cv2.LINE_AA)
    return picture
