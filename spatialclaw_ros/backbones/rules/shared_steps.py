"""The steps that families share: look for things, measure them, look again where the evidence is thin."""

from __future__ import annotations

import re
from collections.abc import Generator

from spatialclaw_ros.backbones.rules.cell import Cell, code, english, frame_expression, moment_words
from spatialclaw_ros.backbones.rules.conversation import Observation, Task
from spatialclaw_ros.backbones.rules.question import Question
from spatialclaw_ros.errors import BackboneError, ErrorCode

Steps = Generator[Cell, Observation, None]
"""Yields cells and is sent what each printed."""

FIRST_LOOK = 16
"""Frames of a first look, evenly spread; a segmentation takes tens of milliseconds on one core."""
ENOUGH_VIEWS = 8
"""Views from which a fused box is taken to show all sides that the recording shows."""
NEIGHBOURS = 3
"""Frames on both sides of each sighting that are looked at where views are few."""


_LACKING = re.compile(
    r"^(?:LookupError: |(?:[\w.]+\.)?ToolError: (?=no frame can be reconstructed))(.*?)\.?(?: Sensor depth, .*)?$"
)
"""How a cell, and Reconstruct, say that frames lack depth, intrinsics or a pose."""


class ThingNotFound(BackboneError):
    """A thing that the question names is in none of the frames."""

    code = ErrorCode.NO_ANSWER


class NotMeasurable(BackboneError):
    """The frames lack what the measurement rests on: depth, intrinsics or poses. No other model could help."""

    code = ErrorCode.NO_ANSWER


def check_recorded(question: Question, task: Task) -> None:
    """Raises: NotMeasurable where the session says that no frame has the depth or the pose that the question needs."""
    lacking = []
    if question.family != "camera_path" and not task.session.get("has_depth", True):
        lacking.append("metric depth (is the depth topic there, registered to colour, and stamped alike?)")
    if not task.session.get("has_poses", True):
        world = task.session.get("frame_id") or "the fixed frame"
        lacking.append(f"a pose in {world!r} (is there TF or odometry from it to the camera's optical frame?)")
    if lacking:
        frames = f"none of the {task.num_frames} frames"
        raise NotMeasurable(f"{frames} has {', nor '.join(lacking)}; nothing can be measured")


def look(names: tuple[str, ...], question: Question, task: Task) -> Generator[Cell, Observation, Observation]:
    """Find the things in some frames, and in more where they are seen too seldom."""
    step = max(1, round(task.num_frames / FIRST_LOOK))
    images = f"InputImages[::{step}]" if step > 1 else "InputImages"
    said = f"every {_ordinal(step)} frame" if step > 1 else "every frame"
    if question.moment is not None and step > 1:
        frame = frame_expression(question.moment, camera_of(task))
        images = f"sorted({{*{images}, {frame}}}, key=lambda image: image.stamp)"
        said += f" and {moment_words(question.moment)}"
    seen = yield Cell(
        f"find {english(names)} in {said}",
        "Measurements rest on masks, so the masks come first: is each thing seen, how often, and how large?",
        "put the masks' points of all views into one world and measure",
        code("look", names=list(names), images=images, frames_said=said),
    )
    stop_on_error(seen)
    missing = [name for name in names if not seen.times_seen().get(name)]
    if step > 1 and missing:
        seen = yield _look_everywhere(names, missing)
        stop_on_error(seen)
        missing = [name for name in names if not seen.times_seen().get(name)]
    if missing:
        seen = yield Cell(
            f"look once more for {english(missing)}",
            f"No frame has a mask of {english(missing)}; a lower threshold may show a small or pale one.",
            "measure, if it is there",
            code("not_found", missing=missing),
        )
        stop_on_error(seen)
        missing = [name for name in names if not seen.times_seen().get(name)]
    if missing:
        raise ThingNotFound(
            f"{english(missing)} was found in none of the {task.num_frames} frames, so nothing can be measured"
        )
    times = seen.times_seen()
    few = [name for name in names if times[name] < ENOUGH_VIEWS]
    if step > 1 and few:
        seen = yield Cell(
            f"see {english(few)} from more sides",
            f"Only {', '.join(f'{times[name]} frames show the {name}' for name in few)}; their neighbours should too.",
            "put the masks' points of all views into one world and measure",
            code("look_more", why="Few views of a thing hide its far sides", near=NEIGHBOURS, names=few),
        )
        stop_on_error(seen)
    return seen


