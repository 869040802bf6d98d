"""One generated room from its seed: furnish until all is well seen, render, add sensor noise, write the folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from spatialclaw_ros.errors import ConfigurationError
from spatialclaw_ros.evaluation.bag import OPTICAL_FRAME, BagWriter, RgbdImage, StampedPose, StaticTransform
from spatialclaw_ros.evaluation.questions import make_questions, save_questions
from spatialclaw_ros.evaluation.questions_scene import Scene
from spatialclaw_ros.evaluation.rooms_camera import CameraPath, make_camera_path
from spatialclaw_ros.evaluation.rooms_layout import Furnisher, LayoutFailed, draw_plan, draw_size
from spatialclaw_ros.evaluation.rooms_noise import NOISES, Noise
from spatialclaw_ros.evaluation.rooms_objects import Room
from spatialclaw_ros.evaluation.rooms_render import Renderer
from spatialclaw_ros.evaluation.rooms_truth import save_truth
from spatialclaw_ros.evaluation.rooms_visibility import SeenSurfaces, Sight, SightMeter, coarse, is_good
from spatialclaw_ros.frames.camera import Intrinsics

GENERATOR = 2
"""Counts up whenever the same seed gives another recording or other questions."""
START_STAMP = 1_000_000_000 * 10**9
"""Nanoseconds; like the recordings that people keep, not 1970."""
ATTEMPTS = 60


@dataclass(frozen=True)
class RoomSettings:
    """What to generate. frames: pictures, at rate_hz; odometry comes odometry_per_frame times as often.

    Raises: ConfigurationError.
    """

    seed: int
    noise: str = "none"
    width: int = 640
    height: int = 480
    frames: int = 48
    rate_hz: float = 4.0
    odometry_per_frame: int = 5
    keep_masks: bool = True

    def __post_init__(self) -> None:
        if self.noise not in NOISES:
            raise ConfigurationError(f"noise is {self.noise!r}; expected one of {', '.join(NOISES)}")
        if self.seed < 0:
            raise ConfigurationError(f"seed is {self.seed}; expected 0 or more")
        if (
            self.frames < 24
            or not 160 <= self.width <= 1920
            or not 120 <= self.height <= 1200
            or self.width % 4
            or self.height % 4
        ):
            raise ConfigurationError(
                f"{self.frames} frames of {self.width}x{self.height} pixels; expected 24 frames or more of a size from "
                f"160x120 to 1920x1200 in steps of 4"
            )

    @property
    def camera(self) -> Intrinsics:
        """A lens of 68.5 degrees across, as on common RGB-D cameras."""
        focal = 470.0 * self.width / 640.0
        return Intrinsics(focal, focal, (self.width - 1) / 2, (self.height - 1) / 2, self.width, self.height)

    @property
    def times(self) -> list[float]:
        """Seconds from the start, one a frame."""
        return [k / self.rate_hz for k in range(self.frames)]

    def stamp(self, seconds: float) -> int:
        return START_STAMP + round(seconds * 1e9)


@dataclass(frozen=True)
class RoomRecording:
    """A generated room's folder, which is the bag too, and where its other files are."""

    folder: Path

    @property
    def questions(self) -> Path:
        return self.folder / "questions.yaml"

    @property
    def truth(self) -> Path:
        return self.folder / "truth.yaml"

    @property
    def masks(self) -> Path:
        return self.folder / "masks"


def make_room(settings: RoomSettings, out: Path) -> RoomRecording:
    """Generate a recording into the new folder `out`. It appears complete or not at all; equal settings, equal bytes.

    Raises: ConfigurationError when `out` exists or its parent cannot be made.
    """
    if out.exists():
        raise ConfigurationError(f"{out} exists already; give a new folder, or remove it first")
    out.parent.mkdir(parents=True, exist_ok=True)
    room, path, sight = draw_room(settings)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as place:
        unfinished = Path(place) / out.name
        seen = _record(settings, room, path, unfinished)
        scene = Scene(room, path, tuple(settings.times), sight, seen)
        save_questions(
            make_questions(scene, np.random.default_rng([settings.seed, 3])), out.name, unfinished / "questions.yaml"
        )
        save_truth(GENERATOR, settings, room, path, unfinished / "truth.yaml")
        try:
            os.replace(unfinished, out)
        except OSError:
            shutil.move(str(unfinished), out)
    return RoomRecording(out)


def draw_room(settings: RoomSettings) -> tuple[Room, CameraPath, Sight]:
    """The first furnishing of this seed in which every object is well seen. Raises: ConfigurationError when none is."""
    camera = coarse(settings.camera, settings.width // 160)
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([settings.seed, 1, attempt])
        size = draw_size(rng)
        path = make_camera_path(rng, size, settings.times[-1])
        try:
            room = Furnisher(rng, size, path).furnish(draw_plan(rng))
        except LayoutFailed:
            continue
        sight = _coarse_sight(settings, room, path, camera)
        if is_good(room, sight):
            return room, path, sight
    raise ConfigurationError(
        f"seed {settings.seed} gave no room whose objects are all well seen in {settings.frames} frames; try another"
    )


def _coarse_sight(settings: RoomSettings, room: Room, path: CameraPath, camera: Intrinsics) -> Sight:
    renderer, poses = Renderer(room, camera), [path.camera(t) for t in settings.times]
    pictures = [renderer.render(pose, t, colour=False) for pose, t in zip(poses, settings.times, strict=True)]
    return SightMeter(room, camera).measure(pictures, poses, settings.times)


def _record(settings: RoomSettings, room: Room, path: CameraPath, folder: Path) -> dict[int, np.ndarray]:
    """Render every frame into the bag and the masks; returns the seen surfaces of still objects by number."""
    noise, rng = Noise(settings.noise), np.random.default_rng([settings.seed, 2])
    bag = BagWriter(folder, settings.camera)
    bag.add_static(
        START_STAMP,
        [
            StaticTransform("base_link", "camera_link", path.mount),
            StaticTransform("camera_link", OPTICAL_FRAME, path.optical_mount),
        ],
    )
    count = (settings.frames - 1) * settings.odometry_per_frame + 1
    moments = [k / (settings.rate_hz * settings.odometry_per_frame) for k in range(count)]
    reported = noise.odometry([path.base(t) for t in moments], rng)
    bag.add_odometry(StampedPose(settings.stamp(t), pose) for t, pose in zip(moments, reported, strict=True))
    renderer, seen, masks = Renderer(room, settings.camera), SeenSurfaces(room, settings.camera), []
    for number, t in enumerate(settings.times):
        picture = renderer.render(path.camera(t), t)
        depth = (
            renderer.render(path.camera(t - noise.lag), t - noise.lag, colour=False).depth
            if noise.lag
            else picture.depth
        )
        bag.add_image(RgbdImage(settings.stamp(t), picture.color, noise.depth(depth, rng)))
        if number % 2 == 0:
            seen.add(picture, path.camera(t))
        masks.append(picture.mask)
    bag.close()
    if settings.keep_masks:
        _save_masks(folder / "masks", masks)
    return seen.points()


def _save_masks(folder: Path, masks: list[np.ndarray]) -> None:
    folder.mkdir()
    for number, mask in enumerate(masks):
        if not cv2.imwrite(str(folder / f"{number:06d}.png"), mask):
            raise OSError(f"could not write {folder / f'{number:06d}.png'}; is the disk full?")
