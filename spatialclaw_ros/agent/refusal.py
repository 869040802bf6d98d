"""AnswerRefused: a submitted answer does not fit the goal; the message is one sentence for the model."""

from __future__ import annotations


class AnswerRefused(ValueError):
    """Says what was submitted, what was expected, and how to submit it. Never leaves the loop."""
