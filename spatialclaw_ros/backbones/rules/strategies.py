"""What to do step by step: each family is a generator of cells that is sent what the cell before it printed."""

from __future__ import annotations

from collections.abc import Callable, Generator

from spatialclaw_ros.backbones.rules.answers import answer_choice, answer_count, answer_number, answer_path
from spatialclaw_ros.backbones.rules.cell import Cell, code, english, frame_expression, moment_words
from spatialclaw_ros.backbones.rules.conversation import Observation, Task
from spatialclaw_ros.backbones.rules.question import Question
from spatialclaw_ros.errors import BackboneError, ErrorCode

Steps = Generator[Cell, Observation, None]

FIRST_LOOK = 16
"""Frames of a first look, evenly spread; a segmentation takes tens of milliseconds on one core."""
ENOUGH_VIEWS = 8
"""Views from which a fused box is taken to show all sides that the recording shows."""
NEIGHBOURS = 3
MAX_FRAMES = 200
"""Frames of a look at everything; a longer recording is thinned."""


class ThingNotFound(BackboneError):
    """A thing that the question names is in none of the frames."""

    code = ErrorCode.NO_ANSWER


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


def _look(names: tuple[str, ...], question: Question, task: Task) -> Generator[Cell, Observation, Observation]:
    """Find the things in some frames, and in more where they are seen too seldom."""
    step = max(1, round(task.num_frames / FIRST_LOOK))
    images = f"InputImages[::{step}]" if step > 1 else "InputImages"
    said = f"every {_ordinal(step)} frame" if step > 1 else "every frame"
    if question.moment is not None and step > 1:
        frame = frame_expression(question.moment, _camera(task))
        images = f"sorted({{*{images}, {frame}}}, key=lambda image: image.stamp)"
        said += f" and {moment_words(question.moment)}"
    seen = yield Cell(
        f"find {english(names)} in {said}",
        "Measurements rest on masks, so the masks come first: is each thing seen, how often, and how large?",
        "put the masks' points of all views into one world and measure",
        code("look", names=list(names), images=images, frames_said=said),
    )
    _stop_on_error(seen)
    missing = [name for name in names if not seen.times_seen().get(name)]
    if step > 1 and missing:
        seen = yield _look_everywhere(names, missing)
        _stop_on_error(seen)
        missing = [name for name in names if not seen.times_seen().get(name)]
    if missing:
        seen = yield Cell(
            f"look once more for {english(missing)}",
            f"No frame has a mask of {english(missing)}; a lower threshold may show a small or pale one.",
            "measure, if it is there",
            code("not_found", missing=missing),
        )
        _stop_on_error(seen)
        missing = [name for name in names if not seen.times_seen().get(name)]
    if missing:
        raise ThingNotFound(
            f"{english(missing)} was found in none of the {task.num_frames} frames, so nothing can be measured"
        )
    few = [name for name in names if seen.times_seen()[name] < ENOUGH_VIEWS]
    if step > 1 and few:
        seen = yield Cell(
            f"see {english(few)} from more sides",
            f"Only {', '.join(f'{seen.times_seen()[name]} frames show the {name}' for name in few)}; neighbouring frames should too.",
            "put the masks' points of all views into one world and measure",
            code("look_more", why="Few views of a thing hide its far sides", near=NEIGHBOURS, names=few),
        )
        _stop_on_error(seen)
    return seen


def _look_everywhere(names: tuple[str, ...], missing: list[str]) -> Cell:
    return Cell(
        f"look for {english(missing)} in the remaining frames",
        f"The frames so far do not show {english(missing)}; it may be in view only for a moment.",
        "measure, once every thing is found",
        code("look_more", why="Something was not seen yet", near=0, names=list(names)),
    )


