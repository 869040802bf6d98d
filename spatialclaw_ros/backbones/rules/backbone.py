"""RulesBackbone: answers the agent's prompts without a model, one cell after the other."""

from __future__ import annotations

from collections.abc import Sequence

from spatialclaw_ros.backbones.chat import Message, Purpose, Reply
from spatialclaw_ros.backbones.rules.conversation import read_task
from spatialclaw_ros.backbones.rules.parse import check_colours, parse_question
from spatialclaw_ros.backbones.rules.plan import plan_text
from spatialclaw_ros.backbones.rules.shared_steps import check_recorded
from spatialclaw_ros.backbones.rules.strategies import next_cell
from spatialclaw_ros.errors import BackboneError
from spatialclaw_ros.limits import CancelToken, Deadline


class RulesBackbone:
    """The offline default: parses the question by grammar and writes the cells that measure its answer.

    It keeps no state: each reply follows from the messages alone, so that goals may share one instance.
    """

    name = "rules"
    sees_pictures = False

    def chat(self, messages: Sequence[Message], purpose: Purpose, cancel: CancelToken, deadline: Deadline) -> Reply:
        """The plan or the next cell.

        Raises: QuestionNotUnderstood that lists what can be asked; NotMeasurable where the frames lack depth or poses;
        ThingNotFound, BackboneError when no step is left; Canceled, TimeLimitReached.
        """
        cancel.raise_if_set()
        deadline.raise_if_over()
        if purpose not in ("plan", "main"):
            raise BackboneError(
                f"the rules backbone sees no pictures and cannot serve vlm requests ({purpose}); "
                f"configure backbone.name openai"
            )
        task = read_task(messages)
        question = parse_question(task.question, task.choices)
        check_colours(question, task.question)
        check_recorded(question, task)
        text = plan_text(question) if task.wants_plan else next_cell(question, task).reply()
        return Reply(text, model=self.name, finish_reason="stop", request_bytes=sum(len(m.text) for m in messages))

    def close(self) -> None:
        """Nothing to release."""
