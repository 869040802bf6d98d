"""The workbench inside a real kernel: frames in shared memory, the broker over its socket, one report a cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from spatialclaw_ros.errors import SandboxUnavailable
from spatialclaw_ros.frames.snapshot import Snapshot
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.kernel.results import share_array
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.perception.colour import ColourSegmenter
from spatialclaw_ros.perception.interfaces import Prompt, SegmentInput

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def kernel(room_frames) -> Iterator[KernelSession]:
    frames = {frame.index: frame for frame in room_frames}

    def serve(method: str, params: dict[str, Any], session: KernelSession, cancel: CancelToken) -> dict[str, Any]:
        frame = frames[params["image"]["frame"]]
        image = SegmentInput(frame.color, frame.depth, frame.intrinsics)
        found = ColourSegmenter().segment(image, Prompt(text=params["prompt"]["text"]), cancel)
        masks = share_array(session, found.masks.astype("uint8"))
        return {"masks": masks, "scores": found.scores.tolist(), "backend": found.backend, "notes": []}

    store = FrameStore("spatialclaw-workbenchtest")
    pool = KernelPool(KernelConfig(), serve, store)
    try:
        pool.start()
        session = pool.acquire(CancelToken(), Deadline(60.0))
        session.begin(Snapshot.from_frames(room_frames), {}, CancelToken(), Deadline(60.0))
        yield session
    except SandboxUnavailable as error:
        pytest.skip(f"no isolation level works here: {error}")
    finally:
        pool.close()
        store.close()


def test_a_cell_measures_shows_and_answers_in_one_round_trip(kernel, room):
    result = kernel.execute(
        "from tools import SAM3, Reconstruct\n"
        "recon = Reconstruct(InputImages)\n"
        "m = SAM3.segment_image_by_text(InputImages[2], 'red box')\n"
        "place = recon.to_ros_frame(m.get_centroid_3d(recon))\n"
        "show(m, label='found')\n"
        "print(m)\n"
        "ReturnAnswer(float(place[0]), unit='m', point=place, frame='odom', evidence=[2])"
    )
    assert result.status == "ok", result.error
    assert result.answer["value"] == pytest.approx(room.box_centre[0] - room.box_size[0] / 2, abs=0.1)
    assert result.answer["point"][1] == pytest.approx(room.box_centre[1], abs=0.1)
    (picture,) = result.pictures
    assert picture.mime == "image/jpeg" and picture.data[:2] == b"\xff\xd8" and picture.label.startswith("found")
    assert picture.frame_index == 2 and picture.stamp == room.start + 2 * room.step
    assert {"recon", "m", "place"} <= {variable.name for variable in result.variables}
    assert result.tool_calls == 2 and "PerFrameMask" in result.stdout


def test_failing_cell_reports_variables_and_error_both(kernel):
    result = kernel.execute("kept = 5\nSAM3.segment_image_by_text(InputImages[0], 'green hat')")
    assert result.status == "error" and result.error.name == "NoMaskFound" and "green hat" in result.error.message
    assert [variable.name for variable in result.variables] == ["kept"] and result.answer is None


def test_frames_are_read_only_and_figures_arrive(kernel):
    result = kernel.execute("np.asarray(InputImages[0])[:] = 0")
    assert result.status == "error" and "read-only" in result.error.message
    assert [p.mime for p in kernel.execute("plt.plot([1, 2]); plt.show()").pictures] == ["image/png"]
