"""Image payloads to arrays: colour to RGB8, depth to metres, by encoding alone (REP-118)."""

from __future__ import annotations

import struct
import sys

import cv2
import numpy as np

from spatialclaw_ros.frames.compressed import CompressedHeader, read_header
from spatialclaw_ros.frames.image_errors import (
    ColorEncodingError,
    CompressedDataError,
    DepthEncodingError,
    DepthSizeError,
    ImageLayoutError,
)
from spatialclaw_ros.frames.payload import ImagePayload

__all__ = [
    "ColorEncodingError",
    "CompressedDataError",
    "DepthEncodingError",
    "DepthSizeError",
    "ImageLayoutError",
    "check_payload",
    "decode_color",
    "decode_depth",
]

MAX_PIXELS = 1 << 27
"""A header that claims more is damaged or hostile: decoding it would take 400 MB of memory."""

_RAW_COLOR = {"rgb8": (3, 1), "bgr8": (3, 1), "rgba8": (4, 1), "bgra8": (4, 1), "mono8": (1, 1), "mono16": (1, 2)}
_RAW_DEPTH = {"16UC1": (1, 2), "mono16": (1, 2), "32FC1": (1, 4)}
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
}
_IMREAD_COLOR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION  # depth and intrinsics know nothing of EXIF turns
_MILLIMETRE = np.float32(1e-3)
_DEPTH_HEADER = struct.Struct("<iff")
"""compressed_depth_image_transport's ConfigHeader: int32 format, float quantisation A and B, before the PNG file."""


def check_payload(payload: ImagePayload, depth: bool) -> tuple[int, int]:
    """Check encoding, size, layout and (for compressed data) the file's header and end, in microseconds.

    Returns: (width, height) in pixels, read from the file's header for compressed data.
    Raises: ColorEncodingError or DepthEncodingError, ImageLayoutError, CompressedDataError.
    """
    formats = _RAW_DEPTH if depth else _RAW_COLOR
    if payload.encoding in formats:
        _row_bytes(payload, *formats[payload.encoding])
        return payload.width, payload.height
    header = _depth_header(payload) if depth else _color_header(payload)
    if header.width < 1 or header.height < 1 or header.width * header.height > MAX_PIXELS:
        raise ImageLayoutError(
            f"{payload.source or 'image'}: {header.kind} header says {header.width}x{header.height} pixels; "
            f"expected 1 to {MAX_PIXELS} pixels"
        )
    return header.width, header.height


