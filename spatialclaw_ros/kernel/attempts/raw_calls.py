"""System calls that libc has no function for, by number. Numbers: asm/unistd.h of the two architectures."""

from __future__ import annotations

import ctypes
import os
import platform

SAME_EVERYWHERE = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "open_tree": 428,
    "fsopen": 430,
    "pidfd_open": 434,
    "clone3": 435,
    "openat2": 437,
    "pidfd_getfd": 438,
    "memfd_secret": 447,
}
BY_MACHINE = {
    "x86_64": {
        "add_key": 248,
        "bpf": 321,
        "clone": 56,
        "connect": 42,
        "kcmp": 312,
        "keyctl": 250,
        "openat": 257,
        "perf_event_open": 298,
        "rt_sigqueueinfo": 129,
        "tkill": 200,
        "userfaultfd": 323,
    },
    "aarch64": {
        "add_key": 217,
        "bpf": 280,
        "clone": 220,
        "connect": 203,
        "kcmp": 272,
        "keyctl": 219,
        "openat": 56,
        "perf_event_open": 241,
        "rt_sigqueueinfo": 138,
        "tkill": 130,
        "userfaultfd": 282,
    },
}


def call(name: str, *arguments: object) -> int:
    """The call's result. Integers are passed as long. Raises: OSError, also for a call unknown on this machine."""
    number = SAME_EVERYWHERE.get(name, BY_MACHINE.get(platform.machine(), {}).get(name))
    if number is None:
        raise OSError(f"the number of {name} on {platform.machine()} is not known")
    passed = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    forks = name.startswith("clone")
    return checked(libc(keeps_lock=forks).syscall(ctypes.c_long(number), *passed), name)


def libc(keeps_lock: bool = False) -> ctypes.CDLL:
    """keeps_lock: Python's; a child that another thread's lock was copied into would wait for it for ever."""
    library = (ctypes.PyDLL if keeps_lock else ctypes.CDLL)(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def checked(result: int, name: str) -> int:
    """`result`, unless it says that the call failed. Raises: OSError."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
