"""TraceWriter: a folder per goal with trace.jsonl and pictures, written by a thread of its own, off the goal's path."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from spatialclaw_ros.agent.key_frames import KeyFrame
from spatialclaw_ros.agent.records import Query, QueryResult, Step
from spatialclaw_ros.agent.trace_format import FILE_NAME, RESULT_FIELDS, VERSION, PictureFolder, dump_line
from spatialclaw_ros.backbones.chat import Message, Picture
from spatialclaw_ros.config import TraceConfig

_log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Longest wait, s, for the records of a goal to reach the disk when it ends."""

_FOLDER = re.compile(r"\d{8}T\d{6}\.\d{6}Z_\d+_\d+")
_numbers = itertools.count()
_removing = threading.Lock()
_open: set[Path] = set()
"""Folders of goals that are under way in this process."""


class TraceWriter:
    """Records of one goal. Methods return at once; a disk that fails is logged and costs the trace, not the goal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._pictures = PictureFolder(folder)
        self._failed = False
        self._thread = threading.Thread(target=self._work, name="trace", daemon=True)
        self._thread.start()

    def goal(self, query: Query, **facts: Any) -> None:
        """What was asked, and of whom."""
        self._put("goal", query=query, time=datetime.now(timezone.utc).isoformat(), **facts)

    def key_frames(self, make: Callable[[], Sequence[KeyFrame]]) -> None:
        """The key frames; `make` runs on the writer's thread, since their pictures may have to be encoded first."""
        self._jobs.put(lambda: self._write("key_frames", {"frames": list(make())}))

    def message(self, message: Message) -> None:
        """A turn of the conversation, as it was sent or received; key frames' pictures are named, not repeated."""
        parts = [{"picture": part.label} if isinstance(part, Picture) else part for part in message.parts]
        self._put("message", role=message.role, parts=parts)

    def plan(self, text: str) -> None:
        self._put("plan", text=text)

    def step(self, step: Step) -> None:
        self._put("step", step=step)

    def close(self, result: QueryResult | None) -> None:
        """Write how it ended (None: not at all, something broke) and wait, bounded, until all is on the disk."""
        if result is not None:  # the query, the plan and the steps stand in records of their own
            self._put("result", **{name: getattr(result, name) for name in RESULT_FIELDS})
        self._jobs.put(None)
        self._thread.join(CLOSE_TIMEOUT)
        _open.discard(self.folder)
        if self._thread.is_alive():
            _log.warning("the trace in %s is not written yet after %g s", self.folder, CLOSE_TIMEOUT)

    def _put(self, kind: str, **facts: Any) -> None:
        self._jobs.put(lambda: self._write(kind, facts))

    def _write(self, kind: str, facts: dict[str, Any]) -> None:
        record = {"v": VERSION, "type": kind, **facts}
        with open(self.folder / FILE_NAME, "ab") as file:
            file.write(dump_line(record, self._pictures))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._failed:
                continue
            try:
                job()
            except Exception:  # the goal goes on without its trace; the reason is in the log
                self._failed = True
                _log.exception("the trace in %s cannot be written; this goal has none from here on", self.folder)


def open_trace(config: TraceConfig) -> TraceWriter | None:
    """A new goal's folder; the oldest beyond `config.keep` go. None where traces are off or cannot be written."""
    if config.keep == 0:
        return None
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    folder = config.path / f"{now}_{os.getpid()}_{next(_numbers)}"
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        _log.warning("no trace is written: %s cannot be made (%s)", folder, error)
        return None
    _open.add(folder)
    remove_oldest(config.path, config.keep)
    return TraceWriter(folder)


def remove_oldest(folder: Path, keep: int) -> None:
    """Delete all but the `keep` newest goals and those under way. Only folders named as here are touched."""
    with _removing:  # goals may begin at once
        goals = sorted(entry for entry in folder.iterdir() if _FOLDER.fullmatch(entry.name) and entry.is_dir())
        for entry in [goal for goal in goals[: max(0, len(goals) - keep)] if goal not in _open]:
            shutil.rmtree(entry, onerror=lambda _call, path, info: _log.warning("cannot delete %s: %s", path, info[1]))
