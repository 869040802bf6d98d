"""The ring keeps what it promises, drops what it must, and says why."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from spatialclaw_ros.errors import BadGoal, NoFrames
from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.decode import ColorEncodingError, DepthEncodingError
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.poses import NoPoses
from spatialclaw_ros.frames.snapshot import Snapshot

MS = 1_000_000
S = 1000 * MS
K = Intrinsics(20.0, 20.0, 8.0, 6.0, 16, 12)
Make = Callable[..., ImagePayload]
MakeBuffer = Callable[..., FrameBuffer]


def _snap(buffer: FrameBuffer, start: int = 0, end: int = 0, cameras: tuple[str, ...] = ()) -> Snapshot:
    return buffer.snapshot(cameras, start, end, NoPoses(), "odom")


def _stamps(buffer: FrameBuffer) -> list[int]:
    return [frame.stamp for frame in _snap(buffer)]


def test_a_kept_image_lies_once_in_shared_memory(make_buffer: MakeBuffer, color: Make, store) -> None:
    buffer = make_buffer()
    kept = buffer.add_color("front", S, color(), "cam")
    files = list((store.folder / "ring0").iterdir())
    assert [str(file) for file in files] == [kept.file]
    assert files[0].read_bytes() == bytes(kept.data) == bytes(color().data)
    assert kept.data.readonly and buffer.bytes == 16 * 12 * 3


def test_rate_drops_by_stamp_and_keeps_the_average(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=5.0)
    for k in range(90):
        buffer.add_color("front", k * S // 30, color(), "cam")
    stats = buffer.stats()["front"]
    assert stats["kept"]["color"] == 15 and stats["dropped"] == {"rate": 75}


def test_a_jittering_camera_at_the_rate_loses_nothing(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=5.0, seconds=100.0)
    jitter = np.random.default_rng(0).integers(-10 * MS, 10 * MS, 50)
    for k in range(50):
        buffer.add_color("front", S + k * 200 * MS + int(jitter[k]), color(), "cam")
    assert buffer.stats()["front"]["kept"]["color"] == 50


def test_an_image_over_the_rate_is_dropped_before_its_bytes_are_read(make_buffer: MakeBuffer, color: Make) -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> None:
            raise AssertionError(f"a dropped image's {name} was read")

    buffer = make_buffer(rate_hz=5.0)
    buffer.add_color("front", S, color(), "cam")
    assert buffer.add_color("front", S + 33 * MS, Untouchable(), "cam") is None


def test_rate_zero_keeps_all_but_repeated_stamps(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    for stamp in (S, S + 1, S + 1, S + 2):
        buffer.add_color("front", stamp, color(), "cam")
    assert _stamps(buffer) == [S, S + 1, S + 2]
    assert buffer.stats()["front"]["dropped"] == {"repeated stamp": 1}


def test_images_that_come_late_are_put_in_order(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    for stamp in (3 * S, 3 * S - 500 * MS, 3 * S + 1):
        buffer.add_color("front", stamp, color(), "cam")
    assert _stamps(buffer) == [3 * S - 500 * MS, 3 * S, 3 * S + 1]


def test_images_older_than_seconds_go(make_buffer: MakeBuffer, color: Make, store) -> None:
    buffer = make_buffer(seconds=2.0, rate_hz=0)
    for k in range(6):
        buffer.add_color("front", k * S, color(), "cam")
    assert _stamps(buffer) == [3 * S, 4 * S, 5 * S]
    assert len(list((store.folder / "ring0").iterdir())) == 3
    assert buffer.stats()["front"]["evicted"] == {"seconds": 3}


def test_bytes_are_never_exceeded_and_the_oldest_over_all_cameras_go_first(
    make_buffer: MakeBuffer, color: Make
) -> None:
    buffer = make_buffer(rate_hz=0, max_bytes=4 * 576)
    for k in range(4):
        buffer.add_color("left" if k % 2 else "right", S + k, color(), "cam")
        assert buffer.bytes <= 4 * 576
    buffer.add_color("left", S + 9, color(), "cam")
    assert buffer.bytes == 4 * 576
    assert _stamps(buffer) == [S + 1, S + 2, S + 3, S + 9]
    assert buffer.stats()["right"]["evicted"] == {"bytes": 1}


def test_an_image_above_max_bytes_is_dropped_and_evicts_nothing(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0, max_bytes=1000)
    buffer.add_color("front", S, color(), "cam")
    assert buffer.add_color("front", S + 1, color(1, (64, 48)), "cam") is None
    assert _stamps(buffer) == [S]
    assert buffer.stats()["front"]["dropped"] == {"bytes": 1}


def test_pinned_frames_stay_and_count(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0, max_bytes=3 * 576)
    for k in range(2):
        buffer.add_color("front", S + k, color(k), "cam")
    pinned = _snap(buffer)
    for k in range(2, 6):
        buffer.add_color("front", S + k, color(k), "cam")
    assert buffer.bytes == 3 * 576
    assert [frame.stamp - S for frame in _snap(buffer)] == [0, 1, 5]
    assert [int(frame.color[0, 0, 0]) for frame in pinned] == [0, 1]


def test_nothing_is_kept_while_pins_fill_the_ring(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0, max_bytes=2 * 576)
    for k in range(2):
        buffer.add_color("front", S + k, color(), "cam")
    pinned = _snap(buffer)
    assert buffer.add_color("front", S + 5, color(), "cam") is None
    pinned.release()
    assert buffer.add_color("front", S + 6, color(), "cam") is not None


@pytest.mark.parametrize("depth_first", [True, False])
def test_depth_never_evicts_the_frame_it_belongs_to(
    make_buffer: MakeBuffer, color: Make, depth: Make, depth_first: bool
) -> None:
    colors, depths = 16 * 12 * 3, 16 * 12 * 2
    buffer = make_buffer(rate_hz=0, max_bytes=3 * (colors + depths) + colors)

    def see(stamp: int) -> None:
        if depth_first:
            buffer.add_depth("front", stamp, depth(), "cam")
        buffer.add_color("front", stamp, color(), "cam")
        if not depth_first:
            buffer.add_depth("front", stamp, depth(), "cam")

    for k in range(3):
        see(S + k * 100 * MS)
    pinned = _snap(buffer)
    see(2 * S)
    newest = _snap(buffer)[-1]
    assert newest.stamp == 2 * S and newest.depth is None and "no room in shared memory" in newest.notes[0]
    pinned.release()
    buffer.clear()
    assert buffer.bytes == 0


def test_a_ring_too_small_for_one_frame_keeps_its_colour_alone(
    make_buffer: MakeBuffer, color: Make, depth: Make
) -> None:
    buffer = make_buffer(rate_hz=0, max_bytes=16 * 12 * 4)
    for k in range(3):
        buffer.add_depth("front", S + k * 100 * MS, depth(), "cam")
        assert buffer.add_color("front", S + k * 100 * MS, color(), "cam") is not None
    assert _stamps(buffer) == [S + 200 * MS]
    assert buffer.stats()["front"]["dropped"] == {"bytes": 3}


def test_a_pin_survives_eviction_by_seconds_until_release(make_buffer: MakeBuffer, color: Make, store) -> None:
    buffer = make_buffer(seconds=1.0, rate_hz=0)
    buffer.add_color("front", S, color(5), "cam")
    snapshot = _snap(buffer)
    buffer.add_color("front", 9 * S, color(6), "cam")
    ring = store.folder / "ring0"
    assert len(list(ring.iterdir())) == 2 and buffer.bytes == 2 * 576
    snapshot.release()
    assert len(list(ring.iterdir())) == 1 and buffer.bytes == 576
    assert (snapshot[0].color == 5).all()


def test_a_forgotten_snapshot_lets_its_pins_go(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(seconds=1.0, rate_hz=0)
    buffer.add_color("front", S, color(), "cam")
    snapshot = _snap(buffer)
    buffer.add_color("front", 9 * S, color(), "cam")
    del snapshot
    assert buffer.bytes == 576


def test_a_pose_source_that_fails_leaves_no_pin(make_buffer: MakeBuffer, color: Make) -> None:
    class Failing:
        def pose(self, optical_frame: str, world_frame: str, stamp_ns: int) -> np.ndarray:
            raise RuntimeError("no middleware")

    buffer = make_buffer(seconds=1.0, rate_hz=0)
    buffer.add_color("front", S, color(), "cam")
    with pytest.raises(RuntimeError):
        buffer.snapshot([], 0, 0, Failing(), "odom")
    buffer.add_color("front", 9 * S, color(), "cam")
    assert buffer.bytes == 576


def test_a_jump_back_in_time_clears_the_ring_and_numbers_anew(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    for k in range(5):
        buffer.add_color("front", (10 + k) * S, color(), "cam")
    buffer.add_color("front", 10 * S, color(), "cam")
    snapshot = _snap(buffer)
    assert [(frame.stamp, frame.index) for frame in snapshot] == [(10 * S, 0)]
    assert buffer.generation == 1


def test_a_loop_of_all_streams_clears_once(make_buffer: MakeBuffer, color: Make, depth: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    for _ in range(2):
        for k in range(5):
            buffer.add_color("front", (10 + k) * S, color(), "cam")
            buffer.add_depth("front", (10 + k) * S, depth(), "cam")
            buffer.add_camera_info("front", (10 + k) * S, K, "cam")
    assert buffer.generation == 1
    assert all(frame.depth is not None and frame.intrinsics == K for frame in _snap(buffer))


def test_a_camera_behind_another_clears_nothing(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    buffer.add_color("front", 100 * S, color(), "cam")
    buffer.add_color("rear", 90 * S, color(), "rear_cam")
    assert buffer.generation == 0 and len(_snap(buffer, start=1)) == 2


def test_refused_images_are_counted_by_name_and_leave_the_ring_serving(
    make_buffer: MakeBuffer, color: Make, depth: Make
) -> None:
    buffer = make_buffer()
    with pytest.raises(ColorEncodingError):
        buffer.add_color("front", S, ImagePayload("yuv422", memoryview(b"0000"), 1, 1, 4), "cam")
    with pytest.raises(DepthEncodingError):
        buffer.add_depth("front", S, ImagePayload("8UC1", memoryview(b"0000"), 1, 1, 4), "cam")
    assert buffer.add_color("front", S, color(), "cam") is not None
    assert buffer.stats()["front"]["dropped"] == {"ColorEncodingError": 1, "DepthEncodingError": 1}


def test_snapshot_takes_the_window_and_the_cameras_asked_for(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    for k in range(10):
        buffer.add_color("left" if k % 2 else "right", k * S, color(), "cam")
    assert [frame.stamp // S for frame in _snap(buffer, 3 * S, 6 * S)] == [3, 4, 5, 6]
    left = _snap(buffer, cameras=("left",))
    assert left.cameras == ("left",) and [frame.index for frame in left] == [1, 3, 5, 7, 9]


def test_an_empty_window_says_what_the_buffer_holds(make_buffer: MakeBuffer, color: Make) -> None:
    buffer = make_buffer(rate_hz=0)
    with pytest.raises(NoFrames, match="no image has come yet"):
        _snap(buffer)
    buffer.add_color("front", 5 * S, color(), "cam")
    with pytest.raises(NoFrames, match=r"front 1 frames from 5.000 s to 5.000 s"):
        _snap(buffer, 7 * S, 9 * S)


def test_a_window_that_ends_before_it_begins_is_a_bad_goal(make_buffer: MakeBuffer) -> None:
    with pytest.raises(BadGoal, match="before it begins"):
        _snap(make_buffer(), 9 * S, 7 * S)


def test_full_shared_memory_evicts_the_oldest(make_buffer: MakeBuffer, color: Make, monkeypatch) -> None:
    from spatialclaw_ros.frames import image_files

    buffer = make_buffer(rate_hz=0)
    for k in range(3):
        buffer.add_color("front", S + k, color(), "cam")
    write, refusals = image_files.write_all, iter([True, True])

    def full_twice(descriptor: int, data: memoryview) -> int:
        if next(refusals, False):
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(image_files, "write_all", full_twice)
    assert buffer.add_color("front", S + 3, color(), "cam") is not None
    assert _stamps(buffer) == [S + 2, S + 3]
    assert buffer.stats()["front"]["evicted"] == {"shared memory full": 2}


def test_shared_memory_that_stays_full_drops_the_image_and_leaves_no_file(
    make_buffer: MakeBuffer, color: Make, store, monkeypatch
) -> None:
    from spatialclaw_ros.frames import image_files

    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_files, "write_all", full)
    buffer = make_buffer()
    assert buffer.add_color("front", S, color(), "cam") is None
    assert buffer.stats()["front"]["dropped"] == {"shared memory full": 1}
    assert not list((store.folder / "ring0").iterdir())


def test_concurrent_writers_and_snapshots_keep_the_count(make_buffer: MakeBuffer, color: Make, depth: Make) -> None:
    buffer = make_buffer(rate_hz=0, seconds=0.05, max_bytes=200_000)
    failures: list[BaseException] = []

    def write(camera: str) -> None:
        try:
            for k in range(150):
                buffer.add_depth(camera, S + k * MS, depth(), "cam")
                buffer.add_color(camera, S + k * MS, color(k), "cam")
        except BaseException as error:
            failures.append(error)

    def read() -> None:
        try:
            while any(thread.is_alive() for thread in writers):
                try:
                    snapshot = _snap(buffer)
                except NoFrames:
                    continue
                assert len({frame.index for frame in snapshot}) == len(snapshot)
                for frame in snapshot:
                    assert (frame.color == (frame.stamp - S) // MS).all()
                snapshot.release()
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(f"camera{k}",)) for k in range(4)]
    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for thread in (*writers, reader):
        thread.join(60)
    assert not failures
    stats = buffer.stats()
    assert all(camera["received"] == {"depth": 150, "color": 150} for camera in stats.values())
    assert buffer.bytes == sum(camera["bytes"] for camera in stats.values()) <= 200_000


def test_close_removes_every_file_and_frames_stay_readable(make_buffer: MakeBuffer, color: Make, store) -> None:
    buffer = make_buffer()
    buffer.add_color("front", S, color(7), "cam")
    snapshot = _snap(buffer)
    buffer.close()
    assert not (store.folder / "ring0").exists()
    assert (snapshot[0].color == 7).all()
    snapshot.release()
    assert buffer.add_color("front", 2 * S, color(), "cam") is None
    assert buffer.stats()["front"]["dropped"] == {"closed": 1}


def test_a_buffer_of_its_own_leaves_nothing_in_shared_memory(color: Make) -> None:
    buffer = FrameBuffer()
    folder = buffer._store.folder
    buffer.add_color("front", S, color(), "cam")
    assert folder.is_dir() and list((folder / "ring").iterdir())
    buffer.close()
    assert not folder.exists()
