"""What the rules backbone's cells promise: right answers about a small scene, run by the real workbench."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from backbones.box_scene import Box, answer_question, make_frames

from spatialclaw_ros.backbones.rules.shared_steps import NotMeasurable
from spatialclaw_ros.errors import BackboneError, ErrorCode

RED = Box("red", (0.6, 0.3, 0.25), (0.3, 0.5, 0.5))
BLUE = Box("blue", (-0.8, -0.4, 0.2), (0.4, 0.3, 0.4))
GREENS = [Box("green", (0.2, -1.1, 0.15), (0.3, 0.3, 0.3)), Box("green", (-0.3, 1.2, 0.15), (0.3, 0.3, 0.3))]
ROLLING = Box("yellow", (1.2, -1.0, 0.15), (0.3, 0.3, 0.3), end=(-1.2, -1.0, 0.15))


@pytest.fixture(scope="module")
def still_frames():
    return make_frames([RED, BLUE, *GREENS])


@pytest.fixture(scope="module")
def moving_frames():
    return make_frames([RED, BLUE, ROLLING])


def test_distance_between_centres(still_frames):
    answer = answer_question(still_frames, "How far is the red box from the blue crate, in centimetres?").answer
    assert answer["unit"] == "cm"
    assert answer["value"] == pytest.approx(100 * np.linalg.norm(np.subtract(RED.centre, BLUE.centre)), abs=5)
    assert 0 < answer["stddev"] < 10 and 0.5 < answer["confidence"] <= 1 and answer["evidence"]


def test_answer_carries_the_boxes_of_what_was_measured(still_frames):
    answer = answer_question(still_frames, "How far is the red box from the blue crate?").answer
    assert answer["frame"] == "odom"
    assert [entry["label"] for entry in answer["objects"]] == ["red box", "blue crate"]
    assert answer["objects"][0]["position"] == pytest.approx(RED.centre, abs=0.05)


def test_distance_between_nearest_surfaces(still_frames):
    answer = answer_question(still_frames, "What is the gap between the red box and the blue crate?").answer
    gap = np.maximum(np.abs(np.subtract(RED.centre, BLUE.centre)) - np.add(RED.size, BLUE.size) / 2, 0)
    assert answer["value"] == pytest.approx(np.linalg.norm(gap), abs=0.06)


def test_distance_from_the_camera_at_a_moment(still_frames):
    answer = answer_question(still_frames, "How far is the red box from the camera in frame 5?").answer
    truth = np.linalg.norm(still_frames[5].pose[:3, 3] - RED.centre)
    assert answer["value"] == pytest.approx(truth, abs=0.05)
    assert 5 in answer["evidence"]


def test_moving_thing_is_measured_at_the_moment_asked(moving_frames):
    run = answer_question(moving_frames, "How far is the yellow cart from the camera in frame 6?")
    truth = np.linalg.norm(moving_frames[6].pose[:3, 3] - ROLLING.at(6 / 23))
    assert run.answer["value"] == pytest.approx(truth, abs=0.15)
    assert any("moves" in output for output in run.outputs)


def test_still_things_beside_a_moving_one_stay_still(moving_frames):
    run = answer_question(moving_frames, "How far is the red box from the blue crate?")
    assert not any("moves" in output for output in run.outputs)


@pytest.mark.parametrize("k", [2, 14])
def test_left_and_right_depend_on_the_frame(still_frames, k):
    question = f"Seen from the camera in frame {k}, is the red box left or right of the blue crate?"
    answer = answer_question(still_frames, question, ("left", "right"), "choice").answer
    to_camera = np.linalg.inv(still_frames[k].pose)
    x = [(to_camera @ [*box.centre, 1.0])[0] for box in (RED, BLUE)]
    assert answer["value"] == ("left" if x[0] < x[1] else "right")


def test_in_front_is_answered_in_the_words_of_the_choices(still_frames):
    question = "In frame 0, is the blue crate in front of the red box or behind it?"
    choices = ("It is behind.", "It is in front.")
    assert answer_question(still_frames, question, choices, "choice").answer["value"] == "It is behind."


def test_yes_or_no_question_gets_yes_or_no(still_frames):
    question = "Is the blue crate behind the red box in frame 0?"
    assert answer_question(still_frames, question, answer_type="boolean").answer["value"] is True
    assert answer_question(still_frames, question, ("no", "yes"), "choice").answer["value"] == "yes"


@pytest.mark.parametrize(("colour", "side"), [("blue", "left"), ("red", "right")])
def test_standing_at_one_thing_and_facing_another(colour, side):
    # From (1, 0) facing (-1, 0), left is where y is negative.
    boxes = [Box("green", (1, 0, 0.2), (0.3, 0.3, 0.4)), Box("yellow", (-1, 0, 0.2), (0.3, 0.3, 0.4)),
             Box("blue", (0, -1, 0.2), (0.3, 0.3, 0.4)), Box("red", (0, 1, 0.2), (0.3, 0.3, 0.4))]  # fmt: skip
    question = f"Standing at the green box and facing the yellow box, is the {colour} box to the left or to the right?"
    assert answer_question(make_frames(boxes, 12), question, ("left", "right")).answer["value"] == side


def test_count_tells_places_apart(still_frames):
    assert answer_question(still_frames, "How many green boxes are there?").answer["value"] == 2


def test_moving_thing_counts_once(moving_frames):
    assert answer_question(moving_frames, "Count the yellow carts in this recording.").answer["value"] == 1


def test_nothing_of_the_kind_counts_zero(still_frames):
    assert answer_question(still_frames, "How many yellow boxes are there?").answer["value"] == 0


def test_nearer_names_the_choice(still_frames):
    boxes = [Box("red", (0, 0, 0.2), (0.3, 0.3, 0.4)), Box("blue", (0.7, 0, 0.2), (0.3, 0.3, 0.4)),
             Box("green", (-1.2, 0, 0.2), (0.3, 0.3, 0.4))]  # fmt: skip
    frames = make_frames(boxes, 12)
    choices = ("blue box", "green box")
    nearer = answer_question(frames, "Which is nearer to the red box, the blue box or the green box?", choices)
    farther = answer_question(frames, "Which is farther from the red box, the blue box or the green box?", choices)
    assert (nearer.answer["value"], farther.answer["value"]) == ("blue box", "green box")


@pytest.mark.parametrize(
    ("question", "truth"),
    [
        ("How tall is the red box?", 0.5),
        ("How long is the red box along its longest horizontal side?", 0.5),
        ("How high above the floor is the top of the blue crate?", 0.4),
        ("How high above the floor is the centre of the blue crate?", 0.2),
    ],
)
def test_sizes_and_heights(still_frames, question, truth):
    assert answer_question(still_frames, question).answer["value"] == pytest.approx(truth, abs=0.04)


def test_camera_path_and_displacement(still_frames):
    places = np.array([frame.pose[:3, 3] for frame in still_frames])
    path = answer_question(still_frames, "How long is the path that the camera travelled, in cm?").answer
    straight = answer_question(still_frames, "What is the camera's straight-line displacement?").answer
    assert path["value"] == pytest.approx(100 * np.linalg.norm(np.diff(places, axis=0), axis=1).sum(), rel=1e-3)
    assert straight["value"] == pytest.approx(np.linalg.norm(places[-1] - places[0]), rel=1e-3)


def test_thing_seen_in_few_frames_is_looked_for_in_the_others():
    # It stands where the camera passes only in a few frames of the middle, between those of a first look.
    hidden = make_frames([RED, BLUE, Box("yellow", (0.3, 0.6, 0.2), (0.3, 0.3, 0.4))], 48)
    plain = make_frames([RED, BLUE], 48)
    frames = [hidden[k] if k in (19, 20) else plain[k] for k in range(48)]
    run = answer_question(frames, "How far is the yellow box from the camera in frame 40?")
    assert any("not seen yet" in cell for cell in run.cells)
    assert run.answer["value"] == pytest.approx(np.linalg.norm(frames[40].pose[:3, 3] - [0.3, 0.6, 0.2]), abs=0.2)


def test_thing_that_is_nowhere_ends_with_its_name(still_frames):
    with pytest.raises(BackboneError, match="the yellow ball was found in none of the 24 frames") as caught:
        answer_question(still_frames, "How far is the yellow ball from the red box?")
    assert caught.value.code is ErrorCode.NO_ANSWER


def test_frame_beyond_the_recording_ends_with_the_reason(still_frames):
    with pytest.raises(BackboneError, match="no frame at position 99"):
        answer_question(still_frames, "How far is the red box from the camera in frame 99?")


def test_frames_without_depth_end_with_the_reason(still_frames):
    from dataclasses import replace

    blind = [replace(frame, depth_payload=None) for frame in still_frames[:8]]
    with pytest.raises(BackboneError, match="depth"):
        answer_question(blind, "How far is the red box from the blue crate?")


@pytest.mark.parametrize(
    ("changes", "question", "said"),
    [
        ({"pose": None}, "How far is the red box from the camera in frame 5?", "frame 5 has no pose"),
        ({"pose": None}, "In frame 5, is the red box left or right of the blue crate?", "frame 5 has no pose"),
    ],
)
def test_frame_in_question_without_a_pose_is_named(still_frames, changes, question, said):
    frames = [dataclasses.replace(frame, **changes) if frame.index == 5 else frame for frame in still_frames]
    with pytest.raises(NotMeasurable, match=said):
        answer_question(frames, question)


@pytest.mark.parametrize(
    ("changes", "question", "said"),
    [
        ({"depth_payload": None}, "How far is the red box from the blue crate?", "want of depth"),
        ({"intrinsics": None}, "How tall is the red box?", "want of intrinsics"),
        ({"pose": None}, "How long is the path that the camera travelled?", "0 of 24 frames have a pose"),
    ],
)
def test_frames_that_lack_what_is_measured_with_say_so(still_frames, changes, question, said):
    with pytest.raises(NotMeasurable, match=said):
        answer_question([dataclasses.replace(frame, **changes) for frame in still_frames], question)
