"""Which isolation works on this machine: found by starting a process at each level and letting it try to get out."""

from __future__ import annotations

import os
import platform
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialclaw_ros.errors import KernelError, SandboxUnavailable
from spatialclaw_ros.frames.store import FrameStore
from spatialclaw_ros.kernel import bubblewrap, guest, landlock, levels, process, seccomp, unshare
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.folders import KernelFolders
from spatialclaw_ros.kernel.levels import LEVELS
from spatialclaw_ros.kernel.python_tree import python_tree
from spatialclaw_ros.limits import CancelToken

HOST_FILES = ("/etc/passwd", "/etc/hostname", "/etc/machine-id", "/root/.bashrc")
APPARMOR_SWITCH = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
USERNS_SWITCH = Path("/proc/sys/kernel/unprivileged_userns_clone")


@dataclass(frozen=True)
class LevelReport:
    """One level on this machine.

    works: every guarantee held in the self-test. guarantees: name to "" (holds) or what broke it. reason, fix: why it
    does not work and what to do, "" where it does.
    """

    level: str
    works: bool
    guarantees: dict[str, str]
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True)
class IsolationReport:
    """level: the one that 'auto' takes, "" where none works. levels: strongest first."""

    level: str
    levels: tuple[LevelReport, ...]

    def lines(self) -> list[str]:
        """The report as text, one finding a line."""
        lines = [f"isolation: {self.level or 'NONE WORKS'}"]
        for item in self.levels:
            lines.append(f"  {item.level}: {'works' if item.works else item.reason}")
            lines += [
                f"    {'ok ' if not broken else 'NO '} {name}{broken and ': ' + broken}"
                for name, broken in item.guarantees.items()
            ]
            lines += [f"    to fix: {item.fix}"] if item.fix else []
        return lines


def probe(config: KernelConfig | None = None, levels: tuple[str, ...] = LEVELS) -> IsolationReport:
    """Try every level for real (about 0.2 s each). Raises nothing for a level that fails: the report says why."""
    reports = tuple(_try_level(level, config or KernelConfig()) for level in levels)
    return IsolationReport(next((item.level for item in reports if item.works), ""), reports)


def choose_level(config: KernelConfig) -> str:
    """The level that kernels of this configuration get. 'none' only where it is asked for by name.

    Raises: SandboxUnavailable naming, per level, why it does not work and what to install.
    """
    if config.sandbox == "none":
        return "none"
    wanted = LEVELS if config.sandbox == "auto" else (config.sandbox,)
    reasons = []
    for level in wanted:
        report = _cached_try(level, config)
        if report.works:
            return level
        reasons.append(f"{level}: {report.reason}; {report.fix}")
    raise SandboxUnavailable(
        f"no isolation of the Python kernel works here ({' | '.join(reasons)}). "
        f"Model-written code does not run without one; only kernel.sandbox: none switches it off."
    )


_lock = threading.Lock()
_cache: dict[tuple[str, KernelConfig], LevelReport] = {}


def _cached_try(level: str, config: KernelConfig) -> LevelReport:
    """A level that worked is not tried again in this process; a failed one is, since the user may be fixing it."""
    with _lock:
        report = _cache.get((level, config))
        if report is None or not report.works:
            report = _cache[(level, config)] = _try_level(level, config)
        return report


def _try_level(level: str, config: KernelConfig) -> LevelReport:
    try:
        _require(level, config)
        guarantees = _run_self_test(level, config)
    except SandboxUnavailable as error:
        return LevelReport(level, False, {}, str(error), _fix(level, str(error)))
    except (KernelError, OSError, ValueError) as error:
        return LevelReport(level, False, {}, str(error), _fix(level, str(error)))
    broken = [f"{name} ({what})" for name, what in guarantees.items() if what]
    if broken:
        return LevelReport(level, False, guarantees, f"the self-test got out: {', '.join(broken)}", _fix(level, ""))
    return LevelReport(level, True, guarantees)


def _require(level: str, config: KernelConfig) -> None:
    """Cheap checks that give a better sentence than a failed start. Raises: SandboxUnavailable."""
    seccomp.library()
    if level == "bwrap":
        bubblewrap.find()
    else:
        _require_landlock(level, config)
    if guest.guest_of(level, config) is not None:
        _require_guest(level, config)


