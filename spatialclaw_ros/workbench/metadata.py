"""Metadata: what is known about the goal's frames before looking at them."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatialclaw_ros.workbench.images import InputImages, index_list


class Metadata(dict):
    """A dict whose keys are attributes too.

    is_video, fps (frames per second and camera), total_frames, num_images, duration_sec, num_videos (cameras with more
    than one frame), videos (a dict per camera), video_source, cameras (names), stamps (N float seconds of ROS time),
    frame_id (the world frame of poses), base_frame, gravity_aligned (is z of frame_id up?), has_depth, has_pose.
    """

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"Metadata has no {name!r}; it has {', '.join(self)}")

    def __repr__(self) -> str:
        shown = {key: value for key, value in self.items() if key not in ("stamps", "videos")}
        return f"Metadata({', '.join(f'{key}={value!r}' for key, value in shown.items())})"

    __str__ = __repr__


def make_metadata(
    images: InputImages, world_frame: str, base_frame: str, gravity_aligned: bool, source: str = "camera"
) -> Metadata:
    """Metadata of a goal's frames."""
    cameras = sorted({item.camera for item in images})
    videos = [_video(camera, InputImages(item for item in images if item.camera == camera)) for camera in cameras]
    stamps = images.stamps
    return Metadata(
        is_video=any(video["num_frames"] > 1 for video in videos),
        fps=max((video["fps"] for video in videos), default=0.0),
        total_frames=len(images),
        num_images=len(images),
        duration_sec=float(np.ptp(stamps)) if len(images) else 0.0,
        num_videos=sum(video["num_frames"] > 1 for video in videos),
        videos=videos,
        video_source=source,
        cameras=cameras,
        stamps=stamps.tolist(),
        frame_id=world_frame,
        base_frame=base_frame,
        gravity_aligned=gravity_aligned,
        has_depth=any(item.frame.depth_payload is not None for item in images),
        has_pose=any(item.frame.pose is not None for item in images),
    )


def _video(camera: str, images: InputImages) -> dict[str, Any]:
    span = images[-1].stamp - images[0].stamp
    return {
        "camera": camera,
        "num_frames": len(images),
        "fps": round((len(images) - 1) / span, 3) if span > 0 else 0.0,
        "width": images[0].width,
        "height": images[0].height,
        "frame_indices": index_list(images.frame_indices),
    }
