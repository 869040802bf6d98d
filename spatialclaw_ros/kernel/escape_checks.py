"""The self-test, run inside a sandbox: try to do what must not be possible, and report what happened.

Each check returns "" when the attempt was refused, else one sentence about what succeeded. Standard library only.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import socket
from collections.abc import Callable
from typing import Any

CLONE_NEWUSER = 0x10000000
CONNECT_SECONDS = 0.5


def run_checks(plan: dict[str, Any]) -> dict[str, str]:
    """Every guarantee's name with "" (holds) or what broke it. plan: targets that the host prepared outside."""
    checks: dict[str, Callable[[dict[str, Any]], str]] = {
        "files": _reads_host_file,
        "writing": _writes_read_only_folder,
        "network": _reaches_network,
        "host sockets": _reaches_host_socket,
        "processes": _touches_host_process,
        "environment": _sees_environment,
        "namespaces": _makes_namespace,
        "system calls": _lacks_filter,
        "no ROS": _imports_ros,
    }
    found = {}
    for name, check in checks.items():
        try:
            found[name] = check(plan)
        except Exception as error:  # an unexpected failure is reported as such, and counts against the level
            found[name] = f"the check itself failed: {type(error).__name__}: {error}"
    return found


def _reads_host_file(plan: dict[str, Any]) -> str:
    for path in plan["host_files"]:
        try:
            with open(path, "rb") as file:
                file.read(1)
        except OSError:
            continue
        return f"read the host's {path}"
    return ""


def _writes_read_only_folder(plan: dict[str, Any]) -> str:
    for folder in plan["read_only"]:
        path = os.path.join(folder, "written-by-the-self-test")
        try:
            with open(path, "wb"):
                pass
        except OSError:
            continue
        os.unlink(path)
        return f"created a file in {folder}"
    return ""


def _reaches_network(plan: dict[str, Any]) -> str:
    targets = ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_STREAM))
    for family, kind in targets:
        try:
            with socket.socket(family, kind) as tried:
                tried.settimeout(CONNECT_SECONDS)
                tried.connect(("127.0.0.1" if family == socket.AF_INET else "::1", plan["tcp_port"]))
        except OSError:
            continue
        return f"connected to the host's TCP port {plan['tcp_port']}"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
            tried.sendto(b"x", ("127.0.0.1", plan["tcp_port"]))
    except OSError:
        return ""
    return "sent a UDP datagram"


def _reaches_host_socket(plan: dict[str, Any]) -> str:
    for address in (plan["unix_path"], "\0" + plan["abstract_name"]):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
                tried.settimeout(CONNECT_SECONDS)
                tried.connect(address)
        except OSError:
            continue
        return "connected to a Unix socket of the host"
    return ""


def _touches_host_process(plan: dict[str, Any]) -> str:
    for pid in plan["host_pids"]:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if file.read(1) and not plan["own_pid_space"]:
                    return f"read the environment of the host's process {pid}"
        except OSError:
            pass
        if plan["own_pid_space"]:
            continue  # numbers mean other processes here; the listing below tells
        try:
            os.kill(pid, 0)
        except OSError:
            continue
        return f"may signal the host's process {pid}"
    try:
        listed = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return ""
    return f"lists {len(listed)} processes" if len(listed) > 3 else ""


def _sees_environment(plan: dict[str, Any]) -> str:
    unknown = sorted(set(os.environ) - set(plan["environment"]))
    return f"sees the environment variables {', '.join(unknown[:5])}" if unknown else ""


def _makes_namespace(plan: dict[str, Any]) -> str:
    return "made a user namespace" if ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0 else ""


def _lacks_filter(plan: dict[str, Any]) -> str:
    with open("/proc/self/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    if fields.get("Seccomp", "").strip() != "2":
        return f"runs in seccomp mode {fields.get('Seccomp', '?').strip()}, expected 2"
    return "" if int(fields["CapEff"], 16) == 0 or not plan["drops_capabilities"] else "keeps capabilities"


def _imports_ros(plan: dict[str, Any]) -> str:
    try:
        importlib.import_module("rclpy")
    except (ImportError, OSError):
        return ""
    return "imported rclpy"
