"""Frames from picture files and recordings, real ones and bad ones."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from spatialclaw_ros.errors import CameraInfoError, ImageError, RecordingError, TransformError
from spatialclaw_ros.frames import messages
from spatialclaw_ros.frames.bag import CameraTopics, frames_from_bag
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.camera_topics import find_cameras
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.image_errors import CompressedDataError, DepthSizeError, ImageLayoutError

K = Intrinsics(585.0, 585.0, 320.0, 240.0, 640, 480)


@pytest.fixture
def files(tmp_path: Path, jpeg: bytes) -> tuple[Path, Path]:
    (tmp_path / "color.jpg").write_bytes(jpeg)
    cv2.imwrite(str(tmp_path / "depth.png"), np.full((48, 64), 1500, np.uint16))
    return tmp_path / "color.jpg", tmp_path / "depth.png"


def test_picture_files_stay_compressed_until_used(files: tuple[Path, Path], jpeg: bytes) -> None:
    frame = Frame.from_files(*files, stamp=7, camera="front")
    assert bytes(frame.color_payload.data) == jpeg
    assert (frame.color_payload.width, frame.color_payload.height) == (64, 48)
    assert frame.color.shape == (48, 64, 3) and frame.depth[0, 0] == pytest.approx(1.5)
    assert (frame.camera, frame.stamp, frame.depth_stamp) == ("front", 7, 7)


def test_another_depth_scale_gives_metres(files: tuple[Path, Path]) -> None:
    assert Frame.from_files(*files, depth_scale=1 / 5000).depth[0, 0] == pytest.approx(0.3)


def test_missing_and_empty_files_are_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no_such.jpg"):
        Frame.from_files(tmp_path / "no_such.jpg")
    (tmp_path / "empty.ppm").touch()
    with pytest.raises(ImageError, match="cannot read it"):
        Frame.from_files(tmp_path / "empty.ppm")


def test_truncated_file_is_refused_when_it_is_opened(files: tuple[Path, Path], jpeg: bytes) -> None:
    files[0].write_bytes(jpeg[:200])
    with pytest.raises(CompressedDataError):
        Frame.from_files(files[0])


def test_depth_file_of_another_size_is_refused(files: tuple[Path, Path]) -> None:
    cv2.imwrite(str(files[1]), np.ones((24, 32), np.uint16))
    with pytest.raises(DepthSizeError, match="32x24"):
        Frame.from_files(*files)


def test_intrinsics_of_another_size_are_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(ImageLayoutError, match="640x480"):
        Frame.from_files(files[0], intrinsics=K)


def test_camera_matrix_will_do_as_intrinsics(files: tuple[Path, Path]) -> None:
    rows = [[58.5, 0, 32], [0, 58.0, 24], [0, 0, 1]]
    for matrix in (rows, np.array(rows)):
        camera = Frame.from_files(files[0], intrinsics=matrix).intrinsics
        assert camera == Intrinsics(58.5, 58.0, 32.0, 24.0, 64, 48)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.zeros((3, 3)), "fx=0"),
        ([585.0, 585.0, 320.0, 240.0], r"shape \(4,\)"),
        ([[1, 2], [3]], "no 3x3 numbers"),
        (np.eye(3) * 2, "no pinhole camera"),
        (np.full((3, 3), np.nan), "no pinhole camera"),
        ("camera.yaml", "no 3x3 numbers"),
    ],
)
def test_camera_matrix_that_is_none_is_refused(files: tuple[Path, Path], matrix: object, said: str) -> None:
    with pytest.raises(CameraInfoError, match=rf"color\.jpg: .*{said}"):
        Frame.from_files(files[0], intrinsics=matrix)


def test_errors_of_files_do_not_speak_of_topics(files: tuple[Path, Path], tmp_path: Path, jpeg: bytes) -> None:
    messages_ = []
    (tmp_path / "text.png").write_bytes(b"hello")
    cv2.imwrite(str(tmp_path / "color.png"), np.zeros((48, 64, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "small.png"), np.ones((24, 32), np.uint16))
    for color, depth in (("text.png", None), ("color.jpg", "color.png"), ("color.jpg", "small.png")):
        with pytest.raises(ImageError) as caught:
            Frame.from_files(tmp_path / color, None if depth is None else tmp_path / depth)
        messages_.append(str(caught.value))
    assert not [message for message in messages_ if "topic" in message or "transport" in message or "Remap" in message]
    assert "3 channels of 8 bits; expected a PNG with one channel of 16 bits" in messages_[1]


def test_nan_pose_is_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(TransformError, match="finite"):
        Frame.from_files(files[0], pose=np.full((4, 4), np.nan))


def test_icl_nuim_frames_agree_with_their_trajectory(test_data: Path) -> None:
    folder = test_data / "icl_nuim" / "RGBD"
    if not folder.is_dir():
        pytest.skip(f"no icl_nuim in {test_data}")
    camera = Intrinsics(525.0, 525.0, 319.5, 239.5, 640, 480)
    rows = np.loadtxt(line for line in (folder / "trajectory.log").open() if len(line.split()) == 4).reshape(-1, 4, 4)
    first, last = (
        Frame.from_files(folder / "color" / f"0000{k}.jpg", folder / "depth" / f"0000{k}.png", camera, rows[k])
        for k in (0, 4)
    )
    v, u = np.mgrid[40:440:20, 40:600:20]
    z = first.depth[v, u]
    points = np.stack([(u - camera.cx) * z / camera.fx, (v - camera.cy) * z / camera.fy, z, np.ones_like(z)], axis=-1)
    seen = points.reshape(-1, 4) @ (np.linalg.inv(last.pose) @ first.pose).T
    seen = seen[np.isfinite(seen).all(axis=1)]
    pixel = np.round(seen[:, :2] / seen[:, 2:3] * camera.fx + (camera.cx, camera.cy)).astype(int)
    inside = ((pixel >= 0) & (pixel < (640, 480))).all(axis=1)
    error = np.abs(last.depth[pixel[inside, 1], pixel[inside, 0]] - seen[inside, 2])
    assert inside.sum() > 300 and np.nanmedian(error) < 0.01


def test_foreign_depth_formats_of_icl_nuim_are_read(test_data: Path) -> None:
    folder = test_data / "icl_nuim" / "RGBD" / "other_formats"
    if not folder.is_dir():
        pytest.skip(f"no icl_nuim in {test_data}")
    tum = Frame.from_files(folder / "TUM_color.png", folder / "TUM_depth.png", depth_scale=1 / 5000)
    assert 0.3 < np.nanmedian(tum.depth) < 8.0
    assert Frame.from_files(folder / "NYU_color.ppm").color.shape == (480, 640, 3)


def test_kitchen_bag_holds_the_kitchen_frames(kitchen_data: Path) -> None:
    snapshot = frames_from_bag(kitchen_data / "kitchen_bag", gravity_aligned=False)
    assert [frame.index for frame in snapshot] == list(range(40))
    assert snapshot.cameras == ("camera",) and not snapshot.gravity_aligned
    for k in (0, 12, 39):
        stem = kitchen_data / "kitchen_frames" / f"frame-{25 * k:06d}"
        pose = np.loadtxt(f"{stem}.pose.txt")
        frame = Frame.from_files(f"{stem}.color.jpg", f"{stem}.depth.png", K, pose)
        np.testing.assert_array_equal(snapshot[k].color, frame.color)
        np.testing.assert_array_equal(snapshot[k].depth, frame.depth)
        np.testing.assert_allclose(snapshot[k].pose[:3, 3], pose[:3, 3], atol=1e-6)
        np.testing.assert_allclose(snapshot[k].pose, pose, atol=0.01)  # the bag's quaternions are 0.4 degrees off
        assert snapshot[k].intrinsics.matrix.tolist() == K.matrix.tolist() and not snapshot[k].notes
    path = np.array([frame.pose[:3, 3] for frame in snapshot])
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() == pytest.approx(6.54, abs=0.02)
    snapshot.release()


def test_rate_thins_a_recording(kitchen_data: Path) -> None:
    assert 16 <= len(frames_from_bag(kitchen_data / "kitchen_bag", rate_hz=0.5)) <= 18


def test_recording_leaves_shared_memory_with_its_snapshot(kitchen_data: Path) -> None:
    snapshot = frames_from_bag(kitchen_data / "kitchen_bag", rate_hz=0.2)
    file = Path(snapshot[0].color_payload.file)
    assert file.exists()
    snapshot.release()
    gc.collect()
    assert not file.parent.parent.exists()
    assert snapshot[0].color.shape == (480, 640, 3)


def test_topic_that_is_not_there_is_named_with_those_that_are(kitchen_data: Path) -> None:
    cameras = {"front": CameraTopics("/front/image")}
    with pytest.raises(
        RecordingError, match=r"'/front/image' of camera 'front' is not in it.*/camera/color/camera_info"
    ):
        frames_from_bag(kitchen_data / "kitchen_bag", cameras)
    cameras = {"front": CameraTopics("/odom")}
    with pytest.raises(RecordingError, match="is nav_msgs/msg/Odometry; expected sensor_msgs/msg/Image"):
        frames_from_bag(kitchen_data / "kitchen_bag", cameras)


@pytest.mark.parametrize("size", [0, 100, 2_000_000])
def test_truncated_recording_says_what_is_there(kitchen_data: Path, tmp_path: Path, size: int) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    shutil.copyfile(kitchen_data / "kitchen_bag" / "metadata.yaml", bag / "metadata.yaml")
    whole = (kitchen_data / "kitchen_bag" / "kitchen_bag.mcap").read_bytes()
    (bag / "kitchen_bag.mcap").write_bytes(whole[:size])
    with pytest.raises(RecordingError, match=rf"kitchen_bag.mcap \({size} bytes\)"):
        frames_from_bag(bag)


def test_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        frames_from_bag(tmp_path / "nothing")
    with pytest.raises(RecordingError, match="no file"):
        frames_from_bag(tmp_path)


def test_what_never_was_a_recording_is_told_without_advice_to_repair_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello")
    for path in (tmp_path / "README.md", tmp_path):
        with pytest.raises(RecordingError, match=r"expected a rosbag2 folder \(metadata\.yaml beside") as caught:
            frames_from_bag(path)
        assert "recover" not in str(caught.value) and "reindex" not in str(caught.value)


def test_folder_with_recordings_but_without_metadata_names_them(tmp_path: Path) -> None:
    (tmp_path / "drive_0.mcap").write_bytes(b"x")
    with pytest.raises(RecordingError, match=r"give one of its files \(drive_0\.mcap\).*ros2 bag reindex"):
        frames_from_bag(tmp_path)


@pytest.fixture(params=["mcap", "sqlite3"])
def make_bag(request: pytest.FixtureRequest, tmp_path: Path):
    """make_bag([(topic, message), ...]): a recording in either storage, one message a millisecond."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_JAZZY)

    def make(rows: list[tuple[str, object]]) -> Path:
        path = tmp_path / "made"
        storage = StoragePlugin.MCAP if request.param == "mcap" else StoragePlugin.SQLITE3
        with Writer(path, version=9, storage_plugin=storage) as writer:
            topics = {}
            for k, (topic, message) in enumerate(rows):
                kind = message.__msgtype__
                if topic not in topics:
                    topics[topic] = writer.add_connection(topic, kind, typestore=types)
                writer.write(topics[topic], k * 1_000_000, types.serialize_cdr(message, kind))
        return path

    make.types = types.types
    return make


