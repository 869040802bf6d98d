"""The command line of util-linux's unshare: namespaces of processes, network and IPC where bubblewrap does not work."""

from __future__ import annotations

import os
import shutil

from spatialclaw_ros.errors import SandboxUnavailable

INSTALL = "install it with: apt install util-linux"
FIRST_PROCESS = 1
"""The kernel's process number inside: the first of its namespace, with which all others end."""


def find() -> str:
    """Path of unshare. Raises: SandboxUnavailable."""
    for path in ("/usr/bin/unshare", shutil.which("unshare")):
        if path and os.access(path, os.X_OK):
            return path
    raise SandboxUnavailable(f"unshare is not installed; {INSTALL}")


def command(privileged: bool) -> list[str]:
    """Everything before the program's own words. privileged: root needs no user namespace to make the others."""
    words = [find(), "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts"]
    return words if privileged else [*words, "--user", "--map-current-user"]