def _measure(names: tuple[str, ...], question: Question, task: Task) -> Generator[Cell, Observation, list[str]]:
    """Fused clouds, boxes and centres of the things; where they move, at the moment of the question. Returns the movers."""
    yield from _tools(task)
    measured = yield Cell(
        f"measure where {english(names)} {'is' if len(names) == 1 else 'are'}, and whether anything moves",
        "Each view shows one side; the box around points that several views agree on has the whole thing's centre and size.",
        "work out what is asked, with a check",
        code("motion"),
    )
    _stop_on_error(measured)
    empty = [name for name in names if not measured.views().get(name)]
    if empty:
        raise ThingNotFound(f"{english(empty)} has no pixels with depth in any frame, so nothing can be measured")
    moving = measured.moving()
    if moving and question.family != "size":
        frame = frame_expression(question.moment, _camera(task))
        followed = yield Cell(
            f"follow {english(moving)} to {moment_words(question.moment)}",
            f"{english(moving).capitalize()} moved during the recording: only the place at that time counts.",
            "work out what is asked, with a check",
            code("follow", moving=moving, frame=frame, frame_said=moment_words(question.moment)),
        )
        _stop_on_error(followed)
    return moving


def _tools(task: Task) -> Steps:
    made = yield Cell(
        "put all frames into one metric world and prepare robust measuring",
        "Mask borders mix near and far, and single views show one side: edges are left out, and views are fused.",
        "measure the things",
        code("measure"),
    )
    _stop_on_error(made)


def _distance(question: Question, task: Task) -> Steps:
    names = question.names
    yield from _look(names, question, task)
    moving = yield from _measure(names, question, task)
    surface = question.measure == "surface"
    cell = Cell(
        f"work out the distance between {'the nearest surfaces' if surface else 'the centres'} and check it",
        "Separate thirds of the views have to give the same distance; their spread says how sure it is.",
        "answer if they agree, else use every frame",
        code("distance", names=names, surface=surface),
    )
    checked = yield cell
    _stop_on_error(checked)
    if not moving and _unsure(checked) and task.num_frames > FIRST_LOOK:
        yield from _again(names)
        checked = yield cell
        _stop_on_error(checked)
    yield answer_number(question, task, "distance", checked, names, names)


def _unsure(checked: Observation) -> bool:
    """The parts of the evidence differ by more than 3 cm and 3 %."""
    value, spread = checked.value(), checked.spread()
    return value is None or spread is None or spread > max(0.03, 0.03 * value)


def _again(names: tuple[str, ...]) -> Steps:
    """More views, and the measurement once more with them."""
    more = yield Cell(
        f"look at {english(names)} in every frame",
        "The thirds of the views disagree by more than a few centimetres, so there are too few of them.",
        "measure again with all of them",
        code("look_more", why="The measurements disagree", near=0, names=list(names)),
    )
    _stop_on_error(more)
    measured = yield Cell(
        "measure again with all views", "More views were added.", "work out what is asked once more", code("motion")
    )
    _stop_on_error(measured)


def _camera_distance(question: Question, task: Task) -> Steps:
    yield from _look(question.names, question, task)
    yield from _measure(question.names, question, task)
    frame, name = frame_expression(question.moment, _camera(task)), question.names[0]
    checked = yield Cell(
        f"work out how far the {name} is from the camera in {moment_words(question.moment)}",
        "The camera's pose in that frame and the thing's place are in one world; the frame's own depth is the check.",
        "answer",
        code("camera_distance", name=name, frame=frame, surface=question.measure == "surface"),
    )
    _stop_on_error(checked)
    yield answer_number(question, task, "distance", checked, question.names, question.names, "now")


def _order(question: Question, task: Task) -> Steps:
    yield from _look(question.names, question, task)
    yield from _measure(question.names, question, task)
    frame, side = frame_expression(question.moment, _camera(task)), question.family == "side"
    checked = yield Cell(
        f"compare {english(question.names)} as the camera sees them in {moment_words(question.moment)}",
        f"{'Left and right' if side else 'In front and behind'} depend on who looks: here that frame's camera.",
        "answer",
        code("order", names=question.names, frame=frame, side=side),
    )
    _stop_on_error(checked)
    yield answer_choice(question, task, checked, "[now.frame_index]")


