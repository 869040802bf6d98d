"""GoalRun: one question through PLAN, GENERATE, EXECUTE, OBSERVE and DECIDE until an answer or the budget's end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from spatialclaw_ros.agent.answers import AnswerContext, validate_answer
from spatialclaw_ros.agent.conversation import Budget, Conversation, observation_text, plan_request, shown_parts
from spatialclaw_ros.agent.prompt_text import cut_middle, listed
from spatialclaw_ros.agent.records import Answer, AnswerType, Event, Stage, Step
from spatialclaw_ros.agent.refusal import AnswerRefused
from spatialclaw_ros.agent.reply import ParsedReply, parse_reply, without_thinking
from spatialclaw_ros.agent.trace import TraceWriter
from spatialclaw_ros.backbones.chat import Backbone, Picture, Reply
from spatialclaw_ros.config import LoopConfig
from spatialclaw_ros.errors import ErrorCode, SpatialClawError, TimeLimitReached
from spatialclaw_ros.kernel.cell import CellResult
from spatialclaw_ros.limits import CancelToken, Deadline

OUTPUT_TAIL = 2000
"""Characters of a cell's text in an observe event."""

HURRY_SHARE = 0.2
"""The model is told to come to an answer when this share of the time is left."""

MAX_PLAN = 4000
MAX_REASON = 500


class CellRunner(Protocol):
    """Runs the cells of one goal (kernel_runner.KernelRunner). failure: why no kernel could be started, if so."""

    failure: BaseException | None

    def run(self, code: str, step: int) -> CellResult: ...


