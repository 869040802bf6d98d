"""The questions about relations: left and right, in front and behind, standing somewhere, and which is nearer."""

from __future__ import annotations

import re

from spatialclaw_ros.backbones.rules.phrases import Thing
from spatialclaw_ros.backbones.rules.question import Question, not_understood
from spatialclaw_ros.backbones.rules.reading import Reading

_REFERENCE = re.compile(r"(?:\bof|\bthan|\brelative to|\brespect to|\bcompared (?:to|with)|\bbehind|\bagainst|\bfrom)$")
"""What stands right before the thing that another is compared with."""
_FACING = re.compile(r"(?:fac(?:e|es|ing)|(?:at|to|toward|towards|upon)|direction of)$")
_AHEAD = re.compile(r"(?:right |straight )?(?:in front of|ahead of|before) (?:me|you|us)\b")
"""What may follow the thing that is faced: "with the door in front of me"."""
_STANDING = re.compile(
    r"(?:\bat|\bbeside|\bby|\bnear|\bnext to|\bon|\bfrom|\bin front of|\bposition of|\bplace of|\bwere|\bam|\bare)$"
)


def parse_side(reading: Reading) -> Question:
    """Left or right of something, or which of several is farther left, as a camera sees it."""
    target, reference = _target_and_reference(reading)
    options = ("left", "right")
    if re.search(r"\b(?:which|what)\b(?! (?:side|direction|hand|way))", reading.plain):
        wanted = "left" if re.search(r"\bleft", reading.plain) else "right"
        return Question(
            "side", (target, reference), moment=reading.moment, options=options, asserted=wanted, as_thing=True
        )
    return Question(
        "side", (target, reference), moment=reading.moment, options=options, asserted=_asserted(reading, options)
    )


def parse_depth_order(reading: Reading) -> Question:
    """In front of or behind something, as a camera sees it."""
    target, reference = _target_and_reference(reading)
    options = ("front", "behind")
    if re.search(r"\bwhich\b(?! (?:side|direction|way))", reading.plain):
        wanted = "front" if re.search(r"\bfront\b", reading.plain) else "behind"
        return Question(
            "depth_order", (target, reference), moment=reading.moment, options=options, asserted=wanted, as_thing=True
        )
    return Question(
        "depth_order", (target, reference), moment=reading.moment, options=options, asserted=_asserted(reading, options)
    )


def parse_egocentric(reading: Reading) -> Question:
    """Standing at one thing and facing another: where is the third."""
    objects = reading.need_objects(3, "three things: where you stand, what you face, and what is looked for")
    facing = _facing(reading, objects)
    if facing is None:
        raise not_understood(reading.text, "it does not say what is faced")
    others = [thing for thing in objects if thing is not facing]
    standing = next((thing for thing in others if _STANDING.search(reading.before(thing))), others[0])
    target = next(thing for thing in others if thing is not standing)
    options = reading.side_words
    if len(options) == 3:  # the odd one belongs to the stance: "with the door in front of me, is ... left or right?"
        options = ("left", "right") if {"left", "right"} <= set(options) else ("front", "behind")
    if len(options) < 2:
        asserted, options = options[0], ("left", "right") if options[0] in ("left", "right") else ("front", "behind")
    else:
        asserted = ""
    return Question("egocentric", (standing.name, facing.name, target.name), options=options, asserted=asserted)


def parse_nearer(reading: Reading) -> Question:
    """Which of several things is nearer to (or farther from) another, or to the camera."""
    farther = bool(re.search(r"\b(?:farther|farthest|further|furthest)\b", reading.plain))
    measure = "farther" if farther else "nearer"
    things = sorted((*reading.objects, *reading.cameras[:1]), key=lambda thing: thing.start)
    anchor = _anchor(reading, things)
    candidates = [thing.name for thing in things if thing is not anchor and thing.kind == "object"]
    name = anchor.name if anchor.kind == "object" else ""
    if len(candidates) < 2:
        raise not_understood(reading.text, "it needs two or more things to compare and one to compare them with")
    than = "than" in reading.tokens and not reading.asks_which
    asserted = candidates[0] if than else ""
    return Question(
        "nearer",
        (name, *candidates),
        measure,
        reading.moment,
        options=tuple(candidates),
        asserted=asserted,
        as_thing=not than,
    )


def _asserted(reading: Reading, options: tuple[str, ...]) -> str:
    """The direction that a yes/no question asks to confirm; "" where the question offers both."""
    said = [option for option in reading.side_words if option in options]
    plain = re.search(r"\b(?:is|does|do|are|stands?|lies?)\b", reading.plain)
    return said[0] if len(said) == 1 and plain else ""


def _target_and_reference(reading: Reading) -> tuple[str, str]:
    """(where is this thing, against that one): the reference follows 'of', 'than', 'behind', 'relative to', ..."""
    first, second = reading.need_objects(2, "two things to compare")[:2]
    if _REFERENCE.search(reading.before(second)):
        return first.name, second.name
    if _REFERENCE.search(reading.before(first)):
        return second.name, first.name
    return first.name, second.name


def _facing(reading: Reading, objects: tuple[Thing, ...]) -> Thing | None:
    """The thing right after 'facing', 'looking at', 'turned towards', ..."""
    best: tuple[int, Thing] | None = None
    for thing in objects:
        before = reading.before(thing, 4)
        match = re.search(
            r"\b(?:fac(?:e|es|ing|ed)|look(?:s|ing)?|turn(?:ed|ing)?|head(?:ed|ing)?|oriented|gaz(?:e|ing))\b(.*)$",
            before,
        )
        if match and (_FACING.search(before) or not match[1].strip()):
            distance = len(match[1].split())
            if best is None or distance < best[0]:
                best = (distance, thing)
    if best is None:
        after = ((" ".join(reading.tokens[thing.end : thing.end + 4]), thing) for thing in objects)
        return next((thing for words, thing in after if _AHEAD.match(words)), None)
    return best[1]


def _anchor(reading: Reading, things: list[Thing]) -> Thing:
    """The thing that the others are compared with.

    Things joined by "or" are candidates. Without such a pair, the anchor follows the comparative ("closer to X").
    """
    joined: set[int] = set()
    for position, (first, second) in enumerate(zip(things, things[1:], strict=False)):
        words = reading.between(first, second)
        if "or" in words and len(words) <= 4 and not any(word in ("?", ".", ";") for word in words):
            joined |= {position, position + 1}
    rest = [thing for position, thing in enumerate(things) if position not in joined]
    if joined and rest:
        return min(rest, key=lambda thing: _after_comparative(reading, thing))
    return min(things, key=lambda thing: _after_comparative(reading, thing))


def _after_comparative(reading: Reading, thing: Thing) -> tuple[int, int]:
    """How well a thing fits right after "nearer to": (0, gap) when it follows one, (1, start) when it does not."""
    comparatives = [
        index
        for index, word in enumerate(reading.tokens)
        if re.fullmatch(r"(?:near|clos|far|furth)e(?:r|st)|farther|farthest|further|furthest|near|close", word)
    ]
    gaps = [thing.start - index for index in comparatives if 0 < thing.start - index <= 4]
    return (0, min(gaps)) if gaps else (1, thing.start)
