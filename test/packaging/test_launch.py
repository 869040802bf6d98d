"""The launch and RViz files name what the package has. launch is not on PyPI: a stand-in records what is built."""

from __future__ import annotations

import runpy
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "launch": ["LaunchDescription"],
    "launch.actions": ["DeclareLaunchArgument"],
    "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
    "launch_ros": [],
    "launch_ros.actions": ["LifecycleNode"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
    "launch_ros.substitutions": ["FindPackageShare"],
}


class Recorded:
    """Any class of launch: keeps its arguments."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        self.positional, self.named = positional, named


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    for name, classes in MODULES.items():
        module = types.ModuleType(name)
        for each in classes:
            setattr(module, each, type(each, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    entities = runpy.run_path(str(ROOT / "launch/agent.launch.py"))["generate_launch_description"]()
    return list(entities.positional[0])


def test_every_argument_has_a_default_and_a_description(description: list[Recorded]):
    arguments = {
        item.positional[0]: item.named for item in description if type(item).__name__ == "DeclareLaunchArgument"
    }
    assert set(arguments) == {"params_file", "namespace", "name", "autostart", "use_sim_time", "log_level"}
    for named in arguments.values():
        assert named["description"].endswith(".")
        assert "default_value" in named


def test_the_node_is_the_packages_lifecycle_node(description: list[Recorded]):
    (node,) = (item for item in description if type(item).__name__ == "LifecycleNode")
    assert node.named["package"] == "spatialclaw_ros"
    assert f"{node.named['executable']} = " in (ROOT / "setup.py").read_text()
    file, overrides = node.named["parameters"]
    assert file.positional == ("params_file",)
    assert set(overrides) == {"autostart", "use_sim_time"}
    assert all(value.named["value_type"] is bool for value in overrides.values())


def test_rviz_shows_the_nodes_topics_in_the_fixed_frame():
    rviz = yaml.safe_load((ROOT / "rviz/spatialclaw.rviz").read_text())["Visualization Manager"]
    topics = {display["Topic"]["Value"] for display in rviz["Displays"] if "Topic" in display}
    assert topics == {"/spatialclaw/overlay", "/spatialclaw/depth_cloud", "/spatialclaw/markers"}
    assert rviz["Global Options"]["Fixed Frame"] == "odom"
