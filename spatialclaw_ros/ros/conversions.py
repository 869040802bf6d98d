"""Between the action's messages and the agent's records: goals, results, feedback, steps and answers."""

from __future__ import annotations

import array
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PointStamped, Pose, Quaternion, Vector3
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from unique_identifier_msgs.msg import UUID

from spatialclaw_msgs.action import SpatialQuery
from spatialclaw_msgs.msg import EvidenceFrame as EvidenceMessage
from spatialclaw_msgs.msg import ReasoningStep, SpatialAnswer, SpatialObject
from spatialclaw_ros.agent.records import (
    Answer,
    AnswerType,
    Event,
    EvidenceFrame,
    ObjectAnswer,
    Query,
    QueryResult,
    Step,
)
from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.frames.messages import stamp_ns
from spatialclaw_ros.kernel.cell import ShownPicture


def time_message(nanoseconds: int) -> Time:
    """builtin_interfaces/Time of nanoseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)


def byte_array(data: Any) -> array.array:
    """Bytes, or a contiguous array, as what a uint8[] field takes without looking at every element."""
    filled = array.array("B")
    filled.frombytes(memoryview(data).cast("B"))
    return filled


def wire_text(text: str) -> str:
    """Text that a string field takes: a lone surrogate, which a cell may print, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def query_from_goal(goal: SpatialQuery.Goal) -> Query:
    """The question of a goal message, unchecked: a type that there is none of stays a bare number."""
    known = goal.answer_type in AnswerType._value2member_map_
    return Query(
        question=goal.question,
        answer_type=AnswerType(goal.answer_type) if known else goal.answer_type,
        choices=tuple(goal.choices),
        reference_images=tuple(bytes(image.data) for image in goal.reference_images),
        target_frame=goal.target_frame.lstrip("/"),
        cameras=tuple(goal.cameras),
        start_time=stamp_ns(goal.start_time),
        end_time=stamp_ns(goal.end_time),
        session_id=goal.session_id,
        max_steps=goal.max_steps,
        time_limit=goal.time_limit,
    )


def goal_from_query(query: Query) -> SpatialQuery.Goal:
    """The goal message of a question."""
    return SpatialQuery.Goal(
        question=query.question,
        answer_type=int(query.answer_type),
        choices=list(query.choices),
        reference_images=[CompressedImage(data=byte_array(data)) for data in query.reference_images],
        target_frame=query.target_frame,
        cameras=list(query.cameras),
        start_time=time_message(query.start_time),
        end_time=time_message(query.end_time),
        session_id=query.session_id,
        max_steps=query.max_steps,
        time_limit=float(query.time_limit),
    )


def result_message(result: QueryResult, stamp: Time, fixed_frame: str) -> SpatialQuery.Result:
    """The action's result. stamp: ROS time of the answer; fixed_frame: the frame of answers that name none."""
    message = SpatialQuery.Result(
        error_code=int(result.error_code),
        error_message=wire_text(result.error_message),
        is_best_effort=result.is_best_effort,
        steps=len(result.steps),
        duration=float(result.duration),
        prompt_tokens=result.prompt_tokens,
        completion_tokens=result.completion_tokens,
        sandbox_level=result.sandbox_level,
        trace_path=result.trace_path,
        notes=[wire_text(note) for note in result.notes],
    )
    _fill_answer(message, result, stamp, fixed_frame)
    return message


def answer_message(result: QueryResult, goal_id: UUID, stamp: Time, fixed_frame: str) -> SpatialAnswer:
    """The answer with its question, for everybody who did not send the goal."""
    message = SpatialAnswer(
        header=Header(stamp=stamp, frame_id=_frame(result, fixed_frame)),
        goal_id=goal_id,
        question=result.query.question,
        choices=list(result.query.choices),
        session_id=result.query.session_id,
        error_code=int(result.error_code),
        error_message=wire_text(result.error_message),
        is_best_effort=result.is_best_effort,
        steps=len(result.steps),
        duration=float(result.duration),
        trace_path=result.trace_path,
    )
    _fill_answer(message, result, stamp, fixed_frame)
    return message


def _fill_answer(message: Any, result: QueryResult, stamp: Time, fixed_frame: str) -> None:
    """The fields that result and answer share."""
    answer = result.answer
    message.number = float("nan")
    if answer is None:
        return
    frame = _frame(result, fixed_frame)
    message.answer = wire_text(answer.text)
    message.answer_type = int(answer.type)
    message.number = float(answer.number)
    message.number_stddev = float(answer.number_stddev)
    message.unit = wire_text(answer.unit)
    message.choice_index = answer.choice_index
    message.boolean = bool(answer.boolean)
    message.confidence = float(answer.confidence)
    message.evidence_frames = [
        EvidenceMessage(camera=frame.camera, stamp=time_message(frame.stamp), index=max(0, frame.index))
        for frame in answer.evidence
    ]
    if answer.point is not None:
        x, y, z = map(float, answer.point)
        message.point = PointStamped(header=Header(stamp=stamp, frame_id=frame), point=Point(x=x, y=y, z=z))
    message.objects = [object_message(each, stamp, frame) for each in answer.objects]


