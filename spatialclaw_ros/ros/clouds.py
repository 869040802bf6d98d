"""A frame's depth as a coloured PointCloud2 in the fixed frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.ros.conversions import byte_array
from spatialclaw_ros.workbench.backproject import measured, pixel_rays

MAX_POINTS = 200_000
"""Of one message, 3.2 MB: what RViz draws without effort."""

_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])


def has_cloud(frame: Frame) -> bool:
    """Whether a frame has what a cloud needs: depth, intrinsics and a pose."""
    return frame.depth_payload is not None and frame.intrinsics is not None and frame.pose is not None


def depth_cloud(frames: Sequence[Frame], header: Header) -> PointCloud2:
    """Points of all frames (each with `has_cloud`), metres in the frames' world frame, thinned to MAX_POINTS.

    rgb is packed as 0x00rrggbb, as RViz reads it. Raises: ImageError.
    """
    points = np.concatenate([_points(frame) for frame in frames]) if frames else np.empty(0, _POINT)
    points = points[:: max(1, -(-len(points) // MAX_POINTS))]
    fields = [
        PointField(name=name, offset=offset, datatype=datatype, count=1)
        for name, offset, datatype in (
            ("x", 0, PointField.FLOAT32),
            ("y", 4, PointField.FLOAT32),
            ("z", 8, PointField.FLOAT32),
            ("rgb", 12, PointField.UINT32),
        )
    ]
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=fields,
        point_step=_POINT.itemsize,
        row_step=_POINT.itemsize * len(points),
        is_dense=True,
        data=byte_array(np.ascontiguousarray(points).view(np.uint8)) if len(points) else byte_array(b""),
    )


def _points(frame: Frame) -> np.ndarray:
    depth, intrinsics, pose = measured(frame)
    color = frame.color.astype(np.uint32)
    rays = pixel_rays(intrinsics, depth.shape[1], depth.shape[0])
    known = np.isfinite(depth)
    world = (rays[known] * depth[known][:, None]) @ pose[:3, :3].T + pose[:3, 3]
    points = np.empty(len(world), _POINT)
    points["x"], points["y"], points["z"] = world.T
    red, green, blue = np.moveaxis(color[known], -1, 0)
    points["rgb"] = red << 16 | green << 8 | blue
    return points
