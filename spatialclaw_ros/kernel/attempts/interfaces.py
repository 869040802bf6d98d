"""Attempts on interfaces of Linux by raw system calls: keys, tracing, rings, memory that no watchdog sees, mounts."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.raw_calls import call, checked, libc

SESSION_KEYRING = -3
PERF_ATTRIBUTES = 128
PERF_TYPE_SOFTWARE = 1
PERF_EXCLUDE_KERNEL = 1 << 5
USER_FAULTS_ONLY = 1
CLONE_NEWNS = 0x00020000
BPF_MAP_CREATE, BPF_ARRAY = 0, 2
IPC_CREATE = 0o1000
SYSLOG_SIZE_UNREAD = 9
FAN_CLASS_NOTIF, IN_CREATE = 0, 0x100
X32_BIT = 0x40000000
CALL_AS_I386 = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
"""mov eax, 20 (getpid); int 0x80; ret."""
GETPID_OF_X86_64 = 39


@attempt()
def use_keyring(targets: Targets) -> object:
    """Put a key into the session's keyring, where other programs of the user keep theirs."""
    name = ctypes.c_char_p(b"user"), ctypes.c_char_p(b"decoy"), ctypes.c_char_p(b"x")
    number = call("add_key", *name, 1, SESSION_KEYRING)
    call("keyctl", 3, number, 0, 0, 0)  # revoke it
    return f"added key {number}"


