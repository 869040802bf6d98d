"""make and its scripts: what is missing is named with its fix, failures name their log, nothing names a registry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "cat", "uname", "date", "dirname", "mkdir", "tail", "sed")
"""What the scripts may use beside the prerequisites they look for."""


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with the tools of a minimal system and no prerequisite."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return folder


def run(command: list[str], path: Path | None = None, **options) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | ({"PATH": str(path)} if path else {})
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, **options)


def program(folder: Path, name: str, body: str = "exit 0") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_prerequisites_name_each_missing_thing_with_its_command(bare_path: Path):
    result = run(["script/check_prerequisites", "/nowhere/python3"], bare_path)
    assert result.returncode == 1
    for thing, package in {
        "/nowhere/python3": "python3-venv",
        "C++ compiler": "g++",
        "make": "make",
        "git": "git",
        "bubblewrap": "bubblewrap",
    }.items():
        assert re.search(rf"{re.escape(thing)}.*\n +sudo apt-get install .*{re.escape(package)}", result.stderr), thing


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("echo 3.9; exit 0", "Python 3.10 to 3.13"),
        ("echo 3.14; exit 0", "Python 3.10 to 3.13"),
        ('case "$2" in *version*) echo 3.12;; *ensurepip*) exit 1;; esac', "python3.12-venv"),
        ('case "$2" in *version*) echo 3.12;; *Python.h*) exit 1;; esac', "python3.12-dev"),
    ],
)
def test_an_unfit_python_is_named(bare_path: Path, answers: str, expected: str):
    program(bare_path, "python3", answers)
    result = run(["script/check_prerequisites", "python3"], bare_path)
    assert result.returncode == 1
    assert expected in result.stderr


def test_nothing_is_said_where_everything_is_there(bare_path: Path):
    for name in ("g++", "make", "git", "bwrap"):
        program(bare_path, name)
    program(bare_path, "python3", 'case "$2" in *version*) echo 3.12;; esac')
    result = run(["script/check_prerequisites", "python3"], bare_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_bubblewrap_that_cannot_work_is_explained(bare_path: Path):
    """Without AppArmor's restriction the kernel falls back to Landlock; with it the profile's command is named."""
    for name in ("g++", "make", "git"):
        program(bare_path, name)
    program(bare_path, "python3", 'case "$2" in *version*) echo 3.12;; esac')
    program(bare_path, "bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    result = run(["script/check_prerequisites", "python3"], bare_path)
    restricted = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if restricted.exists() and restricted.read_text().strip() == "1":
        assert result.returncode == 1
        assert "apparmor_parser -r /etc/apparmor.d/bwrap" in result.stderr
    else:
        assert result.returncode == 0
        assert "No permissions to create new namespace" in result.stderr


def test_a_failed_step_names_its_log(tmp_path: Path):
    log = tmp_path / "step.log"
    result = run(["script/step", str(log), "a step", "sh", "-c", "echo this went wrong; exit 7"])
    assert result.returncode == 7
    assert "this went wrong" in result.stderr
    assert str(log) in result.stderr
    assert log.read_text() == "this went wrong\n"


def test_an_unknown_distribution_is_refused():
    result = run(["make", "setup", "ROS=humble"])
    assert result.returncode != 0
    assert "expected kilted or jazzy" in result.stderr


def test_setup_again_does_nothing_and_an_interface_change_rebuilds_that_interface():
    if Path(sys.prefix) != ROOT / ".venv" or run(["make", "--question", "setup"]).returncode:
        pytest.skip("this environment is not one that make setup finished")
    changed = ["--dry-run", "setup", "--what-if=spatialclaw_msgs/msg/SpatialObject.msg"]
    planned = run(["make", *changed]).stdout
    assert "wheels/spatialclaw_msgs" in planned
    assert "./pypi/vision_msgs" not in planned


def test_no_file_names_a_registry_host():
    """Where packages come from is the user's own configuration of pip and apt."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pattern = re.compile(
        r"pypi\.org|pythonhosted|debian\.org|archive\.ubuntu\.com|npmjs|--index-url|--extra-index|find[-_]links|trusted-host",
        re.IGNORECASE,
    )
    found = []
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match[0]}" for match in pattern.finditer(text)]
    assert not found
