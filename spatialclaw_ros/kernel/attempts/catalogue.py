"""Every attempt, in the order of its groups."""

from __future__ import annotations

import importlib

from spatialclaw_ros.kernel.attempts.attempt import GROUPS, Attempt, registered


def attempts(quick_only: bool = False) -> tuple[Attempt, ...]:
    """All attempts, or those that together take a few seconds."""
    for module in GROUPS:
        importlib.import_module(f"spatialclaw_ros.kernel.attempts.{module}")
    order = list(GROUPS.values())
    found = sorted(registered(), key=lambda attempt: order.index(attempt.group))
    return tuple(attempt for attempt in found if attempt.quick or not quick_only)
