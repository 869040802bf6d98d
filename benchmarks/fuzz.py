"""Fuzzing for as long as one likes: run `python benchmarks/fuzz.py TARGET [CORPUS_FOLDER] [-max_total_time=600 ...]`.

A target takes any bytes; whatever they hold, it may only raise the typed refusal that it is there to give. The tests
run the same targets for a moment, on inputs that hypothesis makes. This script needs atheris, which guides its inputs
by coverage (`pip install atheris`; there are wheels for some versions of Python only, and none is needed otherwise).
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Callable

from spatialclaw_ros.agent.reply import parse_reply
from spatialclaw_ros.backbones import completion
from spatialclaw_ros.backbones.vlm import normalise_box
from spatialclaw_ros.errors import BackboneError, ImageError
from spatialclaw_ros.frames.compressed import read_header
from spatialclaw_ros.frames.decode import check_payload, decode_color, decode_depth
from spatialclaw_ros.frames.payload import ImagePayload
from spatialclaw_ros.kernel import methods, wire
from spatialclaw_ros.kernel.fields import FieldError

COLOURS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "jpeg", "png", "bgr8; jpeg compressed bgr8", "8UC1", "")
DEPTHS = (
    "16UC1",
    "32FC1",
    "mono16",
    "16UC1; png compressed",
    "16UC1; compressedDepth png",
    "32FC1; compressedDepth png",
)
MOST_PIXELS = 1 << 22
"""What a target decodes; the limit of the package itself, 2**27, would cost a fuzzer its speed."""


def request(data: bytes) -> None:
    """A request of a kernel: refused, or of one of the methods with all its fields."""
    with contextlib.suppress(wire.BadRequest, FieldError):
        _, method, params = wire.decode_request(data)
        methods.check_request(method, params)


def header(data: bytes) -> None:
    """A compressed picture's header."""
    with contextlib.suppress(ImageError):
        read_header(memoryview(data))


def colour(data: bytes) -> None:
    """A colour picture: its first bytes choose encoding, size and row length, the rest is its data."""
    with contextlib.suppress(ImageError):
        payload = _payload(data, COLOURS)
        width, height = check_payload(payload, depth=False)
        if width * height <= MOST_PIXELS:
            picture = decode_color(payload)
            assert (picture.shape, picture.dtype) == ((height, width, 3), "uint8")


def depth(data: bytes) -> None:
    """A depth image, in the same way."""
    with contextlib.suppress(ImageError):
        payload = _payload(data, DEPTHS)
        width, height = check_payload(payload, depth=True)
        if width * height <= MOST_PIXELS:
            metres = decode_depth(payload)
            assert (metres.shape, metres.dtype) == ((height, width), "float32")
            assert not (metres <= 0).any()


def reply(data: bytes) -> None:
    """A model's reply: a cell that parses, or a problem in words."""
    parsed = parse_reply(data.decode("utf-8", "surrogateescape"))
    assert bool(parsed.code) or parsed.problem
    if not parsed.problem:
        compile(parsed.code, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def completed(data: bytes) -> None:
    """The HTTP body of a chat completion, whole or as events."""
    for content_type in ("application/json", "text/event-stream"):
        with contextlib.suppress(BackboneError):
            completion.parse_reply(data, content_type, "http://127.0.0.1/v1", 0)


def box(data: bytes) -> None:
    """A model's word on where something is."""
    found = normalise_box(data.decode("utf-8", "replace"), 640, 480)
    assert found is None or found == "Not visible" or len(list(map(float, found.split()))) == 4


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (request, header, colour, depth, reply, completed, box)
}


def _payload(data: bytes, encodings: tuple[str, ...]) -> ImagePayload:
    head, rest = data[:6].ljust(6, b"\0"), data[6:]
    return ImagePayload(
        encodings[head[0] % len(encodings)],
        memoryview(rest),
        width=head[1],
        height=head[2],
        step=int.from_bytes(head[3:5], "big"),
        is_bigendian=head[5] & 1 == 1,
    )


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        raise SystemExit(f"{__doc__}\nTARGET is one of {', '.join(TARGETS)}; got {name!r}")
    try:
        import atheris
    except ImportError as error:
        raise SystemExit(f"atheris is not installed ({error}); pip install atheris, where it has a wheel") from error
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
