"""Inside a Landlock kernel: connections to the broker although connect() is forbidden.

Landlock does not govern connecting to a Unix socket by its path, which would reach every service of the host user, so
seccomp forbids connect() altogether. The broker's connections come through an inherited socket pair instead, each as a
file descriptor.
"""

from __future__ import annotations

import os
import socket
from typing import Any


def open_door(descriptor: int, path: str) -> None:
    """Let socket.connect(path) succeed: ask the host over `descriptor`, and put the received connection in place."""
    door = socket.socket(fileno=descriptor)
    connect_by_path = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if address != path:
            connect_by_path(self, address)
            return
        door.sendall(b"?")
        _, received, _, _ = socket.recv_fds(door, 1, 1)
        if not received:
            raise ConnectionRefusedError("the broker gave no connection")
        os.dup2(received[0], self.fileno())
        os.close(received[0])

    socket.socket.connect = connect  # type: ignore[method-assign,assignment]
