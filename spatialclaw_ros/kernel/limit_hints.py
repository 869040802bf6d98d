"""The limit behind a cell's error, in a sentence with its figure: the system's own words name none."""

from __future__ import annotations

import errno
import os
import resource
import tempfile

MEBIBYTE = 1 << 20
STARTING_PROCESSES = ("_execute_child", "_launch", "spawnv_passfds")
"""Functions of subprocess and multiprocessing in which a process is started."""


def limit_hint(error: BaseException) -> str:
    """What the cell ran into, where its error comes from a limit of this kernel; else ""."""
    if isinstance(error, MemoryError):
        return f"this kernel may map {_rlimit_mib(resource.RLIMIT_AS)} of memory; work on fewer or smaller arrays"
    if not isinstance(error, OSError):
        return ""
    match error.errno:
        case errno.EFBIG:
            return f"a file may have {_rlimit_mib(resource.RLIMIT_FSIZE)}"
        case errno.ENOSPC:
            folder = tempfile.gettempdir()
            space = os.statvfs(folder)
            return f"all files in {folder} together may have {space.f_blocks * space.f_frsize // MEBIBYTE} MiB"
        case errno.EPERM if _innermost(error) in STARTING_PROCESSES:  # refused by the system-call filter
            return "a cell starts no processes: this kernel may have at most 1 process (kernel.max_processes)"
        case errno.EMFILE:
            return f"this kernel may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} open files"
    return ""


def _innermost(error: BaseException) -> str:
    """Name of the function that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_name if trace is not None else ""


def _rlimit_mib(number: int) -> str:
    limit = resource.getrlimit(number)[0]
    return "any number of MiB" if limit == resource.RLIM_INFINITY else f"at most {limit // MEBIBYTE} MiB"
