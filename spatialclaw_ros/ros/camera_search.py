"""CameraSearch: finds the cameras that publish, where the configuration names none."""

from __future__ import annotations

from rclpy.node import Node

from spatialclaw_ros.config import CameraConfig
from spatialclaw_ros.frames.camera_topics import find_cameras

_IMAGE_TYPES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
_UNKNOWN_ENCODING = "png"
"""Stands for an encoding that is not known before a message came: the topic's name tells depth from colour then."""


class CameraSearch:
    """Looks at the graph again and again; a camera counts once its topics have not changed between two looks.

    What this node publishes itself is left out.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._last: dict[str, CameraConfig] = {}

    def look(self) -> dict[str, CameraConfig]:
        """Cameras by name with their topics, as they were at this look and the one before."""
        own = f"{self._node.get_fully_qualified_name()}/"
        topics = [
            (name, set(types)) for name, types in self._node.get_topic_names_and_types() if not name.startswith(own)
        ]
        published = [(name, types) for name, types in topics if self._node.count_publishers(name)]
        images = {name: _UNKNOWN_ENCODING for name, types in published if types & _IMAGE_TYPES}
        infos = [name for name, types in published if _INFO_TYPE in types]
        found = {
            name: CameraConfig(image_topic=each.color, depth_topic=each.depth, camera_info_topic=each.camera_info)
            for name, each in find_cameras(images, infos).items()
        }
        settled = {name: camera for name, camera in found.items() if self._last.get(name) == camera}
        self._last = found
        return settled
