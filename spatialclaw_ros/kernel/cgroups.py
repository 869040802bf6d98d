"""A control group (cgroup v2) for each kernel, where this process may make one: Linux itself bounds memory and threads.

The watchdog looks a few times a second; a group holds at once, for the whole tree. Interface: Linux's cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from pathlib import Path

from spatialclaw_ros.kernel.config import KernelConfig

MOUNTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
OWN = Path("/proc/self/cgroup")
NEEDED = {"memory", "pids"}
WRAPPER_THREADS = 8
"""Of bubblewrap's or unshare's own processes, beside the kernel's."""
REMOVAL_SECONDS = 1.0
"""A group can be removed as soon as its last process is reaped."""

_log = logging.getLogger(__name__)
_NAME = re.compile(r"spatialclaw-(\d+)-.*")


class ControlGroup:
    """One kernel's group. Made by `make_group`."""

    def __init__(self, folder: Path, config: KernelConfig) -> None:
        """Raises: OSError."""
        self._folder = folder
        self._config = config
        folder.mkdir()
        try:
            self._write("memory.max", config.memory_bytes)
            self._write("memory.oom.group", 1)
            self._write("pids.max", config.max_threads + WRAPPER_THREADS)
            with contextlib.suppress(OSError):  # a Linux without swap accounting has no such file
                self._write("memory.swap.max", 0)
        except OSError:
            folder.rmdir()
            raise

    def take(self, pid: int) -> None:
        """Move a process, and whatever it starts from now on, into the group. Raises: OSError."""
        self._write("cgroup.procs", pid)

    def what_ended_it(self) -> str:
        """One sentence where Linux ended the group for its memory, else ""."""
        try:
            events = (self._folder / "memory.events").read_text(encoding="ascii")
        except OSError:
            return ""
        kills = next((int(line.split()[1]) for line in events.splitlines() if line.startswith("oom_kill ")), 0)
        most = self._config.memory_bytes >> 20
        return f"the kernel exceeded its {most} MiB of memory; work on fewer or smaller arrays" if kills else ""

    def remove(self) -> None:
        """Remove the group, whose processes have ended."""
        end = time.monotonic() + REMOVAL_SECONDS
        while self._folder.is_dir() and time.monotonic() < end:
            with contextlib.suppress(OSError):  # busy until its last process is reaped
                self._folder.rmdir()
                return
            time.sleep(0.005)

    def _write(self, name: str, value: int) -> None:
        (self._folder / name).write_text(str(value), encoding="ascii")


def make_group(
    pid: int, name: str, config: KernelConfig, mounts: tuple[Path, ...] = MOUNTS, own: Path = OWN
) -> ControlGroup | None:
    """A group with the kernel `pid` in it, beside or above this process's own; None where there is no place for one.

    A place is a group that hands memory and pids on to its children, and that this process may write to: a delegated
    one, or for root any. name: unique in this process.
    """
    for parent in _places(mounts, own):
        _remove_stale(parent)
        group = None
        try:
            group = ControlGroup(parent / f"spatialclaw-{os.getpid()}-{name}", config)
            group.take(pid)
            return group
        except OSError as error:  # writable, and yet refused: a boundary of delegation, or another kind of group
            _log.warning("no control group in %s (%s): the watchdog bounds this kernel", parent, error)
            if group is not None:
                group.remove()
    return None


def _places(mounts: tuple[Path, ...], own: Path) -> list[Path]:
    """Groups that may have such children, the nearest first."""
    mount = next((path for path in mounts if (path / "cgroup.controllers").exists()), None)
    try:
        lines = own.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    path = next((line[3:].strip("/") for line in lines if line.startswith("0::")), None)
    if mount is None or path is None:
        return []
    here = mount / path
    return [folder for folder in (here, *here.parents) if folder.is_relative_to(mount) and _hands_on(folder)]


def _hands_on(folder: Path) -> bool:
    try:
        enabled = set((folder / "cgroup.subtree_control").read_text(encoding="ascii").split())
    except OSError:
        return False
    return enabled >= NEEDED and os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _remove_stale(parent: Path) -> None:
    """Groups of processes that were killed before they could remove them."""
    for entry in parent.glob("spatialclaw-*"):
        match = _NAME.fullmatch(entry.name)
        if match and not Path(f"/proc/{match.group(1)}").exists():
            with contextlib.suppress(OSError):  # somebody else's, or still in use
                entry.rmdir()
