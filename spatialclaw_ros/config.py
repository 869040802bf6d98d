"""AgentConfig: every setting with its default, range and meaning, loaded from YAML and checked key by key."""

from __future__ import annotations

import difflib
import math
import os
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from spatialclaw_ros.backbones.config import BackboneConfig
from spatialclaw_ros.errors import ConfigurationError
from spatialclaw_ros.kernel.config import KernelConfig

Section = TypeVar("Section")

NODE_PARAMETERS = frozenset({"use_sim_time", "autostart", "start_type_description_service"})
NODE_PARAMETER_PREFIXES = ("qos_overrides.", "diagnostic_updater.")
"""Parameters that are rclpy's or the node's own: a parameter file may hold them beside the configuration."""


def option(default: Any, doc: str, low: float | None = None, high: float | None = None, choices: tuple = ()) -> Any:
    """A dataclass field with what a parameter needs: its meaning, an inclusive range, or the values it may take."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class BufferConfig:
    """How many frames are kept, per camera unless said otherwise."""

    seconds: float = option(30.0, "time that frames are kept, and the window of a goal that names none, s", 0.1, 3600.0)
    rate_hz: float = option(5.0, "frames kept per second and camera; 0 keeps all", 0.0, 120.0)
    max_bytes: int = option(1 << 30, "shared memory for kept frames of all cameras, bytes", 1 << 20)
    max_depth_skew: float = option(0.02, "largest stamp difference of a depth image to its colour image, s", 0.0, 1.0)


@dataclass(frozen=True)
class CameraConfig:
    """The topics of one camera; "" = the camera has none (depth), or the usual name next to the image."""

    image_topic: str = option("", "colour: sensor_msgs/Image, or CompressedImage where the name ends in /compressed")
    depth_topic: str = option("", "metric depth registered to the colour image, raw, compressed or compressedDepth")
    camera_info_topic: str = option("", "CameraInfo of the colour image")
    depth_camera_info_topic: str = option(
        "", "CameraInfo of the depth image; empty where depth is registered to colour"
    )
    optical_frame: str = option("", "frame id to use instead of the image header's")


@dataclass(frozen=True)
class WorldConfig:
    """The frames of reference that answers are given in."""

    fixed_frame: str = option("odom", "frame of poses, and of answers that name no other")
    base_frame: str = option("base_link", "the robot's own frame")
    gravity_aligned: bool = option(True, "the fixed frame's z axis points up (REP-103)")


@dataclass(frozen=True)
class PerceptionConfig:
    """Who makes masks."""

    segmenter: str = option(
        "auto",
        "auto: grabcut where it can, colour for text where the backbone sees no pictures",
        choices=("auto", "colour", "grabcut"),
    )


@dataclass(frozen=True)
class LoopConfig:
    """Limits of a goal. A goal's own max_steps and time_limit replace the defaults here, never above the caps."""

    planning: bool = option(True, "ask for a plan in words before the first cell")
    max_steps: int = option(16, "cells of a goal that names no limit", 1, 200)
    max_steps_cap: int = option(100, "most cells that a goal may ask for", 1, 1000)
    time_limit: float = option(300.0, "time of a goal that names no limit, s (steady clock)", 0.1, 86400.0)
    time_limit_cap: float = option(3600.0, "longest time that a goal may ask for, s", 0.1, 86400.0)
    max_pictures: int = option(32, "key frames shown to the model in the first request", 0, 256)
    max_shown_pictures: int = option(8, "pictures of one cell that go back to the model", 0, 64)
    max_failures: int = option(4, "replies or cells in a row that may fail before the goal is given up", 1, 100)
    max_sessions: int = option(2, "session ids whose kernels are kept; the longest unused is closed first", 1, 64)
    session_ttl: float = option(
        1800.0, "time after which the kernel of an unused session is closed, s (steady clock); 0 = no limit", 0.0, 1e7
    )
    concurrency: str = option(
        "queue",
        "a goal that comes while another runs: queue: it waits its turn; reject: it ends at once as BUSY; preempt: it "
        "ends the others as PREEMPTED; parallel: up to max_parallel run at once, never two of one session",
        choices=("queue", "reject", "preempt", "parallel"),
    )
    max_parallel: int = option(2, "goals at once where concurrency is parallel; each has a kernel of its own", 1, 16)
    max_question: int = option(8000, "longest question, characters", 1, 1_000_000)
    max_output: int = option(8000, "characters of a cell's text that go back to the model", 200, 1_000_000)
    picture_width: int = option(512, "key frames are shrunk to this width for the model, pixels", 32, 4096)
    picture_height: int = option(384, "and to this height, pixels", 32, 4096)

    def __post_init__(self) -> None:
        for name in ("max_steps", "time_limit"):
            value, cap = getattr(self, name), getattr(self, f"{name}_cap")
            if value > cap:
                raise ConfigurationError(
                    f"loop.{name} is {value:g}, above loop.{name}_cap, {cap:g}, so that a goal which names no limit "
                    f"would have one that it must not ask for; lower the first or raise the second"
                )


