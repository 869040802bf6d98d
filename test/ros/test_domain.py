"""PrivateDomain: discovery stays on this machine whatever the environment says, and the environment comes back."""

from __future__ import annotations

import pytest

from spatialclaw_ros.ros.domain import DETOURS, PrivateDomain


def test_nothing_leads_discovery_off_this_machine() -> None:
    before = dict.fromkeys(DETOURS, "somewhere") | {"ROS_DOMAIN_ID": "0", "PATH": "/bin"}
    environment = dict(before)
    with PrivateDomain(environment) as domain:
        assert environment == {
            "ROS_DOMAIN_ID": str(domain.domain_id),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "PATH": "/bin",
        }
    assert environment == before


@pytest.mark.parametrize("name", ["ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER", "FASTRTPS_DEFAULT_PROFILES_FILE"])
def test_what_was_not_set_is_not_set_afterwards(name: str) -> None:
    environment: dict[str, str] = {}
    with PrivateDomain(environment):
        environment[name] = "set meanwhile"
    assert environment == {}


def test_two_claims_never_get_one_domain() -> None:
    with PrivateDomain({}) as first, PrivateDomain({}) as second:
        assert first.domain_id != second.domain_id
