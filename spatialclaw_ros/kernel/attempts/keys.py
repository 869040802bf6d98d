"""Attempts to find secrets: in the environment, in memory, in whatever can be reached from a cell's names."""

from __future__ import annotations

import gc
import importlib
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.judges import told_secret

MOST_OBJECTS = 400_000
MOST_MAP_BYTES = 64 << 20
KEY_CHARACTERS = r"[0-9a-f]{32}"


def _pattern(targets: Targets) -> str:
    return targets["key_prefix"] + KEY_CHARACTERS


@attempt(told_secret, control="process")
def read_environment(targets: Targets) -> object:
    """Look for a key in the environment variables."""
    return os.environ.get(targets["variable"], "")


@attempt(told_secret, control="process")
def read_first_environment(targets: Targets) -> object:
    """Look for a key in the environment that the process was started with, which clearing os.environ leaves."""
    return re.findall(_pattern(targets), Path("/proc/self/environ").read_text())


@attempt(told_secret, control="process", quick=False)
def walk_all_objects(targets: Targets) -> object:
    """Walk over every object that can be reached from the namespace, and look for the backbone's key."""
    names = vars(sys.modules["__main__"])
    waiting: list[Any] = [*names.values(), *sys.modules.values(), *gc.get_objects()]
    seen, found = {id(entry) for entry in waiting}, set()
    pattern = re.compile(_pattern(targets))
    while waiting and len(seen) < MOST_OBJECTS:
        current = waiting.pop()
        if isinstance(current, (str, bytes)):
            text = current if isinstance(current, str) else current.decode("latin-1")
            found.update(pattern.findall(text))
            continue
        new = [entry for entry in gc.get_referents(current) if id(entry) not in seen]
        seen.update(map(id, new))
        waiting += new
    return found


@attempt(told_secret, control="process", quick=False)
def walk_all_frames(targets: Targets) -> object:
    """Look for a key among the local variables of every thread's calls."""
    found = set()
    for frame in sys._current_frames().values():
        step: Any = frame
        while step is not None:
            found.update(re.findall(_pattern(targets), repr(list(map(str, step.f_locals.values())))))
            step = step.f_back
    return found


@attempt(told_secret, control="process", quick=False)
def scan_own_memory(targets: Targets) -> object:
    """Look for a key in every page of its own memory."""
    found: set[bytes] = set()
    pattern = re.compile(_pattern(targets).encode())
    maps = Path("/proc/self/maps").read_text().splitlines()
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in (line for line in maps if " rw" in line):
            start, end = (int(word, 16) for word in line.split()[0].split("-"))
            with suppress(OSError, ValueError, OverflowError):
                memory.seek(start)
                found.update(pattern.findall(memory.read(min(end - start, MOST_MAP_BYTES))))
    return found


@attempt(control="process", may_lack="ROS 2 (rclpy)")
def import_ros(targets: Targets) -> object:
    """Import rclpy, to speak to the robot."""
    return importlib.import_module("rclpy").__name__


@attempt(control="process")
def import_http_client(targets: Targets) -> object:
    """Import an HTTP client that the host has installed."""
    return importlib.import_module("httpx").__name__
