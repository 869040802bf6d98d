"""An own corner of the network: a free ROS_DOMAIN_ID, and discovery that never leaves this machine."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType

from spatialclaw_ros.errors import SpatialClawError

FIRST_DOMAIN, LAST_DOMAIN = 1, 101
"""Domain ids whose ports stay below Linux's ephemeral range (docs.ros.org, "The ROS_DOMAIN_ID")."""

DETOURS = (
    "ROS_STATIC_PEERS",
    "ROS_DISCOVERY_SERVER",
    "ROS_LOCALHOST_ONLY",
    "FASTDDS_DEFAULT_PROFILES_FILE",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "CYCLONEDDS_URI",
)
"""Variables by which discovery would leave this machine, or pass over the domain, all the same."""


class PrivateDomain:
    """Claims a domain id that no process on this machine uses, for as long as it is held.

    Use as a context manager around everything that speaks ROS: it writes ROS_DOMAIN_ID and
    ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST into `environment` (default: this process's, inherited by children), takes
    DETOURS out of it, and restores what was there at the end. Two claims never get the same id: each holds a lock file.
    Raises: SpatialClawError when every id is taken.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._lock: int | None = None
        self._before: dict[str, str | None] = {}
        self.domain_id = -1

    def __enter__(self) -> PrivateDomain:
        candidates = list(range(FIRST_DOMAIN, LAST_DOMAIN + 1))
        random.shuffle(candidates)
        for domain_id in candidates:
            if self._claim(domain_id):
                break
        else:
            raise SpatialClawError(
                f"every ROS_DOMAIN_ID from {FIRST_DOMAIN} to {LAST_DOMAIN} is in use on this machine; "
                f"stop ROS processes that are no longer needed"
            )
        wanted = {"ROS_DOMAIN_ID": str(self.domain_id), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        self._before = {key: self._environment.get(key) for key in (*wanted, *DETOURS)}
        for key in DETOURS:
            self._environment.pop(key, None)
        self._environment.update(wanted)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for key, value in self._before.items():
            if value is None:
                self._environment.pop(key, None)
            else:
                self._environment[key] = value
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _claim(self, domain_id: int) -> bool:
        path = Path(tempfile.gettempdir()) / f"spatialclaw-domain-{domain_id}-{os.getuid()}.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        if _in_use(domain_id):
            os.close(lock)
            return False
        self._lock, self.domain_id = lock, domain_id
        return True


def _in_use(domain_id: int) -> bool:
    """Whether the first participant's unicast discovery port of that domain is taken.

    Source: DDS-RTPS 2.2, 9.6.1.1: port = 7400 + 250 * domain + 10 + 2 * participant.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", 7400 + 250 * domain_id + 10))
        except OSError:
            return True
    return False
