"""From messages to a CellResult: whatever a kernel sends, the result is bounded and of the right types."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialclaw_ros.errors import ConfigurationError
from spatialclaw_ros.kernel.cell import MIME_CELL
from spatialclaw_ros.kernel.channels import KernelMessage
from spatialclaw_ros.kernel.collector import CellCollector
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.picture_size import picture_size
from spatialclaw_ros.kernel.text_limit import LimitedText, shortened

CONFIG = KernelConfig(max_output_bytes=1000, max_pictures=2, max_picture_bytes=4096)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def png(width: int = 4, height: int = 3) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height) + b"rest"


def collect(*contents: tuple[str, dict[str, Any]], reply: dict[str, Any] | None = None) -> Any:
    collector = CellCollector(CONFIG)
    for kind, content in contents:
        collector.add(KernelMessage(kind, "", content, {}))
    return collector.result("ok", reply or {"status": "ok"}, 0.1)


def display(**data: Any) -> tuple[str, dict[str, Any]]:
    return "display_data", {"data": {key.replace("_", "/"): value for key, value in data.items()}}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["stream", "display_data", "status", "error", "x"]), JUNK), max_size=4), JUNK)
def test_no_content_makes_the_collector_raise(messages: list[tuple[str, Any]], cell: Any) -> None:
    usable = [(kind, content) for kind, content in messages if isinstance(content, dict)]
    report = ("display_data", {"data": {MIME_CELL: cell}})
    reply = {"status": "error", "ename": cell, "evalue": cell, "traceback": cell}
    result = collect(*usable, report, reply=reply)
    assert isinstance(result.stdout, str) and isinstance(result.tool_calls, int)
    assert result.answer is None or isinstance(result.answer, dict)


def test_picture_that_is_no_picture_is_counted_and_left_out() -> None:
    result = collect(
        display(image_png="%%%"), display(image_png=base64.b64encode(b"text").decode()), display(image_png=7)
    )
    assert result.pictures == () and any("3 pictures were not readable" in note for note in result.notes)


def test_picture_beyond_its_size_is_left_out() -> None:
    result = collect(display(image_png=base64.b64encode(png() + bytes(5000)).decode()))
    assert result.pictures == () and any("left out" in note for note in result.notes)


def test_claimed_size_of_a_picture_is_not_believed() -> None:
    content = {"data": {"image/png": base64.b64encode(png(40, 30)).decode()}, "metadata": {"spatialclaw": {"width": 1}}}
    (picture,) = collect(("display_data", content)).pictures
    assert (picture.width, picture.height) == (40, 30)


def test_picture_of_absurd_size_is_left_out() -> None:
    assert collect(display(image_png=base64.b64encode(png(1 << 31, 1)).decode())).pictures == ()


def test_last_report_of_a_cell_counts() -> None:
    reports = [("display_data", {"data": {MIME_CELL: {"answer": {"value": n}}}}) for n in (1, 2)]
    assert collect(*reports).answer == {"value": 2}


def test_variables_are_limited_in_number_and_length() -> None:
    entries = [{"name": f"v{n}", "type": "int", "summary": "s" * 9000} for n in range(5000)] + [None, 7]
    variables = collect(("display_data", {"data": {MIME_CELL: {"variables": entries}}})).variables
    assert len(variables) == 200 and len(variables[0].summary) <= 500


def test_names_are_text_of_bounded_number_and_length_and_none_where_none_were_said() -> None:
    entries = [7, None, "x" * 9000, "d\n"] + ["v"] * 20_000
    names = collect(("display_data", {"data": {MIME_CELL: {"names": entries}}})).names
    assert len(names) < 10_000 and len(names[0]) <= 200 and names[1] == "d"
    assert collect(("display_data", {"data": {MIME_CELL: {"names": "d"}}})).names is None
    assert collect().names is None


def test_answer_beyond_its_size_is_left_out_with_a_note() -> None:
    result = collect(("display_data", {"data": {MIME_CELL: {"answer": {"value": "x" * (2 << 20)}}}}))
    assert result.answer is None and any("answer was left out" in note for note in result.notes)


def test_line_of_an_error_is_that_of_the_innermost_frame_of_the_cell() -> None:
    trace = ["Cell line 4, in <module>:\n    f()", "Cell line 2, in f:\n    1/0", "Earlier cell, line 9, in g:"]
    assert collect(reply={"status": "error", "ename": "E", "evalue": "m", "traceback": trace}).error.line == 2


@given(st.lists(st.text(max_size=80), max_size=40), st.integers(10, 300))
def test_limited_text_keeps_head_and_tail_and_counts_the_rest(parts: list[str], most: int) -> None:
    limited = LimitedText(most)
    for part in parts:
        limited.add(part)
    text, dropped = limited.finish()
    whole = "".join(parts).encode("utf-8", "replace")
    assert dropped == max(0, len(whole) - most)
    if not dropped:
        assert text == whole.decode("utf-8", "replace")


def test_what_the_kernel_left_out_counts_with_what_the_host_cuts() -> None:
    rest = {"text": "b" * 600, "left_out_bytes": 7000, "left_out_pictures": 3}
    result = collect(("stream", {"text": "a" * 100}), ("stream", rest))
    assert result.truncated_bytes == 7100 and "[... 7100 bytes left out ...]" in result.stdout
    assert result.stdout.startswith("a" * 100 + "\n[") and result.stdout.endswith("]\n" + "b" * 500)
    assert any("3 pictures were left out" in note for note in result.notes)


@pytest.mark.parametrize("claim", [-5, "many", None, True, 1.5, [1]])
def test_odd_count_of_what_was_left_out_is_none(claim: Any) -> None:
    result = collect(("stream", {"text": "a", "left_out_bytes": claim, "left_out_pictures": claim}))
    assert (result.stdout, result.truncated_bytes, result.notes) == ("a", 0, ())


@given(st.text(max_size=4000), st.integers(40, 300))
def test_shortened_text_is_whole_or_says_what_it_lacks(text: str, most: int) -> None:
    short = shortened(text, most)
    assert short == text.encode("utf-8", "replace").decode() or "bytes left out" in short
    assert len(short) <= most + 60


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xc0\x00\x01", b"\xff\xd8" + b"\xff" * 100]
)
def test_damaged_jpeg_has_no_size(data: bytes) -> None:
    assert picture_size(data, "image/jpeg") is None


def test_jpeg_size_is_read_behind_other_segments() -> None:
    data = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x11\x08" + struct.pack(">HH", 480, 640) + bytes(20)
    assert picture_size(data, "image/jpeg") == (640, 480)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sandbox", "docker"),
        ("memory_bytes", 1),
        ("cell_timeout", -1.0),
        ("cell_timeout", float("nan")),
        ("max_pictures", True),
    ],
)
def test_wrong_setting_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"kernel.{name}"):
        KernelConfig(**{name: value})


@pytest.mark.parametrize(("stamp", "kept"), [(2**31 * 10**9 - 1, True), (2**31 * 10**9, False), (1 << 62, False)])
def test_stamp_that_no_ros_time_can_say_is_left_out(stamp: int, kept: bool) -> None:
    content = {"data": {"image/png": base64.b64encode(png()).decode()}, "metadata": {"spatialclaw": {"stamp": stamp}}}
    (picture,) = collect(("display_data", content)).pictures
    assert picture.stamp == (stamp if kept else None)


def test_text_that_utf_8_cannot_hold_is_replaced_everywhere() -> None:
    bad = "half \ud800"
    cell = {
        "answer": {"value": bad, bad: [bad]},
        "notes": [bad],
        "variables": [{"name": bad, "type": bad, "summary": bad}],
    }
    reply = {"status": "error", "ename": bad, "evalue": bad, "traceback": [bad]}
    result = collect(display(**{MIME_CELL: cell}), ("stream", {"text": bad}), reply=reply)
    assert "half ?" in repr(result) and "\\ud800" not in repr(result)


@pytest.mark.parametrize(("depth", "kept"), [(10, True), (100, False), (800, False)])
def test_answer_that_lies_too_deep_is_left_out_with_a_note(depth: int, kept: bool) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    result = collect(display(**{MIME_CELL: {"answer": {"value": value}}}))
    assert (result.answer is not None) is kept
    assert kept or "the answer was left out" in result.notes[-1]


def test_numbers_of_an_answer_that_are_none_become_null() -> None:
    result = collect(display(**{MIME_CELL: {"answer": {"value": float("nan"), "stddev": float("inf")}}}))
    assert result.answer == {"value": None, "stddev": None}