def _require_landlock(level: str, config: KernelConfig) -> None:
    """What a level without a file system of its own takes. Raises: SandboxUnavailable."""
    if level == "unshare":
        unshare.find()
    if config.max_processes > 1:
        raise SandboxUnavailable(
            "kernel.max_processes above 1 needs bwrap: only its process namespace can end children"
        )
    if landlock.version(config.landlock_abi) < 1:
        raise SandboxUnavailable(
            "Landlock is not available (Linux 5.13 or later with 'landlock' in CONFIG_LSM or lsm=)"
        )


def _require_guest(level: str, config: KernelConfig) -> None:
    """What it takes that root's kernels run as another user. Raises: SandboxUnavailable."""
    needed = {"CAP_SETUID": guest.CAP_SETUID, "CAP_SETGID": guest.CAP_SETGID}
    if levels.own_processes(level):
        needed["CAP_SYS_ADMIN"] = guest.CAP_SYS_ADMIN
    missing = [name for name, number in needed.items() if not guest.has_capability(number)]
    if missing:
        raise SandboxUnavailable(f"this process is root without {', '.join(missing)}")
    if not levels.own_files(level) and (closed := guest.closed_to_others(python_tree(config.extra_packages))):
        raise SandboxUnavailable(
            f"root's kernels run as user {config.uid}, to whom {closed} is closed; open it (chmod o+x), or run the "
            f"node as an ordinary user"
        )


def _run_self_test(level: str, config: KernelConfig) -> dict[str, str]:
    """Start a process at `level` and return what its attempts came to. Raises: KernelError, OSError."""
    store = FrameStore()  # whose folder the next start removes, should this process be killed meanwhile
    try:
        folders = KernelFolders.make(store.make_folder("check"), guest.guest_of(level, config))
        with targets(folders, level) as plan:
            child = process.SandboxedProcess(level, config, folders, connection=None, checks=plan)
            try:
                child.wait_ready(config.start_timeout, CancelToken())
                return {str(name): str(what) for name, what in child.report["checks"].items()}
            finally:
                child.close()
    finally:
        store.close()


@contextmanager
def targets(folders: KernelFolders, level: str) -> Iterator[dict[str, Any]]:
    """What the self-test aims at, made on the host for its time: a secret file, listening sockets, this process."""
    name = f"spatialclaw-{secrets.token_hex(8)}"
    secret, meeting = folders.root / "secret", folders.root / "host"  # beside what is shown, not in it
    secret.write_bytes(b"secret")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as abstract,
    ):
        tcp.bind(("127.0.0.1", 0))
        unix.bind(str(meeting))
        abstract.bind("\0" + name)
        for listening in (tcp, unix, abstract):
            listening.listen()
        yield {
            "host_files": [str(secret), f"/proc/{os.getpid()}/environ", *HOST_FILES],
            "read_only": [str(folders.frames), python_tree().package, folders.sockets_inside(level)],
            "tcp_port": tcp.getsockname()[1],
            "unix_path": str(meeting),
            "abstract_name": name,
            "host_pids": [os.getpid(), os.getppid()],
            "own_pid_space": levels.own_processes(level),
            "environment": [*process.environment(folders, level), "PWD", "LC_CTYPE"],
            "drops_capabilities": True,
        }


def _fix(level: str, reason: str) -> str:
    """What to do about a level that does not work, from what is known of this machine."""
    if "pyseccomp" in reason:
        return "pip install pyseccomp; apt install libseccomp2"
    if "is root without" in reason:
        return (
            "run the node as an ordinary user, or give the container that capability (docker run --cap-add SYS_ADMIN)"
        )
    if "is closed" in reason:
        return ""
    if level == "landlock":
        release = platform.release()
        return f"a Linux with Landlock (5.13 or later; this is {release}), with 'landlock' among its lsm= names"
    if "not installed" in reason:
        return f"apt install {'util-linux' if level == 'unshare' else 'bubblewrap'}"
    if _reads_one(APPARMOR_SWITCH):
        return (
            "AppArmor forbids user namespaces to programs without a profile: apt install apparmor-profiles && "
            "ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
            "apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
        )
    if USERNS_SWITCH.exists() and not _reads_one(USERNS_SWITCH):
        return "sysctl -w kernel.unprivileged_userns_clone=1"
    options = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    return f"in a container, allow user namespaces (docker run {options})"


def _reads_one(path: Path) -> bool:
    try:
        return path.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False
