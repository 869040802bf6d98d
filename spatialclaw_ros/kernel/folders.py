"""The folders of one kernel on the host: frames and results (read-only inside), sockets, and scratch space."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

LONGEST_SOCKET_PATH = 100
"""Bytes; Linux allows 107 in sun_path, and ZeroMQ and the port's suffix take a few."""


@dataclass(frozen=True)
class KernelFolders:
    """root holds the other three, all of mode 0700. `frames` has the same path inside the sandbox."""

    root: Path
    frames: Path
    sockets: Path
    scratch: Path

    @classmethod
    def make(cls, root: Path) -> KernelFolders:
        """Raises: OSError; ValueError where the path is too long for a Unix socket."""
        folders = cls(root, root / "frames", root / "ipc", root / "tmp")
        if len(str(folders.broker)) > LONGEST_SOCKET_PATH:
            raise ValueError(f"{folders.broker} is too long for a Unix socket; use a shorter shared-memory folder")
        for folder in (root, folders.frames, folders.sockets, folders.scratch):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folders

    @property
    def broker(self) -> Path:
        return self.sockets / "broker"

    def sockets_inside(self, level: str) -> str:
        """The path of `sockets` as the kernel sees it; bubblewrap puts it out of reach of any grant on /tmp."""
        return "/ipc" if level == "bwrap" else str(self.sockets)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)  # stale leftovers are removed again at the next start
