"""KernelConfig: how kernels are isolated and bounded; every field checked when made."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from spatialclaw_ros.errors import ConfigurationError

SANDBOX_CHOICES = ("auto", "bwrap", "unshare", "landlock", "none")


def _option(default: Any, doc: str, low: float | None = None, high: float | None = None, choices: tuple = ()) -> Any:
    return field(default=default, metadata={"doc": doc, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class KernelConfig:
    """The `kernel` section of the configuration.

    Raises: ConfigurationError naming the field, its value and what is expected.
    """

    sandbox: str = _option(
        "auto",
        "auto: the strongest level that passes its self-test; bwrap, unshare, landlock: only that; none: no isolation",
        choices=SANDBOX_CHOICES,
    )
    uid: int = _option(  # 65533: reserved by Debian's policy, 9.2.2; not nobody, as whom other services run
        65533, "user and group id of kernels where the node runs as root; elsewhere they run as its user", 1, 0xFFFFFFFE
    )
    landlock_abi: int = _option(
        0, "newest version of Landlock to use, 0 = all that this Linux has; lower ones are for trying older ones", 0, 64
    )
    memory_bytes: int = _option(4 << 30, "resident memory of a kernel with its children, bytes", 256 << 20, 1 << 44)
    address_space_bytes: int = _option(
        32 << 30, "RLIMIT_AS of a kernel, bytes; far above memory_bytes, since maps that are not used count", 1 << 30
    )
    max_processes: int = _option(
        1, "processes of a kernel with its children; 1 = cells cannot start any (above 1: only with bwrap)", 1, 1024
    )
    max_threads: int = _option(256, "threads of a kernel with its children", 16, 4096)
    max_file_bytes: int = _option(256 << 20, "largest file that a cell may write, bytes", 1 << 20)
    max_scratch_bytes: int = _option(512 << 20, "a kernel's private /tmp, bytes", 1 << 20)
    max_cpu_seconds: float = _option(
        600.0, "processor time of one cell with all its threads, and of what it leaves running, s", 1.0, 1e9
    )
    cell_timeout: float = _option(60.0, "time of one cell that names no limit, s (steady clock)", 0.1, 86400.0)
    start_timeout: float = _option(30.0, "time until a kernel is ready, s", 1.0, 600.0)
    interrupt_grace: float = _option(2.0, "time between interrupting a cell and killing its kernel, s", 0.1, 60.0)
    max_output_bytes: int = _option(
        64 << 10, "text of a cell that is kept, bytes: the head and the tail", 256, 16 << 20
    )
    max_pictures: int = _option(16, "pictures of a cell that are kept", 0, 256)
    max_picture_bytes: int = _option(4 << 20, "largest picture that is kept, bytes", 1024, 64 << 20)
    max_message_bytes: int = _option(16 << 20, "largest message that is read from a kernel, bytes", 1 << 16, 1 << 30)
    max_request_bytes: int = _option(32 << 20, "largest request of a cell to the broker, bytes", 1 << 16, 1 << 30)
    max_requests_per_second: int = _option(
        50, "requests of a kernel to the broker, per second and at once; more are refused", 1, 10_000
    )
    max_request_bytes_per_second: int = _option(
        128 << 20, "bytes of a kernel's requests to the broker, per second; more are refused", 1 << 16, 1 << 34
    )
    max_result_bytes: int = _option(256 << 20, "arrays that the broker shares with one kernel, bytes", 1 << 20)
    extra_packages: tuple[str, ...] = _option(
        (), "distributions besides the usual ones that cells may import, where installed"
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            value, meta = getattr(self, item.name), item.metadata
            if meta["choices"] and value not in meta["choices"]:
                raise ConfigurationError(
                    f"kernel.{item.name} is {value!r}; expected one of {', '.join(meta['choices'])}"
                )
            low, high = meta["low"], meta["high"]
            if low is None:
                continue
            right_type = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not right_type or not low <= value <= (float("inf") if high is None else high):
                limits = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
                raise ConfigurationError(f"kernel.{item.name} is {value!r}; expected a number {limits}")
