"""The Python kernel itself, trimmed for short round trips: no history, debugger, TCP or coloured tracebacks."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import zmq
from ipykernel.control import ControlThread
from ipykernel.iostream import IOPubThread
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
from traitlets import Type
from traitlets.config import Config

from spatialclaw_ros.kernel.limit_hints import limit_hint
from spatialclaw_ros.kernel.output import OUTPUT, CellDisplayHook, CellDisplayPublisher
from spatialclaw_ros.kernel.text_limit import shortened

WARM_IMPORTS = (
    "numpy",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.signal",
    "scipy.spatial",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "PIL.Image",
    "PIL.JpegImagePlugin",
    "cv2",
    "msgpack",
)
SESSION_MODULE = "spatialclaw_ros.workbench.session"
TRACEBACK_FRAMES = 8
LINE_BYTES = 2000
MESSAGE_BYTES = 3000
NAME_CHARACTERS = 200


class CellShell(ZMQInteractiveShell):
    """A shell whose tracebacks are plain text, cut to the cell's own frames and the innermost one."""

    displayhook_class = Type(CellDisplayHook)
    display_pub_class = Type(CellDisplayPublisher)
    last_error: dict[str, Any] = {}
    """Name, message and traceback of the last exception, as the reply to its cell reports it."""

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Report the exception being handled. IPython's own formatting takes tens of milliseconds."""
        kind, value, trace = exc_tuple or sys.exc_info()
        if kind is None or value is None:
            return
        lines, message = _plain_traceback(value, trace), _message(value)
        self.last_error = {"ename": kind.__name__[:NAME_CHARACTERS], "evalue": message, "traceback": lines}
        self._showtraceback(kind, message, lines)

    def showsyntaxerror(self, *args: Any, **kwargs: Any) -> None:
        self.showtraceback()


def _plain_traceback(error: BaseException, trace: Any) -> list[str]:
    """Lines such as 'Cell line 3, in f:'; then the error itself. of a library's frames only the innermost."""
    lines = []
    if isinstance(error, SyntaxError) and error.filename and _is_cell(error.filename):
        lines.append(f"Cell line {error.lineno or 0}:\n    {(error.text or '').rstrip()}")
    frames = [frame for frame in traceback.extract_tb(trace) if "IPython" not in frame.filename]
    cells = [frame for frame in frames if _is_cell(frame.filename)]
    chosen = cells[-TRACEBACK_FRAMES:]
    for frame in chosen:  # the outermost frame belongs to the cell that runs; a function may come from an earlier one
        which = "Cell" if frame.filename == cells[0].filename else "Earlier cell,"
        lines.append(f"{which} line {frame.lineno}, in {frame.name}:\n    {frame.line}")
    if chosen and frames[-1] is not chosen[-1]:
        last = frames[-1]
        lines.append(f"{'/'.join(last.filename.split('/')[-2:])} line {last.lineno}, in {last.name}:\n    {last.line}")
    try:
        lines.append("".join(traceback.format_exception_only(type(error), error)).rstrip())
    except Exception:  # the exception's own __str__ failed; its type still says something
        lines.append(type(error).__name__)
    if hint := limit_hint(error):
        lines.append(f"({hint})")
    return [shortened(line, LINE_BYTES) for line in lines]


def _message(error: BaseException) -> str:
    hint = limit_hint(error)
    try:
        return shortened(str(error), MESSAGE_BYTES) + (f" ({hint})" if hint else "")
    except Exception:  # the exception's own __str__ failed
        return hint


def _is_cell(filename: str) -> bool:
    return "/ipykernel_" in filename or filename.startswith("<ipython-input-")


