"""Command: generate a furnished room as a recording with questions and truth.

python -m spatialclaw_ros.evaluation.rooms --seed 7 --out room_7
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from spatialclaw_ros.errors import SpatialClawError
from spatialclaw_ros.evaluation.questions import load_questions
from spatialclaw_ros.evaluation.rooms_noise import NOISES
from spatialclaw_ros.evaluation.rooms_recording import RoomSettings, make_room


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, or 2 for arguments that cannot be served."""
    options = _parser().parse_args(arguments)
    out = options.out or Path(f"room_{options.seed}")
    began = time.monotonic()
    try:
        settings = RoomSettings(options.seed, options.noise, options.width, options.height, options.frames)
        recording = make_room(settings, out)
        questions = load_questions(recording.questions)
    except (SpatialClawError, OSError) as error:
        print(f"rooms: {error}", file=sys.stderr)
        return 2
    print(f"{recording.folder}: {settings.frames} frames, {len(questions)} questions, {time.monotonic() - began:.1f} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spatialclaw_ros.evaluation.rooms", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--seed", type=int, required=True, help="whole number from 0; the same seed gives the same bytes"
    )
    parser.add_argument(
        "--out", type=Path, help="new folder for bag, questions.yaml, truth.yaml and masks/ (default room_SEED)"
    )
    parser.add_argument(
        "--noise",
        choices=NOISES,
        default="none",
        help="none: exact; depth: axial noise and holes at edges; drift: also 1 %% odometry drift and 30 ms depth lag",
    )
    parser.add_argument("--width", type=int, default=640, help="pixels (default 640)")
    parser.add_argument("--height", type=int, default=480, help="pixels (default 480)")
    parser.add_argument("--frames", type=int, default=48, help="pictures at 4 Hz (default 48)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