def _header(types: dict, stamp: float, frame: str):
    time = types["builtin_interfaces/msg/Time"](sec=int(stamp), nanosec=round(stamp % 1 * 1e9))
    return types["std_msgs/msg/Header"](stamp=time, frame_id=frame)


def _image(types: dict, stamp: float, encoding: str, array: np.ndarray, frame: str = "cam"):
    return types["sensor_msgs/msg/Image"](
        header=_header(types, stamp, frame),
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=array.strides[0],
        data=array.view(np.uint8).ravel(),
    )


def test_raw_topics_are_found_and_paired_in_either_storage(make_bag) -> None:
    rows = []
    for k in range(3):
        rows.append(("/rgb/image", _image(make_bag.types, 10 + k, "bgr8", np.full((6, 8, 3), k, np.uint8))))
        rows.append(("/rgb/depth", _image(make_bag.types, 10 + k, "32FC1", np.full((6, 8), 1.0 + k, np.float32))))
    snapshot = frames_from_bag(make_bag(rows))
    assert [float(frame.depth[0, 0]) for frame in snapshot] == [1.0, 2.0, 3.0]
    assert [frame.camera for frame in snapshot] == ["rgb"] * 3
    assert snapshot[0].pose is None and any("no transform" in note for note in snapshot[0].notes)


