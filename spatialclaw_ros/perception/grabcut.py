"""GrabCutSegmenter: one thing in a box or under points, by OpenCV's GrabCut joined with depth."""

from __future__ import annotations

import cv2
import numpy as np

from spatialclaw_ros.errors import PerceptionError
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.components import depth_components
from spatialclaw_ros.perception.interfaces import Box, Locator, Masks, Prompt, SegmentInput

MARGIN = 0.3
"""The picture around the box that GrabCut learns the background from, as a share of the box's size."""
WORK_SIDE = 220
"""GrabCut runs on a crop shrunk to this many pixels a side: it takes tens of milliseconds then."""
ROUNDS = 4
MIN_FILL = 0.05
ALONE_RIM, ALONE_FILL = 0.25, 0.2
"""A thing stands alone in depth when it touches at most this share of the box's rim and fills that much of the box."""
SURE = 0.4
"""Share of the box's half axes within which everything is taken for the thing: colour registered only roughly to depth,
or a thing coloured like what is behind it, would otherwise be lost."""
POINT_REACH = 0.35
"""Largest box around a point, as a share of the picture's larger side."""


class GrabCutSegmenter:
    """Box prompt: GrabCut inside the box, kept to what is connected in depth with the box's middle.

    Point prompt: the depth-connected patch under the points gives the box. Text prompt: the locator gives the box.
    GrabCut: Rother, Kolmogorov, Blake, SIGGRAPH 2004, as in OpenCV.
    """

    name = "grabcut"

    def __init__(self, locator: Locator | None = None) -> None:
        self._locator = locator

    def segment(self, image: SegmentInput, prompt: Prompt, cancel: CancelToken) -> Masks:
        """At most one mask. Raises: PerceptionError for a prompt it cannot serve, Canceled."""
        cancel.raise_if_set()
        height, width = image.color.shape[:2]
        depth = image.depth if image.depth is not None and image.depth.shape == (height, width) else None
        box, notes = self._box(image, depth, prompt)
        if box is None:
            return Masks(np.zeros((0, height, width), bool), np.zeros(0), self.name, notes)
        cancel.raise_if_set()
        mask, score = _segment_box(image.color, depth, box, prompt)
        if mask is None or score < (prompt.threshold if prompt.text else 0.0):
            return Masks(
                np.zeros((0, height, width), bool), np.zeros(0), self.name, (*notes, "nothing stands out in the box")
            )
        return Masks(mask[None], np.array([score]), self.name, notes)

    def _box(self, image: SegmentInput, depth: np.ndarray | None, prompt: Prompt) -> tuple[Box | None, tuple[str, ...]]:
        if prompt.box is not None:
            return _clipped(prompt.box, image.color.shape), ()
        if prompt.points:
            return _box_of_points(image.color, depth, prompt), ()
        if not prompt.text:
            raise PerceptionError("the prompt has neither text, box nor points")
        if self._locator is None:
            raise PerceptionError(
                f"grabcut cannot find {prompt.text!r} by words alone: configure a backbone that sees pictures (it "
                "locates the "
                f"thing), name a colour with perception.segmenter: colour, or give a box or points"
            )
        found = self._locator(image.color, prompt.text)
        if found is None:
            return None, (f"the model does not see {prompt.text!r} in this picture",)
        box = _clipped(found, image.color.shape)
        x1, y1, x2, y2 = (round(v) for v in box)
        return box, (f"located by the model in [{x1}, {y1}, {x2}, {y2}]",)


def _clipped(box: Box, shape: tuple[int, ...]) -> Box:
    height, width = shape[:2]
    if not np.isfinite(box).all():
        raise PerceptionError(f"box {list(box)} has numbers that are not finite")
    x1, x2 = sorted((float(box[0]), float(box[2])))
    y1, y2 = sorted((float(box[1]), float(box[3])))
    clipped = (max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2))
    if clipped[2] - clipped[0] < 2 or clipped[3] - clipped[1] < 2:
        raise PerceptionError(f"box {list(box)} covers under 2 pixels of the {width}x{height} picture")
    return clipped


