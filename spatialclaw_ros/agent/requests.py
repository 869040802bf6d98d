"""Requests: what a cell may ask of the node (segment, locate, ask); every parameter is checked."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from spatialclaw_ros.agent.checked_masks import checked_masks
from spatialclaw_ros.agent.request_images import ImageOfRequest, image_of, picture_of
from spatialclaw_ros.backbones.chat import Backbone, Picture
from spatialclaw_ros.errors import BackboneError
from spatialclaw_ros.frames.frame import Frame
from spatialclaw_ros.kernel.methods import MAX_IMAGES, MAX_POINTS, MAX_PROMPT, MAX_QUESTION
from spatialclaw_ros.limits import CancelToken, Deadline
from spatialclaw_ros.perception.interfaces import Box, Prompt, Segmenter, SegmentInput
from spatialclaw_ros.workbench.errors import ToolError

_log = logging.getLogger(__name__)

ShareArray = Callable[[Any, np.ndarray], dict[str, Any]]
"""(kernel session, array) -> {"file", "dtype", "shape"}, which the kernel can map (kernel.results.share_array)."""


class Vision(Protocol):
    """The vision-language helpers that the broker calls (backbones.vlm)."""

    def locate(
        self, backbone: Backbone, pictures: Sequence[Picture], question: str, cancel: CancelToken, deadline: Deadline
    ) -> str: ...

    def ask(
        self, backbone: Backbone, pictures: Sequence[Picture], question: str, cancel: CancelToken, deadline: Deadline
    ) -> Any: ...


@dataclass(frozen=True)
class MaskEvent:
    """Masks that a cell asked for. frame: the frame they lie on, None for a picture that the cell made.

    masks: (N, H, W) bool; scores: (N,); label: the prompt's words; step: the cell's number in its goal.
    """

    frame: Frame | None
    label: str
    masks: np.ndarray
    scores: np.ndarray
    backend: str
    step: int = 0


MaskListener = Callable[[MaskEvent], None]


@dataclass
class GoalContext:
    """What a kernel's requests are answered from while a goal runs. `step` is the running cell's number."""

    frames: Mapping[int, Frame]
    cancel: CancelToken
    deadline: Deadline
    on_masks: MaskListener | None = None
    step: int = 0


@dataclass
class Requests:
    """The kernel pool's BrokerHandler: `requests(method, params, session, cancel) -> result`.

    Raises: ToolError, PerceptionError, BackboneError, Canceled, TimeLimitReached; the broker passes them on by name.
    """

    backbone: Backbone
    share: ShareArray
    vision: Vision
    segmenter: Segmenter | None = None
    _goals: dict[str, GoalContext] = field(default_factory=dict)
    _current: threading.local = field(default_factory=threading.local)

    def serve(self, kernel_id: str, context: GoalContext) -> None:
        """Answer the requests of this kernel from `context` from now on."""
        self._goals[kernel_id] = context

    def stop(self, kernel_id: str) -> None:
        """Refuse the requests of this kernel from now on."""
        self._goals.pop(kernel_id, None)

    def __call__(self, method: str, params: dict[str, Any], session: Any, cancel: CancelToken) -> dict[str, Any]:
        context = self._goals.get(session.id)
        if context is None:
            raise ToolError(f"{method}: no question is being answered in this kernel, so nothing is served")
        methods = {"segment": self._segment, "locate": self._locate, "ask": self._ask}
        if method not in methods:
            raise ToolError(f"unknown request {str(method)[:40]!r}; known: {', '.join(methods)}")
        context.deadline.raise_if_over()
        with _either(cancel, context.cancel) as token:
            token.raise_if_set()
            return methods[method](params, session, context, token)

    def locate_box(self, color: np.ndarray, description: str) -> Box | None:
        """The Locator of a segmenter that needs one: asks the backbone, for the goal whose request is being served."""
        current = getattr(self._current, "request", None)
        if current is None:
            raise ToolError("locating needs a running question")
        context, token = current
        self._check_sight(f"finding {description[:80]!r}")
        text = self.vision.locate(
            self.backbone, [picture_of(ImageOfRequest(color))], description, token, context.deadline
        )
        return box_in_pixels(text, color.shape[1], color.shape[0])

    def _segment(
        self, params: dict[str, Any], session: Any, context: GoalContext, cancel: CancelToken
    ) -> dict[str, Any]:
        if self.segmenter is None:
            raise ToolError("no segmenter is configured (perception.segmenter)")
        image = image_of(params.get("image"), context.frames)
        prompt = _prompt(params)
        self._current.request = (context, cancel)
        try:
            found = self.segmenter.segment(SegmentInput(image.color, image.depth, image.intrinsics), prompt, cancel)
            found = checked_masks(found, image.color.shape[:2], self.segmenter.name)
        finally:
            self._current.request = None
        cancel.raise_if_set()  # a segmenter that was deaf to it: nobody waits any more
        _announce(context, image.frame, prompt, found)
        masks = np.ascontiguousarray(found.masks, np.uint8)
        return {
            "masks": self.share(session, masks),
            "scores": [float(score) for score in found.scores],
            "backend": found.backend,
            "notes": list(found.notes),
        }

    def _locate(
        self, params: dict[str, Any], session: Any, context: GoalContext, cancel: CancelToken
    ) -> dict[str, Any]:
        pictures, question = self._vision_request("vlm.locate", params, context)
        return {"text": str(self.vision.locate(self.backbone, pictures, question, cancel, context.deadline))}

    def _ask(self, params: dict[str, Any], session: Any, context: GoalContext, cancel: CancelToken) -> dict[str, Any]:
        pictures, question = self._vision_request("vlm.ask_with_thinking", params, context)
        reply = self.vision.ask(self.backbone, pictures, question, cancel, context.deadline)
        if isinstance(reply, str):
            return {"text": reply, "reasoning": ""}
        return {"text": reply.text, "reasoning": reply.reasoning}

    def _vision_request(self, what: str, params: dict[str, Any], context: GoalContext) -> tuple[list[Picture], str]:
        self._check_sight(what)
        question = _text(params.get("question"), "question", MAX_QUESTION)
        images = params.get("images")
        if not isinstance(images, (list, tuple)) or not 1 <= len(images) <= MAX_IMAGES:
            raise ToolError(f"{what} takes 1 to {MAX_IMAGES} images; got {_kind(images)}")
        return [picture_of(image_of(image, context.frames)) for image in images], question

    def _check_sight(self, what: str) -> None:
        if not self.backbone.sees_pictures:
            raise ToolError(
                f"{what} needs a backbone that sees pictures, and {self.backbone.name!r} does not; "
                f"segment by text instead, with a colour and a kind of thing ('red box')"
            )


def _announce(context: GoalContext, frame: Frame | None, prompt: Prompt, found: Any) -> None:
    if context.on_masks is None:
        return
    label = prompt.text or ("box" if prompt.box else "point")
    try:
        context.on_masks(MaskEvent(frame, label, found.masks, found.scores, found.backend, context.step))
    except Exception:  # whoever watches must not fail the cell; what went wrong there is logged
        _log.exception("the listener for masks failed")


@contextlib.contextmanager
def _either(first: CancelToken, second: CancelToken) -> Iterator[CancelToken]:
    """A token that is set as soon as one of the two is."""
    token = CancelToken()
    undo = [each.on_cancel(partial(_pass_on, each, token)) for each in (first, second)]
    try:
        yield token
    finally:
        for unregister in undo:
            unregister()


def _pass_on(source: CancelToken, target: CancelToken) -> None:
    target.cancel(source.reason)


def _prompt(params: dict[str, Any]) -> Prompt:
    given = params.get("prompt")
    if not isinstance(given, Mapping):
        raise ToolError(f"segment needs a prompt with text, box or points; got {_kind(given)}")
    threshold = params.get("threshold", 0.3)
    if not _is_number(threshold) or not 0 <= threshold <= 1:
        raise ToolError(f"confidence_threshold is {threshold!r:.40}; expected a number from 0 to 1")
    kinds = [kind for kind in ("text", "box", "points") if given.get(kind)]
    if len(kinds) != 1:
        raise ToolError(f"segment needs exactly one of text, box and points; got {', '.join(kinds) or 'none'}")
    if kinds == ["text"]:
        return Prompt(text=_text(given["text"], "text prompt", MAX_PROMPT), threshold=float(threshold))
    if kinds == ["box"]:
        return Prompt(box=_box(given["box"]), threshold=float(threshold))
    points, labels = _points(given["points"], given.get("labels"))
    return Prompt(points=points, point_labels=labels, threshold=float(threshold))


def _box(value: Any) -> Box:
    if not isinstance(value, (list, tuple)) or len(value) != 4 or not all(map(_is_number, value)):
        raise ToolError(f"box is {value!r:.80}; expected x1, y1, x2, y2 in pixels")
    x1, y1, x2, y2 = map(float, value)
    if x2 <= x1 or y2 <= y1:
        raise ToolError(f"box is {[x1, y1, x2, y2]}; expected x2 > x1 and y2 > y1, in pixels")
    return x1, y1, x2, y2


def _points(points: Any, labels: Any) -> tuple[tuple[tuple[float, float], ...], tuple[int, ...]]:
    usable = isinstance(points, (list, tuple)) and 1 <= len(points) <= MAX_POINTS
    if not usable or not all(isinstance(p, (list, tuple)) and len(p) == 2 and all(map(_is_number, p)) for p in points):
        raise ToolError(f"points is {points!r:.80}; expected 1 to {MAX_POINTS} pairs (x, y) in pixels")
    labels = [1] * len(points) if labels is None else labels
    if (
        not isinstance(labels, (list, tuple))
        or len(labels) != len(points)
        or any(each not in (0, 1) for each in labels)
    ):
        raise ToolError(f"point labels are {labels!r:.80}; expected {len(points)} of them, 1 inside and 0 outside")
    return tuple((float(x), float(y)) for x, y in points), tuple(int(each) for each in labels)


def _text(value: Any, what: str, most: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise ToolError(f"{what} is {_kind(value)}; expected 1 to {most} characters of text")
    return value.strip()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _kind(value: Any) -> str:
    length = f" of length {len(value)}" if isinstance(value, (str, bytes, list, tuple, dict)) else ""
    return f"a {type(value).__name__}{length}"


def box_in_pixels(text: str, width: int, height: int) -> Box | None:
    """The box of a locate reply ("x1 y1 x2 y2", 0 to 1000 of the picture's size) in pixels; None for "Not visible".

    Raises: BackboneError for text that is neither.
    """
    if "not visible" in text.lower():
        return None
    try:
        x1, y1, x2, y2 = (float(word) for word in text.replace(",", " ").strip(" []()").split())
    except ValueError:
        raise BackboneError(
            f"locate got {text[:80]!r}; expected four numbers from 0 to 1000, or 'Not visible'"
        ) from None
    box = (x1 * width / 1000, y1 * height / 1000, x2 * width / 1000, y2 * height / 1000)
    return box if box[2] > box[0] and box[3] > box[1] else None
