"""What the process environment needs before rclpy.init: a transport that carries images, and where ROS's own files lie.

Measured (Fast DDS 3.2, rmw_fastrtps 9.3, best effort, 30 Hz, 640x480 and 1280x720 rgb8): 0 of 60 images arrive with the
defaults, all 60 with datagrams of 60 kB and socket buffers of 4 MB, where the publisher's process has them too.
rmw_fastrtps ignores this setting where ROS_AUTOMATIC_DISCOVERY_RANGE is LOCALHOST: buffers stay at the system's default
there (usually 208 kB), so that raw images need reliable QoS on both sides (the qos_overrides parameters), and of four
cameras that send 150 kB each at the same moment some pictures are lost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
DATAGRAM = "60KB"
"""Below UDP's 65507 bytes, so that one image is few datagrams and none is fragmented on loopback."""

WANTED_SOCKET_BYTES = 4_000_000
"""Four 1280x720 images at once."""

_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")


def prepare_environment(environment: MutableMapping[str, str] | None = None) -> None:
    """Fill in what is missing; whatever the user set stays. Call before rclpy.init, in the process that calls it."""
    environment = os.environ if environment is None else environment
    environment.setdefault(TRANSPORTS, transports())
    environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)  # unset in a plain virtual environment


def transports() -> str:
    """The value of FASTDDS_BUILTIN_TRANSPORTS that carries images; a camera driver's process needs it as well."""
    return f"DEFAULT?max_msg_size={DATAGRAM}&sockets_size={socket_bytes()}B"


def socket_bytes(limit_file: Path = _RMEM_MAX) -> int:
    """The socket buffer to ask for: what is wanted, at most what the system allows (net.core.rmem_max)."""
    try:
        allowed = int(limit_file.read_text())
    except (OSError, ValueError):
        return WANTED_SOCKET_BYTES
    return min(WANTED_SOCKET_BYTES, allowed)