def _egocentric(question: Question, task: Task) -> Steps:
    yield from _look(question.names, question, task)
    yield from _measure(question.names, question, task)
    stand, face, target = question.names
    checked = yield Cell(
        f"stand at the {stand}, face the {face}, and find the direction of the {target}",
        "Forward is from the one to the other in the floor plan; left is forward turned counter-clockwise from above.",
        "answer",
        code("egocentric", names=list(question.names), options=list(question.options)),
    )
    _stop_on_error(checked)
    yield answer_choice(question, task, checked, _evidence(question.names))


def _nearer(question: Question, task: Task) -> Steps:
    names = tuple(name for name in question.names if name)
    yield from _look(names, question, task)
    moving = yield from _measure(names, question, task)
    cell = Cell(
        f"compare the distances of {english(question.names[1:])} from {'the ' + question.names[0] if question.names[0] else 'the camera'}",
        "Centre to centre, and again with separate thirds of the views: the order has to stay the same.",
        "answer if it does, else use every frame",
        code(
            "nearer",
            names=list(question.names),
            farther=question.measure == "farther",
            frame=frame_expression(question.moment, _camera(task)),
        ),
    )
    checked = yield cell
    _stop_on_error(checked)
    if not moving and checked.says("disagree") and task.num_frames > FIRST_LOOK:
        yield from _again(names)
        checked = yield cell
        _stop_on_error(checked)
    yield answer_choice(question, task, checked, _evidence(names))


def _size(question: Question, task: Task) -> Steps:
    name = question.names[0]
    yield from _look(question.names, question, task)
    moving = yield from _measure(question.names, question, task)
    cell = Cell(
        f"work out the {question.measure} of the {name} and check it",
        "The fused box spans all sides that were seen; separate thirds of the views show how sure that is.",
        "answer if they agree, else use every frame",
        code("size", name=name, measure=question.measure, as_moving=bool(moving)),
    )
    checked = yield cell
    _stop_on_error(checked)
    if not moving and _unsure(checked) and task.num_frames > FIRST_LOOK:
        yield from _again(question.names)
        checked = yield cell
        _stop_on_error(checked)
    yield answer_number(question, task, "value", checked, question.names, question.names)


def _height(question: Question, task: Task) -> Steps:
    yield from _look(question.names, question, task)
    yield from _measure(question.names, question, task)
    checked = yield Cell(
        f"work out the height of the {question.measure} of the {question.names[0]} above the floor",
        "Heights count from the floor, so the floor's own height is checked first; single views check the result.",
        "answer",
        code("height", name=question.names[0], measure=question.measure),
    )
    _stop_on_error(checked)
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
    _stop_on_error(seen)
    if not seen.times_seen().get(name):
        yield answer_count(question, 0)
        return
    yield from _tools(task)
    measured = yield Cell(
        "tell moving things from still ones",
        "A thing that moves is one thing at many places.",
        "count the places",
        code("motion"),
    )
    _stop_on_error(measured)
    places = yield Cell(
        f"count the places where a {name} is",
        "Detections are not things: masks of several frames that lie at the same place are one.",
        "check against how many a single frame shows",
        code("count", name=name),
    )
    _stop_on_error(places)
    checked = yield Cell(
        "check the count against single frames",
        "Things that move count as many as are in view at once; still ones count once for each place.",
        "answer",
        code("count_check"),
    )
    _stop_on_error(checked)
    yield answer_count(question, None)


def _camera_path(question: Question, task: Task) -> Steps:
    camera = _camera(task)
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
    _stop_on_error(checked)
    yield answer_path(question)


def _evidence(names: tuple[str, ...]) -> str:
    return f"sorted({{fi for name in {list(names)} for fi in views[name]}})[:8]"


def _camera(task: Task) -> str:
    """The camera that frame numbers refer to, where several recorded: the first named in the question, else the first."""
    cameras = [str(camera) for camera in task.session.get("cameras") or []]
    if len(cameras) < 2:
        return ""
    return next((camera for camera in cameras if camera.lower() in task.question.lower()), cameras[0])


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _stop_on_error(observation: Observation) -> None:
    if observation.error:
        last = observation.error.strip().splitlines()[-1]
        raise BackboneError(f"a cell of the rules backbone failed, and it cannot write another: {last[:500]}")


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
