"""The system calls that a kernel may not make, as a BPF program that it installs on itself before any cell runs.

A denylist over what NumPy, ZeroMQ and CPython need: it closes what neither the namespaces nor Landlock close (sockets
but local streams, new processes, tracing, io_uring, namespaces, memory that no resident-size watchdog sees) and keeps
kernel attack surface small. Calls of other architectures (i386, x32) kill the process.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from types import ModuleType

from spatialclaw_ros.errors import SandboxUnavailable

CLONE_THREAD = 0x00010000
NAMESPACE_FLAGS = 0x7E020080  # CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}
SOCKET_TYPE_MASK = 0xF
PR_SET_DUMPABLE = 4
OPEN_MODE_MASK = os.O_ACCMODE | os.O_TRUNC

DENIED = (
    # other processes' memory, keys, kernel interfaces
    "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd pidfd_open "
    "add_key request_key keyctl bpf perf_event_open userfaultfd lookup_dcookie "
    "io_uring_setup io_uring_enter io_uring_register vmsplice memfd_secret "
    # the machine
    "kexec_load kexec_file_load reboot init_module finit_module delete_module swapon swapoff acct quotactl "
    "quotactl_fd syslog settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname iopl ioperm "
    "nfsservctl _sysctl vhangup "
    # mounts, roots and namespaces
    "mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr unshare setns "
    "open_by_handle_at name_to_handle_at fanotify_init mknod mknodat "
    # memory outside the process's resident size
    "memfd_create shmget shmat msgget semget mbind migrate_pages move_pages set_mempolicy"
).split()

DENIED_WITHOUT_NAMESPACES = (
    # Landlock governs opening files, not these: a cell could change the user's files or reach host services by a path
    "connect chown fchown lchown fchownat truncate "
    "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr setxattrat removexattrat "
    "inotify_init inotify_init1 inotify_add_watch "
    # host processes of the same user
    "tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal setpgid mq_open mq_unlink"
).split()

WITHOUT_EFFECT = (
    "chmod fchmod fchmodat fchmodat2 utime utimes futimesat utimensat "
    "sched_setaffinity sched_setscheduler sched_setparam sched_setattr setpriority ioprio_set"
).split()
"""As above, but answered with success and not done: shutil.copy sets a mode, and ZeroMQ ends the process where it may
not set its threads' scheduling, which is told from another process's by a number that no filter can know."""


def library() -> ModuleType:
    """pyseccomp. Raises: SandboxUnavailable naming what to install."""
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError) as error:  # it raises the latter two where libseccomp.so.2 is missing
        raise SandboxUnavailable(
            f"seccomp filters cannot be made ({error}): pip install pyseccomp; apt install libseccomp2"
        ) from error
    return pyseccomp


def build_filter(processes: bool, own_pid: int | None = None) -> bytes:
    """The filter as an array of struct sock_filter.

    processes: cells may start processes. own_pid: set where no namespace hides the host (Landlock), the kernel's
    process id, the only one that it may then signal.
    Raises: SandboxUnavailable.
    """
    lib = library()
    rules = lib.SyscallFilter(lib.ALLOW)
    rules.set_attr(lib.Attr.ACT_BADARCH, lib.KILL_PROCESS)  # the default ends one thread, and the rest would hang
    refuse = lib.ERRNO(errno.EPERM)
    names = list(DENIED) if own_pid is None else [*DENIED, *DENIED_WITHOUT_NAMESPACES]
    for name in names:
        _deny(lib, rules, refuse, name)
    _deny(
        lib, rules, refuse, "prctl", lib.Arg(0, lib.EQ, PR_SET_DUMPABLE)
    )  # it would hide open files from the watchdog
    _restrict_sockets(lib, rules, refuse)
    _restrict_clone(lib, rules, refuse, processes)
    if own_pid is not None:
        for name in WITHOUT_EFFECT:
            _deny(lib, rules, lib.ERRNO(0), name)
        _restrict_signals(lib, rules, refuse, own_pid)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _deny(lib: ModuleType, rules: object, action: int, name: str, *arguments: object) -> None:
    try:
        number = lib.resolve_syscall(lib.Arch.NATIVE, name)
    except (ValueError, OSError):
        return  # this libseccomp is older than the call, and denies only by names that it knows
    if number >= 0:  # negative: the call does not exist on this architecture
        rules.add_rule(action, number, *arguments)  # type: ignore[attr-defined]


def _restrict_sockets(lib: ModuleType, rules: object, refuse: int) -> None:
    """Only local stream sockets: datagrams can be sent to any path, everything else reaches a network or the kernel."""
    for name in ("socket", "socketpair"):
        _deny(lib, rules, refuse, name, lib.Arg(0, lib.NE, socket.AF_UNIX))
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET, socket.SOCK_RDM, 10):
            _deny(lib, rules, refuse, name, lib.Arg(1, lib.MASKED_EQ, SOCKET_TYPE_MASK, int(kind)))


def _restrict_clone(lib: ModuleType, rules: object, refuse: int, processes: bool) -> None:
    _deny(lib, rules, lib.ERRNO(errno.ENOSYS), "clone3")  # its flags lie in memory; glibc then falls back to clone
    if processes:
        for bit in range(32):
            if NAMESPACE_FLAGS >> bit & 1 and 1 << bit != 0x80:  # bit 7 is part of clone's exit signal field
                _deny(lib, rules, refuse, "clone", lib.Arg(0, lib.MASKED_EQ, 1 << bit, 1 << bit))
        return
    _deny(lib, rules, refuse, "clone", lib.Arg(0, lib.MASKED_EQ, CLONE_THREAD, 0))
    for name in ("fork", "vfork", "execve", "execveat"):
        _deny(lib, rules, refuse, name)


def _restrict_signals(lib: ModuleType, rules: object, refuse: int, own_pid: int) -> None:
    """Signals and limits only for the kernel itself; truncation through a read-only open only from ABI 3 of
    Landlock.
    """
    _deny(lib, rules, refuse, "kill", lib.Arg(0, lib.NE, own_pid))
    _deny(lib, rules, refuse, "tgkill", lib.Arg(0, lib.NE, own_pid))
    _deny(lib, rules, refuse, "prlimit64", lib.Arg(0, lib.NE, 0))
    for name, position in (("open", 1), ("openat", 2)):
        _deny(lib, rules, refuse, name, lib.Arg(position, lib.MASKED_EQ, OPEN_MODE_MASK, os.O_RDONLY | os.O_TRUNC))
    _deny(lib, rules, refuse, "openat2")