def decode_color(payload: ImagePayload) -> np.ndarray:
    """Decode a colour or grey picture.

    Returns: (H, W, 3) uint8 RGB, read-only; for rgb8 a view of the payload, no copy. mono16 keeps its high byte.
        A JPEG or PNG file's own colour space counts, not the pixel order named after 'compressed', and EXIF
        orientation is not applied, so that pixels agree with depth and intrinsics.
    Raises: ColorEncodingError, ImageLayoutError, CompressedDataError.
    """
    width, height = check_payload(payload, depth=False)
    if payload.encoding not in _RAW_COLOR:
        picture = _decompress(payload, payload.data, _IMREAD_COLOR)
        _expect_size(payload, picture, width, height)
        return _read_only(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    channels, item = _RAW_COLOR[payload.encoding]
    rows = _rows(payload, channels * item)
    if payload.encoding == "mono16":
        pixels = rows.view(_byte_order(payload, np.uint16))
        return _read_only(cv2.cvtColor((pixels >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB))
    if channels > 1:
        rows = np.lib.stride_tricks.as_strided(
            rows, (height, width, channels), (rows.strides[0], channels, 1), writeable=False
        )
    if payload.encoding == "rgb8":
        return rows
    return _read_only(cv2.cvtColor(np.ascontiguousarray(rows), _TO_RGB[payload.encoding]))


def decode_depth(payload: ImagePayload) -> np.ndarray:
    """Decode a depth image.

    Returns: (H, W) float32, metres along the optical axis, NaN where the sensor saw nothing; read-only.
    Raises: DepthEncodingError, ImageLayoutError, CompressedDataError.
    Source: REP-118 (16UC1 is millimetres with 0 invalid, 32FC1 is metres with NaN invalid).
    """
    width, height = check_payload(payload, depth=True)
    if payload.encoding not in _RAW_DEPTH:
        depth = _decompress_depth(payload)
        _expect_size(payload, depth, width, height)
        return _read_only(depth)
    item = _RAW_DEPTH[payload.encoding][1]
    rows = _rows(payload, item)
    if item == 2:
        return _read_only(_from_millimetres(rows.view(_byte_order(payload, np.uint16))))
    depth = rows.view(_byte_order(payload, np.float32)).astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return _read_only(depth)


def _from_millimetres(raw: np.ndarray) -> np.ndarray:
    depth = raw * _MILLIMETRE
    depth[(raw == 0) | (raw == np.iinfo(np.uint16).max)] = np.nan  # Kinect-style drivers also write 65535
    return depth


def _decompress_depth(payload: ImagePayload) -> np.ndarray:
    """Source: compressed_depth_image_transport's codec.cpp: 32FC1 is stored as inverse depth, i = A / depth + B."""
    if "compressedDepth" not in payload.encoding:
        return _from_millimetres(_decompress(payload, payload.data, cv2.IMREAD_UNCHANGED))
    raw = _decompress(payload, payload.data[_DEPTH_HEADER.size :], cv2.IMREAD_UNCHANGED)
    if not payload.encoding.startswith("32FC1"):
        return _from_millimetres(raw)
    _, quant_a, quant_b = _DEPTH_HEADER.unpack(payload.data[: _DEPTH_HEADER.size])
    with np.errstate(divide="ignore"):
        depth = np.float32(quant_a) / (raw.astype(np.float32) - np.float32(quant_b))
    depth[(raw == 0) | ~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth


def _color_header(payload: ImagePayload) -> CompressedHeader:
    encoding = payload.encoding.lower()
    if encoding.startswith(("16uc1", "32fc1")) or "compresseddepth" in encoding:
        raise ColorEncodingError(payload.encoding, payload.source, "This is a depth image; name it as the depth topic.")
    if not any(kind in encoding for kind in ("jpeg", "jpg", "png")):
        raise ColorEncodingError(payload.encoding, payload.source)
    return read_header(payload.data, payload.source)


def _depth_header(payload: ImagePayload) -> CompressedHeader:
    encoding = payload.encoding
    data = payload.data
    if "compressedDepth" in encoding:
        if not encoding.startswith(("16UC1", "32FC1")):
            raise DepthEncodingError(encoding, payload.source)
        if "rvl" in encoding:
            hint = "RVL is not decoded: set the publisher's compressedDepth 'format' parameter to 'png'."
            raise DepthEncodingError(encoding, payload.source, hint)
        if data.nbytes <= _DEPTH_HEADER.size:
            raise CompressedDataError(f"{payload.source}: compressedDepth of {data.nbytes} bytes is only a header")
        data = data[_DEPTH_HEADER.size :]
    elif encoding != "png" and not (encoding.startswith(("16UC1", "mono16")) and "png" in encoding):
        raise DepthEncodingError(encoding, payload.source)
    header = read_header(data, payload.source)
    if (header.kind, header.bits, header.channels) != ("png", 16, 1):
        found = f"{header.kind} with {header.channels} channels of {header.bits} bits"
        raise DepthEncodingError(encoding, payload.source, f"Its data is a {found}; depth is a 16-bit grey PNG.")
    return header


def _decompress(payload: ImagePayload, data: memoryview, flags: int) -> np.ndarray:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise CompressedDataError(f"{payload.source or 'image'}: OpenCV cannot decode it: {error.err}") from error
    if picture is None:
        raise CompressedDataError(f"{payload.source or 'image'}: {data.nbytes} bytes of {payload.encoding} are damaged")
    return picture


def _expect_size(payload: ImagePayload, picture: np.ndarray, width: int, height: int) -> None:
    if picture.shape[:2] != (height, width):
        got = f"{picture.shape[1]}x{picture.shape[0]}"
        raise CompressedDataError(f"{payload.source or 'image'}: decoded to {got}, its header says {width}x{height}")


def _row_bytes(payload: ImagePayload, channels: int, item: int) -> int:
    """Bytes of pixels in a row. Raises: ImageLayoutError where width, height, step and data length contradict."""
    row_bytes = payload.width * channels * item
    needed = payload.step * payload.height
    if payload.width < 1 or payload.height < 1 or payload.step < row_bytes or payload.data.nbytes < needed:
        raise ImageLayoutError(
            f"{payload.source or 'image'}: {payload.width}x{payload.height} {payload.encoding} needs a size above "
            f"zero, step >= {row_bytes} and {max(payload.step, row_bytes) * payload.height} bytes; got step "
            f"{payload.step} and {payload.data.nbytes} bytes"
        )
    return row_bytes


def _rows(payload: ImagePayload, pixel_bytes: int) -> np.ndarray:
    """View the payload as (H, W * pixel_bytes) uint8 without row padding and without a copy; read-only."""
    flat = np.frombuffer(payload.data, np.uint8, count=payload.step * payload.height)
    rows = flat.reshape(payload.height, payload.step)[:, : payload.width * pixel_bytes]
    return _read_only(rows)


def _byte_order(payload: ImagePayload, pixel: type[np.generic]) -> np.dtype:
    swapped = payload.is_bigendian != (sys.byteorder == "big")
    return np.dtype(pixel).newbyteorder() if swapped else np.dtype(pixel)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
