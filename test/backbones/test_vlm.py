"""What locate and ask promise: boxes in one form whatever the model writes, and errors that say what to do."""

from __future__ import annotations

import pytest

from spatialclaw_ros.backbones.chat import Picture, Reply
from spatialclaw_ros.backbones.vlm import NOT_VISIBLE, ask, locate, normalise_box
from spatialclaw_ros.errors import BackboneError
from spatialclaw_ros.fakes.backbone import ScriptedBackbone
from spatialclaw_ros.limits import CancelToken, Deadline

PICTURE = Picture(b"jpeg", "image/jpeg", 2000, 1500)


def find(*replies, question="red mug", pictures=(PICTURE,), **settings):
    backbone = ScriptedBackbone(replies, **settings)
    return locate(backbone, pictures, question, CancelToken(), Deadline(5)), backbone


@pytest.mark.parametrize(
    ("said", "box"),
    [
        ("100 200 300 400", "100 200 300 400"),
        ("[100, 200, 300, 400]", "100 200 300 400"),
        ('```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "mug"}]\n```', "100 200 300 400"),
        ('{"y_min": 200, "x_min": 100, "y_max": 400, "x_max": 300}', "100 200 300 400"),
        ("x1=100, y1=200, x2=300, y2=400", "100 200 300 400"),
        ("0.1 0.2 0.3 0.4", "100 200 300 400"),
        ("200 300 1600 1200", "100 200 800 800"),
        ("300 400 100 200", "100 200 300 400"),
        ("The mug is at 100 200 300 400.", "100 200 300 400"),
        ("-5 10 500 999.6", "0 10 500 1000"),
        ("Not visible", NOT_VISIBLE),
        ("The red mug is not visible in picture 1.", NOT_VISIBLE),
        ("I cannot see any mug here.", NOT_VISIBLE),
        ("None", NOT_VISIBLE),
        ("It is\nnot\nvisible.", NOT_VISIBLE),
        ("I see none.", None),
        ("0 0 0 0", NOT_VISIBLE),
        ("somewhere on the left", None),
        ("100 200", None),
        ("100 200 100 400", None),
        ("", None),
    ],
)
def test_box_is_brought_to_one_form(said, box):
    assert normalise_box(said, 2000, 1500) == box


def test_locate_asks_once_more_when_the_reply_is_no_box():
    box, backbone = find("over there", "1 2 3 4")
    assert box == "1 2 3 4"
    assert "no box" in backbone.calls[1].messages[-1].text


def test_locate_gives_up_after_the_second_reply_and_says_what_came():
    with pytest.raises(BackboneError, match="hm, there"):
        find("over there", "hm, there")


def test_locate_sends_the_picture_and_the_question_with_its_own_prompt():
    _, backbone = find("1 2 3 4")
    system, user = backbone.calls[0].messages
    assert "0 at the picture's left edge" in system.text
    assert user.parts == (PICTURE, "red mug")
    assert backbone.calls[0].purpose == "locate"


def test_several_pictures_are_numbered():
    _, backbone = find("1 2 3 4", pictures=(PICTURE, PICTURE))
    assert [part for part in backbone.calls[0].messages[1].parts if isinstance(part, str)][:2] == [
        "Picture 1:",
        "Picture 2:",
    ]


@pytest.mark.parametrize(
    ("question", "pictures", "said"),
    [(" ", (PICTURE,), "0|1 char"), ("mug", (), "no picture"), ("x" * 20_001, (PICTURE,), "20001")],
)
def test_bad_requests_are_refused_before_the_model_is_asked(question, pictures, said):
    with pytest.raises(BackboneError, match=said):
        find("1 2 3 4", question=question, pictures=pictures)


def test_blind_backbone_is_named_with_what_to_do():
    with pytest.raises(BackboneError, match="openai"):
        find("1 2 3 4", sees_pictures=False)


def test_ask_returns_words_and_reasoning():
    backbone = ScriptedBackbone([Reply("Two mugs.", reasoning="I counted.")])
    reply = ask(backbone, [PICTURE], "How many mugs?", CancelToken(), Deadline(5))
    assert (reply.text, reply.reasoning) == ("Two mugs.", "I counted.")
    assert backbone.calls[0].purpose == "ask"


def test_ask_refuses_an_empty_reply():
    with pytest.raises(BackboneError, match="nothing"):
        ask(ScriptedBackbone(["  "]), [PICTURE], "How many mugs?", CancelToken(), Deadline(5))
