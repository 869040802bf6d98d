"""What every test run has: an own corner of the network, an order (quick ones first), test data, no leftovers."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import pytest
from leftovers import MARK, Leftovers

from spatialclaw_ros.ros.domain import PrivateDomain
from spatialclaw_ros.ros.environment import prepare_environment

ROOT = Path(__file__).resolve().parent.parent
LEFTOVERS = pytest.StashKey[Leftovers]()
RESOURCES = pytest.StashKey[contextlib.ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    resources = config.stash[RESOURCES] = contextlib.ExitStack()
    resources.enter_context(PrivateDomain())
    logs = resources.enter_context(tempfile.TemporaryDirectory(prefix="spatialclaw-test-"))
    prepare_environment()
    os.environ["ROS_LOG_DIR"] = logs
    os.environ["XDG_STATE_HOME"] = str(Path(logs) / "state")  # traces of goals
    leftovers = config.stash[LEFTOVERS] = Leftovers()
    os.environ[MARK] = leftovers.mark


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[RESOURCES].close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests, then processes, then ROS processes, then the slow ones: what breaks first is found first."""

    def rank(item: pytest.Item) -> tuple[bool, bool, bool]:
        return tuple(item.get_closest_marker(name) is not None for name in ("slow", "ros", "process"))

    items.sort(key=rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    if item.get_closest_marker("process"):
        item.config.stash[LEFTOVERS].look()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when it leaves processes or shared memory behind."""
    leftovers = session.config.stash[LEFTOVERS]
    left = [f"process {line}" for line in leftovers.processes()] + [f"folder {line}" for line in leftovers.folders()]
    if left:
        print("\nThe tests left behind:", *left, sep="\n  ", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of recordings that tests may use; it is not part of the repository."""
    folder = Path(os.environ.get("SPATIALCLAW_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; set SPATIALCLAW_TEST_DATA to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def kitchen_data(test_data: Path) -> Path:
    """The test data folder, where it holds kitchen_bag, kitchen_frames and kitchen_questions.yaml."""
    missing = [
        name for name in ("kitchen_bag", "kitchen_frames", "kitchen_questions.yaml") if not (test_data / name).exists()
    ]
    if missing:
        pytest.skip(f"the test data in {test_data} lacks {', '.join(missing)}")
    return test_data
