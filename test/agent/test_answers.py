"""Answers: what fits the goal is brought into its unit and frame; what does not is refused with the reason."""

from __future__ import annotations

import contextlib
import math

import pytest
from agent.loop_fakes import frames

from spatialclaw_ros.agent.answers import AnswerContext, validate_answer
from spatialclaw_ros.agent.records import Answer, AnswerType, EvidenceFrame
from spatialclaw_ros.agent.reference_frames import SnapshotFrames
from spatialclaw_ros.agent.refusal import AnswerRefused
from spatialclaw_ros.agent.units import asked_unit, conversion, unit_name
from spatialclaw_ros.frames.snapshot import Snapshot

SNAPSHOT = Snapshot.from_frames(frames(4))


def check(
    question: str = "How far is it?",
    answer_type: AnswerType = AnswerType.ANY,
    choices: tuple[str, ...] = (),
    target: str = "odom",
    **raw: object,
) -> Answer:
    evidence = {frame.index: EvidenceFrame(frame.camera, frame.stamp, frame.index) for frame in SNAPSHOT}
    return validate_answer(
        raw, AnswerContext(question, answer_type, choices, target, SnapshotFrames(SNAPSHOT), evidence)
    )


@pytest.mark.parametrize(
    ("question", "unit"),
    [
        ("How far, in metres?", "m"),
        ("How wide is it in cm?", "cm"),
        ("How wide is the shelf (mm)?", "mm"),
        ("By how many degrees did it turn?", "deg"),
        ("How fast was it, in metres per second?", "m/s"),
        ("In square meters, how large is the table?", "m^2"),
        ("How many object(s) are in the room?", ""),
        ("How far did it move in 5 seconds?", ""),
        ("What is it as seen from the door?", ""),
    ],
)
def test_the_unit_that_a_question_asks_for_is_found(question: str, unit: str) -> None:
    assert asked_unit(question) == unit


def test_units_of_one_kind_convert_and_others_do_not() -> None:
    assert conversion("cm", "m") == pytest.approx(0.01)
    assert conversion("deg", "rad") == pytest.approx(math.pi / 180)
    assert conversion("m", "s") is None
    assert (unit_name(" Metres "), unit_name("mugs")) == ("m", None)


@pytest.mark.parametrize(
    ("value", "unit", "number"), [(90, "cm", 0.9), ("0.9 m", None, 0.9), ("about 900 mm", None, 0.9), (0.9, None, 0.9)]
)
def test_a_number_arrives_in_the_asked_unit(value: object, unit: str | None, number: float) -> None:
    answer = check("How far, in metres?", AnswerType.NUMBER, value=value, unit=unit)
    assert answer.number == pytest.approx(number)
    assert answer.unit == "m"


@pytest.mark.parametrize("value", [0.42, "0.42", 42])
@pytest.mark.parametrize("asked", ["in centimetres", "in mm", "in feet", "in km/h", "in percent"])
def test_a_number_without_a_unit_is_not_taken_for_one_in_a_unit_that_nothing_measures_in(
    asked: str, value: object
) -> None:
    with pytest.raises(AnswerRefused, match="names no unit; pass the unit"):
        check(f"How much is it, {asked}?", AnswerType.NUMBER, value=value)


@pytest.mark.parametrize(
    ("question", "unit"),
    [
        ("How far, in metres?", "m"),
        ("How long did it stand there, in seconds?", "s"),
        ("How fast was it, in m/s?", "m/s"),
        ("By how many degrees did it turn?", "deg"),
        ("How many mugs are there?", ""),
    ],
)
def test_a_number_without_a_unit_is_in_the_unit_that_tools_measure_in(question: str, unit: str) -> None:
    answer = check(question, AnswerType.NUMBER, value=3)
    assert (answer.number, answer.unit) == (3.0, unit)


def test_a_spread_that_no_float_holds_is_unknown() -> None:
    for stddev in (10**400, 1.7e308, float("inf")):
        assert check("How far, in metres?", AnswerType.NUMBER, value=1, unit="km", stddev=stddev).number_stddev == -1.0