@dataclass(frozen=True)
class TraceConfig:
    """Where a goal's record is written."""

    folder: str = option("", "folder of the traces; empty = $XDG_STATE_HOME/spatialclaw/traces")
    keep: int = option(100, "goals kept, oldest are deleted first; 0 writes none", 0, 1_000_000)

    @property
    def path(self) -> Path:
        """The folder, with the default and `~` resolved."""
        if self.folder:
            return Path(self.folder).expanduser()
        state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        return Path(state).expanduser() / "spatialclaw" / "traces"


@dataclass(frozen=True)
class AgentConfig:
    """The whole configuration. Dotted names (`buffer.seconds`) are the ROS parameters' names.

    Raises: ConfigurationError from `load` and `from_parameters`, naming the key, the value, and what is accepted.
    """

    buffer: BufferConfig = field(default_factory=BufferConfig)
    cameras: dict[str, CameraConfig] = field(default_factory=dict, metadata={"doc": "cameras by name"})
    world: WorldConfig = field(default_factory=WorldConfig)
    kernel: KernelConfig = field(default_factory=KernelConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    trace: TraceConfig = field(default_factory=TraceConfig)
    frame_timeout: float = option(5.0, "longest wait for a first frame, s (steady clock)", 0.0, 600.0)

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any] | AgentConfig | None = None) -> AgentConfig:
        """From a YAML file, a mapping of the same shape, or None for the defaults.

        A ROS parameter file (`node: {ros__parameters: {...}}`) of one node is taken too; dotted keys count as nested
        ones, and the node's own parameters (`is_node_parameter`) are passed over.
        """
        if isinstance(source, AgentConfig):
            return source
        if source is None:
            return cls()
        if not isinstance(source, Mapping):
            source = _read_yaml(Path(source))
        own = {key: value for key, value in _of_one_node(source).items() if not is_node_parameter(str(key))}
        return _section(cls, _nested(own), "")

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> AgentConfig:
        """From flat dotted names, as a ROS node has them, such as {"cameras.head.image_topic": "/rgb"}."""
        return cls.load(parameters)


def is_node_parameter(name: str) -> bool:
    """Whether this parameter (or section, where a file nests it) is the ROS node's, not the configuration's."""
    return name in NODE_PARAMETERS or f"{name}.".startswith(NODE_PARAMETER_PREFIXES)


@dataclass(frozen=True)
class Parameter:
    """One leaf of the configuration as a ROS parameter: dotted name, default, meaning, range and allowed values."""

    name: str
    default: bool | int | float | str | tuple[str, ...]
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple = ()


def parameters(section: Any = None, prefix: str = "") -> Iterator[Parameter]:
    """Every leaf of a configuration (default: of `AgentConfig()`) but the cameras, whose names are not known before.

    For one camera: `parameters(CameraConfig(), "cameras.head")`.
    """
    section = AgentConfig() if section is None else section
    for entry in fields(section):
        value, name = getattr(section, entry.name), f"{prefix}.{entry.name}" if prefix else entry.name
        if is_dataclass(value):
            yield from parameters(value, name)
        elif isinstance(value, (bool, int, float, str, tuple)):
            meta = entry.metadata
            yield Parameter(
                name, value, meta.get("doc", ""), meta.get("low"), meta.get("high"), tuple(meta.get("choices", ()))
            )


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        loaded = yaml.safe_load(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"configuration {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"configuration {path} is not YAML: {error}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, Mapping):
        raise ConfigurationError(
            f"configuration {path} holds a {type(loaded).__name__}; expected keys such as 'backbone:'"
        )
    return loaded


