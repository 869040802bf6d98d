"""A generated room holds what it promises: enough things, told apart by colour, well seen, in a bag, with truth."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation.made_room import SMALL, MadeRoom
from rosbags.highlevel import AnyReader

from spatialclaw_ros.errors import ConfigurationError
from spatialclaw_ros.evaluation.rooms import main
from spatialclaw_ros.evaluation.rooms_camera import make_camera_path
from spatialclaw_ros.evaluation.rooms_noise import Noise
from spatialclaw_ros.evaluation.rooms_recording import RoomSettings, draw_room, make_room
from spatialclaw_ros.frames.bag import frames_from_bag


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _masks(room: MadeRoom) -> list[np.ndarray]:
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(room.recording.masks.iterdir())]


def test_same_seed_same_bytes(small_room: MadeRoom, tmp_path: Path) -> None:
    again = make_room(small_room.settings, tmp_path / "room_7")
    assert _digests(again.folder) == _digests(small_room.recording.folder)


def test_another_seed_is_another_room(small_room: MadeRoom) -> None:
    room, path, _ = draw_room(RoomSettings(8, **SMALL))
    names = [(thing["name"], thing["centre"]) for thing in small_room.truth["objects"] if not thing["moves"]]
    assert names != [(thing.name, list(thing.centre())) for thing in room.objects if thing.motion is None]
    assert np.linalg.norm(path.camera(0.0)[:3, 3] - small_room.truth["camera"]["trajectory"][0][:3]) > 0.01


def test_room_has_twelve_things_with_repeats_and_a_mover(small_room: MadeRoom) -> None:
    names = [thing["name"] for thing in small_room.truth["objects"]]
    assert len(names) >= 12
    assert len(names) > len(set(names))
    assert any(thing["moves"] for thing in small_room.truth["objects"])


def test_a_hue_belongs_to_one_kind(small_room: MadeRoom) -> None:
    kinds = defaultdict(set)
    for thing in small_room.truth["objects"]:
        kinds[thing["colour"]].add(thing["kind"])
    assert all(len(group) == 1 for group in kinds.values()), dict(kinds)


def test_things_of_one_colour_stand_apart(small_room: MadeRoom) -> None:
    still = [thing for thing in small_room.truth["objects"] if not thing["moves"]]
    for first in still:
        for other in still:
            if first["number"] < other["number"] and first["name"] == other["name"]:
                reach = (np.hypot(*first["size"][:2]) + np.hypot(*other["size"][:2])) / 2
                gap = np.linalg.norm(np.subtract(first["centre"], other["centre"])) - reach
                assert gap > 0.3, (first["label"], other["label"])


def test_every_thing_is_seen_in_five_frames(small_room: MadeRoom) -> None:
    least = 400 * (SMALL["width"] * SMALL["height"]) / (640 * 480)
    counts = np.array([np.bincount(mask.ravel(), minlength=32) for mask in _masks(small_room)])
    for thing in small_room.truth["objects"]:
        assert (counts[:, thing["number"]] >= 0.8 * least).sum() >= 5, thing["label"]


def test_things_have_their_colour_in_the_pictures(small_room: MadeRoom) -> None:
    """A thing's hue is found where its mask is, whatever the light and the JPEG did."""
    from spatialclaw_ros.evaluation.rooms_palette import HUES

    frames, masks = frames_from_bag(small_room.recording.folder), _masks(small_room)
    for thing in small_room.truth["objects"]:
        number = thing["number"]
        frame, mask = max(zip(frames, masks, strict=True), key=lambda pair: (pair[1] == number).sum())
        inside = cv2.erode((mask == number).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        hsv = cv2.cvtColor(frame.color, cv2.COLOR_RGB2HSV)[inside]
        off = (hsv[:, 0] * 2.0 - HUES[thing["colour"]] + 180) % 360 - 180
        assert np.median(np.abs(off)) < 8, thing["label"]
        assert np.median(hsv[:, 1]) > 120, thing["label"]


def test_depth_poses_and_masks_agree_with_the_truth(small_room: MadeRoom) -> None:
    """Back-projecting masked depth with the bag's poses gives every still thing's box."""
    frames, masks = frames_from_bag(small_room.recording.folder), _masks(small_room)
    for thing in (t for t in small_room.truth["objects"] if t["kind"] in ("table", "chair", "mug", "box")):
        clouds = []
        for frame, mask in zip(frames, masks, strict=True):
            rows, columns = np.nonzero(mask == thing["number"])
            z = frame.depth[rows, columns]
            rays = np.stack([columns, rows, np.ones_like(rows)], 1) @ np.linalg.inv(frame.intrinsics.matrix).T
            clouds.append((rays * z[:, None]) @ frame.pose[:3, :3].T + frame.pose[:3, 3])
        turn = np.array([[np.cos(thing["yaw"]), np.sin(thing["yaw"])], [-np.sin(thing["yaw"]), np.cos(thing["yaw"])]])
        points = np.concatenate(clouds) - thing["centre"]
        points[:, :2] = points[:, :2] @ turn.T
        assert np.abs((points.max(0) + points.min(0)) / 2).max() < 0.03, thing["label"]
        assert np.abs(points.max(0) - points.min(0) - thing["size"]).max() < 0.05, thing["label"]


def test_bag_has_the_topics_and_a_latched_tf_static(small_room: MadeRoom) -> None:
    with AnyReader([small_room.recording.folder]) as reader:
        topics = {connection.topic: connection for connection in reader.connections}
        counts = {topic: connection.msgcount for topic, connection in topics.items()}
    frames = SMALL["frames"]
    assert counts == {
        "/camera/color/image_raw/compressed": frames,
        "/camera/depth/image_raw/compressed": frames,
        "/camera/color/camera_info": frames,
        "/odom": (frames - 1) * 5 + 1,
        "/tf": (frames - 1) * 5 + 1,
        "/tf_static": 1,
    }
    assert [qos.durability.name for qos in topics["/tf_static"].ext.offered_qos_profiles] == ["TRANSIENT_LOCAL"]


def test_camera_turns_and_travels(small_room: MadeRoom) -> None:
    poses = np.array([frame.pose for frame in frames_from_bag(small_room.recording.folder)])
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    assert steps.sum() > 5.0
    assert steps.max() < 4 * np.median(steps)
    headings = np.unwrap(np.arctan2(poses[:, 1, 2], poses[:, 0, 2]))
    assert abs(headings[-1] - headings[0]) > np.radians(200)


def test_depth_noise_grows_with_distance_and_edges_have_none() -> None:
    exact = np.full((200, 400), 1.8, np.float32)
    exact[:, 200:] = 4.2
    error = Noise("depth").depth(exact, np.random.default_rng(0)) - exact
    assert np.isnan(error[:, 200]).all(), "a jump in depth has no value beside it"
    assert np.isnan(error).mean() < 0.01
    assert np.nanstd(error[:, :199]) == pytest.approx(0.0012 + 0.0019 * 1.4**2, rel=0.05)
    assert np.nanstd(error[:, 202:]) == pytest.approx(0.0012 + 0.0019 * 3.8**2, rel=0.05)


def test_drift_is_one_percent_of_the_way() -> None:
    path = make_camera_path(np.random.default_rng(0), (7.0, 6.3, 2.7), 11.75)
    true = [path.base(t) for t in np.linspace(0, path.duration, 100)]
    reported = Noise("drift").odometry(true, np.random.default_rng(0))
    lengths = [np.linalg.norm(np.diff([p[:3, 3] for p in poses], axis=0), axis=1).sum() for poses in (true, reported)]
    assert abs(lengths[1] / lengths[0] - 1) == pytest.approx(0.01, rel=0.01)
    assert np.allclose(reported[0], true[0])
    assert all(np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3)) for pose in reported)
    assert 0.02 < np.linalg.norm(reported[-1][:3, 3] - true[-1][:3, 3]) < 0.5


