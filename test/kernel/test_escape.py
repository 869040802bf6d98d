"""What a cell must not be able to do, tried from inside a real kernel at every isolation level of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from spatialclaw_ros.kernel import isolation
from spatialclaw_ros.kernel.attempts import run
from spatialclaw_ros.kernel.attempts.attempt import Attempt
from spatialclaw_ros.kernel.attempts.catalogue import attempts
from spatialclaw_ros.kernel.attempts.run import Control, Trials, trials, try_control, try_inside
from spatialclaw_ros.kernel.attempts.trial import Trial
from spatialclaw_ros.kernel.channels import Channels, Connection
from spatialclaw_ros.kernel.levels import LEVELS

ALL = attempts()
BY_NAME = {attempt.name: attempt for attempt in ALL}
OTHER_USER = 65534
GUARDED_BY_LANDLOCK = {"reading files", "writing files", "sockets", "processes", "kernel interfaces"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def running() -> Iterator[Trials]:
    with trials(LEVELS) as made:
        yield made


@pytest.fixture(scope="module")
def control(running: Trials) -> Callable[[Attempt], Control]:
    """Each control is run once, whatever the number of levels."""
    return lru_cache(maxsize=None)(lambda attempt: try_control(attempt, running.free))


@pytest.fixture(scope="module")
def problems() -> dict[str, str]:
    """Why a level does not work here, "" where it does."""
    return {report.level: report.reason for report in isolation.probe(run.LIMITS).levels}


@pytest.fixture(scope="module")
def users_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen, Path] | str]:
    """The attempts of an ordinary user's kernels, which go on beside the other tests, and their output; or why not."""
    name = test_attempts_of_an_ordinary_users_kernels_fail.__name__
    if os.geteuid() != 0 or not any(item.name == name for item in request.session.items):
        yield "this is an ordinary user's run already"
        return
    python = [sys.executable, "-m", "spatialclaw_ros.kernel.attempts"]
    options = {"user": OTHER_USER, "group": OTHER_USER, "extra_groups": [], "cwd": "/", "text": True}
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    tried = subprocess.run([*python, "--help"], capture_output=True, env=environment, timeout=60, **options)
    if tried.returncode:
        yield f"user {OTHER_USER} cannot run this installation: {tried.stderr[-300:]}"
        return
    output = tmp_path_factory.mktemp("user") / "attempts"
    with output.open("w") as file, subprocess.Popen(python, stdout=file, env=environment, **options) as started:
        yield started, output
        started.kill()


def kernels_of(running: Trials, level: str, problems: dict[str, str]) -> run.Kernels:
    if problems[level]:
        pytest.skip(f"this machine does not offer {level}: {problems[level]}")
    return next(kernels for kernels in running.held if kernels.level == level)


def every_attempt() -> list[object]:
    """The quick ones at the strongest level are part of every run of the tests; all of them are `make test-sandbox`."""
    made = []
    for attempt in ALL:
        for level in LEVELS:
            marks = [] if attempt.quick and level == LEVELS[0] else [pytest.mark.sandbox]
            made.append(pytest.param(attempt, level, id=f"{level}-{attempt.name}", marks=marks))
    return made


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.usefixtures("users_run")
@pytest.mark.parametrize(("attempt", "level"), every_attempt())
def test_attempt_fails_inside_and_succeeds_outside(
    attempt: Attempt,
    level: str,
    running: Trials,
    problems: dict[str, str],
    control: Callable[[Attempt], Control],
) -> None:
    inside = try_inside(attempt, kernels_of(running, level, problems))
    outside = control(attempt)
    assert inside.verdict == "held", f"{inside.verdict}: {inside.detail}"
    assert outside.verdict != "failed", f"the control got nothing: {outside.detail}"
    if outside.verdict == "not possible here":
        pytest.skip(f"held, but there is no control: {outside.detail}")


