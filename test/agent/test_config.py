"""The configuration: checked key by key, each mistake named with what is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialclaw_ros.config import AgentConfig, CameraConfig, is_node_parameter, parameters
from spatialclaw_ros.errors import ConfigurationError


def test_defaults_need_no_file() -> None:
    config = AgentConfig.load()
    assert (config.backbone.name, config.world.fixed_frame, config.loop.max_pictures) == ("rules", "odom", 32)


def test_a_yaml_file_sets_nested_values_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("loop: {max_steps: 5}\ncameras:\n  head: {image_topic: /head/rgb}\nframe_timeout: 2\n")
    config = AgentConfig.load(path)
    assert (config.loop.max_steps, config.loop.planning) == (5, True)
    assert config.cameras == {"head": CameraConfig(image_topic="/head/rgb")}
    assert config.frame_timeout == 2.0


def test_a_ros_parameter_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("/**:\n  ros__parameters:\n    buffer.seconds: 12.0\n    cameras: {head: {depth_topic: /d}}\n")
    config = AgentConfig.load(path)
    assert (config.buffer.seconds, config.cameras["head"].depth_topic) == (12.0, "/d")


NODE_OWN = """
    use_sim_time: true
    autostart: false
    start_type_description_service: false
    qos_overrides: {/tf: {subscription: {depth: 5}}}
    qos_overrides./clock.subscription.reliability: best_effort
    diagnostic_updater.period: 1.0
"""


@pytest.mark.parametrize("node", ["/**", "/spatialclaw", "robot:\n spatialclaw"])
def test_what_a_parameter_file_says_to_the_node_itself_is_passed_over(tmp_path: Path, node: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"{node}:\n  ros__parameters:{NODE_OWN}    loop: {{max_steps: 7}}\n")
    assert AgentConfig.load(path) == AgentConfig.load({"loop.max_steps": 7})


def test_only_the_nodes_own_names_are_passed_over() -> None:
    own = ["use_sim_time", "autostart", "qos_overrides", "qos_overrides./tf.x", "diagnostic_updater.period"]
    assert all(map(is_node_parameter, own))
    assert not any(map(is_node_parameter, ["loop", "use_sim_time.x", "qos_overridess", "autostarts", "loop.autostart"]))


def test_a_node_section_without_parameters_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("/**:\n  ros__parameters:\n")
    assert AgentConfig.load(path) == AgentConfig()


def test_a_file_for_several_nodes_names_them() -> None:
    file = {"/**": {"ros__parameters": {}}, "robot": {"driver": {"ros__parameters": {"fps": 30}}}}
    with pytest.raises(ConfigurationError, match=r"several nodes: '/\*\*', 'robot/driver'; keep those of the agent's"):
        AgentConfig.load(file)


def test_a_section_beside_the_node_is_not_lost() -> None:
    with pytest.raises(ConfigurationError, match="'loop' stands beside the node '/spatialclaw'"):
        AgentConfig.load({"/spatialclaw": {"ros__parameters": {}}, "loop": {"max_steps": 3}})


def test_dotted_names_of_ros_parameters_are_nested() -> None:
    config = AgentConfig.from_parameters(
        {"loop.max_steps": 3, "cameras.head.image_topic": "/a", "cameras.arm.image_topic": "/b"}
    )
    assert (config.loop.max_steps, sorted(config.cameras)) == (3, ["arm", "head"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"lop": {}}, "unknown configuration key 'lop'; did you mean 'loop'"),
        ({"loop": {"max_step": 3}}, "unknown configuration key 'loop.max_step'; did you mean 'loop.max_steps'"),
        ({"cameras": {"a": {"topic": "/x"}}}, "unknown configuration key 'cameras.a.topic'"),
        ({"loop": {"max_steps": 0}}, "loop.max_steps is 0; expected 1 to 200"),
        ({"loop": {"max_steps": 2.5}}, "loop.max_steps is 2.5 (float); expected a finite int"),
        ({"loop": {"max_steps": True}}, "loop.max_steps is True (bool)"),
        ({"loop": {"planning": "yes"}}, "loop.planning is 'yes' (str); expected a finite bool"),
        ({"buffer": {"seconds": float("nan")}}, "buffer.seconds is nan"),
        ({"loop": {"time_limit": 7200}}, "loop.time_limit is 7200, above loop.time_limit_cap, 3600"),
        ({"loop": {"max_steps_cap": 4}}, "loop.max_steps is 16, above loop.max_steps_cap, 4"),
        ({"loop": 3}, "loop is 3; expected a section with keys"),
        ({"perception": {"segmenter": "color"}}, "did you mean 'colour'"),
        ({"backbone": {"name": "gpt"}}, "backbone.name is 'gpt'"),
        ({"kernel": {"sandbox": "docker"}}, "kernel.sandbox is 'docker'"),
        ({"kernel": {"extra_packages": [1]}}, "kernel.extra_packages is [1]"),
        ({"loop": 1, "loop.max_steps": 2}, "keep one of them"),
    ],
)
def test_a_wrong_key_type_or_value_is_named(source: dict, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AgentConfig.load(source)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\xff"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="bad.yaml"):
        AgentConfig.load(path)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigurationError, match="/nowhere.yaml cannot be read"):
        AgentConfig.load("/nowhere.yaml")


def test_every_parameter_has_a_default_a_meaning_and_loads_back() -> None:
    declared = list(parameters())
    assert all(parameter.doc for parameter in declared)
    assert AgentConfig.from_parameters({p.name: p.default for p in declared}) == AgentConfig()


def test_a_cameras_parameters_are_declared_under_its_name() -> None:
    names = [parameter.name for parameter in parameters(CameraConfig(), "cameras.head")]
    assert "cameras.head.depth_topic" in names
