"""A Frame from picture files on disk: JPEG and PNG stay compressed until they are used."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike

from spatialclaw_ros.errors import CameraInfoError, ImageError
from spatialclaw_ros.frames.camera import Intrinsics
from spatialclaw_ros.frames.compressed import CompressedHeader, read_header
from spatialclaw_ros.frames.decode import check_payload
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.image_errors import DepthSizeError, ImageLayoutError
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.poses import check_pose

_COMPRESSED = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}
_MILLIMETRE = 1e-3


def frame_from_files(
    color: str | Path,
    depth: str | Path | None = None,
    intrinsics: Intrinsics | ArrayLike | None = None,
    pose: np.ndarray | None = None,
    stamp: int = 0,
    camera: str = "camera",
    depth_scale: float = _MILLIMETRE,
) -> Frame:
    """Make a frame of a colour file and, where there is one, a registered depth file.

    color: JPEG or PNG (kept compressed), or anything else that OpenCV reads. depth: 16-bit grey PNG or PGM of the same
    size, 0 and 65535 invalid; depth_scale: metres per unit (0.001; TUM 1/5000). intrinsics: Intrinsics, or the (3, 3)
    camera matrix K of these pictures. pose: (4, 4) camera-to-world, optical convention. stamp: nanoseconds.
    Raises: ImageError where a file is missing or not such a picture, DepthSizeError, ImageLayoutError where the
        intrinsics are for another size, CameraInfoError where they are unusable,
        TransformError for a pose that is not finite and rigid.
    """
    color_payload = _color_payload(Path(color))
    depth_payload = None if depth is None else _depth_payload(Path(depth), depth_scale)
    size = (color_payload.width, color_payload.height)
    if depth_payload is not None and (depth_payload.width, depth_payload.height) != size:
        raise DepthSizeError(
            (depth_payload.width, depth_payload.height), size, str(depth), "Give the depth file registered to colour."
        )
    camera_info = None if intrinsics is None else _intrinsics(intrinsics, size, str(color))
    if camera_info is not None and (camera_info.width, camera_info.height) != size:
        raise ImageLayoutError(
            f"{color}: {size[0]}x{size[1]} pixels, its intrinsics are for {camera_info.width}x{camera_info.height}; "
            f"expected the same size. Scale fx, fy, cx and cy with the picture."
        )
    if pose is not None:
        pose = check_pose(pose, f"{color}")
    return Frame(
        camera=camera,
        stamp=stamp,
        color_payload=color_payload,
        depth_payload=depth_payload,
        intrinsics=camera_info,
        pose=pose,
        optical_frame=f"{camera}_optical_frame",
        depth_stamp=stamp if depth_payload is not None else 0,
    )


def _intrinsics(given: Intrinsics | ArrayLike, size: tuple[int, int], name: str) -> Intrinsics:
    if isinstance(given, Intrinsics):
        return given
    try:
        return Intrinsics.from_matrix(given, *size)
    except CameraInfoError as error:
        raise CameraInfoError(f"{name}: {error}") from error


def _color_payload(path: Path) -> ImagePayload:
    encoding = _COMPRESSED.get(path.suffix.lower())
    if encoding is not None:
        return _checked(ImagePayload(encoding, memoryview(_read(path)), source=str(path)), depth=False)
    return ImagePayload.from_array(cv2.cvtColor(_open(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), "rgb8", str(path))


def _depth_payload(path: Path, scale: float) -> ImagePayload:
    if path.suffix.lower() == ".png" and scale == _MILLIMETRE:
        data = memoryview(_read(path))
        _check_depth_header(read_header(data, str(path)), path)
        return _checked(ImagePayload("16UC1; png compressed", data, source=str(path)), depth=True)
    raw = _open(path, cv2.IMREAD_UNCHANGED)
    if raw.dtype != np.uint16 or raw.ndim != 2:
        raise ImageLayoutError(f"{path}: depth file holds {raw.shape} {raw.dtype}; expected (H, W) uint16")
    metres = raw * np.float32(scale)
    metres[(raw == 0) | (raw == np.iinfo(np.uint16).max)] = np.nan
    return ImagePayload.from_array(metres, "32FC1", str(path))


def _check_depth_header(header: CompressedHeader, path: Path) -> None:
    if (header.kind, header.bits, header.channels) != ("png", 16, 1):
        raise ImageLayoutError(
            f"{path}: depth file is a {header.kind} with {header.channels} channels of {header.bits} bits; expected a "
            f"PNG with one channel of 16 bits, depth in units of depth_scale metres"
        )


def _checked(payload: ImagePayload, depth: bool) -> ImagePayload:
    width, height = check_payload(payload, depth)
    return ImagePayload(payload.encoding, payload.data, width, height, source=payload.source)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error


def _open(path: Path, flags: int) -> np.ndarray:
    data = _read(path)
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if picture is None:
        raise ImageError(f"{path}: OpenCV cannot read it as a picture; expected JPEG, PNG, PPM, PGM or TIFF")
    return picture
