"""A session's images of earlier questions: kept for its variables up to so many bytes, then removed, which it tells."""

from __future__ import annotations

import numpy as np
import pytest

from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken, Deadline

pytestmark = pytest.mark.process


def snapshot(index: int) -> Snapshot:
    picture = ImagePayload.from_array(np.full((200, 100, 3), index, np.uint8), "rgb8")
    return Snapshot.from_frames([Frame("front", index, picture, index=index)])


def test_images_of_earlier_questions_leave_when_they_exceed_their_bytes(strongest: KernelSession) -> None:
    strongest.max_kept_bytes = 100_000  # one picture is 60 kB
    dropped = [strongest.begin(snapshot(index), {}, CancelToken(), Deadline(60.0)) for index in range(3)]
    assert dropped == [False, False, True]
    pictures = [file for file in strongest.frames_folder.iterdir() if file.stat().st_size == 60_000]
    assert len(pictures) == 1
    assert strongest.execute("print(np.asarray(InputImages[0]).max())").stdout == "2\n"