def test_named_cameras_take_the_camera_info_beside_them_and_their_optical_frame(make_bag) -> None:
    color = _image(make_bag.types, 1, "rgb8", np.zeros((480, 640, 3), np.uint8), "wrong")
    info = _camera_info(make_bag.types)
    path = make_bag([("/head/image", color), ("/head/camera_info", info), ("/rear/image", color)])
    cameras = {"front": CameraTopics("/head/image", optical_frame="head_optical")}
    snapshot = frames_from_bag(path, cameras)
    assert snapshot.cameras == ("front",) and snapshot[0].optical_frame == "head_optical"
    assert snapshot[0].intrinsics.fx == 500


def test_recording_without_pictures_names_its_topics(make_bag) -> None:
    depth = _image(make_bag.types, 1, "16UC1", np.ones((4, 4), np.uint16))
    with pytest.raises(RecordingError, match=r"no colour image topic; its topics: /depth \(sensor_msgs/msg/Image, 1\)"):
        frames_from_bag(make_bag([("/depth", depth)]))


def test_refused_messages_are_logged_and_the_rest_is_read(make_bag, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        ("/rgb/image", _image(make_bag.types, 1, "yuv422", np.zeros((4, 4, 2), np.uint8))),
        ("/rgb/image", _image(make_bag.types, 2, "rgb8", np.zeros((4, 4, 3), np.uint8))),
    ]
    assert len(frames_from_bag(make_bag(rows))) == 1
    assert "ColorEncodingError" in caplog.text and "1 messages refused of /rgb/image" in caplog.text


