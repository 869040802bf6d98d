"""The unprivileged user that kernels run as where the node itself runs as root: a second lock on everything of root's.

Folders that such a kernel needs belong to root and to the guest's group, which may look but not change; other users of
the machine stay out.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.python_tree import PythonTree

CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN = 6, 7, 21


def guest_of(level: str, config: KernelConfig) -> int | None:
    """User and group id of kernels; None where they run as the node's own user: not root, or without isolation."""
    return config.uid if os.geteuid() == 0 and level != "none" else None


def has_capability(number: int) -> bool:
    """Whether this process may use that capability now."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def admit(path: Path, group: int, mode: int) -> None:
    """Give a folder or file this mode, and the guest's group."""
    os.chown(path, -1, group)
    os.chmod(path, mode)


def let_through(folder: Path, group: int) -> None:
    """Let the guest pass through a folder of this process's, without listing it."""
    found = folder.stat()
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_IXOTH:
        admit(folder, group, 0o710)


def show_files(folder: Path, group: int) -> None:
    """Let the guest read the files in `folder`, and no other user. A mode is the file's, whichever link sets it."""
    for entry in os.scandir(folder):
        found = entry.stat(follow_symlinks=False)
        if found.st_gid != group and stat.S_ISREG(found.st_mode):
            admit(Path(entry.path), group, 0o440)


def closed_to_others(tree: PythonTree) -> str:
    """The first folder on the way to interpreter or packages that other users cannot pass; "" where there is none."""
    for path in (tree.executable, tree.package, *tree.roots, *tree.search):
        for folder in (*reversed(Path(path).parents), Path(path)):
            if folder.is_dir() and not folder.stat().st_mode & stat.S_IXOTH:
                return str(folder)
    return ""
