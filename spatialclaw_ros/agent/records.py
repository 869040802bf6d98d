"""The records of a goal: what was asked, what happened at every step, and what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from spatialclaw_ros.errors import ErrorCode
from spatialclaw_ros.kernel.cell import CellResult, ShownPicture


class AnswerType(IntEnum):
    """What an answer has to be; the action file declares the same names and numbers."""

    ANY = 0
    TEXT = 1
    NUMBER = 2
    CHOICE = 3
    BOOLEAN = 4
    POINT = 5
    OBJECTS = 6


Stage = Literal["plan", "generate", "execute", "observe", "decide"]


@dataclass(frozen=True)
class Query:
    """A question and its limits. Times are ROS time in nanoseconds, 0 = open; time_limit: steady seconds, 0 = default.

    reference_images: encoded JPEG or PNG files. cameras: names, empty = all. target_frame: "" = the fixed frame.
    """

    question: str
    answer_type: AnswerType = AnswerType.ANY
    choices: tuple[str, ...] = ()
    reference_images: tuple[bytes, ...] = ()
    target_frame: str = ""
    cameras: tuple[str, ...] = ()
    start_time: int = 0
    end_time: int = 0
    session_id: str = ""
    max_steps: int = 0
    time_limit: float = 0.0


@dataclass(frozen=True)
class ObjectAnswer:
    """An object: centre (3,) and quaternion xyzw (4,) in the answer's frame, size (3,) metres, score in [0, 1]."""

    label: str
    position: tuple[float, float, float]
    size: tuple[float, float, float] = (0.0, 0.0, 0.0)
    orientation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    score: float = 1.0


@dataclass(frozen=True)
class EvidenceFrame:
    """A frame that the answer rests on."""

    camera: str
    stamp: int
    index: int


@dataclass(frozen=True)
class Answer:
    """A validated answer. `text` always says it in words; the other fields are set according to `type`.

    number is in `unit`; number_stddev < 0 = unknown; confidence in [0, 1], < 0 = unknown; point: metres in `frame`.
    """

    text: str
    type: AnswerType
    number: float = float("nan")
    number_stddev: float = -1.0
    unit: str = ""
    choice_index: int = -1
    boolean: bool = False
    confidence: float = -1.0
    point: tuple[float, float, float] | None = None
    frame: str = ""
    objects: tuple[ObjectAnswer, ...] = ()
    evidence: tuple[EvidenceFrame, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something happened in a goal: sent to feedback, topics, the live view and the trace, in order.

    output: the tail of the cell's text. pictures: what the cell showed.
    """

    stage: Stage
    step: int
    purpose: str = ""
    code: str = ""
    output: str = ""
    pictures: tuple[ShownPicture, ...] = ()
    detail: str = ""


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Step:
    """One GENERATE-EXECUTE-OBSERVE round. `problem`: why no cell ran, it failed, or its answer was refused."""

    number: int
    purpose: str
    reasoning: str
    next_goal: str
    code: str
    reply: str
    result: CellResult | None = None
    problem: str = ""
    observation: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    request_bytes: int = 0
    seconds_backbone: float = 0.0
    seconds_cell: float = 0.0
    seconds_overhead: float = 0.0


@dataclass(frozen=True)
class QueryResult:
    """How a goal ended. `answer` is None exactly when error_code is not NONE and no best effort exists."""

    query: Query
    error_code: ErrorCode
    error_message: str = ""
    answer: Answer | None = None
    is_best_effort: bool = False
    plan: str = ""
    steps: tuple[Step, ...] = ()
    duration: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    sandbox_level: str = ""
    trace_path: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def ok(self) -> bool:
        return self.error_code is ErrorCode.NONE
