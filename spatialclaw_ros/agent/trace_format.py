"""The trace's format: one JSON object per line with "v" and "type"; pictures are files of their own, named by content.

Types: goal first, then key_frames, message, plan and step as they happen, result last. Readers skip unknown types.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from enum import IntEnum
from pathlib import Path
from typing import Any

import orjson

from spatialclaw_ros.agent.key_frames import KeyFrame
from spatialclaw_ros.agent.records import Answer, Query, QueryResult, Step
from spatialclaw_ros.errors import ErrorCode, RecordingError

VERSION = 1
FILE_NAME = "trace.jsonl"

RESULT_FIELDS = (
    *("error_code", "error_message", "answer", "is_best_effort", "duration", "prompt_tokens", "completion_tokens"),
    *("sandbox_level", "notes"),
)
"""The fields of a QueryResult that the result record holds."""


class PictureFolder:
    """Writes each different picture once, as pictures/<hash>.jpg or .png; the records name the file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[str] = set()

    def save(self, data: bytes) -> str:
        suffix = "png" if data[:4] == b"\x89PNG" else "jpg"
        name = f"pictures/{hashlib.sha256(data).hexdigest()[:16]}.{suffix}"
        if name not in self._written:
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            self._written.add(name)
        return name


def dump_line(record: dict[str, Any], pictures: PictureFolder) -> bytes:
    """One line: data classes as objects, enums by name, bytes as {"file": name}, what is not finite as null."""
    return orjson.dumps(_plain(record, pictures), option=orjson.OPT_NON_STR_KEYS) + b"\n"


def _plain(value: Any, pictures: PictureFolder) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _plain(getattr(value, entry.name), pictures) for entry in dataclasses.fields(value)}
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, (bytes, memoryview)):
        return {"file": pictures.save(bytes(value))}
    if isinstance(value, dict):
        return {str(key): _plain(each, pictures) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, pictures) for each in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # lone surrogates of a model's reply are no JSON
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


@dataclasses.dataclass(frozen=True)
class Trace:
    """A trace read back. key_frames: what the model was shown, or would have been. facts: backbone, model, time."""

    result: QueryResult
    key_frames: tuple[KeyFrame, ...] = ()
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def read_trace(path: Path | str) -> Trace:
    """Read a goal's folder (or its trace.jsonl) back. A goal that never ended reads as INTERNAL with its steps so far.

    Raises: RecordingError for a file that is missing, of another version, or not a trace.
    """
    path = Path(path)
    folder = path.parent if path.name == FILE_NAME else path
    records = _records(folder / FILE_NAME)
    try:
        return _trace(records, folder)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise RecordingError(
            f"{folder / FILE_NAME} is not a readable trace ({type(error).__name__}: {error})"
        ) from error


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordingError(f"no trace at {path}: {error}") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break  # the writer was stopped in mid-line; what came before is whole
            raise RecordingError(f"{path}:{number} is not JSON ({error})") from error
        if not isinstance(record, dict) or record.get("v") != VERSION:
            raise RecordingError(f"{path}:{number} is not a version {VERSION} record; this reader knows no other")
        records.append(record)
    if not records or records[0].get("type") != "goal":
        raise RecordingError(f"{path} does not start with a goal record")
    return records


def _trace(records: list[dict[str, Any]], folder: Path) -> Trace:
    goal = records[0]
    ends = [record for record in records if record["type"] == "result"]
    end = (
        ends[-1]
        if ends
        else {"error_code": "INTERNAL", "error_message": "the goal did not end; its process was stopped"}
    )
    plain = set(RESULT_FIELDS) - {"error_code", "answer", "notes"}
    made: dict[str, Any] = {key: end[key] for key in plain & end.keys()}
    result = QueryResult(
        query=_typed(Query, goal["query"], folder),
        error_code=ErrorCode[end["error_code"]],
        answer=_typed(Answer, end["answer"], folder) if end.get("answer") else None,
        plan="".join(record["text"] for record in records if record["type"] == "plan"),
        steps=tuple(_typed(Step, record["step"], folder) for record in records if record["type"] == "step"),
        trace_path=str(folder),
        notes=tuple(end.get("notes", ())),
        **made,
    )
    frames = [frame for record in records if record["type"] == "key_frames" for frame in record["frames"]]
    facts = {key: value for key, value in goal.items() if key not in ("v", "type", "query")}
    return Trace(result, tuple(_typed(KeyFrame, frame, folder) for frame in frames), facts)


def _typed(hint: Any, value: Any, folder: Path) -> Any:
    """A plain value as the type that the records declare for it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return (
            None if value is None else _typed(next(each for each in arguments if each is not type(None)), value, folder)
        )
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{key: _typed(hints[key], each, folder) for key, each in value.items() if key in hints})  # type: ignore[operator]
    if origin is tuple:
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_typed(kind, each, folder) for kind, each in zip(kinds, value, strict=True))
    if hint is bytes:
        return _read_picture(folder, value["file"])
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return hint[value]
    if hint is float:
        return float("nan") if value is None else float(value)
    return value


def _read_picture(folder: Path, name: str) -> bytes:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"picture {name!r} lies outside of the trace")
    return path.read_bytes()
