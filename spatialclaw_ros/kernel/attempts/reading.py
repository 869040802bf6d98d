"""Attempts to read what belongs to the host: by path, by link, through other processes, devices and kernel files."""

from __future__ import annotations

import ctypes
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.judges import told_mark, told_secret
from spatialclaw_ros.kernel.attempts.raw_calls import call, checked, libc

SYSTEM_FILES = ("/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/machine-id", "/root/.bashrc")
HARMLESS_DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "stdin", "stdout", "stderr", "fd", "core"}
AT_FDCWD = -100
HANDLE_BYTES = 128


@attempt(told_secret)
def read_by_path(targets: Targets) -> object:
    """Open a file of the host by its path."""
    return Path(targets["file"]).read_text()


@attempt()
def read_system_files(targets: Targets) -> object:
    """Open the host's accounts, host name, machine id and root's start-up file."""
    found = []
    for path in SYSTEM_FILES:
        with suppress(OSError), open(path, "rb") as file:
            found += [path] if file.read(1) else []
    return ", ".join(found)


@attempt()
def read_beside_package(targets: Targets) -> object:
    """Open a file that lies beside this package, where other packages or the project's sources are."""
    return targets["beside"] and Path(targets["beside"]).read_bytes()[:40]


@attempt(told_secret)
def read_through_numpy(targets: Targets) -> object:
    """Read the host's file with NumPy: fromfile, then a memory map."""
    import numpy as np

    with suppress(OSError):
        return np.fromfile(targets["file"], np.uint8).tobytes()
    return np.memmap(targets["file"], np.uint8, "r").tobytes()


@attempt(told_secret)
def read_through_opencv(targets: Targets) -> object:
    """Read the host's file with OpenCV's native parser."""
    import cv2

    with suppress(cv2.error):
        storage = cv2.FileStorage(targets["yaml"], cv2.FILE_STORAGE_READ)
        return storage.getNode("key").string()
    return ""


@attempt(told_secret)
def read_by_raw_call(targets: Targets) -> object:
    """Open the host's file by a raw system call, past Python and libc."""
    return os.read(call("openat", AT_FDCWD, ctypes.c_char_p(targets["file"].encode()), os.O_RDONLY, 0), 4096)


@attempt(told_secret)
def read_by_openat2(targets: Targets) -> object:
    """Open the host's file by openat2, which filters over openat overlook."""
    how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
    path = ctypes.c_char_p(targets["file"].encode())
    return os.read(call("openat2", AT_FDCWD, path, ctypes.byref(how), ctypes.sizeof(how)), 4096)


@attempt(told_secret)
def read_through_symbolic_link(targets: Targets) -> object:
    """Make a symbolic link to the host's file in the scratch folder and follow it."""
    link = Path(tempfile.mkdtemp()) / "link"
    link.symlink_to(targets["file"])
    return link.read_text()


@attempt(told_secret)
def read_through_hard_link(targets: Targets) -> object:
    """Make a hard link to another kernel's picture, on the same file system, and read it."""
    link = Path(tempfile.mkdtemp()) / "link"
    os.link(targets["neighbour"], link)
    return link.read_text()


@attempt(told_secret)
def read_through_magic_link(targets: Targets) -> object:
    """Follow the links to roots and working directories in /proc/self."""
    starts = ("/proc/self/root", "/proc/thread-self/root", "/proc/self/cwd/" + "../" * 40, "/dev/fd/../root")
    for start in starts:
        with suppress(OSError):
            return Path(start + targets["file"]).read_text()
    raise PermissionError("none of the links leads there")


@attempt(told_secret)
def read_through_root_of_process(targets: Targets) -> object:
    """Follow the root and the working directory of a process of the host."""
    for path in (f"/proc/{targets['pid']}/root{targets['file']}", f"/proc/{targets['pid']}/cwd/file"):
        with suppress(OSError):
            return Path(path).read_text()
    raise PermissionError("neither leads there")


