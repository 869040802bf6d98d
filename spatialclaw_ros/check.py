"""What `spatialclaw check` tells: what is installed, what works on this machine, and the fix for what does not."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from spatialclaw_ros.config import AgentConfig
from spatialclaw_ros.errors import BackboneAuthenticationError, ConfigurationError, SpatialClawError
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.ros.environment import TRANSPORTS, WANTED_SOCKET_BYTES, transports

SUPPORTED_PYTHON = ((3, 10), (3, 13))
IMPORT_NAMES = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "pyzmq": "zmq",
}
"""Distributions whose module has another name, which counts too: a ROS distribution brings the module by apt."""

INTERFACES = ("spatialclaw_msgs", "tf2_msgs", "vision_msgs", "sensor_msgs", "nav_msgs", "visualization_msgs")
ROS_OF_RCLPY = {"7": "Jazzy", "9": "Kilted"}
PROGRAMS = {
    "bwrap": "sudo apt-get install bubblewrap",
    "g++": "sudo apt-get install g++",
    "make": "sudo apt-get install make",
    "git": "sudo apt-get install git",
}
BACKBONE_TIMEOUT = 5.0
SETUP_FIX = "run `make setup`, or build the workspace with colcon and source its install/setup.bash"


@dataclass(frozen=True)
class Check:
    """One finding. fix: what to do, "" where nothing is wrong. required: without it, questions cannot be answered."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    required: bool = True


def run_checks(config: str | Path | None = None) -> list[Check]:
    """Look at everything, in the order that a user would fix it. Waits for the backbone at most 5 s.

    config: the file whose settings count; None is the defaults. A file that cannot be loaded is a finding, too.
    """
    checks = [_python(), *_packages(), *_ros(), *_programs()]
    try:
        settings = AgentConfig.load(config)
    except SpatialClawError as error:
        checks.append(
            Check("configuration", False, str(error), f"correct {config}; config/agent.yaml explains every key")
        )
        settings = AgentConfig()
    else:
        checks.append(Check("configuration", True, str(config or "the defaults")))
    for look in (_isolation, _shared_memory, _segmenter, _backbone):
        checks += look(settings)
    return [*checks, _socket_buffers(), _transport()]


def print_checks(checks: list[Check], console: Console | None = None) -> bool:
    """Print one line for each finding and one for each fix. Returns whether everything that is required is right."""
    console = console or Console()
    width = max(len(check.name) for check in checks)
    for check in checks:
        sign = "[green]ok[/]     " if check.ok else "[bold red]missing[/]" if check.required else "[yellow]note[/]   "
        console.print(f"{sign}  {escape(check.name):<{width}}  {escape(check.detail)}", soft_wrap=True)
        if check.fix:
            console.print(f"{'':<{width + 11}}[bold]→[/] {escape(check.fix)}", soft_wrap=True)
    return all(check.ok for check in checks if check.required)


def _python() -> Check:
    low, high = SUPPORTED_PYTHON
    ok = low <= sys.version_info[:2] <= high
    fix = "" if ok else "use Python 3.10 to 3.13: make clean && make setup PYTHON=/usr/bin/python3.12"
    return Check("Python", ok, f"{sys.version.split()[0]} ({sys.executable})", fix)


def _packages() -> Iterator[Check]:
    try:
        requirements = importlib.metadata.requires("spatialclaw_ros") or []
    except importlib.metadata.PackageNotFoundError:
        yield Check("spatialclaw_ros", False, "runs from its sources, not installed", SETUP_FIX, required=False)
        return
    yield Check("spatialclaw_ros", True, importlib.metadata.version("spatialclaw_ros"))
    for requirement in requirements:
        if "extra ==" not in requirement:
            yield _package(requirement)


def _package(requirement: str) -> Check:
    """requirement: as in a wheel's metadata, 'numpy<3,>=1.26'."""
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    wanted = requirement[len(name) :].strip()
    fix = f"{sys.executable} -m pip install '{name}{wanted}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if _importable(IMPORT_NAMES.get(name, name)):
            return Check(name, True, "from the system")
        return Check(name, False, f"not installed; expected {wanted or 'any version'}", fix)
    from packaging.specifiers import SpecifierSet

    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Check(name, True, version)
    return Check(name, False, f"{version}; expected {wanted}", fix, required=False)


def _ros() -> Iterator[Check]:
    if not _importable("rclpy"):
        detail = "rclpy is not there: the library and `ask --bag` work, the agent node and the demo do not"
        yield Check("ROS 2", False, detail, "run `make setup`, or source a distribution's setup.bash", required=False)
        return
    yield _rclpy()
    for name in INTERFACES:
        ok = _importable(name)
        yield Check(
            name, ok, "interfaces are built" if ok else "interfaces are not built here", "" if ok else SETUP_FIX
        )


def _rclpy() -> Check:
    try:
        importlib.import_module("rclpy")
        implementation = importlib.import_module("rclpy.utilities").get_rmw_implementation_identifier()
    except Exception as error:  # a half-sourced environment fails in many ways; each is a finding
        return Check(
            "ROS 2", False, f"rclpy does not load: {error}", "open a new shell and source one distribution only"
        )
    try:
        version = importlib.metadata.version("rclpy")
    except importlib.metadata.PackageNotFoundError:
        version = "?"
    name = ROS_OF_RCLPY.get(version.split(".")[0], os.environ.get("ROS_DISTRO", "unknown distribution"))
    return Check("ROS 2", True, f"{name}, rclpy {version}, {implementation}")