def _of_one_node(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of the node in a ROS parameter file; what is none is returned as it is."""
    nodes = dict(_nodes(source))
    if not nodes:
        return source
    if len(nodes) > 1:
        raise ConfigurationError(
            f"the configuration holds the parameters of several nodes: {', '.join(map(repr, nodes))}; keep those of "
            f"the agent's node, all under one name, in a file of their own"
        )
    ((name, parameters_of_node),) = nodes.items()
    beside = [str(key) for key, value in source.items() if not any(_nodes({key: value}))]
    if beside:
        raise ConfigurationError(f"{beside[0]!r} stands beside the node {name!r}; move it under its ros__parameters")
    return _mapping(parameters_of_node, f"{name}/ros__parameters")


def _nodes(source: Mapping[str, Any], namespace: str = "") -> Iterator[tuple[str, Any]]:
    """Every node's name, with the namespaces that a ROS parameter file nests it in, and its parameters."""
    for key, value in source.items():
        if isinstance(value, Mapping):
            name = f"{namespace}/{key}" if namespace else str(key)
            if "ros__parameters" in value:
                yield name, value["ros__parameters"]
            else:
                yield from _nodes(value, name)


def _nested(source: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} → {"a": {"b": 1}}, merged with what is nested already."""
    result: dict[str, Any] = {}
    for key, value in source.items():
        *parents, leaf = str(key).split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigurationError(
                    f"{key!r} is set, and so is {parent!r} as a value of its own; keep one of them"
                )
        if isinstance(value, Mapping):
            value = _nested(value)
            if isinstance(place.get(leaf), dict):
                value = {**place[leaf], **value}
        place[leaf] = value
    return result


def _section(cls: type[Section], values: Mapping[str, Any], path: str) -> Section:
    known: dict[str, Field] = {entry.name: entry for entry in fields(cls) if entry.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    made: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise ConfigurationError(_unknown_key(name, str(key), list(known), path))
        made[key] = _value(hints[key], known[key], value, name)
    try:
        return cls(**made)
    except ConfigurationError:
        raise
    except ValueError as error:  # a section's own check, in its __post_init__
        raise ConfigurationError(f"{path or 'configuration'}: {error}") from error


def _unknown_key(name: str, key: str, known: list[str], path: str) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = (
        f"did you mean {'.'.join(filter(None, (path, near[0])))!r}?"
        if near
        else f"known keys: {', '.join(sorted(known))}"
    )
    return f"unknown configuration key {name!r}; {hint}"


def _value(hint: Any, entry: Field, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return _section(hint, _mapping(value, name), name)  # type: ignore[arg-type]
    if typing.get_origin(hint) is dict:
        item = typing.get_args(hint)[1]
        return {str(key): _section(item, _mapping(each, f"{name}.{key}"), f"{name}.{key}") for key, each in
                _mapping(value, name).items()}  # fmt: skip
    return _leaf(hint, entry, value, name)


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {value!r}; expected a section with keys")
    return value


def _leaf(hint: Any, entry: Field, value: Any, name: str) -> Any:
    choices = tuple(entry.metadata.get("choices", ()))
    kinds: tuple[Any, ...] = (hint,)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        choices = choices or typing.get_args(hint)
        kinds = tuple({type(choice) for choice in choices})
    elif origin in (typing.Union, types.UnionType):
        kinds = typing.get_args(hint)
    value = _of_type(kinds, value, name)
    if choices and value not in choices:
        near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
        hint_text = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}{hint_text}")
    _check_range(entry, value, name)
    return value


def _of_type(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    if value is None and type(None) in kinds:
        return value
    if isinstance(value, bool):
        if bool in kinds:
            return value
    elif isinstance(value, int) and int in kinds:
        return value
    elif isinstance(value, (int, float)) and float in kinds:
        if math.isfinite(value):
            return float(value)
    elif isinstance(value, (str, Path)) and (str in kinds or Path in kinds):
        return Path(value) if Path in kinds else str(value)
    elif (
        isinstance(value, (list, tuple)) and tuple in [typing.get_origin(kind) for kind in kinds] and _are_texts(value)
    ):
        return tuple(value)
    wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise ConfigurationError(f"{name} is {value!r} ({type(value).__name__}); expected a finite {wanted}")


def _are_texts(values: list | tuple) -> bool:
    return all(isinstance(each, str) for each in values)


def _check_range(entry: Field, value: Any, name: str) -> None:
    low, high = entry.metadata.get("low"), entry.metadata.get("high")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if (low is not None and value < low) or (high is not None and value > high):
        limits = f"at least {low:g}" if high is None else f"at most {high:g}" if low is None else f"{low:g} to {high:g}"
        default = "" if entry.default is MISSING else f" (default {entry.default:g})"
        raise ConfigurationError(f"{name} is {value!r}; expected {limits}{default}")
