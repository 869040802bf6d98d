"""Conversation: the append-only messages of one goal, rendered from the prompt files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spatialclaw_ros.agent.goal import effective_type
from spatialclaw_ros.agent.key_frames import KeyFrame
from spatialclaw_ros.agent.prompt_text import cut_middle, neutral_json, neutralise, render
from spatialclaw_ros.agent.records import AnswerType, Query
from spatialclaw_ros.agent.units import asked_unit
from spatialclaw_ros.backbones.chat import Message, Picture
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.kernel.cell import CellResult, ShownPicture

MAX_STAMPS = 256
"""Longest list of stamps in the session's description; beyond it only the first and the last are listed."""

MAX_VARIABLES = 40
MAX_EARLIER = 5


@dataclass(frozen=True)
class Scene:
    """What a goal is asked about. world_frame: of the poses; known_frames: what places may be given in."""

    frames: Sequence[Frame]
    world_frame: str
    base_frame: str
    target_frame: str
    gravity_aligned: bool
    known_frames: Sequence[str]


@dataclass(frozen=True)
class Budget:
    """What is left after a step: cells, seconds, and whether the time is nearly used up."""

    cells: int
    seconds: float
    hurry: bool


class Conversation:
    """Messages are appended, never changed, so that a server's prefix cache and a cached request body stay valid."""

    def __init__(self, system: str) -> None:
        self.messages: list[Message] = [Message("system", (system,))]

    def append_user(self, *parts: str | Picture) -> None:
        """Append to the user's turn. Roles alternate, since some servers refuse two turns of one role in a row."""
        self.messages.append(Message("user", parts))

    def append_reply(self, text: str) -> None:
        """The model's own turn, without its thinking; an empty one is written out, since servers refuse empty turns."""
        self.messages.append(Message("assistant", (text or "(empty reply)",)))


def system_prompt(workbench_reference: str, scene: Scene, sees_pictures: bool) -> str:
    """The rules, the same for every question of a node, so that a server can keep them cached."""
    is_camera = any(scene.base_frame == frame.optical_frame for frame in scene.frames)  # pictures without a robot
    return render(
        "system",
        workbench_reference=workbench_reference,
        world_frame=neutralise(scene.world_frame),
        base_frame="" if is_camera else neutralise(scene.base_frame),
        gravity_aligned=scene.gravity_aligned,
        sees_pictures=sees_pictures,
    )


def task_text(query: Query, scene: Scene, max_steps: int, earlier: Sequence[tuple[str, str]] = ()) -> str:
    """The question, what the answer has to be, and what was recorded. Everything from outside is neutralised."""
    frames = scene.frames
    answer_type = effective_type(query)
    duration = (frames[-1].stamp - frames[0].stamp) / 1e9 if frames else 0.0
    notes = list(dict.fromkeys(note for frame in frames for note in frame.notes))
    return render(
        "task",
        question=neutralise(query.question.strip()),
        answer_type=answer_type.name.lower(),
        choices=" | ".join(neutralise(choice.strip()).replace("|", "¦") for choice in query.choices),
        session=neutral_json(session_facts(scene)),
        cameras=_cameras(frames),
        num_frames=len(frames),
        duration=f"{duration:.2f}",
        notes=[neutralise(note)[:300] for note in notes[:6]],
        metric=any(frame.depth_payload is not None for frame in frames),
        reference_images=len(query.reference_images),
        world_frame=neutralise(scene.world_frame),
        target_frame=neutralise(scene.target_frame),
        known_frames=", ".join(f"`{neutralise(name)}`" for name in scene.known_frames),
        max_steps=max_steps,
        answer_unit=asked_unit(query.question) if answer_type in (AnswerType.NUMBER, AnswerType.ANY) else "",
        earlier=[(neutralise(q)[:500], neutralise(a)[:500]) for q, a in list(earlier)[-MAX_EARLIER:]],
    )


