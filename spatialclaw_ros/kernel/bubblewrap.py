"""The bubblewrap command line: new namespaces, a file system of a few read-only binds, no capabilities."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from spatialclaw_ros.errors import SandboxUnavailable
from spatialclaw_ros.kernel.python_tree import PythonTree

NEEDED_TO_CHANGE_USER = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
SHARED_MEMORY_BYTES = 64 << 20
"""A kernel's own /dev/shm."""

INSTALL = "install it with: apt install bubblewrap"


def find() -> str:
    """Path of bwrap; the distribution's own first: only that has an AppArmor profile. Raises: SandboxUnavailable."""
    for path in ("/usr/bin/bwrap", shutil.which("bwrap")):
        if path and os.access(path, os.X_OK):
            return path
    raise SandboxUnavailable(f"bubblewrap is not installed; {INSTALL}")


@lru_cache(maxsize=4)
def options_of(path: str) -> frozenset[str]:
    """The options that this bwrap knows: 0.6 (Ubuntu 22.04) has neither --size nor --disable-userns."""
    try:
        done = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=10, check=False, env={})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailable(f"{path} does not run: {error}") from error
    words = (done.stdout + done.stderr).split()
    return frozenset(word for word in words if word.startswith("--"))


def bounds_scratch(path: str) -> bool:
    """Whether this bwrap (from 0.7 on) can bound a private /tmp; else a host folder is bound and watched."""
    return "--size" in options_of(path)


def command(
    tree: PythonTree,
    environment: Mapping[str, str],
    read_only: tuple[str, ...],
    sockets: tuple[str, str],
    scratch: str,
    scratch_bytes: int,
    privileged: bool = False,
) -> list[str]:
    """Everything before the program's own words. Folders keep their host paths; /tmp is private.

    read_only: folders shown read-only; sockets: the socket folder's paths outside and inside (read and write); scratch:
    a host folder for /tmp where this bwrap cannot bound a tmpfs. privileged: root makes the namespaces without one of
    users, and keeps what it takes to become another user inside.
    """
    path = find()
    known = options_of(path)
    words = [path, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--die-with-parent", "--new-session", "--hostname", "kernel", "--cap-drop", "ALL"]
    if privileged:
        words += [word for name in NEEDED_TO_CHANGE_USER for word in ("--cap-add", name)]
    else:
        words.append("--unshare-user")
        words += ["--disable-userns"] if "--disable-userns" in known else []
    words.append("--clearenv")
    for name, value in environment.items():
        words += ["--setenv", name, value]
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += _private_scratch(bounds_scratch(path), scratch, scratch_bytes)
    for folder in _parents((*tree.roots, *tree.entries, tree.package, *read_only)):
        words += ["--perms", "0755", "--dir", folder]  # root's would be 0700
    for root in tree.roots:
        words += _show(root)
    for folder in tree.hidden:
        words += ["--tmpfs", folder]
    for entry in (*tree.entries, tree.package, *read_only):
        words += ["--ro-bind", entry, entry]
    words += ["--bind", *sockets]
    for folder in (*tree.hidden, "/dev", "/"):
        words += ["--remount-ro", folder]
    return [*words, "--chdir", "/tmp", "--"]


def _private_scratch(bounded: bool, scratch: str, scratch_bytes: int) -> list[str]:
    """/tmp, and where its size can be bounded /dev/shm, open to whichever user the kernel becomes."""
    if not bounded:
        return ["--bind", scratch, "/tmp"]
    open_to_all = ["--perms", "1777", "--size"]
    shared = str(min(SHARED_MEMORY_BYTES, scratch_bytes))
    return [*open_to_all, str(scratch_bytes), "--tmpfs", "/tmp", *open_to_all, shared, "--tmpfs", "/dev/shm"]


def _parents(paths: tuple[str, ...]) -> list[str]:
    """Every folder above these paths, outermost first, except what lies in one of them."""
    folders = {str(parent) for path in paths for parent in Path(path).parents}
    inner = {folder for folder in folders for path in paths if folder == path or folder.startswith(f"{path}/")}
    return sorted(folders - inner - {"/"})


def _show(root: str) -> list[str]:
    """A read-only bind, or the same link where the host has one (/lib on a merged-usr system)."""
    if Path(root).is_symlink():
        return ["--symlink", os.readlink(root), root]
    return ["--ro-bind", root, root]
