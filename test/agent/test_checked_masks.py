"""A segmenter that breaks its interface is an error that names it, before anybody works with what it made."""

from __future__ import annotations

import numpy as np
import pytest

from spatialclaw_ros.agent.checked_masks import checked_masks
from spatialclaw_ros.errors import PerceptionError
from spatialclaw_ros.perception.interfaces import Masks

SIZE = (4, 6)
GOOD = np.zeros((2, *SIZE), bool)
SCORES = np.array([0.9, 0.1])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "returned a NoneType; expected Masks"),
        (Masks(GOOD.astype(np.float32), SCORES, "x"), "masks of float32"),
        (Masks(GOOD[0], SCORES, "x"), r"shape \(4, 6\)"),
        (Masks(GOOD[:, :, :5], SCORES, "x"), r"expected bool and \(N, 4, 6\)"),
        (Masks(np.array([object()]), SCORES, "x"), "masks of object"),
        (Masks(GOOD, SCORES[:1], "x"), "for 2 masks"),
        (Masks(GOOD, np.array([0.5, np.nan]), "x"), "one finite number"),
        (Masks(GOOD, np.array([0.5, 2.0]), "x"), "from 0 to 1"),
        (Masks(GOOD, np.array(["a", "b"]), "x"), "one finite number"),
    ],
)
def test_nonsense_is_refused_with_what_came(found: object, said: str) -> None:
    with pytest.raises(PerceptionError, match=said) as caught:
        checked_masks(found, SIZE, "odd")
    assert "'odd'" in str(caught.value)


def test_what_fits_stays_and_words_are_shortened() -> None:
    found = checked_masks(Masks(GOOD, SCORES, "b" * 1000, ("n" * 9000,) * 100), SIZE, "odd")
    assert (found.masks.shape, list(found.scores)) == ((2, 4, 6), [0.9, 0.1])
    assert (len(found.backend), len(found.notes), len(found.notes[0])) == (100, 50, 2000)
