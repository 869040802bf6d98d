"""Goals with random faults, one after another: each ends as its fault may end, and nothing adds up."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import Soak

pytestmark = [pytest.mark.process, pytest.mark.slow]

GROWTH = 0.15
"""Of memory. Between so few goals it is caches that fill (a first JPEG encoder, a first HTTP error): 1 to 3 MiB of 110
were seen; a leaked kernel's channels, or frames that are not let go, are far more. The long run allows 5 %."""


def test_forty_goals_with_faults_leave_the_process_as_it_was(tmp_path: Path) -> None:
    with Soak(tmp_path, seed=1) as soak:
        report = soak.run(goals=40, compare_from=15)
    assert report.problems == []
    assert report.differences(GROWTH) == []
    assert sum(report.endings.values()) == 40
