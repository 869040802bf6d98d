"""python -m spatialclaw_ros.kernel.attempts: run the attempts at one level, or at all, as the user that calls it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from spatialclaw_ros.kernel import isolation
from spatialclaw_ros.kernel.attempts.catalogue import attempts
from spatialclaw_ros.kernel.attempts.run import Row, trials


def main() -> int:
    """Exit code 0: everything held and every control that is possible succeeded; 1: not so."""
    options = _options()
    rows = []
    with trials(options.level or isolation.LEVELS, options.landlock_abi) as running:
        for attempt in attempts(quick_only=not options.all):
            if options.only and attempt.name not in options.only:
                continue
            row = running.run(attempt)
            rows.append(row)
            if not options.json:
                print(_line(row), flush=True)
    if options.json:
        print(json.dumps([_as_json(row) for row in rows], indent=1))
    return 0 if all(_is_right(row) for row in rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spatialclaw_ros.kernel.attempts", description=__doc__)
    parser.add_argument("--level", action="append", help="isolation level; repeat for more (default: all)")
    parser.add_argument("--landlock-abi", type=int, default=0, help="the highest that is used (0: the system's)")
    parser.add_argument("--all", action="store_true", help="the slow ones, too")
    parser.add_argument("--only", action="append", metavar="NAME", help="this attempt; repeat for more")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def _is_right(row: Row) -> bool:
    return all(outcome.verdict == "held" for outcome in row.outcomes) and row.control.verdict != "failed"


def _line(row: Row) -> str:
    found = [f"{outcome.level} {outcome.verdict} ({outcome.detail})" for outcome in row.outcomes]
    return f"{row.attempt.name}: {'; '.join(found)}; control {row.control.verdict} ({row.control.detail})"


def _as_json(row: Row) -> dict[str, object]:
    outcomes = [{"level": each.level, "verdict": each.verdict, "detail": each.detail} for each in row.outcomes]
    control = dataclasses.asdict(row.control)
    del control["attempt"]
    return {"name": row.attempt.name, "group": row.attempt.group, "outcomes": outcomes, "control": control}


if __name__ == "__main__":
    sys.exit(main())
