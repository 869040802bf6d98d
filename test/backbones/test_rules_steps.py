"""What the rules backbone promises as a backbone: replies in the agreed form, decided by the messages alone."""

from __future__ import annotations

import ast
import re

import pytest
from backbones.box_scene import observation, task_message

from spatialclaw_ros.backbones.chat import Message
from spatialclaw_ros.backbones.config import BackboneConfig
from spatialclaw_ros.backbones.registry import make_backbone
from spatialclaw_ros.backbones.rules import RulesBackbone
from spatialclaw_ros.backbones.rules.question import EXAMPLES
from spatialclaw_ros.backbones.rules.shared_steps import NotMeasurable
from spatialclaw_ros.errors import BackboneError, Canceled, ErrorCode, QuestionNotUnderstood, TimeLimitReached
from spatialclaw_ros.limits import CancelToken, Deadline

DISTANCE = "How far is the red mug from the blue box?"
SEEN = "red mug: seen in {} of 16 frames, 0.2 to 0.9 % of the picture\nblue box: seen in {} of 16 frames, 1 to 2 %"
MEASURED = "red mug: 12 views, still, box centre\nblue box: 12 views, still, box centre"


def reply_to(*messages, purpose="main"):
    return RulesBackbone().chat(messages, purpose, CancelToken(), Deadline(10)).text


def steps(question, *outputs, frames=48):
    """The purposes of the replies, and the last reply, when the cells print `outputs`."""
    messages = [task_message(question, frames=frames)]
    purposes = []
    for output in (*outputs, None):
        reply = reply_to(*messages)
        purposes.append(re.search(r"Purpose: (.*)", reply)[1])
        if output is not None:
            messages += [Message("assistant", (reply,)), output if isinstance(output, Message) else observation(output)]
    return purposes, reply


def test_registry_makes_it_by_default():
    assert make_backbone(BackboneConfig()).name == "rules"
    assert not make_backbone(BackboneConfig()).sees_pictures


def test_reply_has_purpose_reasoning_next_goal_and_one_block_of_python():
    reply = reply_to(task_message(DISTANCE))
    assert re.fullmatch(r"Purpose: .+\nReasoning: .+\nNext goal: .+\n```python\n.+\n```", reply, re.DOTALL)
    assert reply.count("```") == 2


@pytest.mark.parametrize("question", EXAMPLES.values())
def test_plan_is_words_without_code(question):
    plan = reply_to(Message("user", (task_message(question).text.replace(">cell<", ">plan<"),)), purpose="plan")
    assert "```" not in plan and "Meaning:" in plan and "Check:" in plan


def test_plan_in_the_conversation_is_no_cell():
    first = reply_to(task_message(DISTANCE))
    request = Message("user", ("Now the first cell.\n<request>cell</request>",))
    assert reply_to(task_message(DISTANCE), Message("assistant", ("Meaning: ...",)), request) == first


def test_same_messages_give_the_same_reply():
    assert reply_to(task_message(DISTANCE)) == reply_to(task_message(DISTANCE))


def test_enough_views_lead_straight_to_measuring():
    purposes, _ = steps(DISTANCE, SEEN.format(12, 14), "Reconstruction", MEASURED, "distance 1.200 m; spread 0.004 m")
    assert len(purposes) == 5 and purposes[-1] == "answer in m"


def test_few_views_lead_to_a_look_from_more_sides():
    purposes, _ = steps(DISTANCE, SEEN.format(3, 14))
    assert purposes[-1] == "see the red mug from more sides"


def test_unseen_thing_is_looked_for_in_the_remaining_frames():
    purposes, reply = steps(DISTANCE, SEEN.format(0, 14))
    assert purposes[-1] == "look for the red mug in the remaining frames"
    assert "not in looked" in reply


def test_disagreement_leads_to_more_views_and_another_measurement():
    unsure = "distance 1.200 m; thirds ..., spread 0.150 m"
    purposes, _ = steps(DISTANCE, SEEN.format(12, 14), "", MEASURED, unsure, SEEN.format(30, 40), MEASURED, unsure)
    assert purposes[4] == "look at the red mug and the blue box in every frame"
    assert purposes[5].startswith("measure again") and purposes[-1] == "answer in m"


def test_moving_thing_is_followed_to_the_moment_asked():
    moving = "red mug: 12 views, moves, box centre"
    purposes, reply = steps(
        "How far is the red mug from the camera in frame 7?", "red mug: seen in 12 of 17 frames", "", moving
    )
    assert purposes[-1] == "follow the red mug to frame 7"
    assert "InputImages[7]" in reply


