"""What the process environment needs before rclpy.init: a transport that carries images, and where ROS's own files lie.

Measured (Fast DDS 3.2 and rmw_fastrtps 9.3, 921 kB rgb8 images, best effort, 30 Hz): 0 of 60 arrive with the defaults,
60 of 60 over UDP with datagrams of 60 kB and socket buffers of 4 MB. rmw_fastrtps ignores this setting where
ROS_AUTOMATIC_DISCOVERY_RANGE is LOCALHOST: socket buffers stay at the system's default (usually 208 kB), so that raw
images of that size need reliable QoS on both sides there (the qos_overrides parameters), and compressed ones arrive.
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
    environment.setdefault(TRANSPORTS, f"DEFAULT?max_msg_size={DATAGRAM}&sockets_size={socket_bytes()}B")
    environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)  # unset in a plain virtual environment


def socket_bytes(limit_file: Path = _RMEM_MAX) -> int:
    """The socket buffer to ask for: what is wanted, at most what the system allows (net.core.rmem_max)."""
    try:
        allowed = int(limit_file.read_text())
    except (OSError, ValueError):
        return WANTED_SOCKET_BYTES
    return min(WANTED_SOCKET_BYTES, allowed)