def _look_everywhere(names: tuple[str, ...], missing: list[str]) -> Cell:
    return Cell(
        f"look for {english(missing)} in the remaining frames",
        f"The frames so far do not show {english(missing)}; it may be in view only for a moment.",
        "measure, once every thing is found",
        code("look_more", why="Something was not seen yet", near=0, names=list(names)),
    )


def measure(names: tuple[str, ...], question: Question, task: Task) -> Generator[Cell, Observation, list[str]]:
    """Fused clouds, boxes and centres of the things, at the question's moment where they move. Returns the movers."""
    yield from tools(task)
    measured = yield Cell(
        f"measure where {english(names)} {'is' if len(names) == 1 else 'are'}, and whether anything moves",
        "A view shows one side; the box around points that several views agree on has the whole thing's centre.",
        "work out what is asked, with a check",
        code("motion"),
    )
    stop_on_error(measured)
    empty = [name for name in names if not measured.views().get(name)]
    if empty:
        raise ThingNotFound(f"{english(empty)} has no pixels with depth in any frame, so nothing can be measured")
    moving = measured.moving()
    if moving and question.family != "size":
        frame = frame_expression(question.moment, camera_of(task))
        followed = yield Cell(
            f"follow {english(moving)} to {moment_words(question.moment)}",
            f"{english(moving).capitalize()} moved during the recording: only the place at that time counts.",
            "work out what is asked, with a check",
            code("follow", moving=moving, frame=frame, frame_said=moment_words(question.moment)),
        )
        stop_on_error(followed)
    return moving


def tools(task: Task) -> Steps:
    made = yield Cell(
        "put all frames into one metric world and prepare robust measuring",
        "Mask borders mix near and far, and single views show one side: edges are left out, and views are fused.",
        "measure the things",
        code("measure"),
    )
    stop_on_error(made)


def unsure(checked: Observation) -> bool:
    """The parts of the evidence differ by more than 3 cm and 3 %."""
    value, spread = checked.value(), checked.spread()
    return value is None or spread is None or spread > max(0.03, 0.03 * value)


def again(names: tuple[str, ...]) -> Steps:
    """More views, and the measurement once more with them."""
    more = yield Cell(
        f"look at {english(names)} in every frame",
        "The thirds of the views disagree by more than a few centimetres, so there are too few of them.",
        "measure again with all of them",
        code("look_more", why="The measurements disagree", near=0, names=list(names)),
    )
    stop_on_error(more)
    measured = yield Cell(
        "measure again with all views", "More views were added.", "work out what is asked once more", code("motion")
    )
    stop_on_error(measured)


def camera_of(task: Task) -> str:
    """The camera that frame numbers refer to, where several recorded: one named in the question, else the first."""
    cameras = [str(camera) for camera in task.session.get("cameras") or []]
    if len(cameras) < 2:
        return ""
    return next((camera for camera in cameras if camera.lower() in task.question.lower()), cameras[0])


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def stop_on_error(observation: Observation) -> None:
    if observation.error:
        last = observation.error.strip().splitlines()[-1]
        lacking = _LACKING.search(last)
        if lacking is not None:
            raise NotMeasurable(f"{lacking[1][:500]}; nothing can be measured")
        raise BackboneError(f"a cell of the rules backbone failed, and it cannot write another: {last[:500]}")