def test_failed_cell_ends_with_its_error():
    with pytest.raises(BackboneError, match="ToolError: no colour"):
        steps(DISTANCE, observation("", "Traceback ...\nToolError: no colour"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("LookupError: frame 7 has no pose: no transform from odom to cam", "frame 7 has no pose: no transform"),
        (
            "spatialclaw_ros.workbench.errors.ToolError: no frame can be reconstructed: left out for want of depth: "
            "frames 0-9. Sensor depth, a pose",
            "want of depth: frames 0-9; nothing can be measured",
        ),
    ],
)
def test_frames_that_lack_something_are_not_the_backbones_failure(error, said):
    with pytest.raises(NotMeasurable, match=said) as caught:
        steps(DISTANCE, SEEN.format(12, 14), observation("", f"Traceback ...\n{error}"))
    assert caught.value.code is ErrorCode.NO_ANSWER


@pytest.mark.parametrize(
    ("missing", "question", "said"),
    [
        ("has_depth", DISTANCE, "none of the 24 frames has metric depth"),
        ("has_poses", DISTANCE, "none of the 24 frames has a pose in 'odom'"),
        ("has_poses", EXAMPLES["camera_path"], "none of the 24 frames has a pose"),
    ],
)
@pytest.mark.parametrize("request_", ["plan", "cell"])
def test_frames_without_depth_or_poses_are_told_at_once(missing, question, said, request_):
    text = task_message(question).text.replace('"num_frames"', f'"{missing}": false, "num_frames"')
    with pytest.raises(NotMeasurable, match=said):
        reply_to(Message("user", (text.replace(">cell<", f">{request_}<"),)))


def test_camera_path_needs_no_depth():
    text = task_message(EXAMPLES["camera_path"]).text.replace('"num_frames"', '"has_depth": false, "num_frames"')
    assert "Purpose:" in reply_to(Message("user", (text,)))


@pytest.mark.parametrize("question", ["How many chairs are there?", "How far is the ivory box from the red mug?"])
def test_things_without_a_colour_are_refused_before_any_cell(question):
    with pytest.raises(
        QuestionNotUnderstood, match=r"no colour for the (?:chair|ivory box)(?s:.*)count: How many green"
    ):
        reply_to(task_message(question))


def test_count_says_how_many_in_the_plural():
    purposes, _ = steps("How many blue boxes are there?", "blue box: seen in 0 of 24 frames")
    assert purposes[-1] == "answer how many blue boxes there are"


def test_refused_answer_ends_with_the_reason():
    refusal = Message("user", ("The answer's unit is 'm', but the question asks for s.\n<request>cell</request>",))
    with pytest.raises(BackboneError, match="no further step.*asks for s"):
        steps(DISTANCE, SEEN.format(12, 14), "", MEASURED, "distance 1.2 m; spread 0.01 m", refusal)


def test_follow_up_question_begins_anew():
    first = reply_to(task_message(DISTANCE))
    later = reply_to(
        task_message(DISTANCE),
        Message("assistant", (first,)),
        observation("..."),
        task_message("How tall is the red mug?"),
    )
    assert "find the red mug in" in later


def test_several_cameras_are_told_apart_where_frames_are_counted():
    text = task_message("How far is the red mug from the camera in frame 7?").text.replace(
        '["cam"]', '["front", "rear"]'
    )
    assert "image.camera == 'front'" in reply_to(Message("user", (text,)))


def test_damaged_session_does_no_harm():
    text = re.sub(r"<session>.*?</session>", "<session>{not json</session>", task_message(DISTANCE).text)
    assert "Purpose:" in reply_to(Message("user", (text,)))


@pytest.mark.parametrize("question", EXAMPLES.values())
def test_cells_of_every_family_are_python_with_a_comment_first(question):
    everything = "\n".join(
        f"{name}: seen in 12 of 16 frames\n{name}: 12 views, moves"
        for name in ("red mug", "blue box", "green door", "green chair")
    )
    messages = [task_message(question)]
    for _ in range(9):
        reply = reply_to(*messages)
        code = re.search(r"```python\n(.*)\n```", reply, re.DOTALL)[1]
        ast.parse(code)
        assert code.startswith("# ")
        if "ReturnAnswer" in code:
            return
        messages += [Message("assistant", (reply,)), observation(f"{everything}\ndistance 1.2 m; spread 0.01 m")]
    pytest.fail("no cell answered")


def test_question_it_cannot_parse_is_refused():
    with pytest.raises(QuestionNotUnderstood):
        reply_to(task_message("What colour is the mug?"))


def test_message_without_a_question_is_refused():
    with pytest.raises(BackboneError, match="<question>"):
        reply_to(Message("user", ("hello",)))


@pytest.mark.parametrize("purpose", ["locate", "ask"])
def test_requests_that_need_eyes_are_refused(purpose):
    with pytest.raises(BackboneError, match="sees no pictures"):
        reply_to(task_message(DISTANCE), purpose=purpose)


def test_cancel_and_deadline_are_honoured():
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Canceled):
        RulesBackbone().chat([task_message(DISTANCE)], "main", cancel, Deadline(10))
    with pytest.raises(TimeLimitReached):
        RulesBackbone().chat([task_message(DISTANCE)], "main", CancelToken(), Deadline(0))
