"""Decoys: what attempts aim at instead of the machine: files, listeners and a process, each watched for being reached.

All of it is open to every user of the host, and the process runs as the kernels do, so that nothing but the sandbox
stands between them and a cell.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel import guest
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.folders import KernelFolders
from spatialclaw_ros.kernel.levels import LEVELS
from spatialclaw_ros.kernel.python_tree import python_tree

KEY_VARIABLE = "SPATIALCLAW_DECOY_KEY"
"""The environment variable of this process that holds the decoy key; kernels must not see it."""
KEY_PREFIX = "sk-decoy-"

IPC_RMID, IPC_CREATE = 0, 0o1000
SHARED_BYTES = 4096

SLEEPER = """\
import ctypes, os, sys
held = ctypes.create_string_buffer(os.environ["DECOY"].encode())
file = os.open(sys.argv[1], os.O_RDONLY)
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)
print(ctypes.addressof(held), file, flush=True)
sys.stdin.read()
"""
"""The decoy process: its secret in its environment, its memory and behind a descriptor; any process may trace it."""


class Decoys:
    """A context manager. store: the folder of shared memory in which the kernels under trial get theirs, too."""

    def __init__(self) -> None:
        self.secret = KEY_PREFIX + secrets.token_hex(16)
        self.mark = f"decoy-{secrets.token_hex(8)}"
        self._undo = contextlib.ExitStack()
        self._listeners: dict[str, socket.socket] = {}

    def __enter__(self) -> Decoys:
        with contextlib.ExitStack() as undo:
            self.store = FrameStore("spatialclaw_attempts")
            undo.callback(self.store.close)
            self.folder = Path(tempfile.mkdtemp(prefix="spatialclaw-decoys-"))
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._guest = guest.guest_of(LEVELS[0], KernelConfig())
            self._neighbour = KernelFolders.make(self.store.make_folder("neighbour"), self._guest)
            for folder in (self._neighbour.root, self._neighbour.frames, self._neighbour.sockets):
                folder.chmod(0o777)
            undo.callback(self._close)
            self._previous = os.environ.get(KEY_VARIABLE)
            os.environ[KEY_VARIABLE] = self.secret
            self._segment = _shared_segment(self.secret.encode())
            self._make()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()

    def restore(self) -> None:
        """Make everything anew, after something was reached."""
        self._stop()
        self._make()

    def told(self) -> dict[str, Any]:
        """What a probe is told: every address, and no secret."""
        ports = {name: made.getsockname()[1] for name, made in self._listeners.items() if name[:3] in ("tcp", "udp")}
        return {
            "file": str(self.folder / "file"),
            "folder": str(self.folder),
            "yaml": str(self.folder / "file.yaml"),
            "neighbour": str(self._neighbour.frames / "picture"),
            "neighbour_sockets": str(self._neighbour.sockets),
            "beside": _beside_package(),
            "package": python_tree().package,
            "path": str(self.folder / "stream"),
            "datagram_path": str(self.folder / "datagram"),
            "packet_path": str(self.folder / "packet"),
            "abstract": f"\0{self.mark}-stream",
            "abstract_datagram": f"\0{self.mark}-datagram",
            "pid": self._process.pid,
            "address": self._address,
            "descriptor": self._descriptor,
            "segment": self._segment,
            "host": os.getpid(),
            "variable": KEY_VARIABLE,
            "key_prefix": KEY_PREFIX,
            **ports,
        }

    def furnish(self, frames: Path) -> str:
        """Put a picture into a kernel's own read-only folder; its path."""
        (frames / "own").write_bytes(b"picture")
        return str(frames / "own")

    def evidence(self) -> str:
        """What was reached since `restore`: a sentence, or ""."""
        return _reached(self._listeners) or self._harmed() or self._changed()

    def _make(self) -> None:
        self.folder.chmod(0o777)
        for path in (self.folder / "file", self._neighbour.frames / "picture"):
            path.write_text(self.secret)
            path.chmod(0o666)
        (self.folder / "file.yaml").write_text(f"%YAML:1.0\n---\nkey: {self.secret}\n")
        (self.folder / self.mark).mkdir()
        self._listen()
        self._process = subprocess.Popen(
            [python_tree().executable, "-I", "-S", "-c", SLEEPER, str(self.folder / "file"), self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"DECOY": self.secret},
            cwd=self.folder,
            start_new_session=True,
            user=self._guest,
            group=self._guest,
            extra_groups=None if self._guest is None else [],
        )
        assert self._process.stdout is not None
        self._address, self._descriptor = map(int, self._process.stdout.readline().split())
        self._state, self._tree = self._settings(), self._listing()

    def _listen(self) -> None:
        stream, datagram, packet = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
        loopback = {"4": (socket.AF_INET, "127.0.0.1"), "6": (socket.AF_INET6, "::1")}
        for version, (family, host) in loopback.items():
            self._bind(f"tcp{version}", family, stream, (host, 0))
            self._bind(f"udp{version}", family, datagram, (host, 0))
        self._bind("path", socket.AF_UNIX, stream, str(self.folder / "stream"))
        self._bind("datagram path", socket.AF_UNIX, datagram, str(self.folder / "datagram"))
        self._bind("packet path", socket.AF_UNIX, packet, str(self.folder / "packet"))
        self._bind("abstract name", socket.AF_UNIX, stream, f"\0{self.mark}-stream")
        self._bind("abstract datagram name", socket.AF_UNIX, datagram, f"\0{self.mark}-datagram")
        for name in ("broker", "k-1", "k-2"):
            self._bind(f"neighbour's {name}", socket.AF_UNIX, stream, str(self._neighbour.sockets / name))

    def _bind(self, name: str, family: int, kind: int, address: Any) -> None:
        made = socket.socket(family, kind)
        self._listeners[name] = made
        try:
            made.bind(address)
        except OSError:
            if family != socket.AF_INET6:
                raise
            made.close()  # a machine without IPv6: probes find no port to aim at, and say so
            del self._listeners[name]
            return
        if family == socket.AF_UNIX and address[0] != "\0":
            os.chmod(address, 0o777)
        if kind != socket.SOCK_DGRAM:
            made.listen()
        made.setblocking(False)

    def _settings(self) -> tuple[Any, ...]:
        """What one process can set for another."""
        pid = self._process.pid
        limits = Path(f"/proc/{pid}/limits").read_text()
        return os.getpriority(os.PRIO_PROCESS, pid), os.sched_getaffinity(pid), limits

    def _harmed(self) -> str:
        if self._process.poll() is not None:
            return f"the decoy process ended with {self._process.returncode}"
        state = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state in "tT":
            return "the decoy process was stopped"
        return "the decoy process was changed" if self._settings() != self._state else ""

    def _listing(self) -> dict[str, tuple[Any, ...]]:
        folders = (self.folder, self._neighbour.frames, self._neighbour.sockets)
        return {str(path): _described(path) for folder in folders for path in (folder, *sorted(folder.rglob("*")))}

    def _changed(self) -> str:
        now = self._listing()
        changed = [path for path in {*now, *self._tree} if now.get(path) != self._tree.get(path)]
        return f"changed the host's {os.path.basename(min(changed))}" if changed else ""

    def _stop(self) -> None:
        self._process.kill()
        self._process.communicate()
        for made in self._listeners.values():
            made.close()
        self._listeners.clear()
        for folder in (self.folder, self._neighbour.frames, self._neighbour.sockets):
            for entry in list(os.scandir(folder)):
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)

    def _close(self) -> None:
        if hasattr(self, "_process"):
            self._stop()
        if self._previous is None:
            os.environ.pop(KEY_VARIABLE, None)
        else:
            os.environ[KEY_VARIABLE] = self._previous


