"""A recording as an agent's configuration reads it: its cameras, its world, its pairing of depth."""

from __future__ import annotations

from pathlib import Path

from spatialclaw_ros.config import AgentConfig, CameraConfig, WorldConfig
from spatialclaw_ros.frames.bag import frames_from_bag
from spatialclaw_ros.frames.camera_topics import CameraTopics
from spatialclaw_ros.frames.snapshot import Snapshot


def recorded_frames(bag: Path, config: AgentConfig) -> Snapshot:
    """Every frame of a recording, with the cameras, the world and the depth pairing of a configuration.

    Without cameras in it they are found. The default base frame counts only where the recording has it.
    Raises: RecordingError.
    """
    world = config.world
    return frames_from_bag(
        bag,
        {name: _topics(name, camera) for name, camera in config.cameras.items()},
        world_frame=world.fixed_frame,
        gravity_aligned=world.gravity_aligned,
        base_frame="" if world.base_frame == WorldConfig().base_frame else world.base_frame,
        max_depth_skew=config.buffer.max_depth_skew,
    )


def _topics(name: str, camera: CameraConfig) -> CameraTopics:
    """A camera's topics by their full names; as in the node, one without an image topic has the usual ones."""
    depth, info = camera.depth_topic, camera.camera_info_topic
    if not camera.image_topic:
        depth, info = depth or f"{name}/depth", info or f"{name}/camera_info"
    topics = (camera.image_topic or f"{name}/image", depth, info, camera.depth_camera_info_topic)
    color, depth, info, depth_info = (f"/{topic.lstrip('/')}" if topic else "" for topic in topics)
    return CameraTopics(color, depth, info, depth_info, camera.optical_frame)