@dataclass
class GoalRun:
    """The state of one goal. `opening` is the task's text, `first_parts` what the first cell request carries.

    cancel: the client's; work: set by it, and when the kernel could not be started: aborts a request in flight.
    """

    backbone: Backbone
    runner: CellRunner
    context: AnswerContext
    limits: LoopConfig
    conversation: Conversation
    opening: str
    first_parts: list[str | Picture]
    max_steps: int
    deadline: Deadline
    time_limit: float
    cancel: CancelToken
    work: CancelToken
    emit: Callable[[Event], None]
    trace: TraceWriter | None = None
    plan: str = ""
    steps: list[Step] = field(default_factory=list)
    plan_tokens: tuple[int, int] = (0, 0)
    any_cell: bool = False
    candidate: dict[str, Any] | None = None
    _traced_messages: int = 0
    _traced_steps: int = 0

    def run(self) -> tuple[ErrorCode, str, Answer | None]:
        """(code, message, answer). An answer beside a code other than NONE is the best effort at the budget's end."""
        try:
            self._open()
            return self._steps()
        except TimeLimitReached as error:
            if self.deadline.remaining() > 0:
                return ErrorCode.BACKBONE_FAILED, str(error), None
            return ErrorCode.TIME_LIMIT, f"the goal ran out of its {self.time_limit:g} s", self._best_effort()

    def _open(self) -> None:
        """PLAN, or straight to the first cell's request. One user turn either way, so that roles alternate."""
        if not self.limits.planning:
            self.conversation.append_user(self.opening, *self.first_parts)
            return
        self._event("plan", 0)
        self.conversation.append_user(self.opening, plan_request())
        reply, _ = self._ask("plan")
        self.plan = cut_middle(without_thinking(reply.text), MAX_PLAN)
        self.plan_tokens = (reply.prompt_tokens, reply.completion_tokens)
        self.conversation.append_reply(self.plan or "(no plan)")
        self._event("plan", 0, detail=self.plan or "no plan came back; going on without one")
        self.conversation.append_user(*self.first_parts)
        if self.trace:
            self.trace.plan(self.plan)

    def _steps(self) -> tuple[ErrorCode, str, Answer | None]:
        failures = 0
        for number in range(1, self.max_steps + 1):
            step, answer = self._step(number)
            if answer is not None:
                return ErrorCode.NONE, "", answer
            failures = failures + 1 if step.problem else 0
            if failures >= self.limits.max_failures:
                return self._give_up(failures, step)
        if not self.any_cell:
            return self._give_up(failures, step)
        return ErrorCode.NO_ANSWER, f"no valid answer within {self.max_steps} cells", self._best_effort()

    def _step(self, number: int) -> tuple[Step, Answer | None]:
        """One GENERATE, EXECUTE, OBSERVE, DECIDE round."""
        self._event("generate", number)
        reply, seconds_backbone = self._ask("main")
        replied = time.monotonic()
        parsed = parse_reply(reply.text, reply.finish_reason)
        self.conversation.append_reply(parsed.text)
        result = self._execute(number, parsed) if not parsed.problem else None
        if result is not None:
            self._event("observe", number, parsed.purpose, output=_tail(result), pictures=result.pictures)
        answer, problem = self._decide(parsed, result)
        step = Step(
            number, parsed.purpose, parsed.reasoning, parsed.next_goal, parsed.code, reply.text, result, problem,
            prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens,
            request_bytes=reply.request_bytes,
            seconds_backbone=seconds_backbone, seconds_cell=result.duration if result else 0.0,
        )  # fmt: skip
        if answer is None:
            step = replace(step, observation=self._observe(number, result, problem))
        overhead = time.monotonic() - replied - step.seconds_cell
        self.steps.append(replace(step, seconds_overhead=max(0.0, overhead)))
        outcome = f"answer accepted: {answer.text}" if answer else problem or parsed.next_goal or "measuring on"
        self._event("decide", number, parsed.purpose, detail=outcome)
        return self.steps[-1], answer

    def _ask(self, purpose: Any) -> tuple[Reply, float]:
        """One request. Everything that can wait (the trace of the previous step) is handed over right before."""
        self.cancel.raise_if_set()
        self.deadline.raise_if_over()
        self.hand_over_trace()
        started = time.monotonic()
        try:
            reply = self.backbone.chat(self.conversation.messages, purpose, self.work, self.deadline)
        except SpatialClawError:
            if self.runner.failure is not None and not self.cancel.is_set():
                raise self.runner.failure from None
            raise
        self.cancel.raise_if_set()
        return reply, time.monotonic() - started

    def _execute(self, number: int, parsed: ParsedReply) -> CellResult:
        self.any_cell = True
        self._event("execute", number, parsed.purpose, code=parsed.code)
        result = self.runner.run(parsed.code, number)
        self.cancel.raise_if_set()
        return result

    def _decide(self, parsed: ParsedReply, result: CellResult | None) -> tuple[Answer | None, str]:
        """The valid answer, if there is one, and what is to be told to the model as a problem."""
        if result is None:
            return None, parsed.problem
        if result.answer is not None:
            self.candidate = result.answer
            if result.status == "ok":
                try:
                    return validate_answer(result.answer, self.context), ""
                except AnswerRefused as refused:
                    return None, f"The answer was not accepted. {refused}"
            return (
                None,
                "The cell failed after ReturnAnswer, so the answer was not taken; mend the cell and submit again.",
            )
        return None, _failure(result)

    def _observe(self, number: int, result: CellResult | None, problem: str) -> str:
        """Append what came back to the conversation, with what is left of the budget."""
        seconds = self.deadline.remaining()
        budget = Budget(self.max_steps - number, seconds, seconds < HURRY_SHARE * self.time_limit)
        text = observation_text(number, result, problem, budget, self.limits.max_output)
        shown = (
            shown_parts(result.pictures, self.limits.max_shown_pictures)
            if result and self.backbone.sees_pictures
            else []
        )
        self.conversation.append_user(*shown, text)
        return text

    def _give_up(self, failures: int, step: Step) -> tuple[ErrorCode, str, Answer | None]:
        if not self.any_cell:
            return (
                ErrorCode.BACKBONE_UNUSABLE_REPLIES,
                f"{failures} replies of {self.backbone.name} had no runnable cell; the last: {step.problem}",
                None,
            )
        message = f"{failures} steps in a row failed (loop.max_failures); the last: {step.problem}"
        return ErrorCode.TOO_MANY_FAILURES, message, self._best_effort()

    def _best_effort(self) -> Answer | None:
        """The last answer that was submitted, though it did not fit: as asked if possible, else as it was given."""
        if self.candidate is None:
            return None
        for answer_type in (self.context.type, AnswerType.ANY, AnswerType.TEXT):
            try:
                return validate_answer(self.candidate, replace(self.context, type=answer_type))
            except AnswerRefused:
                continue
        return None

    def _event(self, stage: Stage, step: int, purpose: str = "", **details: Any) -> None:
        self.emit(Event(stage, step, purpose, **details))

    def hand_over_trace(self) -> None:
        """Give the trace the messages and steps that it does not have yet."""
        if self.trace is None:
            return
        for message in self.conversation.messages[self._traced_messages :]:
            self.trace.message(message)
        for step in self.steps[self._traced_steps :]:
            self.trace.step(step)
        self._traced_messages, self._traced_steps = len(self.conversation.messages), len(self.steps)


def _tail(result: CellResult) -> str:
    text = result.stdout
    if result.error is not None:
        text += ("\n" if text else "") + (result.error.traceback or f"{result.error.name}: {result.error.message}")
    return text[-OUTPUT_TAIL:]


def _failure(result: CellResult) -> str:
    """What is wrong with a cell that submitted nothing, as one sentence; "" when it ran."""
    match result.status:
        case "ok":
            return ""
        case "error":
            name = result.error.name if result.error else "an error"
            where = f" in line {result.error.line}" if result.error and result.error.line else ""
            return f"The cell stopped with {name}{where}; read the error and mend the cause."
        case "timeout":
            return "The cell was stopped at its time limit; do less per cell (fewer frames, vectorised code)."
        case "interrupted":
            return "The cell was interrupted; send it again or a shorter one."
        case _:
            reason = result.error.message.rstrip(". ")[:MAX_REASON] if result.error else ""
            gone = f"the variables {listed(result.names)} are gone, and" if result.names else "gone is"
            return (
                f"The kernel ended{f' ({reason})' if reason else ''} and a fresh one was started: {gone} what this "
                "cell made or imported; InputImages and the tools are back. Mend the cause, and define again what you "
                "need."
            )
