"""`spatialclaw check` tells the truth, and every finding that is wrong comes with its fix."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from spatialclaw_ros import check
from spatialclaw_ros.check import Check, print_checks, run_checks
from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.ros.environment import TRANSPORTS, transports


def only(checks: list[Check], name: str) -> Check:
    (found,) = (item for item in checks if item.name == name)
    return found


def backbone_check(**settings: object) -> Check:
    config = AgentConfig.load({"backbone": {"name": "openai", **settings}})
    return only(list(check._backbone(config)), "backbone")


def printed(checks: list[Check]) -> tuple[str, bool]:
    text = io.StringIO()
    result = print_checks(checks, Console(file=text, width=200))
    return text.getvalue(), result


def test_what_is_wrong_is_printed_with_its_fix():
    text, ok = printed([Check("bwrap", False, "not found", "sudo apt-get install bubblewrap")])
    assert not ok
    assert "missing" in text
    assert "→ sudo apt-get install bubblewrap" in text


def test_something_optional_that_is_wrong_does_not_fail_the_check():
    text, ok = printed([Check("ROS 2", False, "rclpy is not there", "make setup", required=False)])
    assert ok
    assert "note" in text


@pytest.mark.process
def test_every_finding_has_a_detail_and_what_is_wrong_a_fix():
    checks = run_checks()
    for item in checks:
        assert item.detail, item
        assert item.ok or item.fix, item
    names = {item.name for item in checks}
    assert names >= {"Python", "ROS 2", "numpy", "bwrap", "isolation: bwrap", "isolation: landlock", "backbone"}
    assert names >= {"shared memory", "socket buffers", "segmenter", "configuration"}


@pytest.mark.process
def test_a_wrong_configuration_is_a_finding(tmp_path: Path):
    path = tmp_path / "agent.yaml"
    path.write_text("bufer: {seconds: 3}")
    finding = only(run_checks(path), "configuration")
    assert not finding.ok
    assert "buffer" in finding.detail


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    finding = check._package("no-such-package-here<3,>=1.2")
    assert not finding.ok
    assert finding.fix.endswith("-m pip install 'no-such-package-here<3,>=1.2'")


def test_a_package_of_the_wrong_version_is_named():
    finding = check._package("numpy<0.1")
    assert not finding.ok
    assert "expected <0.1" in finding.detail


def test_an_unreachable_backbone_is_a_finding():
    finding = backbone_check(base_url="http://127.0.0.1:9/v1", model="m")
    assert not finding.ok
    assert "127.0.0.1:9" in finding.detail
    assert "backbone.base_url" in finding.fix


def test_a_missing_key_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SPATIALCLAW_NO_SUCH_KEY", raising=False)
    finding = backbone_check(model="m", api_key_env="SPATIALCLAW_NO_SUCH_KEY")
    assert not finding.ok
    assert "SPATIALCLAW_NO_SUCH_KEY" in finding.detail


def test_a_backbone_that_answers_is_said_to():
    from spatialclaw_ros.fakes.openai_server import FakeOpenAIServer

    with FakeOpenAIServer([]) as server:
        finding = backbone_check(base_url=server.url, model="some-model")
    assert finding.ok
    assert "answers" in finding.detail


def test_a_segmenter_that_the_backbone_cannot_serve_is_a_finding():
    config = AgentConfig.load({"perception": {"segmenter": "grabcut"}})
    finding = only(list(check._segmenter(config)), "segmenter")
    assert not finding.ok
    assert "perception.segmenter" in finding.fix


def transport(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Check:
    for name in ("RMW_IMPLEMENTATION", "ROS_AUTOMATIC_DISCOVERY_RANGE", TRANSPORTS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return check._transport()


def test_the_transport_that_node_and_client_set_themselves_is_nothing_to_mend(monkeypatch: pytest.MonkeyPatch):
    finding = transport(monkeypatch)
    assert finding.ok
    assert "camera driver" in finding.detail and transports() in finding.detail


def test_a_discovery_range_that_makes_the_transport_ineffective_is_told(monkeypatch: pytest.MonkeyPatch):
    finding = transport(monkeypatch, ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST", **{TRANSPORTS: transports()})
    assert not finding.ok and not finding.required
    assert "LOCALHOST" in finding.detail and "qos_overrides" in finding.fix


def test_another_middleware_brings_its_own_transport(monkeypatch: pytest.MonkeyPatch):
    finding = transport(monkeypatch, RMW_IMPLEMENTATION="rmw_cyclonedds_cpp", ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
    assert finding.ok and "rmw_cyclonedds_cpp" in finding.detail