def test_evidence_that_names_no_frame_is_left_out_and_the_answer_stands() -> None:
    answer = check(answer_type=AnswerType.NUMBER, value=3.0, evidence=[2, 77, True, None, [0], 0, 2])
    assert [entry.index for entry in answer.evidence] == [2, 0]


@pytest.mark.parametrize("answer_type", list(AnswerType))
@pytest.mark.parametrize("value", [10**400, 10**5000, [10**5000]], ids=["float overflow", "no digits", "in a list"])
def test_an_integer_beyond_floats_and_digits_never_breaks_the_check(answer_type: AnswerType, value: object) -> None:
    for field in ("value", "unit", "point", "frame", "objects", "stddev", "confidence", "evidence"):
        raw = {"value": 1, "frame": "odom", field: value}
        with contextlib.suppress(AnswerRefused):
            assert math.isfinite(check("How far, in metres?", answer_type, ("1", "2"), **raw).number_stddev)


def test_a_number_keeps_its_own_unit_where_none_was_asked_for() -> None:
    assert check("How many mugs?", AnswerType.NUMBER, value=3, unit="mugs").unit == "mugs"
    assert check("How wide is it?", AnswerType.NUMBER, value=3, unit="metres").unit == "m"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"value": "far away"}, "wants a number"),
        ({"value": True}, "one finite number"),
        ({"value": float("nan")}, "one finite number"),
        ({"value": None}, "one finite number"),
        ({"value": 3.0, "unit": "deg"}, "asks for m"),
        ({"value": 3.0, "unit": "bananas"}, "asks for m"),
        ({"value": 3.0, "stddev": -1}, "stddev"),
        ({"value": 3.0, "confidence": 90}, "from 0 to 1"),
        ({"value": 10**400}, "one finite number"),
        ({"value": 10**5000}, "one finite number"),
        ({"value": "9" * 100_000}, "wants a number"),
        ({"value": 1.7e308, "unit": "km"}, "too large for a number in m"),
        ({"value": 3.0, "point": [10**400, 0, 0], "frame": "odom"}, "three finite numbers"),
    ],
)
def test_a_number_that_does_not_fit_is_refused_with_the_reason(raw: dict, reason: str) -> None:
    with pytest.raises(AnswerRefused, match=reason):
        check("How far, in metres?", AnswerType.NUMBER, **raw)


@pytest.mark.parametrize(
    ("value", "index"), [("the Red Mug", 0), ("blue box.", 1), ("BLUE BOX", 1), (1, 1), ("B) blue box", 1)]
)
def test_a_choice_is_found_by_its_text_or_index(value: object, index: int) -> None:
    assert check(answer_type=AnswerType.CHOICE, choices=("red mug", "blue box"), value=value).choice_index == index


def test_a_choice_of_numbers_is_found_by_text_before_index() -> None:
    assert check(answer_type=AnswerType.CHOICE, choices=("2", "1", "0"), value=2).choice_index == 0


@pytest.mark.parametrize("value", ["green", 5, -1, None, 0.5, ""])
def test_a_choice_that_is_not_listed_is_refused(value: object) -> None:
    with pytest.raises(AnswerRefused, match="none of the choices"):
        check(answer_type=AnswerType.CHOICE, choices=("left", "right"), value=value)


@pytest.mark.parametrize(("value", "expected"), [(True, True), ("No", False), ("yes.", True), ("FALSE", False)])
def test_a_boolean_is_read(value: object, expected: bool) -> None:
    assert check(answer_type=AnswerType.BOOLEAN, value=value).boolean is expected


@pytest.mark.parametrize("value", [1, "maybe", None])
def test_what_is_no_boolean_is_refused(value: object) -> None:
    with pytest.raises(AnswerRefused, match="True or False"):
        check(answer_type=AnswerType.BOOLEAN, value=value)


