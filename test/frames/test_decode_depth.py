"""Depth of every encoding becomes metres with NaN for unknown; other encodings are refused by name."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from spatialclaw_ros.frames.decode import (
    CompressedDataError,
    DepthEncodingError,
    ImageLayoutError,
    check_payload,
    decode_depth,
)
from spatialclaw_ros.frames.payload import ImagePayload

MILLIMETRES = np.array([[0, 500, 1234], [65535, 8000, 65534]], np.uint16)
METRES = np.array([[np.nan, 0.5, 1.234], [np.nan, 8.0, 65.534]], np.float32)


def _png(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def _inverse_depth(metres: np.ndarray, quantisation: float = 100.0, maximum: float = 10.0) -> bytes:
    """What compressed_depth_image_transport publishes for 32FC1, by its encoder's formula."""
    a = quantisation * (quantisation + 1.0)
    b = 1.0 - a / maximum
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse = np.where(metres < maximum, a / metres + b, 0)
    return struct.pack("<iff", 0, a, b) + _png(np.nan_to_num(inverse).astype(np.uint16))


@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
@pytest.mark.parametrize("big", [False, True])
def test_millimetres_become_metres_in_either_byte_order(encoding: str, big: bool) -> None:
    data = MILLIMETRES.astype(">u2" if big else "<u2").tobytes()
    decoded = decode_depth(ImagePayload(encoding, memoryview(data), 3, 2, 6, is_bigendian=big))
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, METRES, rtol=1e-6)


@pytest.mark.parametrize("big", [False, True])
def test_metres_stay_metres_and_what_is_no_distance_becomes_nan(big: bool) -> None:
    values = np.array([[1.5, np.nan, np.inf], [0.0, -1.0, 2.25]])
    data = values.astype(">f4" if big else "<f4").tobytes()
    decoded = decode_depth(ImagePayload("32FC1", memoryview(data), 3, 2, 12, is_bigendian=big))
    np.testing.assert_array_equal(decoded, np.array([[1.5, np.nan, np.nan], [np.nan, np.nan, 2.25]], np.float32))


def test_row_padding_is_skipped_even_where_it_is_odd() -> None:
    rows = np.hstack([MILLIMETRES.view(np.uint8).reshape(2, 6), np.full((2, 3), 77, np.uint8)])
    decoded = decode_depth(ImagePayload("16UC1", memoryview(rows.tobytes()), 3, 2, 9))
    np.testing.assert_allclose(decoded, METRES, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["16UC1; png compressed", "16UC1; png compressed ", "png"])
def test_png_compressed_millimetres(encoding: str) -> None:
    payload = ImagePayload(encoding, memoryview(_png(MILLIMETRES)))
    assert check_payload(payload, depth=True) == (3, 2)
    np.testing.assert_allclose(decode_depth(payload), METRES, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["16UC1; compressedDepth", "16UC1; compressedDepth png"])
def test_compressed_depth_of_millimetres_has_a_header_of_12_bytes(encoding: str) -> None:
    data = struct.pack("<iff", -1, 0.0, 0.0) + _png(MILLIMETRES)
    np.testing.assert_allclose(decode_depth(ImagePayload(encoding, memoryview(data))), METRES, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["32FC1; compressedDepth", "32FC1; compressedDepth png"])
def test_compressed_depth_of_metres_undoes_the_inverse_quantisation(encoding: str) -> None:
    metres = np.array([[0.5, 1.0, 3.0], [9.9, np.nan, 12.0]], np.float32)
    decoded = decode_depth(ImagePayload(encoding, memoryview(_inverse_depth(metres))))
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded[0], metres[0], rtol=2e-3)
    assert decoded[1, 0] == pytest.approx(9.9, rel=0.02)
    assert np.isnan(decoded[1, 1:]).all()


def test_decoded_depth_is_read_only() -> None:
    assert not decode_depth(ImagePayload.from_array(MILLIMETRES, "16UC1")).flags.writeable


@pytest.mark.parametrize(
    "encoding", ["", "8UC1", "rgb8", "jpeg", "16UC1; jpeg compressed", "64FC1", "8UC1; compressedDepth png"]
)
def test_unknown_depth_encoding_is_named(encoding: str) -> None:
    with pytest.raises(DepthEncodingError, match="16UC1"):
        check_payload(ImagePayload(encoding, memoryview(b"\0" * 64), 4, 4, 16), depth=True)


def test_rvl_compression_says_what_to_set() -> None:
    payload = ImagePayload("16UC1; compressedDepth rvl", memoryview(b"\0" * 64))
    with pytest.raises(DepthEncodingError, match="'png'"):
        decode_depth(payload)


def test_eight_bit_preview_in_a_png_is_no_depth() -> None:
    payload = ImagePayload("16UC1; png compressed", memoryview(_png(np.zeros((4, 4), np.uint8))))
    with pytest.raises(DepthEncodingError, match="8 bits"):
        check_payload(payload, depth=True)


@pytest.mark.parametrize("size", [0, 5, 12, 30])
def test_truncated_compressed_depth_is_refused(size: int) -> None:
    data = struct.pack("<iff", 0, 1.0, 1.0) + _png(MILLIMETRES)
    with pytest.raises(CompressedDataError):
        check_payload(ImagePayload("16UC1; compressedDepth", memoryview(data[:size])), depth=True)


@pytest.mark.parametrize(("width", "height", "step", "size"), [(0, 2, 6, 12), (3, 2, 5, 12), (3, 2, 6, 11)])
def test_layout_that_does_not_fit_is_refused(width: int, height: int, step: int, size: int) -> None:
    with pytest.raises(ImageLayoutError):
        decode_depth(ImagePayload("16UC1", memoryview(b"\0" * size), width, height, step))
