"""The package describes itself the same way everywhere, and names what it needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import spatialclaw_ros
from spatialclaw_ros.config import AgentConfig

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = [
    "package.xml",
    "spatialclaw_msgs/package.xml",
    "pypi/tf2_msgs/package.xml",
    "pypi/vision_msgs/package.xml",
]
NEEDED = set(
    "rclpy sensor_msgs nav_msgs geometry_msgs visualization_msgs vision_msgs tf2_ros cv_bridge launch_ros "
    "diagnostic_msgs std_msgs lifecycle_msgs message_filters spatialclaw_msgs".split()
)


def manifest(path: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / path).getroot()


def test_manifest_names_every_ros_dependency():
    assert {element.text for element in manifest("package.xml").iter("depend")} >= NEEDED


@pytest.mark.parametrize("path", MANIFESTS)
def test_manifest_is_valid_for_the_ros_tools(path: str):
    """colcon silently takes a package with an invalid manifest for plain Python."""
    catkin_pkg = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is not installed here")
    package = catkin_pkg.parse_package(str(ROOT / path))
    warnings: list[str] = []
    package.validate(warnings)
    assert package.package_format == 3
    assert not warnings


def test_version_is_the_same_everywhere():
    setup_version = re.search(r'version="([\d.]+)"', (ROOT / "setup.py").read_text())
    project_version = re.search(r'^version = "([\d.]+)"', (ROOT / "spatialclaw_msgs/pyproject.toml").read_text(), re.M)
    assert setup_version and project_version
    versions = {setup_version[1], project_version[1], spatialclaw_ros.__version__}
    versions |= {manifest(path).findtext("version") for path in MANIFESTS[:2]}
    assert versions == {spatialclaw_ros.__version__}


def test_entry_points_name_things_that_exist():
    points = importlib.metadata.distribution("spatialclaw_ros").entry_points
    assert {point.name for point in points} >= {"spatialclaw", "agent_node", "spatialclaw-sandbox"}
    for point in points:
        if point.name != "agent_node" or importlib.util.find_spec("rclpy"):
            assert callable(point.load()), point


def test_configuration_file_equals_the_defaults():
    assert AgentConfig.load(ROOT / "config/agent.yaml") == AgentConfig()


def test_configuration_file_is_what_the_configuration_classes_say():
    written = subprocess.run(
        [sys.executable, str(ROOT / "script/write_config")], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert (ROOT / "config/agent.yaml").read_text() == written, "run script/write_config > config/agent.yaml"


@pytest.mark.parametrize("name", ["requirements-kilted.txt", "requirements-jazzy.txt"])
def test_a_distributions_wheels_do_not_mix_with_anothers(name: str):
    lines = [line.split("#")[0].strip() for line in (ROOT / "pypi" / name).read_text().splitlines()]
    ros = [line for line in lines if line.startswith("ros-")]
    distribution = name.removeprefix("requirements-").removesuffix(".txt")
    assert ros
    for line in ros:
        assert re.fullmatch(rf"ros-{distribution}-[a-z0-9-]+>=\d+\.\d+,<\d+\.\d+", line), line
