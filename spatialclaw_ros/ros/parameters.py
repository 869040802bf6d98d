"""The node's parameters: declared from the configuration's dataclasses, read back as an AgentConfig."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from spatialclaw_ros.config import (
    NODE_PARAMETER_PREFIXES,
    NODE_PARAMETERS,
    AgentConfig,
    CameraConfig,
    Parameter,
    parameters,
)

INT64_MAX = (1 << 63) - 1
_LIST = RosParameter.Type.STRING_ARRAY


def declare_parameters(node: Node) -> None:
    """Declare every setting with its meaning, range and default, and every camera that the given parameters name.

    The node has declared what was given already (automatically_declare_parameters_from_overrides), so that a wrong name
    is found by `read_config` and not lost. Values are checked there, where an error can name the nearest right one.
    """
    for parameter in parameters():
        _declare(node, parameter)
    for name in sorted({key.split(".")[0] for key in node.get_parameters_by_prefix("cameras")}):
        for parameter in parameters(CameraConfig(), f"cameras.{name}"):
            _declare(node, parameter)


def read_config(node: Node) -> AgentConfig:
    """The configuration that the parameters say now. Raises: ConfigurationError naming the parameter."""
    values: dict[str, Any] = {}
    for name, parameter in node.get_parameters_by_prefix("").items():
        if (
            name in NODE_PARAMETERS
            or name.startswith(NODE_PARAMETER_PREFIXES)
            or parameter.type_ is RosParameter.Type.NOT_SET
        ):
            continue
        value = parameter.value
        values[name] = value if isinstance(value, (bool, int, float, str)) else list(value)
    return AgentConfig.from_parameters(values)


def _declare(node: Node, parameter: Parameter) -> None:
    descriptor = _descriptor(parameter)
    if node.has_parameter(parameter.name):
        node.set_descriptor(
            parameter.name, ParameterDescriptor(description=descriptor.description, dynamic_typing=True)
        )
    elif isinstance(parameter.default, tuple):
        node.declare_parameter(parameter.name, list(parameter.default) or _LIST, descriptor)
    else:
        node.declare_parameter(parameter.name, parameter.default, descriptor)


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=parameter.doc)
    if parameter.choices:
        descriptor.additional_constraints = f"one of {', '.join(map(str, parameter.choices))}"
    low, high = parameter.low, parameter.high
    if (low is None and high is None) or isinstance(parameter.default, (bool, str, tuple)):
        return descriptor
    if isinstance(parameter.default, float):
        lowest, highest = -1e300 if low is None else float(low), 1e300 if high is None else float(high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=lowest, to_value=highest)]
    else:
        lowest_int, highest_int = -INT64_MAX if low is None else int(low), INT64_MAX if high is None else int(high)
        descriptor.integer_range = [IntegerRange(from_value=lowest_int, to_value=highest_int)]
    return descriptor
