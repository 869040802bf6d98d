"""SandboxedProcess: one kernel process at a given isolation level, from its orders to its end."""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from spatialclaw_ros.errors import Canceled, KernelError
from spatialclaw_ros.kernel import bubblewrap, cgroups, landlock, levels, process_tree, seccomp, spawn, unshare
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.folders import KernelFolders
from spatialclaw_ros.kernel.python_tree import PythonTree, python_tree
from spatialclaw_ros.limits import CancelToken

LAUNCH = str(Path(__file__).resolve().with_name("launch.py"))
MOST_REPORT_BYTES = 64 << 10
READ_FOR_LANDLOCK = (
    *(f"/proc/self/{name}" for name in ("status", "stat", "statm", "maps", "cmdline", "environ", "limits", "fd")),
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/dev/urandom",
)
"""Of /proc/self no more than that: its `net` lists the host's sockets."""
MAX_BLAS_THREADS = 4


def environment(folders: KernelFolders, level: str) -> dict[str, str]:
    """The only environment variables that a kernel has."""
    scratch = "/tmp" if levels.own_files(level) else str(folders.scratch)
    return {
        "PATH": "/usr/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": f"{scratch}/.matplotlib",
        "IPYTHONDIR": f"{scratch}/.ipython",
        "JUPYTER_PLATFORM_DIRS": "1",
        "OPENBLAS_NUM_THREADS": str(min(MAX_BLAS_THREADS, os.cpu_count() or 1)),
        "OMP_NUM_THREADS": str(min(MAX_BLAS_THREADS, os.cpu_count() or 1)),
        "SPATIALCLAW_BROKER": f"{folders.sockets_inside(level)}/broker",
    }