def session_facts(scene: Scene) -> dict[str, Any]:
    """What the <session> tag holds: cameras, num_frames, stamps in seconds, duration, and the frames of reference."""
    frames = scene.frames
    stamps = [round(frame.stamp / 1e9, 4) for frame in frames]
    return {
        "cameras": list(dict.fromkeys(frame.camera for frame in frames)),
        "num_frames": len(frames),
        "frame_indices": [frames[0].index, frames[-1].index] if frames else [],
        "stamps": stamps if len(stamps) <= MAX_STAMPS else [stamps[0], stamps[-1]],
        "duration": round(stamps[-1] - stamps[0], 4) if stamps else 0.0,
        "has_depth": any(frame.depth_payload is not None for frame in frames),
        "has_poses": any(frame.pose is not None for frame in frames),
        "frame_id": scene.world_frame,
        "base_frame": scene.base_frame,
        "target_frame": scene.target_frame,
        "gravity_aligned": scene.gravity_aligned,
    }


def _cameras(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    cameras: dict[str, dict[str, Any]] = {}
    for frame in frames:
        entry = cameras.setdefault(
            frame.camera,
            {
                "name": neutralise(frame.camera),
                "optical_frame": neutralise(frame.optical_frame or "unnamed"),
                "width": frame.intrinsics.width if frame.intrinsics else frame.color_payload.width,
                "height": frame.intrinsics.height if frame.intrinsics else frame.color_payload.height,
                "frames": 0,
                "with_depth": 0,
                "with_pose": 0,
            },
        )
        entry["frames"] += 1
        entry["with_depth"] += frame.depth_payload is not None
        entry["with_pose"] += frame.pose is not None
    return list(cameras.values())


def plan_request() -> str:
    return render("plan")


def first_cell_parts(key_frames: Sequence[KeyFrame], references: Sequence[Picture], start: int) -> list[str | Picture]:
    """The parts that ask for the first cell: each picture behind a line that says what it is in the kernel.

    start: the stamp, ns, from which the times are counted.
    """
    parts: list[str | Picture] = []
    for number, reference in enumerate(references):
        parts += [f"reference picture {number} → RefImages[{number}]", reference]
    for frame in key_frames:
        camera = neutralise(frame.camera)
        seconds = (frame.stamp - start) / 1e9
        parts += [
            f"#{frame.number} → InputImages[{frame.position}] (frame {frame.index}), camera {camera}, {seconds:.2f} s",
            frame.picture,
        ]
    return [*parts, render("cell", pictures=bool(key_frames))]


def observation_text(step: int, result: CellResult | None, problem: str, budget: Budget, max_output: int) -> str:
    """What the model is told after a reply: what its cell did, or why there was none, and what is left."""
    error = result.error if result else None
    return render(
        "observation",
        step=step,
        result=result,
        outcome=_OUTCOMES[result.status] if result else "",
        seconds=f"{result.duration:.2f}" if result else "",
        stdout=cut_middle(neutralise(result.stdout.strip()), max_output) if result else "",
        error=cut_middle(neutralise(error.traceback or f"{error.name}: {error.message}"), max_output // 2)
        if error
        else "",
        variables=_variables(result) if result else [],
        notes=[neutralise(note) for note in result.notes] if result else [],
        problem=neutralise(problem),
        last=budget.cells <= 1,
        hurry=budget.hurry,
        seconds_left=round(budget.seconds),
        steps_left=budget.cells,
    )


def _variables(result: CellResult) -> list[str]:
    lines = [neutralise(f"{entry.name}: {entry.type}, {entry.summary}")[:300] for entry in result.variables]
    more = len(lines) - MAX_VARIABLES
    return lines if more <= 0 else [*lines[:MAX_VARIABLES], f"and {more} more"]


_OUTCOMES = {
    "ok": "ran",
    "error": "stopped with an error",
    "timeout": "was stopped at its time limit",
    "interrupted": "was interrupted",
    "died": "ended the kernel",
}


def shown_parts(pictures: Sequence[ShownPicture], most: int) -> list[str | Picture]:
    """The pictures that a cell showed, as parts of the observation, each behind its label; the first `most` of them."""
    parts: list[str | Picture] = []
    for number, shown in enumerate(pictures[:most], start=1):
        label = neutralise(shown.label)[:200] or "picture"
        parts += [f"shown {number}: {label}", Picture(shown.data, shown.mime, shown.width, shown.height, label)]
    if len(pictures) > most:
        parts.append(f"{len(pictures) - most} more pictures were shown; at most {most} of a cell are sent to you.")
    return parts