def _programs() -> Iterator[Check]:
    for name, fix in PROGRAMS.items():
        path = shutil.which(name)
        yield Check(name, path is not None, path or "not found", "" if path else fix, required=False)


def _isolation(config: AgentConfig) -> Iterator[Check]:
    if config.kernel.sandbox == "none":
        detail = "switched off: cells that a model writes run with all rights of this user"
        yield Check("isolation", False, detail, "set kernel.sandbox to auto", required=False)
        return
    from spatialclaw_ros.kernel.isolation import probe

    report = probe(config.kernel)
    wanted = report.level if config.kernel.sandbox == "auto" else config.kernel.sandbox
    for level in report.levels:
        held = ", ".join(name.replace("_", " ") for name, broken in level.guarantees.items() if not broken)
        chosen = "in use" if level.level == wanted else "works, not used: a stronger level does"
        detail = f"{chosen}; tried and held: {held}" if level.works else level.reason
        yield Check(f"isolation: {level.level}", level.works, detail, level.fix, required=level.level == wanted)
    if not wanted:
        yield Check("isolation", False, "no level works, so no cell can run", "follow one of the fixes above")


def _shared_memory(config: AgentConfig) -> Iterator[Check]:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK | os.X_OK):
        fix = "mount a tmpfs on /dev/shm: sudo mount -t tmpfs -o size=2G,mode=1777 tmpfs /dev/shm"
        yield Check(
            "shared memory", False, f"{folder} cannot be written; frames go to temporary files", fix, required=False
        )
        return
    free, needed = shutil.disk_usage(folder).free, config.buffer.max_bytes
    ok = free >= needed
    detail = f"{folder} has {_size(free)} free; buffer.max_bytes is {_size(needed)}"
    fix = "sudo mount -o remount,size=2G /dev/shm (a container: --shm-size=2g), or lower buffer.max_bytes"
    yield Check("shared memory", ok, detail, "" if ok else fix, required=False)


def _segmenter(config: AgentConfig) -> Iterator[Check]:
    name = config.perception.segmenter
    if name == "grabcut" and config.backbone.name == "rules":
        detail = "grabcut asks the backbone where a named thing is, and the rules backbone sees no pictures"
        yield Check(
            "segmenter", False, detail, "set perception.segmenter to auto or colour, or backbone.name to openai"
        )
    else:
        yield Check("segmenter", True, name)


def _backbone(config: AgentConfig) -> Iterator[Check]:
    if config.backbone.name == "rules":
        yield Check("backbone", True, "rules: offline, understands the question families that it lists")
        return
    from spatialclaw_ros.backbones.openai import OpenAIBackbone

    try:
        backbone = OpenAIBackbone(dataclasses.replace(config.backbone, max_attempts=1))
    except ConfigurationError as error:
        yield Check("backbone", False, str(error), "export the key's variable where the node starts")
        return
    try:
        yield Check("backbone", True, backbone.check(CancelToken(), Deadline(BACKBONE_TIMEOUT, "asking the backbone")))
    except BackboneAuthenticationError as error:
        fix = "set backbone.api_key_env to the name of the variable that holds a valid key"
        yield Check("backbone", False, str(error), fix)
    except SpatialClawError as error:
        fix = "start the server, or set backbone.base_url to where it is (up to and with /v1)"
        yield Check("backbone", False, str(error), fix)
    finally:
        backbone.close()


def _socket_buffers() -> Check:
    try:
        limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    except (OSError, ValueError) as error:
        return Check("socket buffers", False, f"net.core.rmem_max cannot be read: {error}", required=False)
    ok = limit >= WANTED_SOCKET_BYTES
    fix = "" if ok else f"sudo sysctl -w net.core.rmem_max={WANTED_SOCKET_BYTES}   (keep it in /etc/sysctl.d/)"
    detail = f"net.core.rmem_max is {_size(limit)}; image streams need {_size(WANTED_SOCKET_BYTES)}"
    return Check("socket buffers", ok, detail, fix, required=False)


def _transport() -> Check:
    """What carries images between processes. This package's own processes set it; a camera driver's has to be told."""
    implementation = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if implementation != "rmw_fastrtps_cpp":
        return Check("ROS transport", True, f"{implementation}, with its own settings", required=False)
    if os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() == "LOCALHOST":
        detail = (
            f"ROS_AUTOMATIC_DISCOVERY_RANGE is LOCALHOST, with which rmw_fastrtps ignores {TRANSPORTS}: "
            f"best-effort raw images get lost"
        )
        fix = (
            "set qos_overrides.<topic>.subscription.reliability to reliable for raw images (their publisher has to be "
            "reliable, too), or ROS_AUTOMATIC_DISCOVERY_RANGE to SUBNET"
        )
        return Check("ROS transport", False, detail, fix, required=False)
    if TRANSPORTS in os.environ:
        return Check("ROS transport", True, f"{TRANSPORTS} is {os.environ[TRANSPORTS]}", required=False)
    detail = (
        f"node and client set {TRANSPORTS} themselves; a camera driver in another process needs it, too, or its raw "
        f"images get lost: export {TRANSPORTS}='{transports()}'"
    )
    return Check("ROS transport", True, detail, required=False)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module.replace("-", "_")) is not None
    except (ImportError, ValueError):
        return False


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"
