"""FrameStore: a process's folder of shared memory, removed with the process or, if it was killed, by the next one."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import weakref
from pathlib import Path

_LOCK_NAME = "lock"


class FrameStore:
    """A private folder `<prefix>-<pid>-<random>` under /dev/shm (under the temporary folder where there is none).

    Making one first removes what dead processes of this user left behind. Folders are 0700.
    """

    def __init__(self, prefix: str = "spatialclaw", root: Path | None = None) -> None:
        self.root = root if root is not None else _shared_memory()
        self.prefix = prefix
        self.remove_stale()
        self.folder = self.root / f"{prefix}-{os.getpid()}-{secrets.token_hex(4)}"
        self.folder.mkdir(mode=0o700)
        self._lock = os.open(self.folder / _LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._finalizer = weakref.finalize(self, _remove_own, self.folder, self._lock, os.getpid())

    def make_folder(self, name: str) -> Path:
        """Make (or find) the folder `name`, 0700. Raises: ValueError where the name is not a plain folder name."""
        if not name or name in (".", "..") or "/" in name or name == _LOCK_NAME:
            raise ValueError(f"{name!r} is not a plain folder name")
        folder = self.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def remove_stale(self) -> list[Path]:
        """Remove folders of this prefix that dead processes of this user left; returns them.

        A folder is left alone while a process of its number lives, or while its lock is held (a process of another PID
        namespace that shares /dev/shm), or where it belongs to someone else.
        """
        pattern = re.compile(rf"{re.escape(self.prefix)}-(\d+)-[0-9a-f]+")
        removed = []
        for entry in os.scandir(self.root):
            match = pattern.fullmatch(entry.name)
            if match and _is_stale(entry, int(match.group(1))):
                shutil.rmtree(entry.path, ignore_errors=True)  # another process may be cleaning the same folder
                removed.append(Path(entry.path))
        return removed

    def close(self) -> None:
        """Remove the folder and everything in it; a second call does nothing."""
        self._finalizer()


def _shared_memory() -> Path:
    shm = Path("/dev/shm")
    return shm if os.access(shm, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def _remove_own(folder: Path, lock: int, owner: int) -> None:
    if os.getpid() != owner:  # a forked child must not remove its parent's images
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _is_stale(entry: os.DirEntry[str], pid: int) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or _is_alive(pid):
        return False
    return not _is_locked(os.path.join(entry.path, _LOCK_NAME))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_locked(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
