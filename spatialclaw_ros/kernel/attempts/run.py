"""Running attempts: inside the sandbox at a level, and, as their controls, where nothing holds them.

A kernel is used again for as long as attempts leave it usable.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from spatialclaw_ros.errors import KernelError, PerceptionError, SpatialClawError
from spatialclaw_ros.kernel.attempts.attempt import GROUPS, Attempt, Probe, cell
from spatialclaw_ros.kernel.attempts.decoys import Decoys
from spatialclaw_ros.kernel.attempts.outside import run_outside
from spatialclaw_ros.kernel.attempts.trial import Trial, overheard
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.pool import KernelPool
from spatialclaw_ros.kernel.session import KernelSession
from spatialclaw_ros.limits import CancelToken, Deadline

LIMITS = KernelConfig(
    memory_bytes=384 << 20,
    address_space_bytes=4 << 30,
    max_threads=64,
    max_file_bytes=16 << 20,
    max_scratch_bytes=64 << 20,
    max_requests_per_second=10,
    interrupt_grace=0.5,
)
"""Of the kernels under trial: low, so that small doses reach them."""

NO_LIMITS = KernelConfig(
    sandbox="none",
    memory_bytes=8 << 30,
    max_processes=1024,
    max_threads=4096,
    max_scratch_bytes=8 << 30,
    max_message_bytes=64 << 20,
    max_requests_per_second=10_000,
    interrupt_grace=10.0,
)
"""Of the kernels of the controls."""

CONTROL_TIMEOUT = 60.0
START_TIMEOUT = 60.0

Verdict = Literal["held", "got out", "not run"]
ControlVerdict = Literal["succeeded", "failed", "not possible here"]


@dataclass(frozen=True)
class Outcome:
    """What an attempt came to at a level. detail: what got out, what refused it, or why it was not run."""

    attempt: Attempt
    level: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Control:
    """What the same probe came to where nothing holds it. detail: what it got, or what stopped it."""

    attempt: Attempt
    verdict: ControlVerdict
    detail: str


class Kernels:
    """A context manager: the kernels of one configuration, started when first needed.

    Raises on first use: SandboxUnavailable where the level does not work here.
    """

    def __init__(self, config: KernelConfig, decoys: Decoys) -> None:
        self.decoys = decoys
        self.served: list[float] = []
        self._config = config
        self._pool: KernelPool | None = None
        self._session: KernelSession | None = None
        self._bystander: KernelSession | None = None

    def __enter__(self) -> Kernels:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.close()

    @property
    def level(self) -> str:
        return self._config.sandbox

    def session(self) -> KernelSession:
        """The kernel in use, or the next one where that is gone. Raises: SandboxUnavailable, KernelError."""
        if self._session is None or not self._session.alive:
            self.drop()
            self._session = self._acquire()
        return self._session

    def bystander(self) -> KernelSession:
        """The kernel of another session, or of the next goal: no attempt but what looks for leftovers runs in it."""
        if self._bystander is None or not self._bystander.alive:
            self._bystander = self._acquire()
        return self._bystander

    def drop(self) -> None:
        """Close the kernel in use."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def try_probe(self, probe: Probe, timeout: float, session: KernelSession | None = None) -> Trial:
        """Run one probe as a cell; session: None = the kernel in use. Raises: SandboxUnavailable, KernelError."""
        session = session or self.session()
        targets = {**self.decoys.told(), "own": self.decoys.furnish(session.frames_folder)}
        self.served.clear()
        refused = session._channels.refused
        with overheard(session) as arrived:
            result = session.execute(cell(probe, targets), timeout)
        ended = time.monotonic()
        error = result.error
        text = result.stdout + (f"\n{error.traceback}\n{error.message}" if error else "")
        return Trial(
            secret=self.decoys.secret,
            mark=self.decoys.mark,
            text=text,
            kept=len(result.stdout.encode()),
            ended=ended,
            result=result,
            session=session,
            arrived=arrived,
            malformed=session._channels.refused - refused,
            served=self.served,
            bystander=self.bystander,
        )

    def _acquire(self) -> KernelSession:
        if self._pool is None:
            pool = KernelPool(self._config, self._serve, self.decoys.store)
            pool.start()
            self._pool = pool
        return self._pool.acquire(CancelToken(), Deadline(START_TIMEOUT))

    def _serve(self, method: str, params: dict[str, Any], session: KernelSession, cancel: CancelToken) -> dict:
        now = time.monotonic()
        if not cancel.is_set():  # as it is for a request that came while the cell ran, and whose turn comes after it
            self.served.append(now)
        raise PerceptionError(f"{method} found nothing")