def test_recording_of_several_runs_is_refused(make_bag) -> None:
    rows = [("/rgb/image", _image(make_bag.types, t, "rgb8", np.zeros((4, 4, 3), np.uint8))) for t in (10, 11, 3)]
    with pytest.raises(RecordingError, match="several runs"):
        frames_from_bag(make_bag(rows))


def _camera_info(types: dict, **changes: object):
    fields = {
        "header": _header(types, 1, "cam"),
        "height": 480,
        "width": 640,
        "distortion_model": "plumb_bob",
        "d": np.array([0.1, 0, 0, 0, 0]),
        "k": np.array([500.0, 0, 320, 0, 510, 240, 0, 0, 1]),
        "r": np.eye(3).ravel(),
        "p": np.array([480.0, 0, 310, 0, 0, 490, 230, 0, 0, 0, 1, 0]),
        "binning_x": 0,
        "binning_y": 0,
        "roi": types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    }
    return types["sensor_msgs/msg/CameraInfo"](**{**fields, **changes})


@pytest.fixture(scope="module")
def types() -> dict:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY).types


def test_camera_info_gives_k_with_distortion_or_p_without(types: dict) -> None:
    raw = messages.intrinsics_from_info(_camera_info(types), "/info")
    assert (raw.fx, raw.fy, raw.cx, raw.cy, raw.distortion[0]) == (500, 510, 320, 240, 0.1)
    rectified = messages.intrinsics_from_info(_camera_info(types), "/info", rectified=True)
    assert (rectified.fx, rectified.fy, rectified.cx, rectified.cy, rectified.distortion) == (480, 490, 310, 230, ())


@pytest.mark.parametrize(
    ("topic", "rectified"),
    [
        ("/camera/image_rect", True),
        ("/camera/image_rect_color/compressed", True),
        ("/depth/image_rect_raw/compressedDepth", True),
        ("/zed/rgb/rect/image", True),
        ("/camera/image_raw", False),
        ("/cam/direct", False),
        ("/cam/direct/compressed", False),
        ("/director/image", False),
    ],
)
def test_rect_counts_as_a_word_of_a_topics_name(topic: str, rectified: bool) -> None:
    assert messages.is_rectified(topic) is rectified


def test_camera_info_region_and_binning_are_applied(types: dict) -> None:
    region = types["sensor_msgs/msg/RegionOfInterest"](
        x_offset=100, y_offset=40, height=200, width=400, do_rectify=False
    )
    camera = messages.intrinsics_from_info(_camera_info(types, binning_x=2, binning_y=2, roi=region), "/info")
    assert (camera.fx, camera.cx, camera.cy, camera.width, camera.height) == (250, 110, 100, 200, 100)


def test_camera_info_without_calibration_names_its_topic(types: dict) -> None:
    with pytest.raises(CameraInfoError, match="/front/info: .*calibrated"):
        messages.intrinsics_from_info(_camera_info(types, k=np.zeros(9)), "/front/info")


def test_cameras_are_grouped_by_name_and_encoding() -> None:
    cameras = find_cameras(
        {
            "/front/color/image_raw": "rgb8",
            "/front/color/image_raw/compressed": "jpeg",
            "/front/depth/image_rect_raw": "16UC1",
            "/front/aligned_depth_to_color/image_raw": "16UC1",
            "/rear/image/compressed": "rgb8; jpeg compressed bgr8",
        },
        ["/front/color/camera_info", "/front/depth/camera_info", "/rear/camera_info"],
    )
    assert cameras == {
        "front": CameraTopics(
            "/front/color/image_raw", "/front/aligned_depth_to_color/image_raw", "/front/color/camera_info"
        ),
        "rear": CameraTopics("/rear/image/compressed", "", "/rear/camera_info"),
    }
