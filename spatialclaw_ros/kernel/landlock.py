"""Landlock by its three system calls: which files this process, and all that it starts, may still reach.

Written out rather than taken from py-landlock, which looks for libc by running ldconfig: inside a sandbox there is none
to run. Flags and structures: linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System call numbers, the same on every architecture."""

VERSION_QUERY = 1
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, MAKE_REG, MAKE_SOCK = 1 << 7, 1 << 8, 1 << 9
REFER, TRUNCATE = 1 << 13, 1 << 14
ALL_OF_V1 = (1 << 13) - 1
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | 1 << 15
TCP_RIGHTS = 0b11
SCOPES = 0b11
"""Abstract Unix sockets and signals stay within the sandbox (ABI 6)."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version(most: int = 0) -> int:
    """The ABI of the running Linux, asked by system call (securityfs may not be mounted); 0 where there is none.

    most: the newest that is to be used, 0 = any.
    """
    found = max(0, _library().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION_QUERY)))
    return min(found, most) if most else found


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _handled_files(abi: int) -> int:
    """Every right on files that this ABI knows: what is handled and not granted is refused."""
    return ALL_OF_V1 | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0) | (1 << 15 if abi >= 5 else 0)


def restrict(rights: dict[str, int], most: int = 0) -> None:
    """Allow only `rights` (path to flags) on files, no TCP from ABI 4, no signals or abstract sockets out from ABI 6.

    most: the newest ABI to use, 0 = any. Binds the calling thread and what it starts from now on; there is no way back.
    Raises: OSError.
    """
    abi = version(most)
    if abi < 1:
        raise OSError("this Linux has no Landlock")
    handled = _handled_files(abi)
    ruleset = _Ruleset(handled, TCP_RIGHTS if abi >= 4 else 0, SCOPES if abi >= 6 else 0)
    size = ctypes.c_size_t(8 if abi < 4 else 16 if abi < 6 else 24)
    handle = _call(CREATE_RULESET, ctypes.byref(ruleset), size, ctypes.c_uint32(0))
    try:
        for path, allowed in rights.items():
            _allow(handle, path, allowed & handled)
        _call(RESTRICT_SELF, ctypes.c_int(handle), ctypes.c_uint32(0))
    finally:
        os.close(handle)


def _allow(ruleset: int, path: str, allowed: int) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = allowed if os.path.isdir(path) else allowed & FILE_RIGHTS  # folder rights on a file are EINVAL
        rule = _PathRule(rights, folder)
        _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(folder)


def _call(number: int, *arguments: object) -> int:
    result = _library().syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock system call {number}: {os.strerror(code)}")
    return result
