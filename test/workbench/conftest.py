"""A room drawn with plain arithmetic (floor, wall, red box, blue ball), and a workbench over it without a kernel."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.manifest import Manifest
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.transform_table import TransformTable
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.interfaces import Prompt, SegmentInput
from spatialclaw_ros.perception.registry import make_segmenter
from spatialclaw_ros.workbench.session import Workbench

START = 1_000_000_000_000_000_000
STEP = 250_000_000
CAMERA = Intrinsics(150.0, 150.0, 80.0, 60.0, 160, 120)
BOX_CENTRE, BOX_SIZE = np.array([2.0, 0.4, 0.2]), np.array([0.3, 0.4, 0.4])
BALL_CENTRE, BALL_RADIUS = np.array([2.2, -0.5, 0.25]), 0.25
WALL = 4.0


def camera_pose(y: float, pitch: float = 18.0, yaw: float = 0.0) -> np.ndarray:
    """A camera at (0, y, 1) in a z-up world, looking along +x, turned down by `pitch` and left by `yaw` degrees."""
    p, h = np.radians(pitch), np.radians(yaw)
    forward = np.array([np.cos(p) * np.cos(h), np.cos(p) * np.sin(h), -np.sin(p)])
    right = np.array([np.sin(h), -np.cos(h), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = 0.0, y, 1.0
    return pose


def draw(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour (H, W, 3) uint8 and depth (H, W) float32 metres along the optical axis."""
    v, u = np.mgrid[: CAMERA.height, : CAMERA.width]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(u.shape)], axis=-1)
    ways, eye = rays @ pose[:3, :3].T, pose[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = [
            np.where(ways[..., 2] < 0, -eye[2] / ways[..., 2], np.inf),
            np.where(ways[..., 0] > 0, (WALL - eye[0]) / ways[..., 0], np.inf),
            _box_hit(ways, eye),
            _ball_hit(ways, eye),
        ]
    nearest = np.argmin(hits, axis=0)
    colours = np.array([[120, 120, 118], [205, 204, 200], [200, 20, 20], [20, 40, 210]], np.uint8)
    return colours[nearest], np.min(hits, axis=0).astype(np.float32)


def _box_hit(ways: np.ndarray, eye: np.ndarray) -> np.ndarray:
    ends = (np.stack([BOX_CENTRE - BOX_SIZE / 2, BOX_CENTRE + BOX_SIZE / 2]) - eye)[:, None, None] / ways
    enter, leave = ends.min(axis=0).max(axis=-1), ends.max(axis=0).min(axis=-1)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)


def _ball_hit(ways: np.ndarray, eye: np.ndarray) -> np.ndarray:
    offset = eye - BALL_CENTRE
    a, b, c = (ways**2).sum(-1), ways @ offset, offset @ offset - BALL_RADIUS**2
    root = b * b - a * c
    return np.where(root > 0, (-b - np.sqrt(np.abs(root))) / a, np.inf)


def make_frame(index: int, pose: np.ndarray | None, **changes: Any) -> Frame:
    color, depth = draw(pose if pose is not None else camera_pose(0.0))
    depth[5:12, 40:60] = np.nan
    fields = {
        "camera": "front", "stamp": START + index * STEP, "color_payload": ImagePayload.from_array(color, "rgb8"),
        "depth_payload": ImagePayload.from_array(depth, "32FC1"), "intrinsics": CAMERA, "pose": pose,
        "optical_frame": "front_optical", "index": index,
    }  # fmt: skip
    return Frame(**{**fields, **changes})


@dataclass
class Bench:
    """A workbench in this process: `run` executes a cell as a kernel would; `asked` are the requests to the node."""

    workbench: Workbench
    namespace: dict[str, Any]
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    published: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def run(self, code: str) -> dict[str, Any]:
        self.published.clear()
        self.workbench.start_cell()
        exec(compile(code, "<cell>", "exec"), self.namespace)
        return self.workbench.end_cell()

    def value(self, expression: str) -> Any:
        return eval(expression, self.namespace)

    @property
    def pictures(self) -> list[tuple[Image.Image, dict[str, Any]]]:
        shown = [(d, m["spatialclaw"]) for d, m in self.published if "spatialclaw" in m]
        decoded = []
        for data, about in shown:
            mime = next(key for key in data if key.startswith("image/"))
            decoded.append((Image.open(io.BytesIO(base64.b64decode(data[mime]))), {**about, "mime": mime}))
        return decoded


Answerer = Callable[[str, dict[str, Any]], dict[str, Any]]


def open_bench(
    frames: list[Frame],
    answer: Answerer | None = None,
    gravity_aligned: bool = True,
    trajectories: dict[str, Any] | None = None,
    session: dict[str, Any] | None = None,
    folder: Path = Path(),
) -> Bench:
    by_index = {frame.index: frame for frame in frames}
    segmenter = make_segmenter("colour")

    def segment(method: str, params: dict[str, Any]) -> dict[str, Any]:
        frame = by_index[params["image"]["frame"]]
        given = dict(params["prompt"])
        prompt = (
            Prompt(**given) if "points" not in given else Prompt(points=given["points"], point_labels=given["labels"])
        )
        found = segmenter.segment(SegmentInput(frame.color, frame.depth, frame.intrinsics), prompt, CancelToken())
        return {"masks": found.masks.astype(np.uint8), "scores": found.scores.tolist(), "backend": found.backend}

    namespace: dict[str, Any] = {}
    bench = Bench(None, namespace)  # type: ignore[arg-type]

    def call(method: str, params: dict[str, Any]) -> dict[str, Any]:
        bench.asked.append((method, params))
        return (answer or segment)(method, params)

    bench.workbench = Workbench(namespace, call, lambda data, metadata: bench.published.append((data, metadata)))
    table = TransformTable("odom", trajectories or {})
    manifest = Manifest(frames, "odom", gravity_aligned, table, "base_link", session or {})
    bench.workbench.begin(manifest, folder)
    return bench


@pytest.fixture(scope="session")
def room_frames() -> list[Frame]:
    """Five frames of a camera that moves 0.4 m to its left while turning a little."""
    return [make_frame(i, camera_pose(-0.2 + 0.1 * i, yaw=2.0 * i)) for i in range(5)]


@pytest.fixture
def bench(room_frames: list[Frame]) -> Bench:
    return open_bench(room_frames)


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return open_bench


@pytest.fixture
def room() -> Any:
    """The room's truth and how to draw it."""

    @dataclass
    class Room:
        box_centre = BOX_CENTRE
        box_size = BOX_SIZE
        ball_centre = BALL_CENTRE
        ball_radius = BALL_RADIUS
        make_frame = staticmethod(make_frame)
        camera_pose = staticmethod(camera_pose)
        start = START
        step = STEP

    return Room
