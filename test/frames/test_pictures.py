"""Pictures for the model are small JPEG files, encoded on arrival, remembered as long as their frame."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from spatialclaw_ros.frames.compressed import read_header
from spatialclaw_ros.frames.decode import CompressedDataError
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.pictures import EncodedPicture, PictureEncoder


@pytest.fixture
def encoder() -> Iterator[PictureEncoder]:
    encoder = PictureEncoder()
    yield encoder
    encoder.close()


def _frame(width: int, height: int, encoding: str = "rgb8") -> Frame:
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = 200
    ramp[..., 2] = np.linspace(0, 100, width).astype(np.uint8)
    if encoding == "rgb8":
        return Frame("front", 1, ImagePayload.from_array(ramp, "rgb8"))
    data = cv2.imencode(f".{encoding}", ramp[..., ::-1])[1].tobytes()
    return Frame("front", 1, ImagePayload(encoding, memoryview(data)))


@pytest.mark.parametrize("encoding", ["rgb8", "png", "jpeg"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (512, 384)), ((1280, 720), (512, 288)), ((300, 900), (128, 384)), ((2560, 1440), (512, 288))],
)
def test_pictures_fit_the_box_and_keep_shape_and_colour(
    encoder: PictureEncoder, encoding: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    picture = encoder.get(_frame(*size, encoding))
    assert (picture.width, picture.height) == expected
    decoded = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (expected[1], expected[0], 3)
    assert decoded[..., 2].mean() == pytest.approx(200, abs=4)
    assert decoded[:, -1, 0].mean() == pytest.approx(100, abs=6)


def test_small_pictures_are_not_enlarged_and_a_small_jpeg_passes_as_it_is(encoder: PictureEncoder) -> None:
    assert encoder.get(_frame(100, 50)).width == 100
    frame = _frame(100, 50, "jpeg")
    assert encoder.get(frame).data == bytes(frame.color_payload.data)


def test_a_picture_is_encoded_once(encoder: PictureEncoder) -> None:
    frame = _frame(640, 480)
    assert encoder.get(frame) is encoder.get(frame)


def test_a_prefetched_picture_needs_no_encoding_when_asked_for(
    encoder: PictureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, encode = threading.Event(), encoder._encode
    threads = []

    def watched(payload: ImagePayload) -> EncodedPicture:
        threads.append(threading.current_thread())
        try:
            return encode(payload)
        finally:
            done.set()

    monkeypatch.setattr(encoder, "_encode", watched)
    frame = _frame(640, 480)
    assert encoder.prefetch(frame) and done.wait(30)
    assert encoder.get(frame).width == 512
    assert not encoder.prefetch(frame)
    assert len(threads) == 1 and threads[0] is not threading.current_thread()


def test_prefetch_never_queues_without_bound(encoder: PictureEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    encode = encoder._encode

    def slow(payload: ImagePayload) -> EncodedPicture:
        go.wait(30)
        return encode(payload)

    monkeypatch.setattr(encoder, "_encode", slow)
    frames = [_frame(16, 12) for _ in range(100)]
    accepted = sum(encoder.prefetch(frame) for frame in frames)
    monkeypatch.setattr(encoder, "_encode", encode)
    waiting = encoder.get(frames[50])  # still in the queue: taken out and encoded here, without waiting for the worker
    go.set()
    assert accepted == 64 and waiting.width == 16
    assert encoder.get(frames[99]).width == 16


def test_a_picture_is_forgotten_with_its_payload(encoder: PictureEncoder) -> None:
    frame = _frame(64, 48)
    encoder.get(frame)
    assert len(encoder._pictures) == 1
    del frame
    gc.collect()
    assert len(encoder._pictures) == 0


def test_at_most_max_pictures_are_remembered() -> None:
    encoder = PictureEncoder(max_pictures=2)
    frames = [_frame(8, 8) for _ in range(5)]
    for frame in frames:
        encoder.get(frame)
    assert len(encoder._pictures) == 2
    encoder.close()


def test_a_damaged_picture_raises_when_asked_for_not_when_prefetched(encoder: PictureEncoder) -> None:
    frame = Frame("front", 1, ImagePayload("jpeg", memoryview(b"\xff\xd8 cut off")))
    encoder.prefetch(frame)
    with pytest.raises(CompressedDataError):
        encoder.get(frame)


def test_after_close_nothing_is_prefetched() -> None:
    encoder = PictureEncoder()
    encoder.close()
    assert not encoder.prefetch(_frame(8, 8))


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\xe0\x00\x02"])
def test_a_jpeg_of_nothing_but_markers_is_refused_without_walking_it(filler: bytes) -> None:
    data = memoryview(b"\xff\xd8" + filler * 100_000 + b"\xff\xd9")
    with pytest.raises(CompressedDataError, match="markers before its picture"):
        read_header(data)
