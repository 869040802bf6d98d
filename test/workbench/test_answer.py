"""ReturnAnswer: plain data out of whatever a cell submits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spatialclaw_ros.workbench.errors import ToolError


@pytest.mark.parametrize(
    ("submitted", "value"),
    [
        ("'left'", "left"), ("3", 3), ("0.5", 0.5), ("True", True), ("np.float32(0.5)", 0.5), ("np.int64(4)", 4),
        ("np.bool_(False)", False), ("np.array([2.5])", 2.5), ("np.str_('door')", "door"), ("['a', 2]", ["a", 2]),
    ],
)  # fmt: skip
def test_value_becomes_plain_data(bench, submitted, value):
    answer = bench.run(f"ReturnAnswer({submitted})")["answer"]
    assert answer["value"] == value and type(answer["value"]) is type(value)
    json.dumps(answer, allow_nan=False)


def test_number_with_unit_spread_and_evidence(bench):
    answer = bench.run(
        "ReturnAnswer(np.float64(0.89), unit='m', stddev=0.02, confidence=0.9, evidence=[InputImages[1], 3])"
    )["answer"]
    assert answer == {
        "value": 0.89, "unit": "m", "point": None, "frame": None, "objects": None,
        "stddev": 0.02, "confidence": 0.9, "evidence": [1, 3],
    }  # fmt: skip


def test_point_keeps_its_frame_and_a_missing_frame_is_noted(bench):
    assert bench.run("ReturnAnswer(point=np.ones(3), frame='base_link')")["answer"]["frame"] == "base_link"
    report = bench.run("ReturnAnswer(point=[1, 2, 3])")
    assert report["answer"]["frame"] == "odom" and any("to_ros_frame" in note for note in report["notes"])


def test_objects_from_dicts_pairs_and_boxes(bench):
    bench.run(
        "pts = np.random.default_rng(0).uniform(-1, 1, (500, 3)) * [1, .2, .3]; box = Geometry.upright_box(pts, up=2)"
    )
    answer = bench.run(
        "ReturnAnswer(objects=[{'label': 'mug', 'position': (1, 2, 3), 'score': .5}, ('door', [4, 5, 6]), "
        "('table', box)], frame='odom')"
    )["answer"]
    assert [entry["label"] for entry in answer["objects"]] == ["mug", "door", "table"]
    table = answer["objects"][2]
    assert table["size"] == pytest.approx([2, 0.4, 0.6], abs=0.08)
    assert np.linalg.norm(table["orientation"]) == pytest.approx(1.0)


def test_box_in_a_reconstructions_axes_is_refused_as_an_object(bench):
    bench.run("box = Geometry.upright_box(np.random.default_rng(0).normal(size=(50, 3)))")
    with pytest.raises(ToolError, match="to_ros_frame"):
        bench.run("ReturnAnswer(objects=[('mug', box)], frame='odom')")


def test_later_answer_overrides_with_a_note_and_the_cell_goes_on(bench):
    report = bench.run("ReturnAnswer(1.0, unit='m'); after = 7; ReturnAnswer(2.0, unit='m')")
    assert report["answer"]["value"] == 2.0 and bench.value("after") == 7
    assert any("more than once" in note for note in report["notes"])


def test_next_cell_starts_without_answer(bench):
    bench.run("ReturnAnswer('left')")
    assert bench.run("x = 1")["answer"] is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("float('nan')", "nan: a measurement failed"),
        ("np.inf", "measurement failed"),
        ("''", "empty text"),
        ("", "needs a value"),
        ("InputImages[0]", "FrameImage"),
        ("np.zeros((600, 3))", "small list"),
        ("1.0, stddev=-1", "stddev must lie"),
        ("1.0, confidence=1.5", r"confidence must lie in \[0, 1\]"),
        ("1.0, point=[1, 2]", "3 finite numbers"),
        ("1.0, point='here'", "3 numbers"),
        ("objects=[{'label': 'mug'}], frame='odom'", "needs a position"),
        ("10**400", "beyond what a number holds"),
        ("10**6000", "beyond what a number holds"),
        ("[1, -10**400]", "beyond what a number holds"),
        ("1.0, stddev=10**400", "stddev must be a number"),
        ("1.0, confidence=10**6000", "confidence must be a number"),
        ("1.0, point=[10**400, 0, 0]", "3 numbers"),
        ("1.0, evidence='here'", "evidence is frame indices"),
        ("1.0, evidence=[float('inf')]", "evidence is frame indices"),
        ("[['x' * 10_000] * 500] * 500", "larger than"),
        ("{'k' * 1_000_000: 1}", "larger than"),
    ],
)
def test_what_cannot_be_an_answer_is_refused_with_the_reason(bench, call, message):
    with pytest.raises(ToolError, match=message):
        bench.run(f"ReturnAnswer({call})")
    assert bench.workbench.bench.answer is None


def test_wrong_argument_is_named_as_cells_call_the_function(bench):
    with pytest.raises(TypeError, match=r"^ReturnAnswer\(\) got an unexpected keyword argument 'units'"):
        bench.run("ReturnAnswer(1.0, units='m')")


def test_unknown_evidence_is_left_out_with_a_note(bench):
    report = bench.run("ReturnAnswer('left', evidence=[2, 99])")
    assert report["answer"]["evidence"] == [2] and any("[99]" in note for note in report["notes"])
