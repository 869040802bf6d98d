"""What to do step by step: each family is a generator of cells that is sent what the cell before it printed."""

from __future__ import annotations

from collections.abc import Callable

from spatialclaw_ros.backbones.rules.answers import answer_choice, answer_count, answer_number, answer_path
from spatialclaw_ros.backbones.rules.cell import Cell, code, english, frame_expression, moment_words
from spatialclaw_ros.backbones.rules.conversation import Task
from spatialclaw_ros.backbones.rules.question import Question
from spatialclaw_ros.backbones.rules.shared_steps import (
    FIRST_LOOK,
    Steps,
    again,
    camera_of,
    look,
    measure,
    stop_on_error,
    tools,
    unsure,
)
from spatialclaw_ros.errors import BackboneError

MAX_FRAMES = 200
"""Frames of a count, which looks at all of them; a longer recording is thinned."""


def next_cell(question: Question, task: Task) -> Cell:
    """The cell that follows the observations so far: the steps are replayed with them.

    Raises: ThingNotFound, and BackboneError when a step failed for good or no step is left.
    """
    steps = _FAMILIES[question.family](question, task)
    cell = next(steps)
    for observation in task.observations:
        try:
            cell = steps.send(observation)
        except StopIteration:
            said = observation.error or observation.stdout or "nothing"
            raise BackboneError(
                f"the rules backbone has no further step after its answer; the last cell said: {said[:400]}"
            ) from None
    return cell


def _distance(question: Question, task: Task) -> Steps:
    names = question.names
    yield from look(names, question, task)
    moving = yield from measure(names, question, task)
    surface = question.measure == "surface"
    cell = Cell(
        f"work out the distance between {'the nearest surfaces' if surface else 'the centres'} and check it",
        "Separate thirds of the views have to give the same distance; their spread says how sure it is.",
        "answer if they agree, else use every frame",
        code("distance", names=names, surface=surface),
    )
    checked = yield cell
    stop_on_error(checked)
    if not moving and unsure(checked) and task.num_frames > FIRST_LOOK:
        yield from again(names)
        checked = yield cell
        stop_on_error(checked)
    yield answer_number(question, task, "distance", checked, names, names)


def _camera_distance(question: Question, task: Task) -> Steps:
    yield from look(question.names, question, task)
    yield from measure(question.names, question, task)
    frame, name = frame_expression(question.moment, camera_of(task)), question.names[0]
    checked = yield Cell(
        f"work out how far the {name} is from the camera in {moment_words(question.moment)}",
        "The camera's pose in that frame and the thing's place are in one world; the frame's own depth is the check.",
        "answer",
        code("camera_distance", name=name, frame=frame, surface=question.measure == "surface"),
    )
    stop_on_error(checked)
    yield answer_number(question, task, "distance", checked, question.names, question.names, "now")


def _order(question: Question, task: Task) -> Steps:
    yield from look(question.names, question, task)
    yield from measure(question.names, question, task)
    frame, side = frame_expression(question.moment, camera_of(task)), question.family == "side"
    checked = yield Cell(
        f"compare {english(question.names)} as the camera sees them in {moment_words(question.moment)}",
        f"{'Left and right' if side else 'In front and behind'} depend on who looks: here that frame's camera.",
        "answer",
        code("order", names=question.names, frame=frame, side=side),
    )
    stop_on_error(checked)
    yield answer_choice(question, task, checked, "[now.frame_index]")


def _egocentric(question: Question, task: Task) -> Steps:
    yield from look(question.names, question, task)
    yield from measure(question.names, question, task)
    stand, face, target = question.names
    checked = yield Cell(
        f"stand at the {stand}, face the {face}, and find the direction of the {target}",
        "Forward is from the one to the other in the floor plan; left is forward turned counter-clockwise from above.",
        "answer",
        code("egocentric", names=list(question.names), options=list(question.options)),
    )
    stop_on_error(checked)
    yield answer_choice(question, task, checked, _evidence(question.names))


