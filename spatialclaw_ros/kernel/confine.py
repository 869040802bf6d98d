"""Inside the kernel's process: give up rights, one after another, before the first cell can run.

Order matters: limits and Landlock bind the calling thread and what it starts, so all of this happens before any other
thread exists. Only the standard library is imported here.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import os
import resource
import signal
from typing import Any

from spatialclaw_ros.kernel import landlock

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522
BYTES_OF_INSTRUCTION = 8


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def become(user: int) -> None:
    """Go on as this unprivileged user and group, for good; what root may is left behind.

    Raises: OSError, as root without the capabilities to do so.
    """
    library = ctypes.CDLL(None, use_errno=True)
    _drop_bounding(library)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _prctl(PR_SET_DUMPABLE, 1)  # /proc/self stays this process's own; ptrace is the filter's to refuse


def die_with(parent: int | None) -> None:
    """Be killed when the parent thread ends; end at once if it already has. parent: its id, None if hidden.

    A change of user undoes it.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def limit_resources(limits: dict[str, int]) -> None:
    """Set rlimits, soft and hard. limits: names of `resource` without the prefix, such as AS or FSIZE."""
    for name, value in limits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (bound, bound))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("900")  # a preference only: out of memory, the kernel goes before the robot's node


def apply_landlock(rules: dict[str, list[str]], most: int) -> None:
    """Restrict files to `read` (and run), `list` (names only), `write` (all but devices) and `sockets` (making them).

    most: newest ABI to use, 0 = any. Raises: OSError where the running Linux has no Landlock.
    """
    look = landlock.READ_FILE | landlock.READ_DIR | landlock.EXECUTE
    change = landlock.WRITE_FILE | landlock.TRUNCATE | landlock.MAKE_REG | landlock.MAKE_DIR | landlock.REFER
    remove = landlock.REMOVE_FILE | landlock.REMOVE_DIR
    rights = dict.fromkeys(rules["list"], landlock.READ_DIR)
    rights |= dict.fromkeys(rules["read"], look)
    rights |= dict.fromkeys(rules["sockets"], landlock.MAKE_SOCK | landlock.READ_DIR)
    rights |= dict.fromkeys(rules["write"], look | change | remove)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(rights, most)


def drop_capabilities() -> None:
    """Give up every capability, and the way back to them. Matters for root; an ordinary user has none."""
    library = ctypes.CDLL(None, use_errno=True)
    _drop_bounding(library)
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    if library.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capset refused to drop capabilities")


def _drop_bounding(library: ctypes.CDLL) -> None:
    number = 0
    while library.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0) == 0:
        number += 1  # ends with EINVAL past the last capability, or with EPERM at once for an ordinary user


def apply_seccomp(program: str) -> None:
    """Install a BPF filter (base64 of struct sock_filter[]) for good; no_new_privs comes with it."""
    code = base64.b64decode(program)
    buffer = ctypes.create_string_buffer(code, len(code))
    described = _Program(len(code) // BYTES_OF_INSTRUCTION, ctypes.cast(buffer, ctypes.c_void_p))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(described))


def _prctl(*words: Any) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(int(word)) for word in (*words, 0, 0, 0, 0)[:5]]
    if library.prctl(*padded) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({words[0]}): {os.strerror(code)}")
