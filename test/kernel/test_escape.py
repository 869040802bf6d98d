"""What a cell must not be able to do, tried from inside a real kernel at every isolation level of this machine."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from spatialclaw_ros.kernel.session import KernelSession

pytestmark = pytest.mark.process

SECRET = "sk-test-4c1f9a77"


def attempt(kernel: KernelSession, code: str) -> str:
    """Run `code` (its last line assigns `got`) and return repr(got), or the name of the exception that stopped it."""
    indented = "\n".join(f"    {line}" for line in code.splitlines())
    result = kernel.execute(
        f"try:\n{indented}\nexcept BaseException as e:\n    got = type(e).__name__\nprint(repr(got))", 20.0
    )
    assert result.status == "ok", result
    return result.stdout.strip()


REFUSED = ("'PermissionError'", "'FileNotFoundError'", "'OSError'", "'ModuleNotFoundError'", "'BlockingIOError'")


def test_every_guarantee_of_the_self_test_holds(kernel: KernelSession) -> None:
    assert kernel.checks and not any(kernel.checks.values())


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/1/root/etc/passwd"])
def test_host_file_cannot_be_read(kernel: KernelSession, path: str) -> None:
    if path == "/proc/1/environ" and kernel.sandbox_level == "bwrap":
        assert SECRET not in attempt(kernel, f"got = open({path!r}).read()")  # process 1 is the sandbox's own
        return
    assert attempt(kernel, f"got = open({path!r}).read()") in REFUSED


def test_host_file_cannot_be_read_through_native_code(kernel: KernelSession) -> None:
    assert attempt(kernel, "import numpy as np\ngot = np.fromfile('/etc/passwd', 'u1').size") in REFUSED
    assert attempt(kernel, "import cv2\ngot = cv2.FileStorage('/etc/passwd', 0).isOpened()") in ("False", "'error'")


def test_project_folder_beside_the_package_cannot_be_read(kernel: KernelSession) -> None:
    beside = Path(__file__).resolve()
    assert attempt(kernel, f"got = open({str(beside)!r}).read()") in REFUSED


def test_host_folder_cannot_be_written(kernel: KernelSession, tmp_path: Path) -> None:
    assert attempt(kernel, f"got = open({str(tmp_path / 'x')!r}, 'w').write('x')") in REFUSED
    assert not list(tmp_path.iterdir())


def test_symbolic_link_to_the_host_leads_nowhere(kernel: KernelSession) -> None:
    code = "import os, tempfile\np = tempfile.mktemp()\nos.symlink('/etc/passwd', p)\ngot = open(p).read()"
    assert attempt(kernel, code) in REFUSED


def test_environment_holds_no_secret_of_the_host(kernel: KernelSession) -> None:
    assert SECRET in os.environ.values()
    assert attempt(kernel, f"import os\ngot = any({SECRET!r} in v for v in os.environ.values())") == "False"
    assert attempt(kernel, f"got = {SECRET!r} in open('/proc/self/environ').read()") == "False"


def test_host_process_cannot_be_signalled(kernel: KernelSession) -> None:
    got = attempt(kernel, f"import os\ngot = os.kill({os.getpid()}, 0)")
    assert got in ("'ProcessLookupError'", "'PermissionError'")


def test_memory_of_the_host_process_cannot_be_read(kernel: KernelSession) -> None:
    assert attempt(kernel, f"got = open('/proc/{os.getpid()}/mem', 'rb').read(1)") in REFUSED


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"])
def test_no_socket_of_a_network_can_be_made(kernel: KernelSession, family: str) -> None:
    assert attempt(kernel, f"import socket\ngot = socket.socket(socket.{family}, socket.SOCK_RAW)") in REFUSED
    assert attempt(kernel, f"import socket\ngot = socket.socket(socket.{family}, socket.SOCK_DGRAM)") in REFUSED


def test_listening_port_of_the_host_is_out_of_reach(kernel: KernelSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert attempt(kernel, f"import socket\ngot = socket.create_connection(('127.0.0.1', {port}), 2)") in REFUSED


def test_unix_socket_of_the_host_is_out_of_reach(kernel: KernelSession, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        got = attempt(kernel, f"import socket\ngot = socket.socket(socket.AF_UNIX).connect({str(tmp_path / 's')!r})")
    assert got in REFUSED


def test_datagram_cannot_be_sent_to_a_socket_of_the_host(kernel: KernelSession, tmp_path: Path) -> None:
    assert attempt(kernel, "import socket\ngot = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)") in REFUSED


@pytest.mark.parametrize(
    "code",
    [
        "import os\ngot = os.fork()",
        "import subprocess\ngot = subprocess.run(['/bin/ls'])",
        "got = get_ipython().getoutput('ls')",
    ],
)
def test_no_process_can_be_started(kernel: KernelSession, code: str) -> None:
    got = attempt(kernel, code)
    assert got in REFUSED or "passwd" not in got and "usr" not in got


def test_program_cannot_be_replaced(kernel: KernelSession) -> None:
    assert attempt(kernel, "import os, sys\ngot = os.execv(sys.executable, ['python'])") in REFUSED


def test_user_namespace_cannot_be_made(kernel: KernelSession) -> None:
    assert attempt(kernel, "import ctypes\ngot = ctypes.CDLL(None).unshare(0x10000000)") == "-1"


def test_memory_that_no_watchdog_sees_cannot_be_taken(kernel: KernelSession) -> None:
    assert attempt(kernel, "import os\ngot = os.memfd_create('x')") in REFUSED


def test_ros_is_not_installed_for_a_cell(kernel: KernelSession) -> None:
    assert attempt(kernel, "import rclpy\ngot = 'imported'") == "'ModuleNotFoundError'"
    assert attempt(kernel, "import sys\ngot = [m for m in sys.modules if 'ros_wheels' in m or m == 'rclpy']") == "[]"


def test_package_that_is_not_on_the_allowlist_is_not_installed_for_a_cell(kernel: KernelSession) -> None:
    assert attempt(kernel, "import httpx\ngot = 'imported'") == "'ModuleNotFoundError'"


def test_frames_can_be_read_and_not_changed(kernel: KernelSession) -> None:
    picture = kernel.frames_folder / "picture"
    picture.write_bytes(b"pixels")
    inside = f"{kernel.frames_path_inside}/picture"
    assert attempt(kernel, f"got = open({inside!r}).read()") == "'pixels'"
    for mode in ("w", "a", "r+"):
        assert attempt(kernel, f"got = open({inside!r}, {mode!r})") in REFUSED
    assert attempt(kernel, f"import os\ngot = os.unlink({inside!r})") in REFUSED
    assert attempt(kernel, f"import os\ngot = os.open({inside!r}, os.O_RDONLY | os.O_TRUNC)") in REFUSED
    assert attempt(kernel, f"import os\ngot = os.truncate({inside!r}, 0)") in REFUSED
    attempt(kernel, f"import os\ngot = os.chmod({inside!r}, 0o777)")
    assert picture.read_bytes() == b"pixels" and picture.stat().st_mode & 0o777 != 0o777


def test_socket_folder_takes_no_file_and_no_link(kernel: KernelSession) -> None:
    code = "import os\nfolder = os.path.dirname(os.environ['SPATIALCLAW_BROKER'])\n"
    assert attempt(kernel, code + "got = open(folder + '/x', 'w')") in REFUSED
    assert attempt(kernel, code + "got = os.symlink('/etc', folder + '/x')") in REFUSED
    assert attempt(kernel, code + "got = os.unlink(folder + '/broker')") in REFUSED


def test_scratch_folder_is_private_and_writable(kernel: KernelSession) -> None:
    code = "import tempfile, os\nf = tempfile.NamedTemporaryFile()\nf.write(b'x'); f.flush()\n"
    assert attempt(kernel, code + "got = os.path.getsize(f.name)") == "1"


def test_file_beyond_its_size_is_refused(kernel: KernelSession) -> None:
    code = "import tempfile, os\nf = tempfile.TemporaryFile()\ngot = os.posix_fallocate(f.fileno(), 0, 1 << 30)"
    assert attempt(kernel, code) in REFUSED


def test_array_beyond_the_address_space_is_a_memory_error(kernel: KernelSession) -> None:
    assert "Memory" in attempt(kernel, "import numpy as np\ngot = np.ones((300_000, 300_000)).size")


def test_memory_beyond_the_limit_ends_the_kernel_with_the_reason(fresh: KernelSession) -> None:
    result = fresh.execute("import numpy as np, time\nheld = np.ones(1 << 27)\ntime.sleep(30)", 60.0)
    assert result.status == "died" and result.error is not None
    assert "memory" in result.error.message and "768 MiB" in result.error.message


def test_too_many_threads_end_the_kernel_with_the_reason(fresh: KernelSession) -> None:
    code = (
        "import threading, time\n"
        "for _ in range(400): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "time.sleep(30)"
    )
    result = fresh.execute(code, 60.0)
    assert result.status in ("died", "error"), result
    assert threading.active_count() < 100


def test_files_beyond_the_scratch_size_are_refused_or_end_the_kernel(fresh: KernelSession) -> None:
    code = (
        "import tempfile, time\nkept = []\n"
        "for _ in range(20):\n    f = tempfile.NamedTemporaryFile(); kept.append(f)\n"
        "    f.write(bytes(8 << 20)); f.flush()\n"
        "time.sleep(30)"
    )
    result = fresh.execute(code, 60.0)
    assert result.error is not None
    assert result.error.name == "OSError" or result.status == "died" and "files" in result.error.message


def test_message_beyond_its_size_ends_the_kernel_not_the_host(fresh: KernelSession) -> None:
    code = (  # past what the kernel itself keeps to
        "k = get_ipython().kernel; content = {'name': 'stdout', 'text': 'x' * (40 << 20)}\n"
        "k.session.send(k.iopub_socket, 'stream', content, parent=k.get_parent('shell'))"
    )
    result = fresh.execute(code, 30.0)
    assert result.status == "died" and len(result.stdout) < 1000


def test_forged_messages_of_a_cell_change_nothing_but_its_own_result(fresh: KernelSession) -> None:
    code = (
        "ip = get_ipython(); k = ip.kernel; s = k.session\n"
        "contents = [b'[]', b'7', b'{', b'[' * 9999, {'text': 7}, {'data': [1]}, {'data': {'image/png': 5}}]\n"
        "for content in (*contents, {'execution_state': []}):\n"
        "    for kind in ('stream', 'display_data', 'status', 'execute_result', 'no_such_type'):\n"
        "        s.send(k.iopub_socket, kind, content=content, parent=k.get_parent('shell'))\n"
        "k.iopub_socket.send_multipart([b'garbage'] * 3)\n"
        "k.iopub_socket.send_multipart([b'<IDS|MSG>', b'sig', b'{', b'{}', b'{}', b'{}'])\n"
        "print('done')"
    )
    result = fresh.execute(code, 20.0)
    assert result.status in ("ok", "error") and "done" in result.stdout
    assert fresh.execute("print('next')", 20.0).stdout == "next\n"


def test_early_idle_and_reply_of_a_cell_do_not_confuse_the_next(fresh: KernelSession) -> None:
    code = (
        "k = get_ipython().kernel\n"
        "k.session.send(k.iopub_socket, 'status', {'execution_state': 'idle'}, parent=k.get_parent('shell'))\n"
        "print('late')"
    )
    fresh.execute(code, 20.0)
    assert fresh.execute("print('next')", 20.0).stdout == "next\n"
