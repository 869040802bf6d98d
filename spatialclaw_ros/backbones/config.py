"""BackboneConfig: which model answers, where it is, and how it is asked; every field validated when made."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from spatialclaw_ros.errors import ConfigurationError

BACKBONE_NAMES = ("rules", "openai")
TOKEN_LIMIT_NAMES = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Sampling:
    """How replies of one purpose are sampled. A negative temperature and a token limit of 0 are not sent at all."""

    temperature: float = field(
        default=-1.0, metadata={"doc": "Sampling temperature, 0 to 2; below 0 = the server's own."}
    )
    max_tokens: int = field(default=0, metadata={"doc": "Longest reply in tokens; 0 = the server's own limit."})

    def __post_init__(self) -> None:
        if not math.isfinite(self.temperature) or self.temperature > 2:
            raise ConfigurationError(
                f"backbone temperature is {self.temperature}; expected 0 to 2, or below 0 to leave it out"
            )
        if self.max_tokens < 0:
            raise ConfigurationError(f"backbone max_tokens is {self.max_tokens}; expected 0 (no limit) or more")


@dataclass(frozen=True)
class BackboneConfig:
    """The `backbone` section of the configuration.

    Raises: ConfigurationError naming the field, its value and what is expected.
    """

    name: str = field(
        default="rules", metadata={"doc": "rules (offline, no model) or openai (any OpenAI-compatible server)."}
    )
    base_url: str = field(
        default="http://127.0.0.1:8000/v1", metadata={"doc": "Where the server is, up to and with /v1 (openai only)."}
    )
    model: str = field(default="", metadata={"doc": "The model's name as the server knows it (openai only)."})
    api_key_env: str = field(
        default="", metadata={"doc": "Name of the environment variable that holds the key; empty = none is sent."}
    )
    timeout: float = field(default=120.0, metadata={"doc": "Longest wait for one reply, seconds (steady clock)."})
    connect_timeout: float = field(default=5.0, metadata={"doc": "Longest wait for a connection, seconds."})
    max_attempts: int = field(
        default=4, metadata={"doc": "Tries per request on a busy server or a lost connection, 1 to 20."}
    )
    max_reply_bytes: int = field(default=8 << 20, metadata={"doc": "Longest HTTP reply that is read, bytes."})
    stream: bool = field(default=False, metadata={"doc": "Ask for the reply as server-sent events."})
    token_limit_name: str = field(
        default="max_tokens",
        metadata={"doc": "How the server names the reply limit: max_tokens or max_completion_tokens."},
    )
    plan: Sampling = field(default_factory=Sampling, metadata={"doc": "Sampling of plans."})
    main: Sampling = field(default_factory=Sampling, metadata={"doc": "Sampling of cells."})
    locate: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.0, max_tokens=512), metadata={"doc": "Sampling of vlm.locate."}
    )
    ask: Sampling = field(default_factory=Sampling, metadata={"doc": "Sampling of vlm.ask_with_thinking."})

    def __post_init__(self) -> None:
        if self.name not in BACKBONE_NAMES:
            raise ConfigurationError(f"backbone.name is {self.name!r}; expected one of {', '.join(BACKBONE_NAMES)}")
        if self.token_limit_name not in TOKEN_LIMIT_NAMES:
            raise ConfigurationError(
                f"backbone.token_limit_name is {self.token_limit_name!r}; expected one of "
                f"{', '.join(TOKEN_LIMIT_NAMES)}"
            )
        for key, low, high in (
            ("timeout", 0.01, 3600.0),
            ("connect_timeout", 0.01, 600.0),
            ("max_attempts", 1, 20),
            ("max_reply_bytes", 1024, 1 << 30),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise ConfigurationError(f"backbone.{key} is {value}; expected {low} to {high}")
        _check_key_name(self.api_key_env)
        if self.name == "openai":
            _check_url(self.base_url)
            if not self.model.strip():
                raise ConfigurationError("backbone.model is empty; expected the model's name as the server knows it")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"backbone.base_url is {url!r}; expected something like http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query:
        # The value is not repeated here: it may hold a key.
        raise ConfigurationError(
            "backbone.base_url carries a user, a password or a query; keys belong in the environment variable that "
            "backbone.api_key_env names"
        )


def _check_key_name(name: str) -> None:
    if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        # The value is not repeated here: a key pasted in place of a variable's name must not reach a log.
        raise ConfigurationError(
            "backbone.api_key_env is not a name of an environment variable; expected letters, digits and underscores, "
            "such as OPENAI_API_KEY (the variable's name, not the key itself)"
        )
