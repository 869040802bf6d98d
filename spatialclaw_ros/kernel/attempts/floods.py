"""Attempts to flood the host with output: text, pictures, variables, and messages past the kernel's own limits."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.judges import FORGED, came_through, disturbed, too_much_text, unsound
from spatialclaw_ros.kernel.cell import MIME_CELL

FLOOD_BYTES = 2 << 20
LINE = FORGED + " " + "x" * 80 + "\n"
MESSAGES = 12_000
PICTURES = 40
HUGE_SIDE = 30_000
OVERSIZED = 20 << 20
"""Beyond kernel.max_message_bytes."""


def send(kind: str, content: Any, parent: Any = None, count: int = 1) -> None:
    """Send messages on the kernel's output stream as the kernel itself does, past its limits."""
    from IPython import get_ipython

    kernel: Any = get_ipython().kernel  # type: ignore[no-untyped-call,union-attr,unused-ignore]
    for _ in range(count):
        kernel.session.send(kernel.iopub_socket, kind, content, parent=parent or kernel.get_parent("shell"))


def drop_own_report() -> None:
    """Let no report of the kernel's own follow the forged ones: the last one counts."""
    from IPython import get_ipython

    get_ipython().events.callbacks["post_run_cell"].clear()  # type: ignore[no-untyped-call,union-attr,unused-ignore]


def png(width: int, height: int) -> str:
    """A picture in base64 whose header claims any size; its pixels are missing."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return base64.b64encode(data).decode()


def display(width: int, height: int) -> dict[str, Any]:
    return {"data": {"image/png": png(width, height)}, "metadata": {"spatialclaw": {"label": FORGED}}}


@attempt(too_much_text, control="process")
def print_without_end(targets: Targets) -> object:
    """Print megabytes of text."""
    for _ in range(FLOOD_BYTES // len(LINE)):
        print(LINE, end="")
    return ""


@attempt(disturbed, arrives=came_through)
def stream_past_the_limits(targets: Targets) -> object:
    """Send megabytes of text as messages of one's own making, past the kernel's limits."""
    send("stream", {"name": "stdout", "text": LINE * 4000}, count=5)
    return ""


@attempt(disturbed, arrives=came_through, ends=("output stream broke", "ended: ok"), quick=False)
def flood_of_messages(targets: Targets) -> object:
    """Send thousands of small messages, more than the host's queue holds."""
    send("stream", {"name": "stdout", "text": FORGED}, count=MESSAGES)
    return ""


@attempt(disturbed, arrives=came_through)
def flood_of_pictures(targets: Targets) -> object:
    """Show more pictures than a cell may."""
    send("display_data", display(8, 8), count=PICTURES)
    return ""


@attempt(disturbed, arrives=came_through)
def picture_bomb(targets: Targets) -> object:
    """Show a picture of a few bytes that decodes to gigabytes."""
    send("display_data", display(HUGE_SIDE, HUGE_SIDE))
    return ""


@attempt(disturbed, arrives=came_through)
def flood_of_variables(targets: Targets) -> object:
    """Report ten thousand variables with long names, and as many notes."""
    entries = [{"name": FORGED + "n" * 900, "type": "t" * 900, "summary": "s" * 900}] * 3000
    report = {"version": 1, "variables": entries, "answer": None, "notes": ["n" * 2000] * 1000, "tool_calls": 1 << 70}
    drop_own_report()
    send("display_data", {"data": {MIME_CELL: report}, "metadata": {}})
    return ""


@attempt(disturbed, arrives=came_through, quick=False)
def flood_of_left_out(targets: Targets) -> object:
    """Claim to have left out more bytes and pictures than there are."""
    counts = {"left_out_bytes": 1 << 62, "left_out_pictures": -5}
    send("stream", {"name": "stdout", "text": FORGED, **counts}, count=100)
    return ""


@attempt(unsound, arrives=came_through, ends=("output stream broke",), breaks=True, quick=False)
def message_beyond_the_limit(targets: Targets) -> object:
    """Send one message that is larger than the host reads."""
    send("stream", {"name": "stdout", "text": FORGED + "x" * OVERSIZED})
    return ""
