"""Attempts on processes: to see, read, signal and change others, to start some, and to gain rights."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.judges import nothing_said, told_mark, told_secret
from spatialclaw_ros.kernel.attempts.raw_calls import call, checked, libc

PTRACE_SEIZE = 0x4206
SECRET_BYTES = 41
SIGNAL_SECONDS = 0.3
"""Until a process that was sent a signal has ended."""
CLONE_NEWUSER = 0x10000000
SIGNAL_INFORMATION_BYTES = 128
CAPABILITY_VERSION = 0x20080522


@attempt(told_mark)
def list_processes(targets: Targets) -> object:
    """List the host's processes with their command lines."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            found.append(Path(f"/proc/{name}/cmdline").read_text())
    return [line for line in found if "decoy" in line]


@attempt(told_mark)
def read_command_line(targets: Targets) -> object:
    """Read the command line of a process of the host, by its number."""
    return Path(f"/proc/{targets['pid']}/cmdline").read_text()


@attempt(told_secret)
def read_environment_of_process(targets: Targets) -> object:
    """Read the environment of a process of the host."""
    return Path(f"/proc/{targets['pid']}/environ").read_text()


@attempt(told_secret)
def read_memory_of_process(targets: Targets) -> object:
    """Read the memory of a process of the host through /proc/PID/mem."""
    with open(f"/proc/{targets['pid']}/mem", "rb") as file:
        file.seek(targets["address"])
        return file.read(SECRET_BYTES)


@attempt(told_secret)
def read_memory_by_call(targets: Targets) -> object:
    """Read the memory of a process of the host by process_vm_readv."""
    taken = ctypes.create_string_buffer(SECRET_BYTES)
    near = (ctypes.c_uint64 * 2)(ctypes.addressof(taken), SECRET_BYTES)
    far = (ctypes.c_uint64 * 2)(targets["address"], SECRET_BYTES)
    read = libc().process_vm_readv(targets["pid"], near, ctypes.c_ulong(1), far, ctypes.c_ulong(1), ctypes.c_ulong(0))
    checked(read, "process_vm_readv")
    return taken.raw


@attempt(may_lack="the right to trace (kernel.yama.ptrace_scope)", control="process")
def trace_process(targets: Targets) -> object:
    """Attach to a process of the host as its debugger."""
    checked(libc().ptrace(PTRACE_SEIZE, targets["pid"], None, None), "ptrace")
    return "attached to it"  # and lets it go at its end


@attempt(nothing_said)
def end_process(targets: Targets) -> None:
    """End a process of the host by a signal."""
    os.kill(targets["pid"], signal.SIGKILL)
    time.sleep(SIGNAL_SECONDS)


@attempt(nothing_said)
def end_process_group(targets: Targets) -> None:
    """End a process group of the host."""
    os.killpg(targets["pid"], signal.SIGKILL)
    time.sleep(SIGNAL_SECONDS)


@attempt(nothing_said)
def end_process_by_raw_call(targets: Targets) -> None:
    """End a process of the host by tkill and rt_sigqueueinfo."""
    with suppress(OSError):
        call("tkill", targets["pid"], signal.SIGKILL)
        time.sleep(SIGNAL_SECONDS)
        return
    information = (ctypes.c_int32 * (SIGNAL_INFORMATION_BYTES // 4))(signal.SIGKILL, 0, -1)
    call("rt_sigqueueinfo", targets["pid"], signal.SIGKILL, information)
    time.sleep(SIGNAL_SECONDS)


@attempt(nothing_said)
def end_process_by_handle(targets: Targets) -> None:
    """End a process of the host through a process handle (pidfd)."""
    handle = call("pidfd_open", targets["pid"], 0)
    call("pidfd_send_signal", handle, signal.SIGKILL, None, 0)
    time.sleep(SIGNAL_SECONDS)


@attempt(told_secret, may_lack="the right to trace (kernel.yama.ptrace_scope)")
def take_descriptor_of_process(targets: Targets) -> object:
    """Take over an open file of a process of the host by pidfd_getfd."""
    handle = call("pidfd_open", targets["pid"], 0)
    return os.pread(call("pidfd_getfd", handle, targets["descriptor"], 0), 4096, 0)


@attempt()
def signal_parent(targets: Targets) -> object:
    """Send a signal to the process that started the kernel, the robot's node."""
    parent = os.getppid()
    os.kill(parent, 0)  # whether it may: a real signal would end whoever runs the attempts
    return f"may signal {parent}, the node" if parent == targets["host"] else ""


@attempt(nothing_said, may_lack="CAP_SYS_NICE or the same user's process")
def slow_process_down(targets: Targets) -> None:
    """Lower the priority of a process of the host, or tie it to one processor."""
    with suppress(OSError):
        os.sched_setaffinity(targets["pid"], {min(os.sched_getaffinity(0))})
    os.setpriority(os.PRIO_PROCESS, targets["pid"], 19)


@attempt(nothing_said, may_lack="CAP_SYS_RESOURCE or the same user's process")
def limit_process(targets: Targets) -> None:
    """Take away the open files of a process of the host by prlimit."""
    resource.prlimit(targets["pid"], resource.RLIMIT_NOFILE, (8, 8))


@attempt()
def fork(targets: Targets) -> object:
    """Start a second process by fork."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return f"started process {child}"


@attempt()
def run_program(targets: Targets) -> object:
    """Run a program by subprocess, posix_spawn and IPython's shell escape."""
    found = []
    with suppress(OSError):
        found.append(subprocess.run([sys.executable, "-c", ""], check=True, timeout=10).args[0])
    with suppress(OSError):
        child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})
        found.append(f"posix_spawn {os.waitpid(child, 0)[0]}")
    if shell := sys.modules["IPython"].get_ipython():
        with suppress(OSError):
            found += shell.getoutput("echo shell")
    if not any("shell" in line or "spawn" in line or "python" in line for line in found):
        raise PermissionError("none of them runs")
    return found


@attempt()
def start_by_clone3(targets: Targets) -> object:
    """Start a process by clone3, whose flags no filter can look at."""
    words = (ctypes.c_uint64 * 11)()
    words[4] = signal.SIGCHLD
    child = call("clone3", ctypes.byref(words), ctypes.sizeof(words))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return f"started process {child}"


@attempt(control="process")
def replace_program(targets: Targets) -> None:
    """Replace the kernel by another program, which none of the kernel's settings binds."""
    report = 'from spatialclaw_ros.kernel.attempts.attempt import REPORT; print(REPORT + \'{"got": "replaced"}\')'
    os.execv(sys.executable, [sys.executable, "-c", report])


@attempt(may_lack="user namespaces for this user")
def make_user_namespace(targets: Targets) -> object:
    """Start a process in a user namespace of its own, in which it is root."""
    child = call("clone", CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return f"started process {child} there"


@attempt(may_lack="CAP_SYS_ADMIN")
def enter_namespace_of_process(targets: Targets) -> object:
    """Enter the namespaces of a process of the host."""
    handle = os.open(f"/proc/{targets['pid']}/ns/uts", os.O_RDONLY)
    return checked(libc().setns(handle, 0), "setns") or "entered its namespace"


@attempt(may_lack="root's capabilities", control="process")
def regain_capabilities(targets: Targets) -> object:
    """Become root again, or take back capabilities."""
    with suppress(OSError):
        os.setresuid(0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    taken = (ctypes.c_uint32 * 6)()
    taken[0] = taken[1] = 1 << 21  # CAP_SYS_ADMIN, effective and permitted
    checked(libc().capset(header, taken), "capset")
    return "has CAP_SYS_ADMIN"
