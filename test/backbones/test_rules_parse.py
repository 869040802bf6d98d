"""What the grammar promises: a question's family, roles, moment and unit, in whatever usual words it is asked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialclaw_ros.backbones.rules.parse import parse_question
from spatialclaw_ros.backbones.rules.question import EXAMPLES
from spatialclaw_ros.backbones.rules.words import COLOURS, plural, singular
from spatialclaw_ros.errors import QuestionNotUnderstood
from spatialclaw_ros.perception.colours import colour_name

MUG_BOX = ("red mug", "blue box")
THREE = ("red chair", "green door", "yellow lamp")


@pytest.mark.parametrize(
    ("text", "measure", "unit"),
    [
        ("How far is the red mug from the blue box?", "centre", "m"),
        ("How far apart are the red mug and the blue box, in metres?", "centre", "m"),
        ("Tell me the distance between the red mug and the blue box.", "centre", "m"),
        ("What is the centre-to-centre distance from the red mug to the blue box in cm?", "centre", "cm"),
        ("How many centimetres separate the red mug and the blue box?", "centre", "cm"),
        ("What distance (in mm) separates the red mug from the blue box?", "centre", "mm"),
        ("How close is the red mug to the blue box on the table, in feet?", "centre", "ft"),
        ("What is the gap between the red mug and the blue box?", "surface", "m"),
        ("What is the shortest distance between the red mug and the blue box, in inches?", "surface", "in"),
        ("Measured between their nearest surfaces, how far is the red mug from the blue box?", "surface", "m"),
        ("How far apart are the closest points of the red mug and the blue box?", "surface", "m"),
        ("Please estimate the clearance between the red mug and blue box", "surface", "m"),
    ],
)
def test_distance_is_read_with_its_measure_and_unit(text, measure, unit):
    question = parse_question(text)
    assert (question.family, question.names, question.measure, question.unit) == ("distance", MUG_BOX, measure, unit)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("How far from the camera is the red mug in frame 12?", "frame", 12),
        ("How far is the red mug from the camera at the start of the recording?", "frame", 0),
        ("At the end of the video, how far away is the red mug?", "frame", -1),
        ("In the 12th frame, how far is the red mug from the camera?", "frame", 11),
        ("How far from me is the red mug when the recording ends?", "frame", -1),
        ("3.5 seconds into the recording, how far is the red mug from the camera?", "seconds", 3.5),
        ("Halfway through the recording, what is the distance of the red mug from the camera?", "share", 0.5),
    ],
)
def test_camera_distance_is_read_with_its_moment(text, kind, value):
    question = parse_question(text)
    assert (question.family, question.names) == ("camera_distance", ("red mug",))
    assert (question.moment.kind, question.moment.value) == (kind, value)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("Seen from the camera in frame 3, is the red mug to the left or to the right of the blue box?", "side"),
        ("In frame 3, on which side of the blue box is the red mug: left or right?", "side"),
        ("Relative to the blue box, is the red mug on the left or on the right in frame 3?", "side"),
        ("In frame 3, does the red mug stand in front of the blue box or behind it?", "depth_order"),
        ("In frame 3, is the red mug behind or in front of the blue box?", "depth_order"),
    ],
)
def test_relation_is_read_with_target_first_and_reference_second(text, family):
    question = parse_question(text)
    assert (question.family, question.names, question.moment.value) == (family, MUG_BOX, 3)
    assert not question.asserted


def test_relation_with_one_side_only_is_a_yes_or_no_question():
    assert parse_question("Is the red mug left of the blue box in frame 7?").asserted == "left"
    assert parse_question("Is the red mug behind the blue box in frame 7?").asserted == "behind"


def test_relation_that_asks_which_wants_a_thing():
    question = parse_question("Which is further left in frame 3, the red mug or the blue box?")
    assert (question.family, question.asserted, question.as_thing) == ("side", "left", True)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("If I stand at the red chair facing the green door, is the yellow lamp on my left or my right?", "left right"),
        ("You are at the red chair and face the green door. Is the yellow lamp behind or in front?", "front behind"),
        ("From the red chair looking at the green door, is the yellow lamp to the left or right?", "left right"),
        ("Facing the green door while standing at the red chair, is the yellow lamp left or right?", "left right"),
        ("With the green door in front of me, standing at the red chair, is the yellow lamp left or right?",
         "left right"),
        ("I am next to the red chair, facing the green door. Is the yellow lamp left, right, in front or behind?",
         "left right front behind"),
    ],
)  # fmt: skip
def test_standing_somewhere_is_read_by_its_roles_not_by_order(text, options):
    question = parse_question(text)
    assert (question.family, question.names, question.options) == ("egocentric", THREE, tuple(options.split()))


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("Which is nearer to the yellow lamp, the red chair or the green door?", "nearer"),
        ("Is the yellow lamp closer to the red chair or to the green door?", "nearer"),
        ("Is the red chair or the green door closer to the yellow lamp, going by their centres?", "nearer"),
        ("Of the red chair and the green door, which one is nearest to the yellow lamp?", "nearer"),
        ("Which is farther from the yellow lamp: the red chair or the green door?", "farther"),
    ],
)
def test_nearer_is_read_with_its_anchor_first(text, measure):
    question = parse_question(text)
    assert (question.family, question.names) == ("nearer", ("yellow lamp", "red chair", "green door"))
    assert question.measure == measure


def test_nearer_can_mean_the_camera():
    question = parse_question("Which is closer to the camera in frame 5, the red mug or the blue box?")
    assert (question.family, question.names, question.moment.value) == ("nearer", ("", *MUG_BOX), 5)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How many green boxes are there in the room?", "green box"),
        ("Count the yellow mugs.", "yellow mug"),
        ("What is the number of different purple shelves that the camera saw?", "purple shelf"),
        ("How many red robots can you see?", "red robot"),
        ("How many light blue glasses does the recording show?", "light blue glass"),
    ],
)
def test_count_names_one_thing_in_the_singular(text, name):
    question = parse_question(text)
    assert (question.family, question.names) == ("count", (name,))


@pytest.mark.parametrize(
    ("text", "family", "measure"),
    [
        ("How tall is the red lamp?", "size", "height"),
        ("What is the height of the red lamp, from its underside to its top?", "size", "height"),
        ("How long is the red lamp along its longest horizontal side?", "size", "length"),
        ("How wide is the red lamp at its widest, along its longest horizontal side?", "size", "length"),
        ("What's the red lamp's width?", "size", "width"),
        ("How high above the floor is the top of the red lamp?", "height", "top"),
        ("How far above the ground does the red lamp reach with its top?", "height", "top"),
        ("How high above the floor is the red lamp's centre?", "height", "centre"),
        ("How far is the underside of the red lamp above the floor?", "height", "bottom"),
    ],
)
def test_size_and_height_above_the_floor_are_told_apart(text, family, measure):
    question = parse_question(text)
    assert (question.family, question.names, question.measure) == (family, ("red lamp",), measure)


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("How long is the path that the camera travelled over the whole recording?", "path"),
        ("In total, how far did the camera move along its way?", "path"),
        ("How far did you move?", "path"),
        ("What is the camera's net displacement?", "displacement"),
        ("How far is the camera at the end of the recording from where it started, as the crow flies?", "displacement"),
        ("How far apart are the camera's first and last positions?", "displacement"),
    ],
)
def test_camera_path_is_told_from_its_displacement(text, measure):
    question = parse_question(text)
    assert (question.family, question.measure) == ("camera_path", measure)


def test_any_noun_will_do_with_a_determiner():
    assert parse_question("How far is the game controller from the floral mug?").names == (
        "game controller",
        "floral mug",
    )


def test_robot_with_a_colour_is_a_thing():
    assert parse_question("How far is the red robot from the blue box?").names == ("red robot", "blue box")


def test_size_words_in_front_of_a_colour_are_no_part_of_the_name():
    assert parse_question("How tall is the tall red lamp?").names == ("red lamp",)


@pytest.mark.parametrize(("family", "text"), EXAMPLES.items())
def test_the_examples_that_errors_give_are_understood(family, text):
    assert parse_question(text).family == family


@pytest.mark.parametrize(
    "text",
    [
        "What colour is the table?",
        "What is the meaning of life?",
        "Where is the red mug?",
        "hello",
        "Did the red mug move?",
    ],
)
def test_other_questions_are_refused_with_what_can_be_asked(text):
    with pytest.raises(QuestionNotUnderstood, match=r"(?s)camera_distance: How far.*backbone\.name openai"):
        parse_question(text)


def test_refusal_lists_one_kind_of_question_a_line():
    with pytest.raises(QuestionNotUnderstood) as caught:
        parse_question("hello")
    lines = str(caught.value).splitlines()
    for family, example in EXAMPLES.items():
        assert f"  {family}: {example}" in lines


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("blue box", "blue boxes"),
        ("yellow mug", "yellow mugs"),
        ("purple shelf", "purple shelves"),
        ("red berry", "red berries"),
    ],
)
def test_one_and_many_are_spelt_as_usual(one, many):
    assert (plural(one), singular(many)) == (many, one)


def test_every_colour_of_a_question_is_one_that_masks_can_be_found_by():
    assert [word for word in sorted(COLOURS) if colour_name(word) is None] == []


@pytest.mark.parametrize(("text", "said"), [("  ", "empty"), ("red " * 25_000, "100000 characters")])
def test_empty_and_endless_questions_are_refused(text, said):
    with pytest.raises(QuestionNotUnderstood, match=said) as caught:
        parse_question(text)
    assert len(str(caught.value)) < 3000


WORDS = (
    "the a red blue mug box camera floor how far is from to left right of or in front behind nearer than frame 12 many "
    "count standing at facing , ? . : which tall between 1e9 -3 th"
).split()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300) | st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_no_text_makes_the_grammar_fail_otherwise(text):
    try:
        parse_question(text)
    except QuestionNotUnderstood:
        return
