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
    """Whether this bwrap can limit the size of a private /tmp; else a host folder is bound and watched."""
    return "--size" in options_of(path)


def command(
    tree: PythonTree,
    environment: Mapping[str, str],
    read_only: tuple[str, ...],
    sockets: tuple[str, str],
    scratch: str,
    scratch_bytes: int,
) -> list[str]:
    """Everything before the program's own words. Folders keep their host paths; /tmp is private.

    read_only: folders shown read-only; sockets: the socket folder's paths outside and inside (read and write); scratch:
    a host folder for /tmp where this bwrap cannot bound a tmpfs.
    """
    path = find()
    known = options_of(path)
    words = [path, "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    words += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--hostname", "kernel", "--cap-drop", "ALL"]
    if "--disable-userns" in known:
        words.append("--disable-userns")
    words.append("--clearenv")
    for name, value in environment.items():
        words += ["--setenv", name, value]
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += _private_tmp(bounds_scratch(path), scratch, scratch_bytes)
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


def _private_tmp(bounded: bool, scratch: str, scratch_bytes: int) -> list[str]:
    return ["--size", str(scratch_bytes), "--tmpfs", "/tmp"] if bounded else ["--bind", scratch, "/tmp"]


def _show(root: str) -> list[str]:
    """A read-only bind, or the same link where the host has one (/lib on a merged-usr system)."""
    if Path(root).is_symlink():
        return ["--symlink", os.readlink(root), root]
    return ["--ro-bind", root, root]
