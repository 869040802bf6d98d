"""A kernel's processes as the host sees them: who belongs to it, what they hold, and killing all of them."""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")
FOLLOW_SECONDS = 1.0
"""Time for a tree's root to end by itself after all below it was killed."""


@dataclass(frozen=True)
class TreeUse:
    """resident: bytes of private and shared memory mapped in (file pages, such as libraries, are not counted).

    cpu_seconds: processor time, of children that were waited for too.
    """

    processes: int
    threads: int
    resident: int
    cpu_seconds: float


def descendants(pid: int) -> list[int]:
    """`pid` and everything below it, parents first; what ended meanwhile is left out."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        try:
            tasks = os.listdir(f"/proc/{current}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{current}/task/{task}/children", encoding="ascii") as file:
                    waiting.extend(int(word) for word in file.read().split())
            except OSError:
                continue  # that thread ended between the two looks
    return found


def measure(pid: int) -> TreeUse:
    """What `pid` and its descendants use now."""
    processes = threads = resident = ticks = 0
    for member in descendants(pid):
        try:
            with open(f"/proc/{member}/status", encoding="ascii", errors="replace") as file:
                status = dict(line.split(":", 1) for line in file if ":" in line)
            with open(f"/proc/{member}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        processes += 1
        threads += int(status.get("Threads", "0"))
        resident += sum(int(status.get(name, "0 kB").split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: proc_pid_stat(5)
    return TreeUse(processes, threads, resident, ticks / TICKS)


def nameless_bytes(pid: int) -> int:
    """Bytes, by blocks, of the files that `pid` and its descendants hold open and that no folder lists any more."""
    found: dict[tuple[int, int], int] = {}
    for member in descendants(pid):
        folder = f"/proc/{member}/fd"
        try:
            names = os.listdir(folder)
        except OSError:
            continue  # it ended
        for name in names:
            try:
                status = os.stat(f"{folder}/{name}")
            except OSError:
                continue  # closed meanwhile
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def kill(pid: int, timeout: float = 5.0) -> bool:
    """SIGKILL to `pid`'s whole tree; True once all of it has ended (`pid`, a direct child, still has to be reaped).

    `pid` goes last, and by itself where it can: bubblewrap reaps its children and follows them, so that no zombie is
    left to init. Where it leads a process group, that goes with it: a child that it starts at this moment is in it.
    """
    handles = []
    try:
        for member in descendants(pid)[1:]:
            try:
                handles.append(os.pidfd_open(member))
                signal.pidfd_send_signal(handles[-1], signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue  # it ended first, and its number means nobody, or somebody else, by now
        try:
            handles.append(os.pidfd_open(pid))
        except ProcessLookupError:
            return _wait_ended(handles, timeout)
        if len(handles) > 1 and _wait_ended(handles, FOLLOW_SECONDS):
            return True
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            signal.pidfd_send_signal(handles[-1], signal.SIGKILL)
        return _wait_ended(handles, timeout)
    except ProcessLookupError:
        return True
    finally:
        for handle in handles:
            os.close(handle)


def _wait_ended(handles: list[int], timeout: float) -> bool:
    end = time.monotonic() + timeout
    poller = select.poll()
    for handle in handles:
        poller.register(handle, select.POLLIN)
    left = len(handles)
    while left and time.monotonic() < end:
        for handle, _ in poller.poll(max(1.0, (end - time.monotonic()) * 1000)):
            poller.unregister(handle)
            left -= 1
    return left == 0
