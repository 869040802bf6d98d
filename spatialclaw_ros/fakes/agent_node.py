"""The agent node with the fake agent: `python -m spatialclaw_ros.fakes.agent_node --ros-args ...`."""

from __future__ import annotations

import sys

from spatialclaw_ros.fakes.agent import FakeAgent


def main() -> int:
    """Run the node until a signal. Returns its exit code."""
    from spatialclaw_ros.ros.main import run  # needs ROS; the fakes do not

    return run(FakeAgent)


if __name__ == "__main__":
    sys.exit(main())
