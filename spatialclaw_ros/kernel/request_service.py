"""RequestService: what becomes of one request of a kernel: refused by name, or handed to the handler and answered.

A request is served only while a cell runs. The handler works on a thread of its own: one that hangs and ignores its
cancellation holds up the requests of its own kernel, which are refused while it does, and nobody else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from spatialclaw_ros.errors import SpatialClawError
from spatialclaw_ros.kernel import methods, wire
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.fields import FieldError
from spatialclaw_ros.kernel.token_bucket import TokenBucket
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.workbench.errors import BrokerError, RequestRateExceeded, ToolError

if TYPE_CHECKING:
    from spatialclaw_ros.kernel.session import KernelSession

BrokerHandler = Callable[[str, dict[str, Any], "KernelSession", CancelToken], dict[str, Any]]
"""(method, params, session, cancel) -> result. Raised SpatialClawErrors go back to the cell by class name."""

IGNORED_SECONDS = 1.0
"""Time that a cancelled request has to end before it is given up."""
MAX_ERROR_CHARACTERS = 2000

_log = logging.getLogger(__name__)


class RequestService:
    """Answers one kernel's requests, one at a time; `begin_cell` and `end_cell` may be called from any thread."""

    def __init__(self, handler: BrokerHandler) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._cell: CancelToken | None = None
        self._abandoned: _Job | None = None
        self._closing = threading.Event()

    def start(self, session: KernelSession, config: KernelConfig) -> None:
        self._session = session
        self._rate = TokenBucket(config.max_requests_per_second, config.max_requests_per_second)

    def begin_cell(self, cancel: CancelToken) -> None:
        """From now on requests are served, with `cancel`."""
        with self._lock:
            self._cell = cancel

    def end_cell(self) -> None:
        """Requests are refused again; one that still runs is cancelled."""
        with self._lock:
            cell, self._cell = self._cell, None
        if cell is not None:
            cell.cancel("the cell ended")

    def close(self) -> None:
        self._closing.set()
        self.end_cell()

    def reply_to(self, body: bytes) -> dict[str, Any]:
        """The reply to a request, whatever it holds. Waits at most one request's share of the rate before refusing."""
        request_id = 0
        try:
            in_rate = self._rate.take()
            if not in_rate:  # refusals take as long as answers would: asking on costs the node no more
                self._closing.wait(self._rate.seconds_until())
            request_id, method, params = wire.decode_request(body)
            result = self._serve(method, params) if in_rate else self._refuse_rate()
        except wire.BadRequest as error:
            return refusal(error, error.request_id or request_id)
        except SpatialClawError as error:
            return refusal(error, request_id)
        return {"v": methods.VERSION, "id": request_id, "result": result}

    def _refuse_rate(self) -> NoReturn:
        limit = f"{self._rate.rate:g} requests a second (kernel.max_requests_per_second)"
        raise RequestRateExceeded(f"more than {limit}; ask about fewer frames")

    def _serve(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Raises: BadRequest, BrokerError, or what the handler raises."""
        with self._lock:
            cancel = self._cell
        if cancel is None:
            raise BrokerError("no cell is running; only a running cell is served")
        try:
            methods.check_request(method, params)
        except FieldError as error:
            raise wire.BadRequest(str(error)) from None
        if self._abandoned is not None and self._abandoned.running:
            raise BrokerError(
                f"an earlier {self._abandoned.method} request does not end although it was cancelled; nothing is "
                "served in this kernel until it does"
            )
        try:
            job = _Job(method, lambda: self._handler(method, params, self._session, cancel))
        except RuntimeError as error:  # the machine or the account has no thread left
            raise ToolError(f"{method} could not be served: {error}") from error
        if not job.wait(cancel):
            self._abandoned = job
            _log.warning("a broker request (%s) ignores its cancellation", method)
            raise BrokerError(f"{method} did not end within {IGNORED_SECONDS:g} s of being cancelled")
        result = job.result()
        try:
            methods.check_result(method, result)
        except FieldError as error:
            _log.error("broker method %s made a result that breaks the protocol: %s", method, error)
            raise ToolError(f"{method} failed: {error}") from None
        return result


class _Job:
    """One call of the handler, on a thread of its own."""

    def __init__(self, method: str, call: Callable[[], dict[str, Any]]) -> None:
        self.method = method
        self._call = call
        self._ended = threading.Event()
        self._news = threading.Event()
        self._result: dict[str, Any] = {}
        self._error: SpatialClawError | None = None
        threading.Thread(target=self._run, name=f"request-{method}", daemon=True).start()

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def wait(self, cancel: CancelToken) -> bool:
        """Wait until it ended, or was cancelled and did not end in time (False)."""
        forget = cancel.on_cancel(self._news.set)
        try:
            self._news.wait()  # bounded: a cell has a limit, at which it is cancelled
        finally:
            forget()
        return self._ended.wait(IGNORED_SECONDS)

    def result(self) -> dict[str, Any]:
        """Raises: what the handler raised; ToolError for a defect of the handler."""
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._call()
        except SpatialClawError as error:
            self._error = error
        except Exception as error:  # the handler's own bug must not end the kernel's only way out
            _log.exception("broker method %s failed", self.method)
            self._error = ToolError(f"{self.method} failed: {error}")
        finally:
            self._ended.set()
            self._news.set()


def refusal(error: Exception, request_id: int = 0) -> dict[str, Any]:
    """The reply that says why there is no result."""
    described = {"type": type(error).__name__, "message": str(error)[:MAX_ERROR_CHARACTERS]}
    return {"v": methods.VERSION, "id": request_id, "error": described}
