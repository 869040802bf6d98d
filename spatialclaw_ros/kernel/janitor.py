"""Removing a host's folder when the host is killed: a shell that waits for the host's end of a pipe to close."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from spatialclaw_ros.kernel import spawn

SCRIPT = 'read -r word; [ "$word" = keep ] || rm -rf -- "$0"'


class Janitor:
    """While open, `folder` is removed as soon as this process ends without having called `close`, SIGKILL included."""

    def __init__(self, folder: Path) -> None:
        self._child: subprocess.Popen = spawn.popen(
            ["/bin/sh", "-c", SCRIPT, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            start_new_session=True,
        )

    def close(self) -> None:
        """The folder is somebody else's to remove."""
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):  # it was killed by somebody: nothing to call off
            self._child.stdin.write(b"keep\n")
            self._child.stdin.close()
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
