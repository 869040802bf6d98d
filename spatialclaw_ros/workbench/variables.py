"""What a cell left behind: new and changed variables, one line each, at a cost that does not grow with their size."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from spatialclaw_ros.workbench.images import FrameImage

MAX_LISTED = 60
MAX_NAMES = 10_000
MAX_RANGES = 25
SAMPLE = 2048
TEXT_LENGTH = 160
OWN_MODULES = "spatialclaw_ros."

Fingerprint = tuple[Any, ...]


class VariableWatch:
    """Knows the namespace as it was after the last cell, without keeping its values alive."""

    def __init__(self, hidden: set[str]) -> None:
        self._hidden = hidden
        self._bound: dict[str, int] = {}
        self._seen: dict[str, Fingerprint] = {}

    def bind(self, names: Mapping[str, Any]) -> None:
        """Names that the workbench itself binds: reported only when a cell gives them another value."""
        self._bound.update({name: id(value) for name, value in names.items()})

    def names(self) -> list[str]:
        """The variables that were there at the last call of `changes`, changed or not, in the namespace's order."""
        return [name[:TEXT_LENGTH] for name in self._seen][:MAX_NAMES]

    def changes(self, namespace: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Variables new or changed since the last call: [{"name", "type", "summary", "is_new"}], in the namespace's
        order."""
        changed, seen = [], {}
        for name, value in list(namespace.items()):
            if name.startswith("_") or name in self._hidden or isinstance(value, types.ModuleType):
                continue
            if self._bound.get(name) == id(value):
                continue
            mark = fingerprint(value)
            seen[name] = mark
            if self._seen.get(name) != mark:
                changed.append((name, value, name not in self._seen))
        self._seen = seen
        return _described(changed)


def _described(changed: list[tuple[str, Any, bool]]) -> list[dict[str, Any]]:
    entries, ranges = [], 0
    for name, value, is_new in changed[:MAX_LISTED]:
        ranges += isinstance(value, np.ndarray)
        text = _safe_summary(value, ranges <= MAX_RANGES)
        entries.append({"name": name, "type": type(value).__name__, "summary": text, "is_new": is_new})
    if len(changed) > MAX_LISTED:
        rest = f"{len(changed) - MAX_LISTED} more changed"
        entries.append({"name": "...", "type": "", "summary": rest, "is_new": False})
    return entries


def _safe_summary(value: Any, with_range: bool) -> str:
    try:
        return summary(value, with_range)
    except Exception as error:  # a class of the cell's own may fail in any way; its type is known anyway
        return f"(no summary: {type(error).__name__})"


def fingerprint(value: Any) -> Fingerprint:
    """Cheap evidence of change: identity, size, and a few elements where that costs nothing."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex):
        return (kind.__name__, value if value == value else "nan")  # NaN differs from itself
    if kind in (str, bytes):
        return (kind.__name__, len(value), hash(value) if len(value) < 4096 else id(value))
    if kind is np.ndarray:
        step = max(1, value.size // 8)
        few = value.flat[::step].tobytes() if value.size > 0 and value.dtype.kind in "biufc" else b""
        return (id(value), value.shape, value.dtype.str, few)
    if kind in (list, tuple, dict, set):
        return (id(value), len(value), *_last_ids(value))
    return (id(value),)


def summary(value: Any, with_range: bool = True) -> str:
    """One line about a value: shape, dtype and range of arrays, the value of scalars, the size of containers."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex) or isinstance(value, np.generic):
        return _cut(f"{value:.6g}" if isinstance(value, (float, np.floating)) else _digits(value))
    if isinstance(value, str):
        return _cut(repr(str(value[: TEXT_LENGTH + 1]))) + (
            f" ({len(value)} characters)" if len(value) > TEXT_LENGTH else ""
        )
    if isinstance(value, np.ndarray):
        return array_summary(value, with_range)
    if isinstance(value, types.FunctionType):
        return f"function({', '.join(value.__code__.co_varnames[: value.__code__.co_argcount])})"
    if isinstance(value, type):
        return "class"
    if getattr(kind, "__module__", "").startswith(OWN_MODULES) or isinstance(value, FrameImage):
        return _cut(repr(value), 300)
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return _container(value)
    return _attributes(value)


def array_summary(array: np.ndarray, with_range: bool = True) -> str:
    """'(480, 640) float32, 0.5 to 3.2, 12 % NaN': the range is of a sample of at most 2048 elements for larger
    arrays."""
    text = f"{array.shape} {array.dtype}"
    if not with_range or array.size == 0 or array.dtype.kind not in "biuf":
        return text
    if array.size <= 4:
        return f"{text} {_cut(np.array2string(array, precision=4, separator=', ').replace(chr(10), ''))}"
    sample = array.ravel() if array.size <= SAMPLE else array.flat[:: array.size // SAMPLE]
    about = "" if array.size <= SAMPLE else "about "
    if array.dtype.kind == "b":
        return f"{text}, {about}{100 * sample.mean():.1f} % true"
    if array.dtype.kind == "f":
        finite = sample[np.isfinite(sample)]
        if finite.size == 0:
            return f"{text}, no finite value"
        holes = (
            f", {about}{100 * (1 - finite.size / sample.size):.0f} % NaN or inf" if finite.size < sample.size else ""
        )
        return f"{text}, {about}{finite.min():.4g} to {finite.max():.4g}{holes}"
    return f"{text}, {about}{sample.min()} to {sample.max()}"


def _container(value: Any) -> str:
    size = len(value)
    if size == 0:
        return "empty"
    if isinstance(value, dict):
        keys = ", ".join(_brief(key) for key, _ in zip(value, range(6), strict=False))
        return _cut(f"{size} entries, keys {keys}{', ...' if size > 6 else ''}")
    first = [entry for entry, _ in zip(value, range(6), strict=False)]
    return _cut(f"{size} elements: {', '.join(_brief(entry) for entry in first)}{', ...' if size > 6 else ''}")


def _brief(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float, np.generic)):
        return f"{value:.4g}" if isinstance(value, (float, np.floating)) else _cut(_digits(value), 24)
    if isinstance(value, str):
        return repr(str(value[:24]))
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype}"
    return type(value).__name__


def _digits(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    return str(value)


def _attributes(value: Any) -> str:
    """A foreign object without calling its repr, which may be huge or slow: its size, mode or length where it has
    one."""
    kind = type(value)
    parts = [f"{kind.__module__}.{kind.__qualname__}"]
    for name in ("shape", "size", "mode"):
        attribute = getattr(kind, name, None)
        if attribute is not None and not callable(attribute):
            parts.append(f"{name} {_cut(str(getattr(value, name, '')), 40)}")
    return " ".join(parts)


def _last_ids(value: Any) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(id(entry) for entry in value[-8:])
    if isinstance(value, dict) and len(value) <= 32:
        return tuple(id(entry) for entry in value.values())
    return ()


def _cut(text: str, length: int = TEXT_LENGTH) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