def limits_of(level: str, landlock_abi: int = 0) -> KernelConfig:
    """The configuration of kernels under trial. landlock_abi: the highest that is used, 0 = the system's."""
    changes: dict[str, Any] = {"landlock_abi": landlock_abi} if landlock_abi else {}
    return replace(NO_LIMITS if level == "none" else LIMITS, sandbox=level, **changes)


def try_inside(attempt: Attempt, kernels: Kernels) -> Outcome:
    """Run an attempt in the sandbox. What does not let it run is an outcome, too; nothing is raised."""
    try:
        trial = kernels.try_probe(attempt.probe, attempt.timeout)
        escaped = _escaped(attempt, trial, kernels)
        if attempt.afterwards is not None and not escaped and trial.reported:
            trial = kernels.try_probe(attempt.afterwards, attempt.timeout, kernels.bystander())
            escaped = _escaped(attempt, trial, kernels)
    except SpatialClawError as error:
        kernels.drop()
        return Outcome(attempt, kernels.level, "not run", str(error))
    if attempt.breaks and (escaped or attempt.ends):
        kernels.drop()
    if escaped:
        kernels.decoys.restore()
        return Outcome(attempt, kernels.level, "got out", escaped)
    verdict, detail = _verdict(attempt, trial)
    return Outcome(attempt, kernels.level, verdict, detail)


def try_control(attempt: Attempt, kernels: Kernels) -> Control:
    """Run the same probe where nothing holds it. kernels: of level none. Nothing is raised."""
    try:
        if attempt.control == "process" or attempt.outside is not None:
            probe, holds_key = attempt.outside or attempt.probe, attempt.group == GROUPS["keys"]
            trial = run_outside(probe, kernels.decoys, CONTROL_TIMEOUT, holds_key)
        else:
            trial = kernels.try_probe(attempt.probe, CONTROL_TIMEOUT)
            if attempt.afterwards is not None:
                trial = kernels.try_probe(attempt.afterwards, CONTROL_TIMEOUT)
        got = (attempt.arrives or attempt.judge)(trial)
    except KernelError as error:
        return Control(attempt, "failed", str(error))
    finally:
        if attempt.breaks and not attempt.ends:  # without limits, a bomb ends nothing
            kernels.drop()
        reached = kernels.decoys.evidence()
        if reached:
            kernels.decoys.restore()
    got = got or reached
    if got:
        return Control(attempt, "succeeded", got)
    stopped = trial.said("refused") or _how_it_ended(trial)
    if attempt.may_lack and (trial.said("refused") or not trial.reported):
        return Control(attempt, "not possible here", f"the host lacks {attempt.may_lack}: {stopped}")
    return Control(attempt, "failed", trial.said("failed") or stopped or "the probe got nothing")


def _escaped(attempt: Attempt, trial: Trial, kernels: Kernels) -> str:
    """What got out, "" where nothing did."""
    return attempt.judge(trial) or kernels.decoys.evidence()


def _verdict(attempt: Attempt, trial: Trial) -> tuple[Verdict, str]:
    """Of a trial from which nothing got out: whether it was the boundary that held."""
    if trial.reported:
        failed = trial.said("failed")
        return ("not run", f"the probe failed: {failed}") if failed else ("held", trial.said("refused"))
    ending = _how_it_ended(trial)
    expected = any(word in ending for word in attempt.ends)
    return ("held", ending) if expected else ("not run", f"the probe did not report: {ending}")


def _how_it_ended(trial: Trial) -> str:
    """For a probe that did not report: status and error of its cell."""
    if trial.reported:
        return ""
    if trial.result is None:
        return trial.text[-500:]
    error = trial.result.error
    return f"the cell ended: {trial.result.status}{f', {error.name}: {error.message}' if error else ''}"


@dataclass(frozen=True)
class Row:
    """One attempt at every level that was asked for, and its control."""

    attempt: Attempt
    outcomes: tuple[Outcome, ...]
    control: Control

    @property
    def got_out(self) -> bool:
        return any(outcome.verdict == "got out" for outcome in self.outcomes)


@contextmanager
def trials(levels: Iterable[str], landlock_abi: int = 0) -> Iterator[Trials]:
    """Decoys, and kernels at each level and of level none, for the time of the context."""
    with ExitStack() as stack:
        decoys = stack.enter_context(Decoys())
        free = stack.enter_context(Kernels(NO_LIMITS, decoys))
        held = [stack.enter_context(Kernels(limits_of(level, landlock_abi), decoys)) for level in levels]
        yield Trials(decoys, free, tuple(held))


@dataclass(frozen=True)
class Trials:
    """free: kernels of the controls. held: kernels under trial, by level."""

    decoys: Decoys
    free: Kernels
    held: tuple[Kernels, ...]

    def run(self, attempt: Attempt) -> Row:
        outcomes = tuple(try_inside(attempt, kernels) for kernels in self.held)
        return Row(attempt, outcomes, try_control(attempt, self.free))
