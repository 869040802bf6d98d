"""Errors that a cell can meet: each says what came, what was expected and what the model can do next."""

from __future__ import annotations

from spatialclaw_ros.errors import ErrorCode, SpatialClawError


class ToolError(SpatialClawError):
    """A tool was called with something it cannot use, or what it needs is not there."""

    code = ErrorCode.PERCEPTION_FAILED


class NoMaskFound(ToolError):
    """The segmenter found nothing for the prompt; the message says what to try."""


class BrokerError(ToolError):
    """The node that serves perception and the model did not answer."""


class RequestRateExceeded(BrokerError):
    """More requests, or bytes of requests, in a second than the node takes from one kernel."""