def _described(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    names = os.listxattr(path, follow_symlinks=False)
    return found.st_mode, found.st_uid, found.st_gid, found.st_nlink, found.st_mtime_ns, content, names


def _reached(listeners: dict[str, socket.socket]) -> str:
    """What arrived at the listeners; it is taken, so that the next look sees only what is new."""
    reached = []
    for name, made in listeners.items():
        with contextlib.suppress(BlockingIOError):
            if made.type == socket.SOCK_DGRAM:
                made.recv(1 << 16)
            else:
                made.accept()[0].close()
            reached.append(name)
    return f"reached the host's listener: {', '.join(reached)}" if reached else ""


def _beside_package() -> str:
    """A file of the host beside this package's folder, in whatever it is installed into; "" where there is none."""
    parent = Path(python_tree().package).parent
    shown = {os.path.realpath(entry) for entry in python_tree().entries}
    folders = (parent, parent / "pip")
    files = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_file())
    return next((str(path) for path in files if os.path.realpath(path) not in shown and path.stat().st_size), "")


def _shared_segment(content: bytes) -> int:
    """The id of a System V segment that goes with this process. Raises: OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    library.shmat.restype = ctypes.c_void_p
    number = library.shmget(0, ctypes.c_size_t(SHARED_BYTES), IPC_CREATE | 0o666)
    address = library.shmat(number, None, 0) if number >= 0 else None
    if address is None or address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "no System V shared memory for a decoy")
    ctypes.memmove(address, content, len(content))
    library.shmctl(number, IPC_RMID, None)  # once nobody has it mapped; until then, others may still map it
    return int(number)
