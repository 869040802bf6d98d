"""A tiny scene of coloured boxes over a floor, drawn by ray casting, and a kernel in process to run cells in."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import dataclass

import numpy as np

from spatialclaw_ros.backbones.chat import Message
from spatialclaw_ros.backbones.rules import RulesBackbone
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.manifest import Manifest
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.perception.colour import ColourSegmenter
from spatialclaw_ros.perception.interfaces import Prompt, SegmentInput
from spatialclaw_ros.workbench.session import Workbench

WIDTH, HEIGHT, FOCAL = 200, 150, 150.0
RGB = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 60, 220), "yellow": (235, 215, 30)}
GREY = (150, 150, 148)


@dataclass(frozen=True)
class Box:
    """An upright box in the world (z up): colour, centre at the start and the end of the recording, size; metres."""

    colour: str
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    end: tuple[float, float, float] | None = None

    def at(self, share: float) -> np.ndarray:
        start = np.array(self.centre)
        return start if self.end is None else start + share * (np.array(self.end) - start)


def make_frames(boxes: list[Box], count: int = 24, radius: float = 3.2, turn: float = 300.0) -> list[Frame]:
    """Pictures from a circle about the origin, 1.4 m high, looking inwards and a little down; 4 Hz."""
    intrinsics = Intrinsics(FOCAL, FOCAL, WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5, WIDTH, HEIGHT)
    frames = []
    for k in range(count):
        share = k / max(1, count - 1)
        pose = _pose(np.radians(turn) * share, radius)
        color, depth = _draw(boxes, share, pose)
        stamp = 1_000_000_000 + k * 250_000_000
        frames.append(
            Frame("cam", stamp, ImagePayload.from_array(color, "rgb8"), ImagePayload.from_array(depth, "32FC1"),
                  intrinsics, pose, "odom", "cam_optical", k, stamp)
        )  # fmt: skip
    return frames


def _pose(angle: float, radius: float) -> np.ndarray:
    position = np.array([radius * np.cos(angle), radius * np.sin(angle), 1.4])
    forward = np.array([0.0, 0.0, 0.3]) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = position
    return pose


def _draw(boxes: list[Box], share: float, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 colour and (H, W) float32 depth, by the slab method for boxes and a floor at z = 0."""
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack([(u - WIDTH / 2 + 0.5) / FOCAL, (v - HEIGHT / 2 + 0.5) / FOCAL, np.ones_like(u, float)], axis=-1)
    rays = rays @ pose[:3, :3].T  # depth along the optical axis is the ray's parameter
    with np.errstate(divide="ignore"):
        depth = np.where(rays[..., 2] < -1e-6, -pose[2, 3] / rays[..., 2], 20.0).clip(max=20.0)
        color = np.broadcast_to(np.array(GREY, np.uint8), (HEIGHT, WIDTH, 3)).copy()
        for box in boxes:
            low, high = box.at(share) - np.array(box.size) / 2, box.at(share) + np.array(box.size) / 2
            one, other = (low - pose[:3, 3]) / rays, (high - pose[:3, 3]) / rays
            near, far = np.minimum(one, other).max(axis=-1), np.maximum(one, other).min(axis=-1)
            hit = (near < far) & (near > 0) & (near < depth)
            depth[hit], color[hit] = near[hit], RGB[box.colour]
    return color, depth.astype(np.float32)


class InProcessKernel:
    """The workbench without a kernel around it; the colour segmenter stands where the broker would."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = {frame.index: frame for frame in frames}
        self.namespace: dict = {}
        self._workbench = Workbench(self.namespace, self._segment, lambda data, metadata: None)
        snapshot = Snapshot.from_frames(frames)
        self._workbench.begin(Manifest(list(snapshot.frames), "odom", True, snapshot.transforms, "base_link", {}))

    def _segment(self, method: str, params: dict) -> dict:
        frame = self._frames[params["image"]["frame"]]
        prompt = Prompt(text=params["prompt"]["text"], threshold=params["threshold"])
        masks = ColourSegmenter().segment(
            SegmentInput(frame.color, frame.depth, frame.intrinsics), prompt, CancelToken()
        )
        return {
            "masks": masks.masks.astype(np.uint8),
            "scores": masks.scores,
            "backend": "colour",
            "notes": list(masks.notes),
        }

    def run(self, code: str) -> tuple[str, str, dict | None]:
        """(stdout, error, answer) of one cell."""
        self._workbench.start_cell()
        output, error = io.StringIO(), ""
        with contextlib.redirect_stdout(output):
            try:
                exec(compile(code, "<cell>", "exec"), self.namespace)
            except Exception as raised:
                error = f"{type(raised).__name__}: {raised}"
        return output.getvalue(), error, self._workbench.end_cell()["answer"]


def task_message(question: str, choices: tuple[str, ...] = (), answer_type: str = "any", frames: int = 24) -> Message:
    offered = " | ".join(choices)
    session = {"cameras": ["cam"], "num_frames": frames, "frame_id": "odom", "gravity_aligned": True}
    return Message(
        "user",
        (
            f"<question>{question}</question>\n<answer_type>{answer_type}</answer_type>\n"
            f"<choices>{offered}</choices>\n<session>{json.dumps(session)}</session>\n<request>cell</request>",
        ),
    )


def observation(stdout: str, error: str = "") -> Message:
    failed = f"<error>{error}</error>\n" if error else ""
    return Message("user", (f"Cell done.\n<stdout>{stdout}</stdout>\n{failed}<request>cell</request>",))


@dataclass
class Run:
    """How a question went: the answer as ReturnAnswer got it, the cells, and what they printed."""

    answer: dict | None
    cells: list[str]
    outputs: list[str]


def answer_question(frames: list[Frame], question: str, choices: tuple[str, ...] = (), answer_type: str = "any") -> Run:
    """Let the rules backbone write cells until one answers."""
    kernel, backbone = InProcessKernel(frames), RulesBackbone()
    messages = [task_message(question, choices, answer_type, len(frames))]
    run = Run(None, [], [])
    for _ in range(12):
        reply = backbone.chat(messages, "main", CancelToken(), Deadline(30)).text
        run.cells.append(re.search(r"```python\n(.*)\n```", reply, re.DOTALL)[1])
        stdout, error, run.answer = kernel.run(run.cells[-1])
        run.outputs.append(stdout + error)
        if run.answer is not None:
            return run
        messages += [Message("assistant", (reply,)), observation(stdout, error)]
    return run