def _nearer(question: Question, task: Task) -> Steps:
    names = tuple(name for name in question.names if name)
    yield from look(names, question, task)
    moving = yield from measure(names, question, task)
    anchor = f"the {question.names[0]}" if question.names[0] else "the camera"
    cell = Cell(
        f"compare the distances of {english(question.names[1:])} from {anchor}",
        "Centre to centre, and again with separate thirds of the views: the order has to stay the same.",
        "answer if it does, else use every frame",
        code(
            "nearer",
            names=list(question.names),
            farther=question.measure == "farther",
            frame=frame_expression(question.moment, camera_of(task)),
        ),
    )
    checked = yield cell
    stop_on_error(checked)
    if not moving and checked.says("disagree") and task.num_frames > FIRST_LOOK:
        yield from again(names)
        checked = yield cell
        stop_on_error(checked)
    yield answer_choice(question, task, checked, _evidence(names))


def _size(question: Question, task: Task) -> Steps:
    name = question.names[0]
    yield from look(question.names, question, task)
    moving = yield from measure(question.names, question, task)
    cell = Cell(
        f"work out the {question.measure} of the {name} and check it",
        "The fused box spans all sides that were seen; separate thirds of the views show how sure that is.",
        "answer if they agree, else use every frame",
        code("size", name=name, measure=question.measure, as_moving=bool(moving)),
    )
    checked = yield cell
    stop_on_error(checked)
    if not moving and unsure(checked) and task.num_frames > FIRST_LOOK:
        yield from again(question.names)
        checked = yield cell
        stop_on_error(checked)
    yield answer_number(question, task, "value", checked, question.names, question.names)


def _height(question: Question, task: Task) -> Steps:
    yield from look(question.names, question, task)
    yield from measure(question.names, question, task)
    checked = yield Cell(
        f"work out the height of the {question.measure} of the {question.names[0]} above the floor",
        "Heights count from the floor, so the floor's own height is checked first; single views check the result.",
        "answer",
        code("height", name=question.names[0], measure=question.measure),
    )
    stop_on_error(checked)
    yield answer_number(question, task, "value", checked, question.names, question.names)


def _count(question: Question, task: Task) -> Steps:
    name = question.names[0]
    everything = max(1, -(-task.num_frames // MAX_FRAMES))
    images = f"InputImages[::{everything}]" if everything > 1 else "InputImages"
    seen = yield Cell(
        f"find every {name} in all frames",
        "Some may be in view only for a moment, so a count needs every frame.",
        "tell the places apart in one world",
        code("look", names=[name], images=images, frames_said="every frame"),
    )
    stop_on_error(seen)
    if not seen.times_seen().get(name):
        yield answer_count(question, 0)
        return
    yield from tools(task)
    measured = yield Cell(
        "tell moving things from still ones",
        "A thing that moves is one thing at many places.",
        "count the places",
        code("motion"),
    )
    stop_on_error(measured)
    places = yield Cell(
        f"count the places where a {name} is",
        "Detections are not things: masks of several frames that lie at the same place are one.",
        "check against how many a single frame shows",
        code("count", name=name),
    )
    stop_on_error(places)
    checked = yield Cell(
        "check the count against single frames",
        "Things that move count as many as are in view at once; still ones count once for each place.",
        "answer",
        code("count_check"),
    )
    stop_on_error(checked)
    yield answer_count(question, None)


def _camera_path(question: Question, task: Task) -> Steps:
    camera = camera_of(task)
    checked = yield Cell(
        f"measure the camera's {question.measure}",
        "Every frame has a pose; their positions in order are the path. The recorded trajectory is the check.",
        "answer",
        code(
            "path",
            displacement=question.measure == "displacement",
            camera_filter=f"[[image.camera == {camera!r} for image in InputImages]]" if camera else "",
        ),
    )
    stop_on_error(checked)
    yield answer_path(question)


def _evidence(names: tuple[str, ...]) -> str:
    return f"sorted({{fi for name in {list(names)} for fi in views[name]}})[:8]"


_FAMILIES: dict[str, Callable[[Question, Task], Steps]] = {
    "distance": _distance,
    "camera_distance": _camera_distance,
    "side": _order,
    "depth_order": _order,
    "egocentric": _egocentric,
    "count": _count,
    "nearer": _nearer,
    "size": _size,
    "camera_path": _camera_path,
    "height": _height,
}
