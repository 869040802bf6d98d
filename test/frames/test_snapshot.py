"""A snapshot's export is what a kernel reads back: the same bytes, linked, mapped read-only and lazily."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spatialclaw_ros.agent.reference_frames import SnapshotFrames
from spatialclaw_ros.errors import ImageError, TransformError
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.manifest import ManifestError, read_manifest
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.transforms import TransformBuffer

S = 1_000_000_000
K = Intrinsics(20.0, 21.0, 8.0, 6.0, 16, 12, "plumb_bob", (0.1, 0.2, 0.0, 0.0, 0.0))
Make = Callable[..., ImagePayload]


@pytest.fixture
def ring(make_buffer: Callable[..., FrameBuffer], color: Make, depth: Make) -> FrameBuffer:
    buffer = make_buffer(rate_hz=0)
    buffer.add_camera_info("front", S, K, "cam")
    for k in range(4):
        buffer.add_color("front", (1 + k) * S, color(k), "cam")
        if k != 2:
            buffer.add_depth("front", (1 + k) * S + 5, depth(1000 + k), "cam")
    return buffer


@pytest.fixture
def poses() -> TransformBuffer:
    buffer = TransformBuffer()
    buffer.add("base_link", "cam", 0, (0, 0, 1), (-0.5, 0.5, -0.5, 0.5), static=True)
    for k in range(4):
        buffer.add("odom", "base_link", (1 + k) * S, (k, 0, 0), (0, 0, 0, 1))
    return buffer


def _snap(ring: FrameBuffer, poses: TransformBuffer) -> Snapshot:
    return ring.snapshot([], 0, 0, poses, "odom")


def test_manifest_round_trips_every_field(ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path) -> None:
    snapshot = ring.snapshot([], 0, 0, poses, "odom", gravity_aligned=False)
    manifest = read_manifest(snapshot.export(tmp_path, {"question": "how far?", "pictures": [0, 3]}))
    assert manifest.session == {"question": "how far?", "pictures": [0, 3]}
    assert (manifest.world_frame, manifest.base_frame, manifest.gravity_aligned) == ("odom", "base_link", False)
    assert len(manifest.frames) == 4
    for read, frame in zip(manifest.frames, snapshot, strict=True):
        for name in ("camera", "stamp", "index", "frame_id", "optical_frame", "depth_stamp", "notes", "intrinsics"):
            assert getattr(read, name) == getattr(frame, name), name
        np.testing.assert_array_equal(read.pose, frame.pose)
        np.testing.assert_array_equal(read.color, frame.color)
        assert (read.depth is None) == (frame.depth is None)
    assert manifest.frames[0].depth[0, 0] == pytest.approx(1.0)


def test_images_are_linked_not_copied(ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path) -> None:
    snapshot = _snap(ring, poses)
    snapshot.export(tmp_path)
    for frame in snapshot:
        source = Path(frame.color_payload.file)
        assert os.path.samefile(source, tmp_path / source.name)


def test_exported_images_outlive_the_ring(ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path) -> None:
    snapshot = _snap(ring, poses)
    manifest = read_manifest(snapshot.export(tmp_path))
    snapshot.release()
    ring.close()
    assert [int(frame.color[0, 0, 0]) for frame in manifest.frames] == [0, 1, 2, 3]


def test_export_after_release_and_eviction_writes_from_the_map(
    ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path
) -> None:
    snapshot = _snap(ring, poses)
    snapshot.release()
    ring.close()
    manifest = read_manifest(snapshot.export(tmp_path))
    assert (manifest.frames[3].color == 3).all()


def test_frames_in_private_memory_are_written_once(picture: np.ndarray, tmp_path: Path) -> None:
    frame = Frame("front", S, ImagePayload.from_array(picture, "rgb8"), optical_frame="cam")
    snapshot = Snapshot.from_frames([frame])
    snapshot.export(tmp_path)
    (written,) = tmp_path.glob("*.private")
    inode = written.stat().st_ino
    manifest = read_manifest(snapshot.export(tmp_path))
    assert [path.stat().st_ino for path in tmp_path.glob("*.private")] == [inode]
    np.testing.assert_array_equal(manifest.frames[0].color, picture)


def test_mapped_images_cannot_be_written(ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path) -> None:
    frame = read_manifest(_snap(ring, poses).export(tmp_path)).frames[0]
    assert frame.color_payload.data.readonly
    with pytest.raises(ValueError, match="read-only"):
        frame.color[0, 0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE|writ"):
        frame.color.flags.writeable = True


def test_reading_a_manifest_maps_nothing_until_a_frame_is_used(
    ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path
) -> None:
    frames = read_manifest(_snap(ring, poses).export(tmp_path)).frames
    for frame in frames:
        (tmp_path / Path(frame.depth_payload.file if frame.depth_payload else "none").name).unlink(missing_ok=True)
    assert frames[0].color.shape == (12, 16, 3)
    with pytest.raises(ImageError, match="cannot be mapped"):
        _ = frames[0].depth


def test_mapping_holds_no_file_descriptors(ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path) -> None:
    frames = read_manifest(_snap(ring, poses).export(tmp_path)).frames
    before = len(os.listdir("/proc/self/fd"))
    assert all(frame.color.size for frame in frames)
    assert len(os.listdir("/proc/self/fd")) == before


def test_second_export_keeps_earlier_images_unless_told_not_to(
    ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path
) -> None:
    first = ring.snapshot([], S, 2 * S, poses, "odom")
    second = ring.snapshot([], 3 * S, 4 * S, poses, "odom")
    first.export(tmp_path)
    second.export(tmp_path)
    assert len(list(tmp_path.glob("*.color"))) == 4
    second.export(tmp_path, keep_others=False)
    assert {path.name for path in tmp_path.glob("*.color")} == {Path(f.color_payload.file).name for f in second}


def test_transforms_hold_the_paths_of_robot_and_camera(
    ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path
) -> None:
    table = read_manifest(_snap(ring, poses).export(tmp_path)).transforms
    assert set(table) == {"base_link", "cam"}
    stamps, matrices = table["base_link"]
    assert stamps.tolist() == [S, 2 * S, 3 * S, 4 * S] and matrices[:, 0, 3].tolist() == [0, 1, 2, 3]
    assert table.pose("base_link", 2 * S + S // 2)[0, 3] == pytest.approx(1.5)
    np.testing.assert_allclose(table.pose("cam", 3 * S)[:3, 3], [2, 0, 1])
    np.testing.assert_array_equal(table.pose("odom", 0), np.eye(4))


def test_transform_table_names_unknown_frames_and_stamps_outside(ring: FrameBuffer, poses: TransformBuffer) -> None:
    table = _snap(ring, poses).transforms
    with pytest.raises(TransformError, match="known frames: base_link, cam, odom"):
        table.pose("gripper", S)
    with pytest.raises(TransformError, match="after the newest"):
        table.pose("cam", 9 * S)


def test_a_moving_frame_with_one_sample_left_does_not_stand_still(
    make_buffer: Callable[..., FrameBuffer], color: Make, tmp_path: Path
) -> None:
    poses, buffer = TransformBuffer(), make_buffer(rate_hz=0)
    poses.add("odom", "cam", 0, (0, 0, 1), (0, 0, 0, 1), static=True)
    for k in (98, 99, 100):
        poses.add("odom", "base_link", k * S, (k, 0, 0), (0, 0, 0, 1))
    for k in (120, 130):
        buffer.add_color("front", k * S, color(), "cam")
    snapshot = _snap(buffer, poses)
    exported = read_manifest(snapshot.export(tmp_path)).transforms
    for table in (snapshot.transforms, exported):
        assert table.pose("cam", 125 * S)[2, 3] == 1
        with pytest.raises(TransformError, match="after the newest"):
            table.pose("base_link", 130 * S)
    with pytest.raises(TransformError, match="after the newest"):
        SnapshotFrames(snapshot).transform("base_link", "odom", 130 * S)


def test_frames_of_a_program_are_numbered_by_stamp_around_those_they_carry(picture: np.ndarray) -> None:
    payload = ImagePayload.from_array(picture, "rgb8")
    frames = [Frame("a", stamp, payload, index=index) for stamp, index in ((3, -1), (1, -1), (2, 0))]
    snapshot = Snapshot.from_frames(frames, "map")
    assert [(frame.stamp, frame.index, frame.frame_id) for frame in snapshot] == [
        (1, 1, "map"),
        (2, 0, "map"),
        (3, 2, "map"),
    ]
    with pytest.raises(ValueError, match="same index twice"):
        Snapshot.from_frames([frames[2], frames[2]])


def test_an_empty_snapshot_can_be_exported(tmp_path: Path) -> None:
    assert read_manifest(Snapshot.from_frames([]).export(tmp_path)).frames == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 99}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(ManifestError):
        read_manifest(path)


def test_a_manifest_whose_transforms_are_cut_off_is_refused(
    ring: FrameBuffer, poses: TransformBuffer, tmp_path: Path
) -> None:
    path = _snap(ring, poses).export(tmp_path)
    (tmp_path / json.loads(path.read_text())["transforms"]["file"]).write_bytes(b"short")
    with pytest.raises(TransformError, match="5 bytes"):
        read_manifest(path)


@pytest.mark.process
def test_a_kernel_reads_a_manifest_with_numpy_and_opencv_alone() -> None:
    code = (
        "import sys, spatialclaw_ros.frames.manifest\n"
        "foreign = {name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in foreign if not name.startswith('_')))"
    )
    found = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {os.getcwd()!r}); {code}"],
                           capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
    for name in ("scipy", "pytransform3d", "rosbags", "rclpy", "httpx", "msgpack", "jupyter_client", "PIL"):
        assert f"'{name}'" not in found.stdout
