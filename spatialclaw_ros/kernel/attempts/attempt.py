"""Attempt: what a cell does to get out, how its outcome is judged, and how the same succeeds where nothing stops it.

A probe is a function of a module of this package that a cell imports and calls: it may use the standard library, NumPy
and what else a cell has. It returns what it got, or nothing, and lets the refusals of the operating system through.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from spatialclaw_ros.kernel.attempts.judges import returned

if TYPE_CHECKING:
    from spatialclaw_ros.kernel.attempts.trial import Trial

Targets = dict[str, Any]
"""What the host prepared for the probes to aim at: names and numbers, never the secret itself (decoys.Decoys.told)."""

Probe = Callable[[Targets], object]
Judge = Callable[["Trial"], str]
""""" where the boundary held, else one sentence about what got out."""

REPORT = "probe: "
"""Begins the line that a probe's outcome is printed on."""
LONGEST_REPORT = 4000
CELL = """\
from spatialclaw_ros.kernel.attempts.attempt import report
from spatialclaw_ros.kernel.attempts.{module} import {function}
report({function}, {targets!r})
"""

GROUPS = {
    "reading": "reading files",
    "writing": "writing files",
    "network": "sockets",
    "processes": "processes",
    "interfaces": "kernel interfaces",
    "bombs": "exhaustion",
    "floods": "output",
    "keys": "secrets",
    "messages": "message stream",
    "leftovers": "persistence",
}
"""The modules that hold attempts, in the order in which they are listed, with the names of their groups."""


@dataclass(frozen=True)
class Attempt:
    """name: unique. tries: one sentence. quick: part of what `spatialclaw check --sandbox` runs.

    judge: sees the outcome inside the sandbox; the decoys are looked at whatever it says. ends: words of which the
    sentence has one that says why the kernel ended, where the attempt is meant to cost it its kernel. breaks: the
    kernel is of no use afterwards. timeout: of the cell inside the sandbox, s. afterwards: a second probe, run where
    the next goal would run (in the control: in the same kernel), whose outcome counts.

    The control runs the same probe in a kernel of level none, or in a plain process; outside: what is run there
    instead, where the attempt is aimed at this package's own reader of the same bytes. arrives: judges the control,
    where that is another question than getting out. may_lack: what a host itself may refuse to the control.
    """

    name: str
    group: str
    tries: str
    probe: Probe
    judge: Judge
    quick: bool = True
    ends: tuple[str, ...] = ()
    breaks: bool = False
    timeout: float = 20.0
    afterwards: Probe | None = None
    control: Literal["kernel", "process"] = "kernel"
    outside: Probe | None = None
    arrives: Judge | None = None
    may_lack: str = ""


_catalogue: list[Attempt] = []


def attempt(judge: Judge = returned, **options: Any) -> Callable[[Probe], Probe]:
    """Put the decorated probe into the catalogue, described by its docstring. options: fields of Attempt."""

    def register(probe: Probe) -> Probe:
        name, group = probe.__name__.replace("_", "-"), GROUPS[_module(probe)]
        tries = (probe.__doc__ or "").strip().splitlines()[0]
        _catalogue.append(Attempt(name, group, tries, probe, judge, **options))
        return probe

    return register


def registered() -> tuple[Attempt, ...]:
    """The attempts of the modules that were imported so far."""
    return tuple(_catalogue)


def cell(probe: Probe, targets: Targets) -> str:
    """The code that runs a probe and prints what it came to."""
    return CELL.format(module=_module(probe), function=probe.__name__, targets=targets)


def report(probe: Probe, targets: Targets) -> None:
    """Run the probe, and print its outcome as one line: what it got, or what refused it, or why it failed by itself."""
    try:
        said = {"got": str(probe(targets) or "")[:LONGEST_REPORT]}
    except (OSError, MemoryError, ImportError) as error:
        said = {"refused": f"{type(error).__name__}: {error}"[:LONGEST_REPORT]}
    except Exception as error:  # the probe is wrong, and has tried nothing: that must not pass for a boundary
        said = {"failed": f"{type(error).__name__}: {error}"[:LONGEST_REPORT]}
    print("\n" + REPORT + json.dumps(said), flush=True)


def _module(probe: Probe) -> str:
    return str(probe.__module__).rpartition(".")[2]
