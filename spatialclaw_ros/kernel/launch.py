"""The first code that runs inside a sandbox: takes orders, gives up rights, tests itself, becomes the kernel.

Started by path with the base interpreter and `-I -S`, so that no .pth file of a virtual environment runs, no user
folder and no PYTHONPATH counts. Orders are one line of JSON on standard input, which stays open as a lifeline: when the
host's end closes, however the host ended, this process ends. The report goes to standard output, one line of JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
from typing import Any

LIFELINE = 0
REPORT = 1


def main() -> None:
    orders = json.loads(_read_line(LIFELINE))
    _load_package(orders["package"])
    from spatialclaw_ros.kernel import allowed_imports, confine, escape_checks

    allowed_imports.allow(orders["search"], orders["entries"])
    if orders["guest"] is not None:
        confine.become(orders["guest"])
    confine.die_with(orders["parent"])
    os.umask(0o077)
    confine.limit_resources(orders["limits"])
    if orders["landlock"] is not None:
        confine.apply_landlock(orders["landlock"], orders["landlock_abi"])
    if orders["seccomp"]:
        confine.drop_capabilities()
        confine.apply_seccomp(orders["seccomp"])
    report: dict[str, Any] = {"checks": escape_checks.run_checks(orders["checks"]) if orders["checks"] else {}}
    if orders["connection"] is None:
        _send(report)
        return
    lifeline = os.dup(LIFELINE)
    _point_to_null(LIFELINE, os.O_RDONLY)
    threading.Thread(target=_end_with, args=(lifeline,), name="lifeline", daemon=True).start()
    if orders["door"] is not None:
        from spatialclaw_ros.kernel.door import open_door

        open_door(orders["door"], os.environ["SPATIALCLAW_BROKER"])
    from spatialclaw_ros.kernel.ipython import start_kernel

    start_kernel(orders, lambda: _become_quiet(report))


def _read_line(descriptor: int) -> bytes:
    """One line, read byte for byte at its end so that nothing of the lifeline is swallowed."""
    read = bytearray()
    while not read.endswith(b"\n"):
        part = os.read(descriptor, 1 << 16)
        if not part:
            os._exit(1)  # the host went away before giving orders
        read += part
    return bytes(read)


def _load_package(folder: str) -> None:
    """Load this package from its folder alone, not from what lies beside it."""
    spec = importlib.util.spec_from_file_location(
        "spatialclaw_ros", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["spatialclaw_ros"] = package
    spec.loader.exec_module(package)


def _send(report: dict[str, Any]) -> None:
    os.write(REPORT, json.dumps(report).encode() + b"\n")


def _become_quiet(report: dict[str, Any]) -> None:
    """The kernel is ready: say so, then let go of the host's pipes."""
    _send({**report, "ready": True})
    _point_to_null(REPORT, os.O_WRONLY)
    _point_to_null(2, os.O_WRONLY)


def _point_to_null(descriptor: int, mode: int) -> None:
    null = os.open(os.devnull, mode)
    os.dup2(null, descriptor)
    os.close(null)


def _end_with(lifeline: int) -> None:
    """Block until the host's end of the pipe closes. Nothing is ever written to it."""
    try:
        while os.read(lifeline, 1):
            pass
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
