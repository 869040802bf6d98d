"""Questions are many, varied, exact and fair: the truth follows from truth.yaml alone, with a clear margin."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from evaluation.made_room import MadeRoom

from spatialclaw_ros.errors import ConfigurationError
from spatialclaw_ros.evaluation.nearest import nearest_distance
from spatialclaw_ros.evaluation.questions import FAMILIES, Question, Truth, load_questions, save_questions
from spatialclaw_ros.evaluation.questions_wording import WORDINGS, plural
from spatialclaw_ros.evaluation.rooms_shapes import KINDS


def _family(room: MadeRoom, family: str) -> list[Question]:
    found = [question for question in room.questions if question.family == family]
    assert found
    return found


def _thing(room: MadeRoom, name: str) -> dict:
    (thing,) = [thing for thing in room.truth["objects"] if thing["name"] == name]
    return thing


def _centre(room: MadeRoom, name: str, frame: int = 0) -> np.ndarray:
    thing = _thing(room, name)
    return np.array(thing["centres"][frame] if thing["moves"] else thing["centre"])


def _in_camera(room: MadeRoom, name: str, frame: int) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    row = room.truth["camera"]["trajectory"][frame]
    return Rotation.from_quat(row[3:]).inv().apply(_centre(room, name, frame) - row[:3])


def _frame(question: Question) -> int:
    return int(re.search(r"frame (\d+)", question.question)[1])


def _metres(question: Question) -> float:
    return float(question.answer.value) / {"m": 1.0, "cm": 100.0}[question.answer.unit]


def test_thirty_questions_over_all_families(small_room: MadeRoom) -> None:
    assert len(small_room.questions) >= 30
    assert {question.family for question in small_room.questions} == set(FAMILIES)
    assert len({question.id for question in small_room.questions}) == len(small_room.questions)


def test_every_meaning_has_three_wordings() -> None:
    assert all(len(set(templates)) >= 3 for templates in WORDINGS.values())


def test_questions_of_a_family_are_worded_differently(small_room: MadeRoom) -> None:
    openings = defaultdict(set)
    for question in small_room.questions:
        text = question.question
        for name in question.about:
            text = text.replace(plural(name), "X").replace(name, "X") if " " in name else text
        openings[question.family].add(re.sub(r"\d+", "N", text))
    assert all(len(openings[family]) >= 3 for family in ("distance", "left_right", "front_behind", "nearer", "size")), (
        openings
    )


def test_names_in_questions_mean_one_thing(small_room: MadeRoom) -> None:
    names = [thing["name"] for thing in small_room.truth["objects"]]
    for question in small_room.questions:
        if question.family != "count":
            assert all(names.count(name) == 1 for name in question.about if name != "camera"), question


def test_centre_distances_are_exact(small_room: MadeRoom) -> None:
    asked = [q for q in _family(small_room, "distance") if "cent" in q.question.replace("centimetres", "")]
    assert len(asked) == 3
    for question in asked:
        a, b = (_centre(small_room, name) for name in question.about)
        assert _metres(question) == pytest.approx(np.linalg.norm(a - b), abs=1e-3)


def test_surface_distances_are_below_centre_distances_and_say_what_they_mean(small_room: MadeRoom) -> None:
    asked = [q for q in _family(small_room, "distance") if re.search(r"surface|closest points", q.question)]
    assert len(asked) >= 2
    for question in asked:
        a, b = (_centre(small_room, name) for name in question.about)
        assert 0.3 <= _metres(question) < np.linalg.norm(a - b)


def test_camera_distances_are_exact_at_their_frame(small_room: MadeRoom) -> None:
    last = len(small_room.truth["camera"]["trajectory"]) - 1
    for question in _family(small_room, "camera_distance"):
        text = question.question
        frame = 0 if "start" in text else last if "end of the" in text else _frame(question)
        away = np.linalg.norm(_in_camera(small_room, question.about[0], frame))
        assert _metres(question) == pytest.approx(away, abs=1e-3)


def test_left_and_right_follow_the_bearing_with_a_margin(small_room: MadeRoom) -> None:
    for question in _family(small_room, "left_right"):
        a, b = (_in_camera(small_room, name, _frame(question)) for name in question.about)
        apart = np.degrees(np.arctan2(a[0], a[2]) - np.arctan2(b[0], b[2]))
        assert abs(apart) >= 5.9
        assert question.answer.value == ("left" if apart < 0 else "right")


def test_front_and_behind_follow_the_depth_with_a_margin(small_room: MadeRoom) -> None:
    for question in _family(small_room, "front_behind"):
        a, b = (_in_camera(small_room, name, _frame(question)) for name in question.about)
        assert abs(a[2] - b[2]) >= 0.39
        assert question.answer.value == ("in front" if a[2] < b[2] else "behind")


def test_egocentric_answers_follow_the_angle_with_a_margin(small_room: MadeRoom) -> None:
    for question in _family(small_room, "egocentric"):
        stand, face, asked = (_centre(small_room, name)[:2] for name in question.about)
        ahead, towards = complex(*(face - stand)), complex(*(asked - stand))
        turn = np.degrees(np.angle(towards / ahead))
        if "left" in question.answer.choices:
            assert 30 <= abs(turn) <= 150
            assert question.answer.value == ("left" if turn > 0 else "right")
        else:
            assert abs(turn) < 60 or abs(turn) > 120
            assert question.answer.value == ("in front" if abs(turn) < 90 else "behind")


def test_counts_are_those_of_the_room(small_room: MadeRoom) -> None:
    names = [thing["name"] for thing in small_room.truth["objects"]]
    for question in _family(small_room, "count"):
        assert plural(question.about[0]) in question.question
        assert question.answer.value == names.count(question.about[0])
    assert any(question.answer.value > 2 for question in _family(small_room, "count"))


def test_nearer_differs_by_fifteen_percent(small_room: MadeRoom) -> None:
    for question in _family(small_room, "nearer"):
        x, a, b = (_centre(small_room, name) for name in question.about)
        to_a, to_b = np.linalg.norm(x - a), np.linalg.norm(x - b)
        assert max(to_a, to_b) >= 1.149 * min(to_a, to_b)
        assert question.answer.value == question.about[1 if to_a < to_b else 2]


def test_sizes_and_heights_are_those_of_the_box(small_room: MadeRoom) -> None:
    for question in _family(small_room, "size"):
        size = _thing(small_room, question.about[0])["size"]
        assert _metres(question) == pytest.approx(
            max(size[:2]) if "horizontal" in question.question else size[2], abs=1e-3
        )
    for question in _family(small_room, "height"):
        thing = _thing(small_room, question.about[0])
        top = thing["centre"][2] + thing["size"][2] / 2
        assert _metres(question) == pytest.approx(top if "top" in question.question else thing["centre"][2], abs=1e-3)


def test_camera_path_and_displacement_are_those_of_the_trajectory(small_room: MadeRoom) -> None:
    places = np.array(small_room.truth["camera"]["trajectory"])[:, :3]
    path, displacement = _family(small_room, "camera_path")
    assert _metres(path) == pytest.approx(np.linalg.norm(np.diff(places, axis=0), axis=1).sum(), abs=1e-3)
    assert _metres(displacement) == pytest.approx(np.linalg.norm(places[-1] - places[0]), abs=1e-3)


def test_tolerances_are_five_centimetres_or_a_share(small_room: MadeRoom) -> None:
    for question in small_room.questions:
        if question.answer.type == "number":
            factor = {"m": 1.0, "cm": 100.0}[question.answer.unit]
            least = max(0.05, 0.05 * _metres(question))
            assert question.answer.tolerance / factor == pytest.approx(
                least, abs=0.08 if question.family == "camera_distance" else 2e-3
            )


def test_questions_survive_their_file(tmp_path: Path) -> None:
    written = [
        Question("d", "distance", "How far?", Truth("number", 1.5, "m", 0.1), ("red box",)),
        Question("c", "", "Left: or right?", Truth("choice", "left", choices=("left", "right"))),
        Question("n", "count", "How many?", Truth("count", 3)),
    ]
    save_questions(written, "room", tmp_path / "questions.yaml")
    assert load_questions(tmp_path / "questions.yaml") == written


def test_hand_written_questions_load(kitchen_data: Path) -> None:
    questions = load_questions(kitchen_data / "kitchen_questions.yaml")
    assert [question.answer.type for question in questions] == ["number", "number", "choice", "choice", "number"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[", "not a readable"),
        ("questions: 3", "no list 'questions'"),
        ("questions: [{id: a, question: b}]", "question 1"),
        ("questions: [{id: a, question: b, answer: {type: guess, value: 1}}]", "'guess'"),
        ("questions: [{id: a, question: b, answer: {type: number, value: far}}]", "'far'"),
        ("questions: [{id: a, question: b, answer: {type: choice, value: x, choices: [y, z]}}]", "not among"),
    ],
)
def test_a_wrong_questions_file_is_named(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "q.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        load_questions(tmp_path / "q.yaml")


def test_nearest_distance_between_faces_edges_and_corners() -> None:
    import trimesh

    cube = np.asarray(trimesh.creation.box((1, 1, 1)).triangles)
    assert nearest_distance(cube, cube + [3, 0.2, 0.1]) == pytest.approx(2.0)
    assert nearest_distance(cube, cube + [2, 2, 2]) == pytest.approx(np.sqrt(3))
    turned = trimesh.creation.box((1, 1, 1))
    turned.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 4, [1, 0, 0]))
    edge_up = np.asarray(turned.triangles)
    other = edge_up[:, :, [1, 0, 2]] + [0, 0, 2.0]
    assert nearest_distance(edge_up, other) == pytest.approx(2.0 - np.sqrt(2)), "crossing edges"
    assert nearest_distance(cube, np.array([[[9.0, -9, 2], [9, 9, 2], [-9, 0, 2]]])) == pytest.approx(1.5), (
        "corner on a face"
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_stands_on_the_floor_and_is_centred(kind: str) -> None:
    shape = KINDS[kind](np.random.default_rng(0))
    points = shape.own_triangles.reshape(-1, 3)
    low, high = points.min(0), points.max(0)
    assert low[2] == pytest.approx(0.0, abs=1e-9)
    assert (low + high)[:2] == pytest.approx([0, 0], abs=1e-9)
    assert np.allclose(np.linalg.norm(np.concatenate([part.normals for part in shape.parts]), axis=2), 1.0, atol=1e-6)
