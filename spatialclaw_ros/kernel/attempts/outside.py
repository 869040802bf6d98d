"""A probe in a plain process of the host: its environment, what it has open, and the backbone's client in memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from spatialclaw_ros.errors import KernelError
from spatialclaw_ros.kernel.attempts.attempt import Probe, cell
from spatialclaw_ros.kernel.attempts.decoys import KEY_VARIABLE, Decoys
from spatialclaw_ros.kernel.attempts.trial import Trial

PREPARATION = f"""\
import os, threading
from spatialclaw_ros.backbones.config import BackboneConfig
from spatialclaw_ros.backbones.openai import OpenAIBackbone
backbone = OpenAIBackbone(BackboneConfig(name="openai", model="decoy", api_key_env="{KEY_VARIABLE}"))
call = lambda key: threading.Event().wait()
threading.Thread(target=call, args=(os.environ["{KEY_VARIABLE}"],), daemon=True).start()
"""
"""What the host has that a kernel must not: a client that holds the key, and a call under way with it."""
END = "import os; os._exit(0)\n"
"""The client's network thread has nothing to say."""


def run_outside(probe: Probe, decoys: Decoys, timeout: float, holds_key: bool) -> Trial:
    """Run a probe in a process of its own. holds_key: the process has the backbone's client in its memory.

    Raises: KernelError where it does not end in time.
    """
    before = PREPARATION if holds_key else ""
    held = os.open(decoys.folder / "file", os.O_RDONLY)
    try:
        done = subprocess.run(
            [sys.executable, "-c", before + cell(probe, decoys.told()) + END],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=decoys.folder,
            pass_fds=(held,),
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"the probe did not end within {timeout:g} s outside the sandbox") from error
    finally:
        os.close(held)
    text = done.stdout.decode(errors="replace")
    return Trial(decoys.secret, decoys.mark, text, len(done.stdout), time.monotonic())
