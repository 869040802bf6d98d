"""OpenAIBackbone: any server of the chat-completions protocol, asked so that a cancel aborts the request."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import random
import threading
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from spatialclaw_ros.backbones.body import BodyBuilder
from spatialclaw_ros.backbones.chat import Message, Purpose, Reply
from spatialclaw_ros.backbones.completion import error_text, parse_reply
from spatialclaw_ros.backbones.config import BackboneConfig, Sampling
from spatialclaw_ros.errors import (
    BackboneAuthenticationError,
    BackboneError,
    BackboneUnreachable,
    Canceled,
    ConfigurationError,
    TimeLimitReached,
)
from spatialclaw_ros.limits import CancelToken, Deadline

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

BUSY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed a moment later."""

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
"""Seconds between tries: doubled each time, with half of it random so that many clients do not come back together."""

_GRACE = 2.0
"""Seconds beyond the deadline that the calling thread waits for the network thread to report."""


class _Retry(Exception):
    """One try failed in a way that may pass; carries the error to raise when no try is left."""

    def __init__(self, error: BackboneError, pause: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause


class OpenAIBackbone:
    """A vision-language model behind an OpenAI-compatible endpoint.

    The key is read once from the environment variable that the configuration names; it is sent in the Authorization
    header and nowhere else. Requests run on an event loop of their own thread.
    Raises: ConfigurationError when the variable is named but not set.
    """

    name = "openai"
    sees_pictures = True

    def __init__(self, config: BackboneConfig) -> None:
        import httpx

        self._config = config
        self._url = config.base_url.rstrip("/")
        self._key = _read_key(config.api_key_env)
        self._body = BodyBuilder()
        self._client = _make_client(config, self._key)
        self._transport_error: type[Exception] = httpx.TransportError
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-backbone", daemon=True)
        self._thread.start()
        self._closed = False

    def __repr__(self) -> str:
        source = self._config.api_key_env or "nowhere"
        return f"OpenAIBackbone(model={self._config.model!r}, base_url={self._url!r}, key from {source})"

    def chat(self, messages: Sequence[Message], purpose: Purpose, cancel: CancelToken, deadline: Deadline) -> Reply:
        """Send the conversation, return the model's reply; tries again on a busy server or a lost connection.

        Raises: Canceled, TimeLimitReached, BackboneUnreachable, BackboneAuthenticationError, BackboneError.
        """
        body = self._body.build(messages, self._settings(purpose))
        url = f"{self._url}/chat/completions"
        data, content_type = self._run(self._with_retries("POST", url, body, cancel, deadline), cancel, deadline)
        try:
            return parse_reply(data, content_type, url, len(body))
        except BackboneError as error:
            raise BackboneError(self._redact(str(error))) from None

    def check(self, cancel: CancelToken, deadline: Deadline) -> str:
        """One sentence on whether the server answers and knows the model. Raises as `chat` does."""
        url = f"{self._url}/models"
        data, _ = self._run(self._with_retries("GET", url, b"", cancel, deadline), cancel, deadline)
        known = "and lists" if self._config.model.encode() in data else "but does not list"
        return f"{self._url} answers {known} the model {self._config.model!r}"

    def close(self) -> None:
        """Close connections and the network thread; requests in flight end with BackboneError."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop)
        self._thread.join(_GRACE)
        if not self._thread.is_alive():
            self._loop.close()

    async def _shut_down(self) -> None:
        others = [task for task in asyncio.all_tasks(self._loop) if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()
        self._loop.call_soon(self._loop.stop)

    def _settings(self, purpose: Purpose) -> dict[str, Any]:
        sampling: Sampling = getattr(self._config, purpose)
        settings: dict[str, Any] = {"model": self._config.model}
        if sampling.temperature >= 0:
            settings["temperature"] = sampling.temperature
        if sampling.max_tokens:
            settings[self._config.token_limit_name] = sampling.max_tokens
        if self._config.stream:
            settings |= {"stream": True, "stream_options": {"include_usage": True}}
        return settings

    def _run(self, work: Coroutine[Any, Any, T], cancel: CancelToken, deadline: Deadline) -> T:
        """Run `work` on the network thread until it ends, the token is set or the deadline is over."""
        if cancel.is_set() or deadline.remaining() <= 0 or self._closed:
            work.close()
            cancel.raise_if_set()
            deadline.raise_if_over()
            raise BackboneError("the backbone is closed; make a new one")
        future = asyncio.run_coroutine_threadsafe(_within(work, deadline), self._loop)
        unregister = cancel.on_cancel(future.cancel)  # type: ignore[arg-type]
        try:
            return future.result(deadline.remaining() + _GRACE)
        except concurrent.futures.CancelledError:
            raise self._why_cancelled(cancel) from None
        except (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError):
            future.cancel()
            cancel.raise_if_set()
            raise TimeLimitReached(f"no reply from {self._url} before the time limit (steady time)") from None
        finally:
            unregister()

    def _why_cancelled(self, cancel: CancelToken) -> Exception:
        if cancel.is_set():
            return Canceled(cancel.reason)
        return BackboneError("the backbone was closed while it waited for a reply")

    async def _with_retries(
        self, method: str, url: str, body: bytes, cancel: CancelToken, deadline: Deadline
    ) -> tuple[bytes, str]:
        for attempt in range(1, self._config.max_attempts + 1):
            try:
                return await self._once(method, url, body)
            except _Retry as failed:
                pause = max(failed.pause, _pause(attempt))
                last = attempt == self._config.max_attempts
                if last or pause >= deadline.remaining() or cancel.is_set():
                    tries = f" (tried {attempt} time{'s' if attempt > 1 else ''})"
                    raise type(failed.error)(f"{failed.error}{tries}") from None
                await asyncio.sleep(pause)
        raise AssertionError("max_attempts is at least 1")

    async def _once(self, method: str, url: str, body: bytes) -> tuple[bytes, str]:
        try:
            response, data = await asyncio.wait_for(self._exchange(method, url, body), self._config.timeout)
        except self._transport_error as error:
            raise self._transport_failure(url, error) from None
        except (TimeoutError, asyncio.TimeoutError):
            # The server took the request and is still at work: asking again would only add to its load.
            raise BackboneUnreachable(
                f"{url} sent no complete reply within {self._config.timeout:g} s; raise backbone.timeout "
                f"or use a faster model"
            ) from None
        if response.status_code == 200:
            return data, response.headers.get("content-type", "")
        raise self._status_failure(url, response, data)

    async def _exchange(self, method: str, url: str, body: bytes) -> tuple[httpx.Response, bytes]:
        async with self._client.stream(method, url, content=body or None) as response:
            return response, await self._read(response, url)

    async def _read(self, response: httpx.Response, url: str) -> bytes:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise BackboneError(
                f"{url} compressed its reply ({encoding}) although identity was asked for; turn that off"
            )
        chunks = bytearray()
        async for chunk in response.aiter_raw():
            chunks += chunk
            if len(chunks) > self._config.max_reply_bytes:
                raise BackboneError(
                    f"{url} sent more than {self._config.max_reply_bytes} bytes; limit the reply's length "
                    f"(backbone.main.max_tokens) or raise backbone.max_reply_bytes"
                )
        return bytes(chunks)

    def _transport_failure(self, url: str, error: Exception) -> _Retry:
        reason = self._redact(str(error)) or type(error).__name__
        return _Retry(
            BackboneUnreachable(
                f"nothing usable answers at {url}: {reason}. Is the server started, and is backbone.base_url right?"
            )
        )

    def _status_failure(self, url: str, response: httpx.Response, data: bytes) -> Exception:
        status = response.status_code
        said = self._redact(error_text(data)) or "nothing"
        if status in (401, 403):
            where = (
                f"the key in the environment variable {self._config.api_key_env}"
                if self._config.api_key_env
                else "a request without a key (backbone.api_key_env names no variable)"
            )
            return BackboneAuthenticationError(f"{url} refused {where} with HTTP {status}; the server says: {said}")
        if status in BUSY_STATUSES:
            return _Retry(BackboneError(f"{url} answered HTTP {status}: {said}"), _retry_after(response))
        hint = ""
        if 300 <= status < 400:
            target = self._redact(response.headers.get("location", "?"))
            hint = f" It points to {target}; set backbone.base_url accordingly."
        elif status == 404:
            hint = f" Check backbone.base_url (it usually ends in /v1) and backbone.model ({self._config.model!r})."
        elif status == 413:
            hint = " The request is too large; lower loop.max_pictures."
        return BackboneError(f"{url} answered HTTP {status}: {said}.{hint}")

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "(key)") if self._key else text


async def _within(work: Coroutine[Any, Any, T], deadline: Deadline) -> T:
    return await asyncio.wait_for(work, deadline.remaining())


def _read_key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigurationError(
            f"backbone.api_key_env names {variable}, but that environment variable is not set or is empty; "
            f"export it where the node starts, or leave api_key_env empty for a server without keys"
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError(f"the environment variable {variable} holds characters that no HTTP header can carry")
    return key


def _make_client(config: BackboneConfig, key: str) -> httpx.AsyncClient:
    import httpx

    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "spatialclaw_ros"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    parts = urlsplit(config.base_url)
    return httpx.AsyncClient(
        headers=headers,
        timeout=httpx.Timeout(None, connect=config.connect_timeout),
        verify=parts.scheme == "https",  # loading the certificates takes 30 ms and plain HTTP needs none
        trust_env=parts.hostname
        not in ("127.0.0.1", "localhost", "::1"),  # a proxy cannot reach this machine's own loopback
        limits=httpx.Limits(max_connections=8, keepalive_expiry=30.0),
    )


def _pause(attempt: int) -> float:
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks for in Retry-After (RFC 9110, section 10.2.3); 0 where it gives none or a date."""
    try:
        return min(3600.0, max(0.0, float(response.headers.get("retry-after", "0"))))
    except ValueError:
        return 0.0
