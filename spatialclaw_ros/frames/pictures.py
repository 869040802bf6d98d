"""PictureEncoder: frames as small JPEG pictures for a model, encoded on arrival, not when asked for."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from spatialclaw_ros.frames.compressed import read_header
from spatialclaw_ros.frames.decode import check_payload, decode_color
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.image_errors import COLOR_ENCODINGS
from spatialclaw_ros.frames.payload import ImagePayload

_MAX_WAITING = 64
"""Pictures that may wait for the worker; more than a busy machine can encode are left to be encoded when asked for."""

_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


@dataclass(frozen=True)
class EncodedPicture:
    """data: a JPEG file; width, height: its size in pixels."""

    data: bytes
    width: int
    height: int


class PictureEncoder:
    """Encodes a frame's colour picture to fit max_width x max_height, never larger than it is, and remembers it.

    A picture is remembered as long as its payload lives (in the ring or in a snapshot), at most `max_pictures` of them.
    Thread-safe; one worker thread, started with the first `prefetch`.
    """

    def __init__(
        self, max_width: int = 512, max_height: int = 384, quality: int = 80, max_pictures: int = 2048
    ) -> None:
        self._size = (max_width, max_height)
        self._quality = quality
        self._max_pictures = max_pictures
        self._lock = threading.Lock()
        self._pictures: weakref.WeakKeyDictionary[ImagePayload, Future[EncodedPicture]] = weakref.WeakKeyDictionary()
        self._worker = ThreadPoolExecutor(1, "picture-encoder")
        self._waiting = 0
        self._closed = False

    def prefetch(self, frame: Frame | ImagePayload) -> bool:
        """Encode in the background. False where it is already known, or too many wait. Errors wait for `get`."""
        payload = frame.color_payload if isinstance(frame, Frame) else frame
        with self._lock:
            if self._closed or self._waiting >= _MAX_WAITING or payload in self._pictures:
                return False
            self._waiting += 1
            future = self._worker.submit(self._encode, payload)
            self._remember(payload, future)
        future.add_done_callback(self._count_done)
        return True

    def get(self, frame: Frame | ImagePayload) -> EncodedPicture:
        """The picture, at once where it was prefetched, else encoded on this thread. Raises: ImageError."""
        payload = frame.color_payload if isinstance(frame, Frame) else frame
        with self._lock:
            future = self._pictures.get(payload)
        if future is not None and not future.cancelled() and not future.cancel():
            return future.result()  # done, or being encoded right now; one that still waited is quicker done here
        picture = self._encode(payload)
        done: Future[EncodedPicture] = Future()
        done.set_result(picture)
        with self._lock:
            self._remember(payload, done)
        return picture

    def close(self) -> None:
        """Stop the worker and forget every picture; what is not yet encoded is left."""
        with self._lock:
            self._closed = True
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._pictures.clear()

    def _remember(self, payload: ImagePayload, future: Future[EncodedPicture]) -> None:
        self._pictures[payload] = future
        while len(self._pictures) > self._max_pictures:
            oldest = next(iter(self._pictures), None)
            if oldest is not None:
                del self._pictures[oldest]

    def _count_done(self, _: Future[EncodedPicture]) -> None:
        with self._lock:
            self._waiting -= 1

    def _encode(self, payload: ImagePayload) -> EncodedPicture:
        width, height = check_payload(payload, depth=False)
        scale = min(1.0, self._size[0] / width, self._size[1] / height)
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        if scale == 1.0 and "jp" in payload.encoding and read_header(payload.data).kind == "jpeg":
            return EncodedPicture(bytes(payload.data), width, height)
        picture = _decode_bgr(payload, scale)
        if (picture.shape[1], picture.shape[0]) != small:
            picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        return EncodedPicture(encoded.tobytes(), *small)


def _decode_bgr(payload: ImagePayload, scale: float) -> np.ndarray:
    """(h, w, 3) uint8 BGR, at least `scale` of full size: JPEG decodes at a half, a quarter or an eighth for less."""
    flag = next((flag for factor, flag in sorted(_REDUCED.items(), reverse=True) if scale * factor <= 1), None)
    if flag is not None and payload.encoding not in COLOR_ENCODINGS:
        flag |= cv2.IMREAD_IGNORE_ORIENTATION
        picture = cv2.imdecode(np.frombuffer(payload.data, np.uint8), flag)
        if picture is not None:
            return picture
    return cv2.cvtColor(decode_color(payload), cv2.COLOR_RGB2BGR)