def test_drift_changes_the_recording_and_not_the_truth(tmp_path: Path) -> None:
    tiny = {"width": 160, "height": 120, "frames": 24}
    rooms = [make_room(RoomSettings(7, noise, **tiny), tmp_path / noise / "room_7") for noise in ("none", "drift")]
    exact, drifting = (frames_from_bag(room.folder) for room in rooms)
    assert rooms[0].questions.read_bytes() == rooms[1].questions.read_bytes()
    assert np.linalg.norm(exact[-1].pose[:3, 3] - drifting[-1].pose[:3, 3]) > 0.02
    assert all(frame.depth is not None for frame in drifting), "lagging depth still has its picture's stamp"


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"seed": 1, "noise": "rain"},
        {"seed": 1, "frames": 3},
        {"seed": 1, "width": 0},
        {"seed": 1, "height": 241},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError):
        RoomSettings(**wrong)


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigurationError, match="exists already"):
        make_room(RoomSettings(1), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_command_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "exists already" in said
    assert len(said.splitlines()) == 1


def test_a_failed_room_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("spatialclaw_ros.evaluation.rooms_recording._record", broken)
    with pytest.raises(OSError, match="disk full"):
        make_room(RoomSettings(7, **SMALL), tmp_path / "room_7")
    assert list(tmp_path.iterdir()) == []