def _segment_box(
    color: np.ndarray, depth: np.ndarray | None, box: Box, prompt: Prompt
) -> tuple[np.ndarray | None, float]:
    """The mask in full size and its score, or None."""
    window, scale = _window(color.shape, box)
    size = (max(2, round((window[2] - window[0]) * scale)), max(2, round((window[3] - window[1]) * scale)))
    part = (slice(window[1], window[3]), slice(window[0], window[2]))
    small = cv2.resize(color[part], size, interpolation=cv2.INTER_AREA)
    near = None if depth is None else cv2.resize(depth[part], size, interpolation=cv2.INTER_NEAREST)
    inner = np.zeros(size[::-1], bool)
    x1, y1, x2, y2 = ((v - window[i % 2]) * scale for i, v in enumerate(box))
    inner[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
    points = [
        (((x - window[0]) * scale, (y - window[1]) * scale), mark)
        for (x, y), mark in zip(prompt.points, prompt.point_labels, strict=False)
    ]
    trimap = _trimap(inner, near, points)
    found = _kept(_grabcut(small, trimap), inner, near)
    alone = _standing_alone(inner, near)
    if alone is not None and (found is None or (found & alone).sum() < 0.5 * alone.sum()):
        found = alone  # coloured like what is behind it, but apart from it in depth
    if found is None:
        return None, 0.0
    whole = cv2.resize(
        found.astype(np.uint8), (window[2] - window[0], window[3] - window[1]), interpolation=cv2.INTER_LINEAR
    )
    mask = np.zeros(color.shape[:2], bool)
    mask[part] = whole > 0
    return mask, _score(found, inner, near)


def _window(shape: tuple[int, ...], box: Box) -> tuple[tuple[int, int, int, int], float]:
    """The crop around the box (x1, y1, x2, y2) and the factor that brings it to working size."""
    height, width = shape[:2]
    dx, dy = max(8.0, MARGIN * (box[2] - box[0])), max(8.0, MARGIN * (box[3] - box[1]))
    x1, y1 = max(0, int(box[0] - dx)), max(0, int(box[1] - dy))
    x2, y2 = min(width, int(np.ceil(box[2] + dx))), min(height, int(np.ceil(box[3] + dy)))
    return (x1, y1, x2, y2), min(1.0, WORK_SIDE / max(x2 - x1, y2 - y1))


def _trimap(inner: np.ndarray, depth: np.ndarray | None, points: list) -> np.ndarray:
    """GrabCut's start: outside the box background, its middle and what is near it in depth probably the thing."""
    trimap = np.where(inner, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if depth is not None:
        near = _near_middle(inner, depth)
        if near is not None:
            trimap[inner & ~near & np.isfinite(depth)] = cv2.GC_PR_BGD
    rows, columns = np.nonzero(inner)
    trimap[inner & _ellipse(inner.shape, rows, columns, SURE)] = cv2.GC_FGD
    corners = inner & ~_ellipse(inner.shape, rows, columns, 1.15)
    trimap[corners & (trimap == cv2.GC_PR_FGD)] = cv2.GC_PR_BGD
    for (x, y), mark in points:
        cv2.circle(trimap, (int(x), int(y)), 2, cv2.GC_FGD if mark else cv2.GC_BGD, -1)
    return trimap


def _near_middle(inner: np.ndarray, depth: np.ndarray) -> np.ndarray | None:
    """Pixels of the box whose depth belongs to the dominant depth cluster of the box's middle; None without depth
    there."""
    rows, columns = np.nonzero(inner)
    middle = _ellipse(inner.shape, rows, columns, 0.5) & inner
    known = depth[middle & np.isfinite(depth)]
    if known.size < 12:
        return None
    ordered = np.sort(known)
    gap = 0.03 + 0.02 * float(np.median(ordered))
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > gap) + 1)
    main = max(groups, key=len)
    # the nearer of two comparable groups is the thing, the farther one what shows behind or through it
    front = next(group for group in groups if len(group) > 0.35 * len(main))
    low, high = np.percentile(front, [2, 98])
    slack = max(0.04, 0.25 * (high - low)) + 0.01 * low
    return (depth > low - slack) & (depth < high + slack)