def object_message(found: ObjectAnswer, stamp: Time, frame: str) -> SpatialObject:
    """An object of an answer."""
    return SpatialObject(
        header=Header(stamp=stamp, frame_id=frame),
        label=wire_text(found.label),
        score=float(found.score),
        pose=pose_message(found),
        size=Vector3(x=float(found.size[0]), y=float(found.size[1]), z=float(found.size[2])),
    )


def pose_message(found: ObjectAnswer) -> Pose:
    """Centre and orientation of an object's box."""
    (x, y, z), (qx, qy, qz, qw) = map(float, found.position), map(float, found.orientation)
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def _frame(result: QueryResult, fixed_frame: str) -> str:
    named = result.answer.frame if result.answer is not None else ""
    return named or result.query.target_frame or fixed_frame


def feedback_message(event: Event) -> SpatialQuery.Feedback:
    """One feedback message; of several pictures the last."""
    message = SpatialQuery.Feedback(
        stage=event.stage,
        step=event.step,
        purpose=wire_text(event.purpose),
        code=wire_text(event.code),
        output=wire_text(event.output),
    )
    if event.pictures:
        message.image = picture_message(event.pictures[-1])
    return message


def step_message(event: Event, goal_id: UUID, question: str, stamp: Time) -> ReasoningStep:
    """The same stage for ~/step, with the question and every picture."""
    return ReasoningStep(
        header=Header(stamp=stamp),
        goal_id=goal_id,
        question=question,
        stage=event.stage,
        step=event.step,
        purpose=wire_text(event.purpose),
        code=wire_text(event.code),
        output=wire_text(event.output),
        detail=wire_text(event.detail),
        images=[picture_message(picture) for picture in event.pictures],
    )


def picture_message(picture: ShownPicture) -> CompressedImage:
    """An encoded picture; its stamp is the frame's where it shows one."""
    return CompressedImage(
        header=Header(stamp=time_message(picture.stamp or 0)),
        format="png" if picture.mime == "image/png" else "jpeg",
        data=byte_array(picture.data),
    )


def event_from_feedback(message: SpatialQuery.Feedback) -> Event:
    """A feedback message as the event it was made from, as far as it carries it."""
    pictures: tuple[ShownPicture, ...] = ()
    if len(message.image.data):
        pictures = (ShownPicture(bytes(message.image.data), f"image/{message.image.format}"),)
    return Event(message.stage, message.step, message.purpose, message.code, message.output, pictures)


def result_from_message(message: SpatialQuery.Result, query: Query) -> QueryResult:
    """A result message as the record it was made from; of its steps only their number came, so they are empty."""
    return QueryResult(
        query=query,
        error_code=ErrorCode(message.error_code),
        error_message=message.error_message,
        answer=_answer(message) if message.answer or message.answer_type else None,
        is_best_effort=message.is_best_effort,
        steps=tuple(Step(number + 1, "", "", "", "", "") for number in range(message.steps)),
        duration=message.duration,
        prompt_tokens=message.prompt_tokens,
        completion_tokens=message.completion_tokens,
        sandbox_level=message.sandbox_level,
        trace_path=message.trace_path,
        notes=tuple(message.notes),
    )


def _answer(message: SpatialQuery.Result) -> Answer:
    place = message.point
    objects = tuple(
        ObjectAnswer(
            each.label,
            (each.pose.position.x, each.pose.position.y, each.pose.position.z),
            (each.size.x, each.size.y, each.size.z),
            (each.pose.orientation.x, each.pose.orientation.y, each.pose.orientation.z, each.pose.orientation.w),
            each.score,
        )
        for each in message.objects
    )
    return Answer(
        text=message.answer,
        type=AnswerType(message.answer_type),
        number=message.number,
        number_stddev=message.number_stddev,
        unit=message.unit,
        choice_index=message.choice_index,
        boolean=message.boolean,
        confidence=message.confidence,
        point=(place.point.x, place.point.y, place.point.z) if place.header.frame_id else None,
        frame=place.header.frame_id or (message.objects[0].header.frame_id if message.objects else ""),
        objects=objects,
        evidence=tuple(
            EvidenceFrame(each.camera, stamp_ns(each.stamp), each.index) for each in message.evidence_frames
        ),
    )