@attempt(told_secret)
def read_descriptor_of_process(targets: Targets) -> object:
    """Open the file that a process of the host holds open, through its /proc/PID/fd."""
    return Path(f"/proc/{targets['pid']}/fd/{targets['descriptor']}").read_text()


@attempt(told_secret, quick=False, may_lack="CAP_DAC_READ_SEARCH")
def read_by_handle(targets: Targets) -> object:
    """Open the host's file by its handle, which needs no path (the way out of old containers)."""
    handle = ctypes.create_string_buffer(HANDLE_BYTES + 8)
    ctypes.c_uint32.from_buffer(handle).value = HANDLE_BYTES
    number = ctypes.c_int()
    path = targets["file"].encode()
    checked(libc().name_to_handle_at(AT_FDCWD, path, handle, ctypes.byref(number), 0), "name_to_handle_at")
    mount = os.open(os.path.dirname(targets["file"]), os.O_RDONLY)
    return os.read(checked(libc().open_by_handle_at(mount, handle, os.O_RDONLY), "open_by_handle_at"), 4096)


@attempt(told_secret, control="process")
def read_inherited_descriptors(targets: Targets) -> object:
    """Read every descriptor that was left open when the kernel started."""
    found = b""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found += os.pread(int(name), 4096, 0)
    return found


@attempt(told_mark)
def list_folder_of_host(targets: Targets) -> object:
    """List a folder of the host."""
    return os.listdir(targets["folder"])


@attempt(told_secret)
def read_pictures_of_another_kernel(targets: Targets) -> object:
    """Open a picture in the shared-memory folder of another session's kernel."""
    return Path(targets["neighbour"]).read_text()


@attempt()
def list_other_kernels(targets: Targets) -> object:
    """List the shared-memory folder that holds the folders of all kernels."""
    names = os.listdir(Path(targets["neighbour"]).parents[2])
    return f"sees {', '.join(names)}" if Path(targets["neighbour"]).parents[1].name in names else ""


@attempt(told_secret, quick=False)
def read_system_v_segment(targets: Targets) -> object:
    """Map a System V shared-memory segment of the host."""
    library = libc()
    library.shmat.restype = ctypes.c_void_p
    address = library.shmat(targets["segment"], None, 0o10000)
    if address == ctypes.c_void_p(-1).value:
        checked(-1, "shmat")
    return ctypes.string_at(address, 64)


@attempt(told_mark)
def list_sockets_of_host(targets: Targets) -> object:
    """Read the names of the host's Unix sockets in /proc/net."""
    lines = Path("/proc/self/net/unix").read_text().splitlines()
    return [line.split()[-1] for line in lines if "decoy" in line]


@attempt()
def read_network_devices(targets: Targets) -> object:
    """Read the host's network devices and firmware tables in /sys."""
    found = []
    for folder in ("/sys/class/net", "/sys/firmware", "/sys/class/dmi/id", "/sys/kernel"):
        with suppress(OSError):
            found += [f"{folder}/{name}" for name in os.listdir(folder)]
    return ", ".join(found)[:200]


@attempt()
def open_devices(targets: Targets) -> object:
    """Open every device node that is more than null, zero and random."""
    opened = []
    for parent, _, names in os.walk("/dev"):
        for path in (os.path.join(parent, name) for name in names if name not in HARMLESS_DEVICES):
            if os.path.islink(path) or parent.startswith(("/dev/shm", "/dev/mqueue")):
                continue
            with suppress(OSError):
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
                opened.append(path)
    return ", ".join(path for path in opened if not path.startswith("/dev/pts") and path != "/dev/ptmx")


@attempt(may_lack="CAP_MKNOD")
def make_device(targets: Targets) -> object:
    """Make a device node of one's own and open it."""
    path = os.path.join(tempfile.mkdtemp(), "device")
    os.mknod(path, 0o20600, os.makedev(1, 5))
    with open(path, "rb") as file:
        return f"made /dev/zero anew and read {len(file.read(8))} bytes"