class CellKernel(IPythonKernel):
    """The kernel object: output within limits, interrupts to this process alone."""

    shell_class = Type(CellShell)

    async def do_execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run a cell; its reply and its last piece of text are short, whatever the cell did."""
        OUTPUT.start_cell()
        shell, session = self.shell, self.session
        assert shell is not None and session is not None  # made with the kernel
        shell.last_error = {}
        try:
            reply = await super().do_execute(*args, **kwargs)
        except Exception:
            if not shell.last_error:
                raise
            # the exception's own __str__ failed; the shell has reported it by its type
            reply = {"status": "error", "execution_count": shell.execution_count - 1, "user_expressions": {}}
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the cell is over: its interrupt must not hit what reports it
        reply["payload"] = []  # for a notebook's pager; nobody reads it
        if reply["status"] == "error":
            reply.update(shell.last_error)
        rest = OUTPUT.end_cell()
        if rest is not None:
            parent = self.get_parent("shell")
            session.send(self.iopub_socket, "stream", rest, parent=parent, ident=b"stream.stdout")
        return reply

    def _send_interrupt_children(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    _send_interupt_children = _send_interrupt_children  # ipykernel 6 spells it so


class CellKernelApp(IPKernelApp):
    """The application around it: connection from the orders, no subshells, no debugger."""

    kernel_class = Type(CellKernel, klass="ipykernel.kernelbase.Kernel")  # type: ignore[assignment]

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """There is none; completion for one would be looked for."""

    def init_pdb(self) -> None:
        """No debugger: nobody could talk to it."""

    def init_connection_file(self) -> None:
        """The connection came with the orders."""

    def write_connection_file(self, **kwargs: Any) -> None:
        """Nothing reads one."""

    def init_gui_pylab(self) -> None:
        """MPLBACKEND says it all."""

    def init_control(self, context: zmq.Context) -> None:
        """The control channel in a thread of its own; cells run on the main thread, with no subshell thread between."""
        self.control_socket = context.socket(zmq.ROUTER)
        self.control_socket.linger = 1000
        self.control_port = self._bind_socket(self.control_socket, self.control_port)
        self.control_socket.router_handover = 1
        self.debugpy_socket = context.socket(zmq.STREAM)
        self.debug_shell_socket = context.socket(zmq.DEALER)
        self.control_thread = ControlThread(daemon=True)
        self.shell_channel_thread = None

    def init_iopub(self, context: zmq.Context) -> None:
        """The output stream; without the pipe for forked children, which listens on TCP."""
        self.iopub_socket = context.socket(zmq.XPUB if _welcomes() else zmq.PUB)
        self.iopub_socket.linger = 1000
        self.iopub_port = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        words = {"session": self.session} if _welcomes() else {}
        self.iopub_thread = IOPubThread(self.iopub_socket, pipe=False, **words)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket


def _welcomes() -> bool:
    """ipykernel 7.1 and later greet a subscriber over an XPUB socket."""
    return hasattr(IOPubThread, "_setup_xpub_listener")


def start_kernel(orders: dict[str, Any], on_ready: Callable[[], None]) -> None:
    """Serve cells until killed. `on_ready` is called when the sockets listen and the imports are done."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    OUTPUT.set_limits(**orders["output"])
    app = CellKernelApp.instance(config=_settings(orders["connection"]))
    app.initialize([])
    _warm_up(app)
    on_ready()  # the sockets are bound: what the host sends from now on waits in them for the loop
    app.start()


def _settings(connection: dict[str, Any]) -> Config:
    config = Config()
    config.IPKernelApp.transport = "ipc"
    config.IPKernelApp.ip = connection["ip"]
    for name in ("shell", "iopub", "stdin", "control", "hb"):
        config.IPKernelApp[f"{name}_port"] = connection[f"{name}_port"]
    config.Session.key = connection["key"].encode()
    config.Session.signature_scheme = connection["signature_scheme"]
    config.IPKernelApp.outstream_class = "spatialclaw_ros.kernel.output.CellStream"
    config.IPKernelApp.quiet = True
    config.IPKernelApp.capture_fd_output = False
    config.IPKernelApp.log_level = 50
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.autoawait = False
    config.InteractiveShell.cache_size = 0
    config.IPCompleter.use_jedi = False
    return config


def _warm_up(app: CellKernelApp) -> None:
    """Import what cells use, and let the workbench bind its names where it is part of the installation."""
    for name in WARM_IMPORTS:
        importlib.import_module(name)
    if importlib.util.find_spec(SESSION_MODULE) is not None:
        importlib.import_module(SESSION_MODULE).install(app.shell)
    sys.stdout.flush()
    sys.stderr.flush()
