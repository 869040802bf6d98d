"""colcon finds and builds both packages from the repository's root and from a workspace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLCON = shutil.which("colcon", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(COLCON is None, reason="colcon is not installed here: make setup"),
]


def colcon(folder: Path, *arguments: str, **environment: str) -> str:
    """Run colcon in `folder` with nothing of this process's ROS environment; returns what it printed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("COLCON_", "CMAKE_", "AMENT_"))}
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
    result = subprocess.run(
        [str(COLCON), *arguments], cwd=folder, env=kept | environment, capture_output=True, text=True, timeout=170
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def listed(text: str) -> set[tuple[str, str]]:
    """Names and kinds of packages in the output of `colcon list`."""
    return {(line.split("\t")[0], line.split("\t")[2]) for line in text.splitlines()}


BOTH = {("spatialclaw_msgs", "(ros.ament_cmake)"), ("spatialclaw_ros", "(ros.ament_python)")}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what is under version control, so that nothing is written into the repository."""
    copy = tmp_path / "spatialclaw_ros"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


def test_both_packages_are_found_from_the_repositorys_root(sources: Path):
    assert listed(colcon(sources, "list")) == BOTH


def test_both_packages_are_found_in_a_workspace_with_the_symlink(sources: Path, tmp_path: Path):
    source_space = tmp_path / "workspace" / "src"
    source_space.mkdir(parents=True)
    sources.rename(source_space / "spatialclaw_ros")
    (source_space / "spatialclaw_msgs").symlink_to("spatialclaw_ros/spatialclaw_msgs")
    assert listed(colcon(source_space.parent, "list")) == BOTH


@pytest.mark.slow
def test_colcon_builds_both_over_the_wheels(sources: Path):
    """The interfaces import, `ros2 run` and launch find the node in lib/, and `spatialclaw` is on PATH."""
    colcon(sources, "build", COLCON_DEFAULTS_FILE=str(sources / "pypi/colcon_defaults.yaml"))
    install = sources / "install"
    scripts = install / "spatialclaw_ros/lib/spatialclaw_ros"
    assert {path.name for path in scripts.iterdir()} == {"agent_node", "spatialclaw"}
    for name in ("launch/agent.launch.py", "config/agent.yaml", "rviz/spatialclaw.rviz", "package.xml"):
        assert (install / "spatialclaw_ros/share/spatialclaw_ros" / name).is_file()
    packages = next(install.glob("spatialclaw_ros/lib/python*/site-packages/spatialclaw_ros"))
    for kind in ("*.j2", "*.txt", "py.typed"):
        names = {path.relative_to(ROOT / "spatialclaw_ros") for path in (ROOT / "spatialclaw_ros").rglob(kind)}
        assert names == {path.relative_to(packages) for path in packages.rglob(kind)}
    script = (
        f". {install}/setup.sh && cd / && spatialclaw --version && "
        "python -c 'import spatialclaw_msgs.action as a; print(a.__file__)'"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    printed = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    version, interfaces = printed.split()
    assert version == "0.1.0"
    assert interfaces.startswith(str(install))