class SandboxedProcess:
    """A process inside a sandbox. `report` is what it said when it was ready: the outcome of its self-test.

    Raises on start: SandboxUnavailable (the level does not work), KernelError (it did not become ready), Canceled.
    """

    def __init__(
        self,
        level: str,
        config: KernelConfig,
        folders: KernelFolders,
        connection: dict[str, Any] | None,
        checks: dict[str, Any] | None,
        door: int | None = None,
    ) -> None:
        self.level = level
        self.config = config
        self.folders = folders
        self.tree = python_tree(config.extra_packages)
        self.end_reason = ""
        self.report: dict[str, Any] = {}
        self._door = door
        self._group: cgroups.ControlGroup | None = None
        self._child = self._start()
        try:
            self.pidfd = os.pidfd_open(self._child.pid)
            if level != "none":
                self._group = cgroups.make_group(self._child.pid, folders.root.name, config)
            self._give_orders(connection, checks)
        except BaseException:
            self.kill("did not take its orders")
            if self._group is not None:
                self._group.remove()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def how_it_ended(self) -> str:
        """One sentence, once the process has ended: who ended it, else its exit code or signal."""
        code = self._child.wait(timeout=5)
        if self.end_reason:
            return self.end_reason
        if self._group is not None and (reason := self._group.what_ended_it()):
            return reason
        number = -code if code < 0 else code - 128  # bubblewrap reports a signal as 128 + its number, like a shell
        if 0 < number < signal.NSIG:
            return f"the kernel was ended by {signal.Signals(number).name}"
        return f"the kernel ended by itself with exit code {code}"

    def wait_ready(self, timeout: float, cancel: CancelToken) -> None:
        """Read the report. Raises: KernelError with what the process wrote to its error stream, Canceled."""
        end = time.monotonic() + timeout
        line = bytearray()
        errors = bytearray()
        assert self._child.stdout is not None and self._child.stderr is not None
        output, problems = self._child.stdout.fileno(), self._child.stderr.fileno()
        while not line.endswith(b"\n"):
            if cancel.is_set():
                raise Canceled(cancel.reason)
            left = end - time.monotonic()
            if left <= 0:
                raise KernelError(f"the kernel was not ready within {timeout:g} s{_said(errors)}")
            ready = select.select([output, problems, self.pidfd], [], [], min(left, 0.05))[0]
            if ready == [self.pidfd]:  # and nothing is left to read, though somebody may still hold the pipes
                raise KernelError(f"the kernel ended while it started{_said(errors)}")
            for stream in (stream for stream in ready if stream != self.pidfd):
                part = os.read(stream, 4096)
                if stream == problems:
                    errors = (errors + part)[-MOST_REPORT_BYTES:]
                elif part and len(line) < MOST_REPORT_BYTES:
                    line += part
                else:
                    raise KernelError(f"the kernel ended while it started{_said(errors + self._last_words())}")
        self.report = _parse_report(bytes(line))

    def kill(self, reason: str) -> None:
        """End the whole tree now, and reap it. Safe to call again and from any thread."""
        if not self.end_reason:
            self.end_reason = reason
        if self._child.poll() is None:
            process_tree.kill(self._child.pid)
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.end_reason += " (and could not be ended within 5 s)"

    def close(self) -> None:
        """Kill, and close the pipes."""
        self.kill("closed")
        if self._group is not None:
            self._group.remove()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    pidfd = -1

    def _start(self) -> subprocess.Popen:
        variables = environment(self.folders, self.level)
        program = [*self._wrapper(variables), self.tree.executable, "-I", "-S", "-B", "-u", LAUNCH]
        try:
            return spawn.popen(
                program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=variables,
                cwd=str(self.folders.scratch),
                start_new_session=True,
                pass_fds=() if self._door is None else (self._door,),
            )
        except (OSError, TimeoutError) as error:
            raise KernelError(f"could not start {program[0]}: {error}") from error

    def _wrapper(self, variables: dict[str, str]) -> list[str]:
        """The command that makes the namespaces, where the level has any."""
        privileged = self.folders.guest is not None
        if self.level == "unshare":
            return unshare.command(privileged)
        if self.level != "bwrap":
            return []
        return bubblewrap.command(
            self.tree,
            variables,
            (str(self.folders.frames),),
            (str(self.folders.sockets), self.folders.sockets_inside(self.level)),
            str(self.folders.scratch),
            self.config.max_scratch_bytes,
            privileged,
        )

    def _give_orders(self, connection: dict[str, Any] | None, checks: dict[str, Any] | None) -> None:
        isolated = self.level != "none"
        orders = {
            "guest": self.folders.guest,
            "parent": None if levels.own_processes(self.level) else os.getpid(),
            "package": self.tree.package,
            "search": list(self.tree.search),
            "entries": list(self.tree.entries),
            "limits": self._limits() if isolated else {},
            "output": self._output_limits(),
            "landlock": self._landlock_rules(),
            "landlock_abi": self.config.landlock_abi,
            "seccomp": self._filter() if isolated else "",
            "connection": connection,
            "checks": checks,
            "door": self._door,
        }
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(orders).encode() + b"\n")
            self._child.stdin.flush()
        except OSError as error:
            raise KernelError(f"the kernel ended before it took its orders{_said(self._last_words())}") from error

    def _limits(self) -> dict[str, int]:
        limits = {"AS": self.config.address_space_bytes, "FSIZE": self.config.max_file_bytes, "CORE": 0, "NOFILE": 1024}
        if os.getuid() != 0 and self.level == "bwrap":  # elsewhere it counts the user's whole session
            limits["NPROC"] = self.config.max_threads
        return limits

    def _output_limits(self) -> dict[str, int]:
        """What the kernel itself keeps a cell's output to, so that each message fits into what the host reads."""
        largest = self.config.max_message_bytes
        return {
            "text_bytes": min(self.config.max_output_bytes, largest // 8),  # a character may become six in JSON
            "pictures": self.config.max_pictures,
            "picture_bytes": min(self.config.max_picture_bytes, largest // 2),
        }

    def _landlock_rules(self) -> dict[str, list[str]] | None:
        """For Landlock alone, the allowlist of files; on top of bubblewrap, a second lock on what may be written."""
        frames, sockets = str(self.folders.frames), self.folders.sockets_inside(self.level)
        if self.level in ("unshare", "landlock"):
            read = [*_expand(self.tree), *self.tree.entries, self.tree.package, frames]
            return {
                "read": read + [path for path in READ_FOR_LANDLOCK if os.path.exists(path)],
                "list": list(self.tree.search),
                "write": [str(self.folders.scratch), "/dev/null"],
                "sockets": [sockets],
            }
        if self.level == "bwrap" and landlock.version(self.config.landlock_abi) >= 1:
            return {"read": ["/"], "list": [], "write": ["/tmp", "/dev/shm", "/dev/null"], "sockets": [sockets]}
        return None

    def _filter(self) -> str:
        if levels.own_files(self.level):
            return base64.b64encode(seccomp.build_filter(self.config.max_processes > 1)).decode()
        own_pid = unshare.FIRST_PROCESS if levels.own_processes(self.level) else self._child.pid
        return base64.b64encode(seccomp.build_filter(False, own_pid)).decode()

    def _last_words(self) -> bytes:
        """What the process wrote before it ended (or until now): bounded, never waiting for more than a moment."""
        assert self._child.stderr is not None
        words = bytearray()
        while len(words) < MOST_REPORT_BYTES and select.select([self._child.stderr], [], [], 0.2)[0]:
            part = os.read(self._child.stderr.fileno(), 4096)
            if not part:
                break
            words += part
        return bytes(words)


def _expand(tree: PythonTree) -> list[str]:
    """The roots as grants: Landlock cannot hide a folder below a granted one, so their parents are split up."""
    grants, waiting = [], list(tree.roots)
    while waiting:
        path = waiting.pop()
        if path in tree.hidden:
            continue
        if any(folder.startswith(path.rstrip("/") + "/") for folder in map(os.path.realpath, tree.hidden)):
            waiting.extend(entry.path for entry in os.scandir(path))
        else:
            grants.append(path)
    return [path for path in grants if not os.path.islink(path) or os.path.exists(path)]


def _parse_report(line: bytes) -> dict[str, Any]:
    try:
        report = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise KernelError(f"the kernel's report is not JSON: {line[:200]!r}") from error
    if not isinstance(report, dict) or not isinstance(report.get("checks"), dict):
        raise KernelError(f"the kernel's report lacks its checks: {line[:200]!r}")
    return report


def _said(errors: bytes | bytearray) -> str:
    text = bytes(errors).decode(errors="replace").strip()
    return f"; it wrote: {text[-2000:]}" if text else ""