@attempt(may_lack="kernel.perf_event_paranoid of 2 or less")
def count_performance_events(targets: Targets) -> object:
    """Open a performance counter, which measures other programs through caches and branches."""
    words = (ctypes.c_uint64 * (PERF_ATTRIBUTES // 8))()
    words[0], words[5] = PERF_TYPE_SOFTWARE | PERF_ATTRIBUTES << 32, PERF_EXCLUDE_KERNEL
    os.close(call("perf_event_open", ctypes.byref(words), 0, -1, -1, 0))
    return "opened a counter"


@attempt(may_lack="io_uring (kernel.io_uring_disabled)")
def make_io_ring(targets: Targets) -> object:
    """Make an io_uring, whose requests no system-call filter sees."""
    os.close(call("io_uring_setup", 4, ctypes.byref((ctypes.c_uint32 * 30)())))
    return "made a ring"


@attempt(may_lack="CAP_BPF (kernel.unprivileged_bpf_disabled)")
def make_bpf_map(targets: Targets) -> object:
    """Make a BPF map, the first step of running code inside Linux."""
    words = (ctypes.c_uint32 * 32)(BPF_ARRAY, 4, 8, 1)
    os.close(call("bpf", BPF_MAP_CREATE, ctypes.byref(words), ctypes.sizeof(words)))
    return "made a map"


@attempt(may_lack="userfaultfd")
def handle_page_faults(targets: Targets) -> object:
    """Make a userfaultfd, which stops Linux in the middle of a copy."""
    os.close(call("userfaultfd", os.O_CLOEXEC | USER_FAULTS_ONLY))
    return "made one"


@attempt()
def hide_memory_in_file(targets: Targets) -> object:
    """Make a memory file, whose pages count for no process."""
    os.close(os.memfd_create("x"))
    return "made one"


@attempt(may_lack="memfd_secret (secretmem.enable)")
def hide_memory_from_kernel(targets: Targets) -> object:
    """Make memory that even Linux does not map."""
    os.close(call("memfd_secret", 0))
    return "made some"


@attempt()
def hide_memory_in_segment(targets: Targets) -> object:
    """Make a System V segment, which outlives the kernel."""
    number = checked(libc().shmget(0, ctypes.c_size_t(4096), IPC_CREATE | 0o600), "shmget")
    libc().shmctl(number, 0, None)
    return f"made segment {number}"


@attempt()
def make_message_queue(targets: Targets) -> object:
    """Make a System V message queue, which outlives the kernel and reaches other processes."""
    number = checked(libc().msgget(0, IPC_CREATE | 0o600), "msgget")
    libc().msgctl(number, 0, None)
    return f"made queue {number}"


@attempt(may_lack="CAP_SYS_ADMIN", control="process")
def make_mount_namespace(targets: Targets) -> object:
    """Make a mount namespace of its own, to mount there."""
    return checked(libc().unshare(CLONE_NEWNS), "unshare") or "made one"


@attempt(may_lack="CAP_SYS_ADMIN", quick=False)
def mount_file_system(targets: Targets) -> object:
    """Mount a file system over a folder of its own."""
    folder = tempfile.mkdtemp().encode()
    checked(libc().mount(b"none", folder, b"tmpfs", 0, None), "mount")
    checked(libc().umount2(folder, 0), "umount2")
    return "mounted one"


@attempt(may_lack="CAP_SYS_ADMIN")
def open_file_system(targets: Targets) -> object:
    """Prepare a mount by the newer calls fsopen and open_tree, which older filters do not know."""
    with suppress(OSError):
        os.close(call("fsopen", ctypes.c_char_p(b"tmpfs"), 0))
        return "opened a file system"
    os.close(call("open_tree", -100, ctypes.c_char_p(b"/"), 1))
    return "cloned the tree of mounts"


@attempt(may_lack="CAP_SYS_CHROOT", control="process")
def change_root(targets: Targets) -> object:
    """Change the root folder, the old way out of one that was changed before."""
    return checked(libc().chroot(tempfile.mkdtemp().encode()), "chroot") or "changed it"


@attempt(may_lack="CAP_SYS_ADMIN", quick=False)
def watch_all_files(targets: Targets) -> object:
    """Be told of every file that is opened, by fanotify."""
    os.close(checked(libc().fanotify_init(FAN_CLASS_NOTIF, os.O_RDONLY), "fanotify_init"))
    return "made a watch"


@attempt()
def watch_folder_of_host(targets: Targets) -> object:
    """Be told what changes in a folder of the host, by inotify."""
    watch = checked(libc().inotify_init1(os.O_CLOEXEC), "inotify_init1")
    checked(libc().inotify_add_watch(watch, targets["folder"].encode(), IN_CREATE), "inotify_add_watch")
    os.close(watch)
    return "watches it"


@attempt(may_lack="CAP_SYSLOG (kernel.dmesg_restrict)")
def read_kernel_log(targets: Targets) -> object:
    """Read the machine's kernel log."""
    return f"{checked(libc().klogctl(SYSLOG_SIZE_UNREAD, None, 0), 'syslog')} bytes of the log are within reach"


@attempt(may_lack="the right to trace (kernel.yama.ptrace_scope)")
def compare_with_process(targets: Targets) -> object:
    """Ask by kcmp which resources two processes share, which tells kernel addresses apart."""
    return f"was told {call('kcmp', os.getpid(), targets['pid'], 2, 0, 0)}"


@attempt(may_lack="CAP_SYS_ADMIN")
def rename_machine(targets: Targets) -> object:
    """Set the machine's name."""
    socket.sethostname(socket.gethostname())
    return "may set it"


@attempt(may_lack="CAP_SYS_RAWIO", quick=False)
def reach_io_ports(targets: Targets) -> object:
    """Gain access to the machine's I/O ports."""
    if platform.machine() != "x86_64":
        raise OSError("only x86 has I/O ports")
    checked(libc().iopl(3), "iopl")
    libc().iopl(0)
    return "has access"


@attempt(may_lack="POSIX message queues", quick=False)
def make_posix_queue(targets: Targets) -> object:
    """Make a POSIX message queue, which outlives the kernel and reaches other processes by its name."""
    library = ctypes.CDLL("librt.so.1", use_errno=True)
    name = f"/{Path(targets['folder']).name}".encode()
    checked(library.mq_open(name, os.O_RDWR | os.O_CREAT, 0o600, None), "mq_open")
    library.mq_unlink(name)
    return "made one"


@attempt(ends=("SIGSYS",), breaks=True, quick=False, may_lack="32-bit programs on x86_64")
def call_as_i386(targets: Targets) -> object:
    """Make a system call as a 32-bit program, whose numbers a filter for 64 bits would misread."""
    if platform.machine() != "x86_64":
        raise OSError("only x86_64 has two kinds of system calls")
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(CALL_AS_I386)
    run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return f"called getpid as i386: {run()}"


@attempt(ends=("SIGSYS",), breaks=True, quick=False, may_lack="x32 programs (CONFIG_X86_X32)")
def call_as_x32(targets: Targets) -> object:
    """Make a system call by its x32 number, which a filter by plain numbers would let through."""
    if platform.machine() != "x86_64":
        raise OSError("only x86_64 has x32")
    return f"getpid by x32: {checked(libc().syscall(ctypes.c_long(X32_BIT | GETPID_OF_X86_64)), 'getpid of x32')}"
