"""Connected components that respect depth: split where it jumps, joined where pieces of one thing lie close in 3D."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import sparse, spatial
from scipy.sparse import csgraph

from spatialclaw_ros.frames.camera import Intrinsics

JUMP_BASE, JUMP_SLOPE = 0.03, 0.03
"""Neighbouring pixels belong to different things when their depths differ by more than base + slope * depth
(metres)."""
GAP_SHARE, MIN_GAP, MAX_GAP = 0.3, 0.05, 0.25
"""Pieces are joined when the metres between them are under this share of the larger one's extent, within the two
bounds: a chair seen through a table's legs stays one chair, two cups side by side stay two."""
FRAGMENT, FRAGMENT_REACH = 0.15, 2.0
"""A piece with under this share of a bigger one's surface (a chair's foot seen under a table) may lie that many times
farther."""
IMAGE_GAP = 9
"""Pixels between pieces that are joined where no depth is known."""
MAX_PIECES = 60
MAX_SAMPLES = 700


def depth_components(mask: np.ndarray, depth: np.ndarray | None) -> np.ndarray:
    """(H, W) int32 labels, 0 outside `mask`: 4-connected pixels without a depth jump between them."""
    if depth is None or not np.isfinite(depth[mask]).any():
        return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1].astype(np.int32)
    rows, columns = np.nonzero(mask)
    number = np.full(mask.shape, -1, np.int32)
    number[rows, columns] = np.arange(len(rows), dtype=np.int32)
    filled = _filled(mask, depth)
    limit = JUMP_BASE + JUMP_SLOPE * filled
    links = []
    for one, other in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1),), (slice(1, None),)),
    ):
        joined = mask[one] & mask[other] & (np.abs(filled[one] - filled[other]) < np.minimum(limit[one], limit[other]))
        links.append((number[one][joined], number[other][joined]))
    first, second = (np.concatenate(side) for side in zip(*links, strict=True))
    graph = sparse.coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(len(rows), len(rows)))
    _, owner = csgraph.connected_components(graph, directed=False)
    labels = np.zeros(mask.shape, np.int32)
    labels[rows, columns] = owner + 1
    return labels


def join_pieces(
    labels: np.ndarray, depth: np.ndarray | None, intrinsics: Intrinsics | None, min_pixels: int
) -> list[np.ndarray]:
    """Masks (H, W) bool of things, biggest first: pieces of `labels` joined by nearness, things below `min_pixels`
    dropped."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    pieces = [int(i) for i in np.argsort(-sizes)[:MAX_PIECES] if sizes[i] >= max(6, min_pixels // 8)]
    samples = [_samples(labels, piece, depth, intrinsics) for piece in pieces]
    surface = [
        sizes[p] * (float(np.median(points[:, 2])) ** 2 if metric else 1.0)
        for p, (points, metric) in zip(pieces, samples, strict=True)
    ]
    things: dict[int, list[int]] = {}
    owner: list[int] = []
    for small, piece in enumerate(pieces):
        # only to the nearest bigger piece: through a shared fragment two things of one colour would become one
        reach = [_reach(samples[big], samples[small], surface[small] < FRAGMENT * surface[big]) for big in range(small)]
        nearest = int(np.argmin(reach)) if reach else -1
        owner.append(owner[nearest] if reach and reach[nearest] < 1.0 else piece)
        things.setdefault(owner[-1], []).append(piece)
    masks = [np.isin(labels, members) for members in things.values()]
    return sorted((mask for mask in masks if mask.sum() >= min_pixels), key=lambda mask: -int(mask.sum()))


Sample = tuple[np.ndarray, bool]
"""points and whether they are metric (N, 3); otherwise pixels (N, 2)."""


def _samples(labels: np.ndarray, piece: int, depth: np.ndarray | None, intrinsics: Intrinsics | None) -> Sample:
    rows, columns = np.nonzero(labels == piece)
    if depth is not None and intrinsics is not None:
        z = depth[rows, columns]
        good = np.isfinite(z) & (z > 0)
        if good.sum() >= 3:
            rows, columns, z = rows[good], columns[good], z[good]
            step = max(1, len(z) // MAX_SAMPLES)
            rows, columns, z = rows[::step], columns[::step], z[::step]
            points = [(columns - intrinsics.cx) / intrinsics.fx * z, (rows - intrinsics.cy) / intrinsics.fy * z, z]
            return np.stack(points, axis=1), True
    step = max(1, len(rows) // MAX_SAMPLES)
    return np.stack([columns, rows], axis=1)[::step].astype(float), False


def _reach(big: Sample, small: Sample, is_fragment: bool) -> float:
    """The gap between two pieces as a share of the largest gap over which they are joined; 1 and above stay apart."""
    if big[1] != small[1]:
        return np.inf
    gap = float(spatial.cKDTree(big[0]).query(small[0])[0].min())
    if not big[1]:
        return gap / IMAGE_GAP
    extent = max(float(np.linalg.norm(np.ptp(points, axis=0))) for points in (big[0], small[0]))
    return gap / (np.clip(GAP_SHARE * extent, MIN_GAP, MAX_GAP) * (FRAGMENT_REACH if is_fragment else 1.0))


def _filled(mask: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depth with holes inside the mask taking the nearest measured mask pixel's depth."""
    measured = mask & np.isfinite(depth) & (depth > 0)
    _, nearest = cv2.distanceTransformWithLabels(
        (~measured).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    lookup = np.zeros(int(nearest.max()) + 1, np.float32)
    lookup[nearest[measured]] = depth[measured]
    return lookup[nearest]
