"""Colour pictures of every encoding become the same RGB; what contradicts its header is refused by name."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.frames.decode import (
    ColorEncodingError,
    CompressedDataError,
    ImageLayoutError,
    check_payload,
    decode_color,
)
from spatialclaw_ros.frames.payload import ImagePayload


def _alpha(picture: np.ndarray) -> np.ndarray:
    return np.dstack([picture, np.full(picture.shape[:2], 7, np.uint8)])


def _raw(picture: np.ndarray, encoding: str) -> np.ndarray:
    return {
        "rgb8": picture,
        "bgr8": picture[..., ::-1],
        "rgba8": _alpha(picture),
        "bgra8": _alpha(picture[..., ::-1]),
    }[encoding]


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
def test_raw_colour_becomes_rgb(picture: np.ndarray, encoding: str) -> None:
    payload = ImagePayload.from_array(_raw(picture, encoding), encoding)
    np.testing.assert_array_equal(decode_color(payload), picture)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16"])
def test_row_padding_is_skipped(picture: np.ndarray, encoding: str) -> None:
    pixels = {"mono8": picture[..., 0], "mono16": picture[..., 0].astype(np.uint16) << 8}
    rows = np.ascontiguousarray(pixels[encoding] if encoding in pixels else _raw(picture, encoding))
    rows = rows.view(np.uint8).reshape(12, -1)
    padded = np.hstack([rows, np.full((12, 5), 99, np.uint8)])
    payload = ImagePayload(encoding, memoryview(padded.tobytes()), 16, 12, padded.shape[1])
    expected = np.repeat(picture[..., :1], 3, axis=2) if encoding in pixels else picture
    np.testing.assert_array_equal(decode_color(payload), expected)


def test_mono8_fills_the_three_channels(picture: np.ndarray) -> None:
    grey = np.ascontiguousarray(picture[..., 0])
    decoded = decode_color(ImagePayload.from_array(grey, "mono8"))
    np.testing.assert_array_equal(decoded, np.dstack([grey] * 3))


@pytest.mark.parametrize(("order", "big"), [("<u2", False), (">u2", True)])
def test_mono16_keeps_its_high_byte_in_either_byte_order(picture: np.ndarray, order: str, big: bool) -> None:
    grey = picture[..., 0]
    wide = (grey.astype(np.uint16) * 256 + 17).astype(order)
    payload = ImagePayload("mono16", memoryview(wide.tobytes()), 16, 12, 32, is_bigendian=big)
    np.testing.assert_array_equal(decode_color(payload)[..., 1], grey)


def test_rgb8_is_a_view_of_the_payload(picture: np.ndarray) -> None:
    decoded = decode_color(ImagePayload.from_array(picture, "rgb8"))
    assert np.shares_memory(decoded, picture)


def test_decoded_pictures_are_read_only(picture: np.ndarray) -> None:
    for encoding in ("rgb8", "bgr8"):
        assert not decode_color(ImagePayload.from_array(picture, encoding)).flags.writeable


@pytest.mark.parametrize("label", ["png", "rgb8; png compressed bgr8", "bgr8; png compressed bgr8"])
def test_png_becomes_rgb_whatever_its_label_says_about_order(picture: np.ndarray, label: str) -> None:
    data = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_color(ImagePayload(label, memoryview(data))), picture)


@pytest.mark.parametrize("label", ["jpeg", "jpg", "rgb8; jpeg compressed bgr8"])
def test_jpeg_becomes_rgb(label: str) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 200  # BGR for OpenCV's encoder
    data = cv2.imencode(".jpg", red)[1].tobytes()
    decoded = decode_color(ImagePayload(label, memoryview(data)))
    assert decoded.shape == (16, 16, 3)
    assert decoded[..., 0].mean() > 190 and decoded[..., 2].mean() < 10


def test_size_of_compressed_data_is_read_without_decoding(jpeg: bytes) -> None:
    assert check_payload(ImagePayload("jpeg", memoryview(jpeg)), depth=False) == (64, 48)


def test_padding_after_a_jpeg_is_accepted(jpeg: bytes) -> None:
    payload = ImagePayload("jpeg", memoryview(jpeg + b"\0" * 100))
    assert decode_color(payload).shape == (48, 64, 3)


@pytest.mark.parametrize("kept", [0, 1, 2, 10, 300, -1, -2])
def test_truncated_jpeg_is_refused_on_arrival(jpeg: bytes, kept: int) -> None:
    with pytest.raises(CompressedDataError):
        check_payload(ImagePayload("jpeg", memoryview(jpeg[:kept])), depth=False)


@pytest.mark.parametrize("kept", [10, 40, -20])
def test_truncated_png_is_refused_on_arrival(picture: np.ndarray, kept: int) -> None:
    data = cv2.imencode(".png", picture)[1].tobytes()
    with pytest.raises(CompressedDataError):
        check_payload(ImagePayload("png", memoryview(data[:kept])), depth=False)


def test_data_that_is_no_picture_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(CompressedDataError, match="neither|expected a JPEG"):
        decode_color(ImagePayload("jpeg", memoryview(b"not a picture at all")))


def test_damaged_png_is_refused(picture: np.ndarray) -> None:
    data = bytearray(cv2.imencode(".png", picture)[1].tobytes())
    data[16:20] = (0).to_bytes(4, "big")
    with pytest.raises(ImageLayoutError):
        decode_color(ImagePayload("png", memoryview(data)))


def test_header_that_claims_a_huge_picture_is_refused(picture: np.ndarray) -> None:
    data = bytearray(cv2.imencode(".png", picture)[1].tobytes())
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    with pytest.raises(ImageLayoutError):
        check_payload(ImagePayload("png", memoryview(data)), depth=False)


@pytest.mark.parametrize("encoding", ["", "yuv422", "bayer_rggb8", "8UC3", "16UC1", "webp", "16UC1; png compressed"])
def test_unknown_colour_encoding_is_named(encoding: str) -> None:
    with pytest.raises(ColorEncodingError, match="expected one of rgb8") as error:
        check_payload(ImagePayload(encoding, memoryview(b"\0" * 64), 4, 4, 16, source="/cam/image"), depth=False)
    assert repr(encoding) in str(error.value) and "/cam/image" in str(error.value)
    assert error.value.code is ErrorCode.BAD_IMAGE


@pytest.mark.parametrize(
    ("width", "height", "step", "size"),
    [(0, 4, 12, 48), (4, 0, 12, 48), (4, 4, 11, 48), (4, 4, 12, 47), (4, 4, 0, 48)],
)
def test_layout_that_does_not_fit_is_refused(width: int, height: int, step: int, size: int) -> None:
    payload = ImagePayload("rgb8", memoryview(b"\0" * size), width, height, step)
    with pytest.raises(ImageLayoutError):
        check_payload(payload, depth=False)
    with pytest.raises(ImageLayoutError):
        decode_color(payload)