@pytest.mark.process
@pytest.mark.parametrize("level", LEVELS)
def test_every_guarantee_of_the_self_test_holds(level: str, running: Trials, problems: dict[str, str]) -> None:
    checks = kernels_of(running, level, problems).session().checks
    assert checks and not any(checks.values())


@pytest.mark.process
@pytest.mark.parametrize("level", LEVELS)
def test_scratch_folder_is_writable(level: str, running: Trials, problems: dict[str, str]) -> None:
    code = "import tempfile, os\nf = tempfile.NamedTemporaryFile()\nf.write(b'x'); f.flush()\n"
    session = kernels_of(running, level, problems).session()
    assert session.execute(code + "print(os.path.getsize(f.name))", 20.0).stdout == "1\n"


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.parametrize("abi", [1, 2, 4])
def test_attempts_fail_with_an_older_landlock(abi: int, problems: dict[str, str]) -> None:
    """What Landlock cannot forbid on an older Linux, the filter of system calls does."""
    if problems["landlock"]:
        pytest.skip(f"this machine does not offer landlock: {problems['landlock']}")
    guarded = [attempt for attempt in attempts(quick_only=True) if attempt.group in GUARDED_BY_LANDLOCK]
    with trials(["landlock"], abi) as made:
        outcomes = [try_inside(attempt, made.held[0]) for attempt in guarded]
    assert {each.attempt.name: each.detail for each in outcomes if each.verdict != "held"} == {}


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.timeout(400)
def test_attempts_of_an_ordinary_users_kernels_fail(users_run: tuple[subprocess.Popen, Path] | str) -> None:
    """As root, kernels run as another user; as an ordinary user, nothing but the sandbox parts them from the node."""
    if isinstance(users_run, str):
        pytest.skip(users_run)
    started, output = users_run
    started.wait(380)
    lines = output.read_text().splitlines()
    assert len(lines) == len(attempts(quick_only=True))
    assert not [line for line in lines if "got out" in line or "not run" in line or "control failed" in line]


@pytest.mark.process
@pytest.mark.parametrize(
    "name", ["read-by-path", "overwrite-file", "connect-to-path", "end-process", "fork", "make-message-queue"]
)
def test_a_sandbox_that_holds_nothing_is_found_out(name: str, running: Trials) -> None:
    outcome = try_inside(BY_NAME[name], running.free)
    assert outcome.verdict == "got out" and outcome.detail


def test_no_request_tells_the_id_of_the_next(tmp_path: Path) -> None:
    """A cell could otherwise reply to a cell that was not sent yet."""
    channels = Channels(Connection(str(tmp_path / "k")), 1 << 20)
    try:
        first, second = (channels.request(channels.shell, "execute_request", {}) for _ in range(2))
    finally:
        channels.close()
    assert len(first) == len(second) == 32 and first[:8] != second[:8]


def trial(text: str) -> Trial:
    return Trial(secret="s3cret", mark="mark", text=text, kept=len(text), ended=0.0)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('probe: {"refused": "PermissionError: no"}', "held"),
        ('probe: {"got": ""}', "held"),
        ('probe: {"failed": "NameError: name \'os\' is not defined"}', "not run"),
        ("", "not run"),
        ("probe: [1]", "held"),
        ("probe: no JSON", "held"),
    ],
)
def test_a_probe_that_failed_by_itself_has_not_shown_anything(text: str, verdict: str) -> None:
    assert run._verdict(BY_NAME["read-by-path"], trial(text))[0] == verdict


def test_there_are_sixty_attempts_and_each_is_described() -> None:
    assert len(ALL) >= 60 and len(BY_NAME) == len(ALL)
    assert all(attempt.tries.endswith(".") for attempt in ALL)
    assert 0 < len(attempts(quick_only=True)) < len(ALL)


def test_the_document_lists_every_attempt() -> None:
    """script/write_attempts writes it."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE) == [attempt.name for attempt in ALL]
