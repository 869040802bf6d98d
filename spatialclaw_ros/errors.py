"""Every error a user can meet derives from SpatialClawError and carries the code that the action's result reports."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ErrorCode(IntEnum):
    """Result codes of the SpatialQuery action; the .action file declares the same names and numbers."""

    NONE = 0
    INTERNAL = 1
    CANCELED = 2
    NOT_ACTIVE = 3
    BUSY = 4
    PREEMPTED = 5
    # the goal itself
    EMPTY_QUESTION = 100
    QUESTION_TOO_LONG = 101
    BAD_ANSWER_TYPE = 102
    CHOICES_MISSING = 103
    UNKNOWN_CAMERA = 104
    UNKNOWN_FRAME = 105
    BAD_TIME_WINDOW = 106
    BAD_LIMIT = 107
    BAD_REFERENCE_IMAGE = 108
    # what the robot supplied
    NO_FRAMES = 200
    BAD_RECORDING = 201
    BAD_IMAGE = 202
    BAD_CAMERA_INFO = 203
    BAD_TRANSFORM = 204
    # the parts that answer
    BACKBONE_UNREACHABLE = 300
    BACKBONE_AUTHENTICATION = 301
    BACKBONE_FAILED = 302
    BACKBONE_UNUSABLE_REPLIES = 303
    QUESTION_NOT_UNDERSTOOD = 304
    KERNEL_FAILED = 310
    SANDBOX_UNAVAILABLE = 311
    PERCEPTION_FAILED = 320
    # the budget
    TIME_LIMIT = 400
    NO_ANSWER = 401
    TOO_MANY_FAILURES = 402
    # the configuration
    BAD_CONFIGURATION = 500


class SpatialClawError(Exception):
    """Base of the package's errors: the message says what came, what was expected and what to do."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL


class Canceled(SpatialClawError):
    """The goal was cancelled while this work ran."""

    code = ErrorCode.CANCELED


class Busy(SpatialClawError):
    """Another goal runs, and the configuration has a second one refused (loop.concurrency: reject)."""

    code = ErrorCode.BUSY


class Preempted(Canceled):
    """A newer goal took this one's place (loop.concurrency: preempt)."""

    code = ErrorCode.PREEMPTED


class TimeLimitReached(SpatialClawError):
    """The steady-time limit of the goal or of one wait ran out."""

    code = ErrorCode.TIME_LIMIT


class BadGoal(SpatialClawError):
    """A goal's content cannot be served; `code` is one of the 1xx codes, given per instance."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # one class for the family; the code tells them apart


class NoFrames(SpatialClawError):
    """No frame lies in the asked time window."""

    code = ErrorCode.NO_FRAMES


class RecordingError(SpatialClawError):
    """A recording (bag) lacks a topic, is cut off, or cannot be read."""

    code = ErrorCode.BAD_RECORDING


class ImageError(SpatialClawError, ValueError):
    """An image cannot be what its header says."""

    code = ErrorCode.BAD_IMAGE


class CameraInfoError(SpatialClawError, ValueError):
    """Intrinsics that cannot be used."""

    code = ErrorCode.BAD_CAMERA_INFO


class TransformError(SpatialClawError):
    """A pose or transform is missing or not finite."""

    code = ErrorCode.BAD_TRANSFORM


class BackboneError(SpatialClawError):
    """The model's server answered, but not with something usable."""

    code = ErrorCode.BACKBONE_FAILED


class BackboneUnreachable(BackboneError):
    """Nothing answered at the model's address within the limit."""

    code = ErrorCode.BACKBONE_UNREACHABLE


class BackboneAuthenticationError(BackboneError):
    """The model's server refused the key."""

    code = ErrorCode.BACKBONE_AUTHENTICATION


class QuestionNotUnderstood(BackboneError):
    """The offline backbone cannot parse the question; it says which kinds it can."""

    code = ErrorCode.QUESTION_NOT_UNDERSTOOD


class KernelError(SpatialClawError):
    """The Python kernel did not start, died, or broke its protocol."""

    code = ErrorCode.KERNEL_FAILED


class SandboxUnavailable(KernelError):
    """No isolation level works here; the message names what to install."""

    code = ErrorCode.SANDBOX_UNAVAILABLE


class PerceptionError(SpatialClawError):
    """A segmenter or reconstructor failed."""

    code = ErrorCode.PERCEPTION_FAILED


class ConfigurationError(SpatialClawError, ValueError):
    """A configuration value is wrong; the message names the key, the value and the range or the nearest right key."""

    code = ErrorCode.BAD_CONFIGURATION
