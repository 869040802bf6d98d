"""The plan in words, before the first cell."""

from __future__ import annotations

from spatialclaw_ros.backbones.rules.cell import english, moment_words
from spatialclaw_ros.backbones.rules.question import Question

_WHAT = {
    "distance": "the distance between {things} ({measure} to {measure})",
    "camera_distance": "the distance of {things} from the camera in {moment}",
    "side": "whether the first of {things} is left or right of the other, as the camera sees them in {moment}",
    "depth_order": "which of {things} is nearer along the camera's axis in {moment}",
    "egocentric": "the direction of the last of {things} for somebody at the first who faces the second",
    "count": "how many different things fit '{name}'",
    "nearer": "which candidate is {measure}, by distances between centres of {things}",
    "size": "the {measure} of {things}",
    "camera_path": "the camera's {measure} over the recording",
    "height": "the height of the {measure} of {things} above the floor",
}

_CHECKS = {
    "distance": "separate thirds of the views have to give the same distance",
    "camera_distance": "that frame's own depth",
    "side": "the masks of the frame itself",
    "depth_order": "the depth in the frame itself",
    "egocentric": "separate thirds of the views",
    "count": "how many a single frame shows at once, and whether anything moves",
    "nearer": "separate thirds of the views have to give the same order",
    "size": "separate thirds of the views, and single views",
    "camera_path": "the robot's recorded trajectory",
    "height": "the floor's measured height, and single views",
}


def plan_text(question: Question) -> str:
    """What the question means, how it is measured, how it is checked, and what the answer will be."""
    names = [name for name in question.names if name]
    what = _WHAT[question.family].format(
        things=english(names) if names else "the camera",
        name=names[0] if names else "",
        measure=question.measure,
        moment=moment_words(question.moment),
    )
    steps = [f"Meaning: {what}."]
    if names:
        steps += [
            "1. Segment by name in frames spread over the recording; check how often and how large each thing is seen.",
            "2. Put the frames into one metric world, fuse each thing's points over views, see whether anything moves.",
            f"3. Work out {what}.",
        ]
    else:
        steps.append("1. Take the camera's position in every frame and add up the steps.")
    steps.append(f"Check: {_CHECKS[question.family]}.")
    steps.append("If something is not found or the check disagrees, look in more frames and measure again.")
    kind = (
        "a choice"
        if question.options
        else "a whole number"
        if question.family == "count"
        else f"a number in {question.unit}"
    )
    steps.append(f"Answer: {kind}, with a confidence and the frames it rests on.")
    return "\n".join(steps)
