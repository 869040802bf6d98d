"""Attempts to change what belongs to the host: its files, the kernel's own read-only folders, kernel settings."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from spatialclaw_ros.kernel.attempts.attempt import Targets, attempt
from spatialclaw_ros.kernel.attempts.judges import nothing_said

SETTINGS = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/sys/power/state")


@attempt(nothing_said)
def create_file(targets: Targets) -> object:
    """Create a file in a folder of the host that everybody may write to."""
    return (Path(targets["folder"]) / "new").write_text("x")


@attempt(nothing_said)
def overwrite_file(targets: Targets) -> object:
    """Open a file of the host for writing."""
    return Path(targets["file"]).write_text("x")


@attempt(nothing_said)
def append_to_file(targets: Targets) -> object:
    """Open a file of the host for appending."""
    with open(targets["file"], "a", encoding="ascii") as file:
        return file.write("x")


@attempt(nothing_said)
def truncate_by_path(targets: Targets) -> None:
    """Empty a file of the host by truncate(), which opens nothing."""
    os.truncate(targets["file"], 0)


@attempt(nothing_said)
def truncate_through_reading(targets: Targets) -> None:
    """Empty a file of the host by opening it for reading with O_TRUNC."""
    os.close(os.open(targets["file"], os.O_RDONLY | os.O_TRUNC))


@attempt(nothing_said)
def write_through_memory_map(targets: Targets) -> None:
    """Change a file of the host through NumPy's memory map."""
    import numpy as np

    mapped = np.memmap(targets["file"], np.uint8, "r+")
    mapped[:4] = 0
    mapped.flush()


@attempt(nothing_said)
def write_through_symbolic_link(targets: Targets) -> object:
    """Make a symbolic link in the scratch folder and write through it."""
    link = Path(tempfile.mkdtemp()) / "link"
    link.symlink_to(targets["file"])
    return link.write_text("x")


@attempt(nothing_said)
def remove_file(targets: Targets) -> None:
    """Remove a file of the host."""
    os.unlink(targets["file"])


@attempt(nothing_said)
def rename_file(targets: Targets) -> None:
    """Rename a file of the host, and exchange it for one of the scratch folder."""
    with suppress(OSError):
        os.rename(targets["file"], targets["file"] + ".old")
    with tempfile.NamedTemporaryFile(delete=False) as file:
        os.replace(file.name, targets["neighbour"])


@attempt(nothing_said)
def make_folder_and_pipe(targets: Targets) -> object:
    """Make a folder, a named pipe or a link in a folder of the host."""
    made = os.path.join(targets["folder"], "made")
    for make in (os.mkdir, os.mkfifo, lambda path: os.symlink("/etc", path)):
        with suppress(OSError):
            return make(made)
    raise PermissionError("none of them can be made")


@attempt(nothing_said)
def make_socket_file(targets: Targets) -> None:
    """Bind a Unix socket in a folder of the host."""
    socket.socket(socket.AF_UNIX).bind(os.path.join(targets["folder"], "made"))


@attempt(nothing_said)
def link_own_file_into_host(targets: Targets) -> None:
    """Hard-link a file of the scratch folder into another kernel's folder, where its host would find it."""
    with tempfile.NamedTemporaryFile() as file:
        os.link(file.name, targets["neighbour"] + ".planted")


@attempt(nothing_said)
def change_mode(targets: Targets) -> None:
    """Open a file of the host to everybody by chmod."""
    os.chmod(targets["file"], 0o4777)


@attempt(nothing_said)
def change_times(targets: Targets) -> None:
    """Set the times of a host's file."""
    os.utime(targets["file"], (1, 1))


@attempt(nothing_said, may_lack="CAP_CHOWN")
def change_owner(targets: Targets) -> None:
    """Give a file of the host to somebody else."""
    os.chown(targets["file"], 1234, 1234)


@attempt(nothing_said, may_lack="a file system with user attributes")
def set_attribute(targets: Targets) -> None:
    """Attach an extended attribute to a file of the host."""
    os.setxattr(targets["file"], "user.decoy", b"x")


@attempt()
def change_own_frames(targets: Targets) -> object:
    """Write to, truncate, remove or replace a picture of one's own read-only folder."""
    path = targets["own"]
    with suppress(OSError):
        os.chmod(path, 0o777)
    for mode in ("r+", "a", "w"):
        with suppress(OSError), open(path, mode, encoding="ascii"):
            return f"opened its picture with mode {mode}"
    for change in (
        lambda: os.truncate(path, 0),
        lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)),
        lambda: os.unlink(path),
        lambda: os.rename(path, path + ".old"),
        lambda: Path(path).with_name("new").write_text("x"),
    ):
        with suppress(OSError):
            change()
            return "changed its picture"
    raise PermissionError("the folder of its pictures cannot be changed")


@attempt(may_lack="the right to write to the package's folder")
def change_package(targets: Targets) -> object:
    """Open this package's code for writing, which the host runs."""
    with open(os.path.join(targets["package"], "__init__.py"), "r+b"):
        return "opened the package's code for writing"


@attempt()
def change_socket_folder(targets: Targets) -> object:
    """Put a file or a link into the folder of the kernel's own sockets, beside what the host connects to."""
    folder = os.path.dirname(os.environ["SPATIALCLAW_BROKER"])
    for make in (lambda path: Path(path).write_text("x"), lambda path: os.symlink("/etc", path), os.mkdir):
        with suppress(OSError):
            make(os.path.join(folder, "made"))
            os.rename(os.path.join(folder, "made"), os.path.join(folder, "moved"))
            return "made an entry there"
    raise PermissionError("nothing can be made there")


@attempt(breaks=True)
def replace_own_sockets(targets: Targets) -> object:
    """Remove the socket that the host's broker listens on, to put one's own in its place."""
    os.unlink(os.environ["SPATIALCLAW_BROKER"])
    return "removed it"


@attempt(may_lack="root's right to change kernel settings")
def change_kernel_settings(targets: Targets) -> object:
    """Open files of /proc and /sys for writing that change the whole machine."""
    for path in SETTINGS:
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY))
            return f"opened {path} for writing"
    raise PermissionError("none can be opened for writing")


@attempt()
def protect_itself_from_memory_killer(targets: Targets) -> object:
    """Lower the score by which Linux would end this kernel before the robot's node."""
    with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
        before = int(file.read())
        file.seek(0)
        file.write("0")
    return f"lowered it from {before}" if before > 0 else ""
