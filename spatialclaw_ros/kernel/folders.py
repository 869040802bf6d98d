"""The folders of one kernel on the host: frames and results (read-only inside), sockets, and scratch space."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from spatialclaw_ros.kernel import guest, levels

LONGEST_SOCKET_PATH = 100
"""Bytes; Linux allows 107 in sun_path, and ZeroMQ and the port's suffix take a few."""


@dataclass(frozen=True)
class KernelFolders:
    """root holds the other three, closed to other users. `frames` has the same path inside the sandbox.

    guest: user and group that the kernel runs as; None = the host's own.
    """

    root: Path
    frames: Path
    sockets: Path
    scratch: Path
    guest: int | None = None

    @classmethod
    def make(cls, root: Path, guest_id: int | None = None) -> KernelFolders:
        """Raises: OSError; ValueError where the path is too long for a Unix socket."""
        folders = cls(root, root / "frames", root / "ipc", root / "tmp", guest_id)
        if len(str(folders.broker)) > LONGEST_SOCKET_PATH:
            raise ValueError(f"{folders.broker} is too long for a Unix socket; use a shorter shared-memory folder")
        for folder in (root, folders.frames, folders.sockets, folders.scratch):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if guest_id is not None:
            folders._admit(guest_id)
        return folders

    def _admit(self, guest_id: int) -> None:
        guest.let_through(self.root.parent, guest_id)
        guest.admit(self.root, guest_id, 0o710)
        guest.admit(self.frames, guest_id, 0o750)
        guest.admit(self.sockets, guest_id, 0o1770)  # sticky: the broker's socket is not the guest's to replace
        guest.admit(self.scratch, guest_id, 0o770)

    def show_frames(self) -> None:
        """Let the kernel read the files that were put into `frames`, where it runs as another user."""
        if self.guest is not None:
            guest.show_files(self.frames, self.guest)

    def show(self, path: Path) -> None:
        """Let the kernel read a file, or pass and list a folder, below `frames`, where it runs as another user."""
        if self.guest is not None:
            guest.admit(path, self.guest, 0o750 if path.is_dir() else 0o440)

    def open_broker(self) -> None:
        """Let the kernel connect to the broker's socket, where it runs as another user."""
        if self.guest is not None:
            guest.admit(self.broker, self.guest, 0o660)

    @property
    def broker(self) -> Path:
        return self.sockets / "broker"

    def sockets_inside(self, level: str) -> str:
        """The path of `sockets` as the kernel sees it; bubblewrap puts it out of reach of any grant on /tmp."""
        return "/ipc" if levels.own_files(level) else str(self.sockets)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)  # stale leftovers are removed again at the next start
