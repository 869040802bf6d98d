"""Attempts to stay: what one goal leaves behind, looked for in the kernel of the next.

Each comes as a pair: what is left, and how the next goal would notice it. Goals of one session share its kernel, and
with it whatever they leave there: a session is one caller's.
"""

from __future__ import annotations

import atexit
import builtins
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt

MARK = "left by an attempt"


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()  # type: ignore[no-untyped-call,unused-ignore]


def _mark_of(thing: object) -> str:
    return MARK if getattr(thing, "mark", "") == MARK else ""


def _sees_answer(targets: Targets) -> object:
    return _mark_of(_shell().user_ns.get("ReturnAnswer"))


@attempt(afterwards=_sees_answer)
def replace_return_answer(targets: Targets) -> object:
    """Replace ReturnAnswer, so that the next goal answers what this one wants."""

    def forged(*args: object, **kwargs: object) -> None: ...

    forged.mark = MARK  # type: ignore[attr-defined]
    _shell().user_ns["ReturnAnswer"] = forged
    return ""


def _sees_tools(targets: Targets) -> object:
    return _mark_of(_shell().user_ns.get("tools"))


@attempt(afterwards=_sees_tools, quick=False)
def replace_tools(targets: Targets) -> object:
    """Change what the perception tools are, in place."""
    _shell().user_ns["tools"].mark = MARK
    return ""


def _sees_thread(targets: Targets) -> object:
    return [thread.name for thread in threading.enumerate() if thread.name == MARK]


@attempt(afterwards=_sees_thread, quick=False)
def leave_thread(targets: Targets) -> object:
    """Leave a thread that acts during the next goal."""
    threading.Thread(target=time.sleep, args=(60,), name=MARK, daemon=True).start()
    return ""


def _left_file() -> Path:
    return Path(os.environ["TMPDIR"]) / "left"


def _sees_exit_hook(targets: Targets) -> object:
    return _mark_of(atexit)


@attempt(afterwards=_sees_exit_hook, quick=False)
def leave_exit_hook(targets: Targets) -> object:
    """Leave code that runs when the kernel ends."""
    atexit.register(_left_file().write_text, MARK)
    atexit.mark = MARK  # type: ignore[attr-defined]
    return ""


def _sees_handler(targets: Targets) -> object:
    return _mark_of(signal.getsignal(signal.SIGUSR1))


@attempt(afterwards=_sees_handler, quick=False)
def leave_signal_handler(targets: Targets) -> object:
    """Leave a handler of signals, which also swallows interrupts."""

    def swallow(*args: object) -> None: ...

    swallow.mark = MARK  # type: ignore[attr-defined]
    signal.signal(signal.SIGUSR1, swallow)
    return ""


def _sees_patch(targets: Targets) -> object:
    import numpy as np

    return _mark_of(np) or _mark_of(builtins)


@attempt(afterwards=_sees_patch, quick=False)
def leave_patched_modules(targets: Targets) -> object:
    """Change NumPy and the built-in functions in place."""
    import numpy as np

    builtins.mark = np.mark = MARK  # type: ignore[attr-defined]
    return ""


def _sees_hook(targets: Targets) -> object:
    return "".join(map(_mark_of, _shell().events.callbacks["post_run_cell"]))


@attempt(afterwards=_sees_hook, quick=False)
def leave_hook(targets: Targets) -> object:
    """Leave a hook that runs after every cell."""

    def hook(*args: object) -> None: ...

    hook.mark = MARK  # type: ignore[attr-defined]
    _shell().events.register("post_run_cell", hook)
    return ""


def _sees_files(targets: Targets) -> object:
    return _left_file().read_text() if _left_file().exists() else ""


@attempt(afterwards=_sees_files, quick=False)
def leave_start_up_files(targets: Targets) -> object:
    """Leave files where Python, IPython and matplotlib look for code and settings when they start."""
    home = Path(os.environ["HOME"])
    for name in (".ipython/profile_default/startup/left.py", ".matplotlib/matplotlibrc", "usercustomize.py"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("import builtins; builtins.mark = 'left'\n")
    _left_file().write_text(MARK)
    return ""


def _sees_variables(targets: Targets) -> object:
    return _shell().user_ns.get("left_variable", "")


@attempt(afterwards=_sees_variables)
def leave_variables(targets: Targets) -> object:
    """Leave variables with words for whoever reads the next goal's namespace."""
    _shell().user_ns["left_variable"] = MARK
    return ""
