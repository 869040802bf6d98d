"""Small pictures, depth images and buffers that the tests of frames share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from spatialclaw_ros.frames.buffer import FrameBuffer
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.store import FrameStore

MS = 1_000_000
SECOND = 1_000_000_000


@pytest.fixture
def picture() -> np.ndarray:
    """(12, 16, 3) uint8 RGB, every pixel another."""
    return np.random.default_rng(1).integers(0, 256, (12, 16, 3), np.uint8)


@pytest.fixture
def color(picture: np.ndarray) -> Callable[..., ImagePayload]:
    """color(value=None, size=(16, 12)): an rgb8 payload, of one value where given."""

    def make(value: int | None = None, size: tuple[int, int] = (16, 12)) -> ImagePayload:
        array = picture if value is None else np.full((size[1], size[0], 3), value, np.uint8)
        return ImagePayload.from_array(array, "rgb8", "/front/image")

    return make


@pytest.fixture
def depth() -> Callable[..., ImagePayload]:
    """depth(millimetres=1000, size=(16, 12)): a 16UC1 payload of one distance."""

    def make(millimetres: int = 1000, size: tuple[int, int] = (16, 12)) -> ImagePayload:
        return ImagePayload.from_array(np.full((size[1], size[0]), millimetres, np.uint16), "16UC1", "/front/depth")

    return make


@pytest.fixture
def jpeg() -> bytes:
    """A smooth 64x48 JPEG file."""
    ramp = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    return cv2.imencode(".jpg", ramp)[1].tobytes()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FrameStore]:
    store = FrameStore(root=tmp_path)
    yield store
    store.close()


@pytest.fixture
def make_buffer(store: FrameStore) -> Iterator[Callable[..., FrameBuffer]]:
    """make_buffer(**settings): a FrameBuffer whose files lie in a temporary folder."""
    buffers = []

    def make(**settings: float) -> FrameBuffer:
        buffers.append(FrameBuffer(store.make_folder(f"ring{len(buffers)}"), **settings))
        return buffers[-1]

    yield make
    for buffer in buffers:
        buffer.close()
