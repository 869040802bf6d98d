"""Broker messages: length-prefixed msgpack, and a bound on how much a hostile one can grow when it is unpacked."""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from spatialclaw_ros.errors import KernelError
from spatialclaw_ros.kernel.methods import VERSION

HEADER = struct.Struct(">I")
MAX_VALUES = 20_000
"""Values in one request: 32 MiB of empty maps would unpack to 2 GiB of objects. Binary data counts as one value."""
MAX_METHOD_CHARACTERS = 64

_FIXED_LENGTHS = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),
    0xCA: 4,
    0xCB: 8,
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
}
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
_CONTAINERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


class BadRequest(KernelError):
    """A request to the broker does not follow the protocol; the sentence goes back to the cell."""

    def __init__(self, message: str, request_id: int = 0) -> None:
        super().__init__(message)
        self.request_id = request_id


def encode(message: dict[str, Any]) -> bytes:
    """Length and body. Raises: TypeError or ValueError for what msgpack cannot hold."""
    body = msgpack.packb(message)
    return HEADER.pack(len(body)) + body


def decode_request(body: bytes) -> tuple[int, str, dict[str, Any]]:
    """Id, method and parameters of a request.

    Raises: BadRequest (with `request_id` where the message has one) for anything else than version, id, method, params.
    """
    check_size(body)
    try:
        message = msgpack.unpackb(body, ext_hook=_refuse_extension, strict_map_key=True)
    except Exception as error:  # msgpack raises a dozen kinds for damaged input; all mean the same here
        raise BadRequest(f"the request is not msgpack: {type(error).__name__}: {error}") from error
    if not isinstance(message, dict) or set(message) != {"v", "id", "method", "params"}:
        raise BadRequest("a request is a map with exactly v, id, method and params")
    request_id, method, params = message["id"], message["method"], message["params"]
    if not isinstance(request_id, int) or isinstance(request_id, bool):
        raise BadRequest(f"id is a {type(request_id).__name__}, expected an integer")
    problem = ""
    if message["v"] != VERSION:
        problem = f"protocol version {message['v']!r}, expected {VERSION}"
    elif not isinstance(method, str) or not 0 < len(method) <= MAX_METHOD_CHARACTERS:
        problem = f"method is {str(method)[:MAX_METHOD_CHARACTERS]!r}, expected a short name"
    elif not isinstance(params, dict) or not all(isinstance(key, str) for key in params):
        problem = f"params is a {type(params).__name__}, expected a map with names as keys"
    if problem:
        raise BadRequest(problem, request_id)
    return request_id, method, params


def check_size(body: bytes) -> None:
    """Walk over the tokens without building anything. Raises: BadRequest for too many, extensions, or a cut-off
    body.
    """
    position, waiting, seen, end = 0, 1, 0, len(body)
    while waiting:
        seen += 1
        if seen > MAX_VALUES:
            raise BadRequest(f"more than {MAX_VALUES} values in one request; send arrays as binary data")
        if position >= end:
            raise BadRequest("the request is cut off")
        length, children = _token(body, position, end)
        position += length
        waiting += children - 1
    if position != end:
        raise BadRequest(f"the request has {end - position} bytes after its end")


def _token(body: bytes, position: int, end: int) -> tuple[int, int]:
    """Bytes of the token at `position` with its data, and how many values follow as its children."""
    first = body[position]
    if first < 0x80 or first >= 0xE0:
        return 1, 0
    if first < 0x90:
        return 1, 2 * (first & 0x0F)
    if first < 0xA0:
        return 1, first & 0x0F
    if first < 0xC0:
        return 1 + (first & 0x1F), 0
    if first in _FIXED_LENGTHS:
        return 1 + _FIXED_LENGTHS[first], 0
    width, factor = _SIZED.get(first) or _CONTAINERS.get(first) or (0, 0)
    if width == 0:
        raise BadRequest(f"msgpack type 0x{first:02x} is not part of the protocol")
    if position + 1 + width > end:
        raise BadRequest("the request is cut off")
    count = int.from_bytes(body[position + 1 : position + 1 + width], "big")
    if factor:
        if count * factor > MAX_VALUES:
            raise BadRequest(f"more than {MAX_VALUES} values in one request; send arrays as binary data")
        return 1 + width, count * factor
    return 1 + width + count, 0


def _refuse_extension(code: int, data: bytes) -> Any:
    raise BadRequest(f"msgpack extension {code} is not part of the protocol")