def test_a_point_is_moved_from_a_camera_to_the_target_frame_at_its_evidence() -> None:
    answer = check(answer_type=AnswerType.POINT, point=[0, 0, 2], frame="front_optical", evidence=[2])
    assert answer.point == pytest.approx((0.2, 0.0, 2.0))
    assert answer.frame == "odom"
    back = check(answer_type=AnswerType.POINT, target="front_optical", point=[0.2, 0, 2], frame="odom", evidence=[2])
    assert back.point == pytest.approx((0.0, 0.0, 2.0))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"value": "on the table"}, "pass point="),
        ({"point": [1, 2], "frame": "odom"}, "three finite numbers"),
        ({"point": [1, 2, float("inf")], "frame": "odom"}, "three finite numbers"),
        ({"point": [1, 2, 10**400], "frame": "odom"}, "three finite numbers"),
        ({"point": [1, 2, 3]}, "needs frame="),
        ({"point": [1, 2, 3], "frame": "moon"}, "known frames: odom, front_optical"),
    ],
)
def test_a_point_that_does_not_fit_is_refused_with_the_reason(raw: dict, reason: str) -> None:
    with pytest.raises(AnswerRefused, match=reason):
        check(answer_type=AnswerType.POINT, **raw)


def test_objects_are_moved_with_their_orientation() -> None:
    box = {"label": "mug", "position": [0, 0, 1], "size": [0.1, 0.1, 0.2], "score": 0.9}
    answer = check(answer_type=AnswerType.OBJECTS, objects=[box], frame="front_optical", evidence=[3])
    assert answer.objects[0].position == pytest.approx((0.3, 0.0, 1.0))
    assert (answer.objects[0].label, answer.objects[0].score, answer.frame) == ("mug", 0.9, "odom")
    assert answer.text == "1 objects: mug"


def test_no_objects_is_an_answer() -> None:
    assert check(answer_type=AnswerType.OBJECTS, objects=[], frame="odom").text == "0 objects: none"


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        (None, "wants objects"),
        ("mug", "expected a list"),
        (["mug"], "expected a dictionary"),
        ([{"label": "mug"}], "no position"),
        ([{"position": [0, 0, 1], "size": [-1, 0, 0]}], "0 or more"),
        ([{"position": [0, 0, 1], "score": 3}], "from 0 to 1"),
        ([{"position": [0, 0, 1], "orientation": [0, 0, 0, 0]}], "unit quaternion"),
        ([{"position": [0, 0, 1], "orientation": "wxyz"}], "unit quaternion"),
        ([{"position": [0, 0, 1], "orientation": [0, 0, 0, 10**400]}], "unit quaternion"),
        ([{"position": [0, 0, 1], "score": 10**5000}], "from 0 to 1"),
        ([{"position": [0, 0, 1], "frame": 10**5000}], "known frames"),
    ],
)
def test_objects_that_do_not_fit_are_refused_with_the_reason(objects: object, reason: str) -> None:
    with pytest.raises(AnswerRefused, match=reason):
        check(answer_type=AnswerType.OBJECTS, objects=objects, frame="odom")


@pytest.mark.parametrize(
    ("raw", "answer_type"),
    [
        ({"value": 3}, AnswerType.NUMBER),
        ({"value": True}, AnswerType.BOOLEAN),
        ({"value": "left"}, AnswerType.TEXT),
        ({"point": [0, 0, 0], "frame": "odom"}, AnswerType.POINT),
        ({"objects": [{"position": [0, 0, 0]}], "frame": "odom"}, AnswerType.OBJECTS),
    ],
)
def test_an_open_type_is_told_by_what_was_given(raw: dict, answer_type: AnswerType) -> None:
    assert check(**raw).type is answer_type


def test_a_number_may_come_with_a_place() -> None:
    answer = check(answer_type=AnswerType.NUMBER, value=1.0, point=[0, 0, 1], frame="odom")
    assert (answer.number, answer.point) == (1.0, (0.0, 0.0, 1.0))
