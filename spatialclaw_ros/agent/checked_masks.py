"""What a segmenter returned, held to its interface before anybody works with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatialclaw_ros.errors import PerceptionError
from spatialclaw_ros.kernel.methods import MAX_MASKS
from spatialclaw_ros.perception.interfaces import Masks

MAX_NOTES = 50
MAX_NOTE = 2000
MAX_BACKEND = 100


def checked_masks(found: Any, size: tuple[int, int], segmenter: str) -> Masks:
    """`found` where it is Masks with (N, H, W) bool and N finite scores in [0, 1]. size: (H, W) of the picture.

    Names and notes are shortened to what a message holds, and no more than MAX_MASKS masks are kept, the best.
    Raises: PerceptionError naming the segmenter, what came and what was expected.
    """
    if not isinstance(found, Masks):
        raise PerceptionError(f"the segmenter {segmenter!r} returned a {type(found).__name__}; expected Masks")
    masks, scores = np.asarray(found.masks), np.asarray(found.scores)
    if masks.dtype != bool or masks.ndim != 3 or masks.shape[1:] != size:
        raise PerceptionError(
            f"the segmenter {segmenter!r} made masks of {masks.dtype} and shape {masks.shape}; expected bool and "
            f"(N, {size[0]}, {size[1]}), as large as the picture"
        )
    if scores.shape != (len(masks),) or scores.dtype.kind not in "fiu" or not ((scores >= 0) & (scores <= 1)).all():
        raise PerceptionError(
            f"the segmenter {segmenter!r} gave {scores.dtype} scores of shape {scores.shape} for {len(masks)} masks; "
            "expected one finite number from 0 to 1 for each"
        )
    notes = tuple(str(note)[:MAX_NOTE] for note in found.notes[:MAX_NOTES])
    backend = str(found.backend)[:MAX_BACKEND] or segmenter
    return Masks(masks[:MAX_MASKS], scores[:MAX_MASKS], backend, notes)
