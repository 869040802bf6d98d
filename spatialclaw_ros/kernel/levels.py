"""The isolation levels, strongest first, and what the operating system gives a kernel of its own at each."""

from __future__ import annotations

LEVELS = ("bwrap", "unshare", "landlock")
"""bwrap: namespaces, a file system of read-only binds, seccomp, Landlock as a second lock. unshare: namespaces of
processes, network and IPC, the host's files behind Landlock and seccomp. landlock: Landlock and seccomp alone.
"""


def own_files(level: str) -> bool:
    """Whether a kernel has a file system of its own; elsewhere Landlock and seccomp guard the host's."""
    return level == "bwrap"


def own_processes(level: str) -> bool:
    """Whether a kernel has process numbers, network and IPC of its own; elsewhere seccomp guards the host's."""
    return level in ("bwrap", "unshare")