def _standing_alone(inner: np.ndarray, depth: np.ndarray | None) -> np.ndarray | None:
    """The depth cluster of the box's middle where it ends inside the box nearly all around; None where it runs on."""
    near = None if depth is None else _near_middle(inner, depth)
    if near is None:
        return None
    rows, columns = np.nonzero(inner)
    whole = cv2.morphologyEx((near & inner).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)).astype(bool)
    labels = depth_components(whole, depth)
    weights = np.bincount(labels[_ellipse(inner.shape, rows, columns, 0.5)], minlength=2)
    weights[0] = 0
    piece = labels == int(np.argmax(weights))
    rim = inner & ~cv2.erode(inner.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    ends_inside = (piece & rim).sum() < ALONE_RIM * rim.sum()
    return piece if weights.any() and ends_inside and piece.sum() > ALONE_FILL * inner.sum() else None


def _ellipse(shape: tuple[int, ...], rows: np.ndarray, columns: np.ndarray, share: float) -> np.ndarray:
    """(H, W) bool: the ellipse of `share` of the box's half axes around its middle."""
    cy, cx = (rows[0] + rows[-1]) / 2, (columns.min() + columns.max()) / 2
    ry, rx = max(1.0, share * (rows[-1] - rows[0] + 1) / 2), max(1.0, share * (columns.max() - columns.min() + 1) / 2)
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1.0


def _grabcut(color: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """(H, W) bool; the start itself where GrabCut cannot run (one side of the start is empty)."""
    likely = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    if likely.all() or likely.sum() < 5 or (~likely).sum() < 5:
        return likely
    cv2.setRNGSeed(0)
    result = trimap.copy()
    background, thing = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = cv2.cvtColor(color, cv2.COLOR_RGB2BGR)
    cv2.grabCut(bgr, result, (0, 0, 1, 1), background, thing, ROUNDS, cv2.GC_INIT_WITH_MASK)  # no use of the rectangle
    return (result == cv2.GC_FGD) | (result == cv2.GC_PR_FGD)


def _kept(found: np.ndarray, inner: np.ndarray, depth: np.ndarray | None) -> np.ndarray | None:
    """The connected piece that fills the box's middle best, its holes closed; None when it is too small."""
    opened = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool) & inner
    candidate = opened if opened.sum() >= MIN_FILL * inner.sum() else found & inner
    if candidate.sum() < max(6, MIN_FILL * inner.sum()):
        return None
    rows, columns = np.nonzero(inner)
    middle = _ellipse(inner.shape, rows, columns, 0.5)
    labels = depth_components(candidate, depth)
    weights = np.bincount(labels.ravel(), weights=(1.0 + 2.0 * middle).ravel())
    weights[0] = 0.0
    best = labels == int(np.argmax(weights))
    close = cv2.morphologyEx(best.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(close, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(close), outlines, -1, 1, -1).astype(bool) & inner
    return filled if filled.sum() >= max(6, MIN_FILL * inner.sum()) else None


def _score(found: np.ndarray, inner: np.ndarray, depth: np.ndarray | None) -> float:
    """0.3 to 1: how much of the box is filled, and how much of the mask has depth."""
    fill = float(found.sum() / inner.sum())
    known = 1.0 if depth is None else float(np.isfinite(depth[found]).mean())
    return 0.3 + 0.5 * min(1.0, fill / 0.6) + 0.2 * known


def _box_of_points(color: np.ndarray, depth: np.ndarray | None, prompt: Prompt) -> Box:
    """The box of the patch around the points that is alike in colour and connected in depth, bounded in size."""
    height, width = color.shape[:2]
    inside = [
        point
        for point, mark in zip(prompt.points, prompt.point_labels or (1,) * len(prompt.points), strict=False)
        if mark
    ]
    for x, y in inside:
        if not (0 <= x < width and 0 <= y < height):
            raise PerceptionError(f"point ({x:g}, {y:g}) is outside the {width}x{height} picture")
    if not inside:
        raise PerceptionError("a point prompt needs at least one point with label 1 (inside)")
    reach = POINT_REACH * max(width, height)
    xs, ys = zip(*inside, strict=True)
    x1, y1 = max(0, int(min(xs) - reach)), max(0, int(min(ys) - reach))
    x2, y2 = min(width, int(max(xs) + reach)), min(height, int(max(ys) + reach))
    part = (slice(y1, y2), slice(x1, x2))
    alike = _alike(color[part], [(int(x) - x1, int(y) - y1) for x, y in inside])
    labels = depth_components(alike, None if depth is None else depth[part])
    grown = np.isin(labels, [labels[int(y) - y1, int(x) - x1] for x, y in inside]) & (labels > 0)
    rows, columns = np.nonzero(grown)
    pad = 3
    return (
        float(max(0, x1 + columns.min() - pad)), float(max(0, y1 + rows.min() - pad)),
        float(min(width, x1 + columns.max() + 1 + pad)), float(min(height, y1 + rows.max() + 1 + pad)),
    )  # fmt: skip


def _alike(color: np.ndarray, seeds: list[tuple[int, int]]) -> np.ndarray:
    """Pixels whose colour is close, in Lab, to that around one of the seeds (which always belong)."""
    lab = cv2.cvtColor(cv2.GaussianBlur(color, (5, 5), 0), cv2.COLOR_RGB2LAB).astype(np.float32)
    alike = np.zeros(color.shape[:2], bool)
    for x, y in seeds:
        patch = lab[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4].reshape(-1, 3)
        difference = np.abs(lab - np.median(patch, axis=0)) * (0.5, 1.0, 1.0)  # lightness varies with shading
        alike |= (difference < 12.0 + 2.0 * patch.std(axis=0)).all(axis=2)
        alike[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = True
    return alike
