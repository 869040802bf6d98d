"""What an answer looks like in 3D: its objects, place, measured line and the camera's path, in the fixed frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import BoundingBox3D, Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from spatialclaw_ros.agent.records import Answer, ObjectAnswer
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.rotations import quaternion_from, rotation_from
from spatialclaw_ros.ros.conversions import pose_message, wire_text

_OBJECT = ColorRGBA(r=0.15, g=0.55, b=0.9, a=0.5)
_ANSWER = ColorRGBA(r=0.95, g=0.35, b=0.1, a=0.9)
_PATH = ColorRGBA(r=0.2, g=0.75, b=0.3, a=0.9)
_TEXT = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
Place = Sequence[float] | np.ndarray
_LEAST_SIZE = 0.03
"""Metres: an object without a measured size is drawn this large."""


def in_frame(answer: Answer, to_fixed: np.ndarray) -> Answer:
    """The answer with its point and objects moved by a (4, 4) transform from their frame to the fixed frame."""
    point = answer.point
    moved = _numbers(to_fixed[:3, :3] @ point + to_fixed[:3, 3]) if point is not None else None
    return dataclasses.replace(
        answer, point=moved, objects=tuple(_moved_object(each, to_fixed) for each in answer.objects)
    )


def answer_markers(answer: Answer | None, frames: Sequence[Frame], header: Header) -> MarkerArray:
    """Markers for RViz; what was drawn before is removed first. answer: in the fixed frame already."""
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    drawn = [*_path(frames), *(_answer(answer) if answer is not None else ())]
    for number, marker in enumerate(drawn):
        marker.header, marker.id, marker.action = header, number, Marker.ADD
        markers.append(marker)
    return MarkerArray(markers=markers)


def detections(answer: Answer, header: Header) -> Detection3DArray:
    """The answer's objects for whoever speaks vision_msgs. answer: in the fixed frame already."""
    message = Detection3DArray(header=header)
    for each in answer.objects:
        pose = pose_message(each)
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = wire_text(each.label), float(each.score)
        hypothesis.pose.pose = pose
        box = BoundingBox3D(center=pose, size=_vector(each.size))
        message.detections.append(Detection3D(header=header, results=[hypothesis], bbox=box, id=wire_text(each.label)))
    return message


def _answer(answer: Answer) -> Iterator[Marker]:
    for each in answer.objects:
        size = tuple(max(_LEAST_SIZE, length) for length in each.size)
        yield Marker(ns="objects", type=Marker.CUBE, pose=pose_message(each), scale=_vector(size), color=_OBJECT)
        yield _text("labels", each.label, np.add(each.position, (0.0, 0.0, size[2] / 2 + 0.08)))
    if answer.unit == "m" and len(answer.objects) == 2:
        first, second = (each.position for each in answer.objects)
        yield _line("distance", [first, second], _ANSWER)
        yield _text("distance_text", answer.text, (np.array(first) + second) / 2 + (0.0, 0.0, 0.05))
    if answer.point is not None:
        place = Pose(position=_point(answer.point), orientation=Quaternion(w=1.0))
        yield Marker(ns="answer", type=Marker.SPHERE, pose=place, scale=_vector((0.1, 0.1, 0.1)), color=_ANSWER)
        yield _text("answer_text", answer.text, np.add(answer.point, (0.0, 0.0, 0.12)))


def _path(frames: Sequence[Frame]) -> Iterator[Marker]:
    for camera in dict.fromkeys(frame.camera for frame in frames):
        places = [frame.pose[:3, 3] for frame in frames if frame.camera == camera and frame.pose is not None]
        if len(places) > 1:
            yield _line(f"path_{camera}", places, _PATH)


def _line(namespace: str, places: Sequence[Place], color: ColorRGBA) -> Marker:
    upright = Pose(orientation=Quaternion(w=1.0))
    points = [_point(place) for place in places]
    return Marker(
        ns=namespace, type=Marker.LINE_STRIP, pose=upright, scale=Vector3(x=0.015), color=color, points=points
    )


def _text(namespace: str, text: str, place: Place) -> Marker:
    pose = Pose(position=_point(place), orientation=Quaternion(w=1.0))
    return Marker(
        ns=namespace, type=Marker.TEXT_VIEW_FACING, pose=pose, scale=Vector3(z=0.1), color=_TEXT, text=wire_text(text)
    )


def _moved_object(found: ObjectAnswer, to_fixed: np.ndarray) -> ObjectAnswer:
    centre = to_fixed[:3, :3] @ np.array(found.position) + to_fixed[:3, 3]
    x, y, z, w = quaternion_from(to_fixed[:3, :3] @ rotation_from(np.array(found.orientation))).tolist()
    return ObjectAnswer(found.label, _numbers(centre), found.size, (x, y, z, w), found.score)


def _point(place: Place) -> Point:
    x, y, z = _numbers(place)
    return Point(x=x, y=y, z=z)


def _vector(size: Place) -> Vector3:
    x, y, z = _numbers(size)
    return Vector3(x=x, y=y, z=z)


def _numbers(place: Place) -> tuple[float, float, float]:
    x, y, z = map(float, place)
    return x, y, z
