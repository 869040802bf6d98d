"""Width and height from the first bytes of a JPEG or PNG, without decoding and without believing a cell."""

from __future__ import annotations

import struct

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
_SIZES_AT = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers of a frame header (SOF0 to SOF15 without DHT, JPG, DAC), ITU-T T.81 table B.1."""


def picture_size(data: bytes, mime: str) -> tuple[int, int] | None:
    """(width, height) in pixels; None where the bytes are not a picture of that type."""
    if mime == "image/png":
        if data[:8] != PNG_START or data[12:16] != b"IHDR" or len(data) < 24:
            return None
        width, height = struct.unpack(">II", data[16:24])
    elif mime == "image/jpeg":
        found = _jpeg_size(data)
        if found is None:
            return None
        width, height = found
    else:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the frame header."""
    if data[:2] != JPEG_START:
        return None
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # padding before a marker
            position += 1
            continue
        (length,) = struct.unpack(">H", data[position + 2 : position + 4])
        if marker in _SIZES_AT:
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        if length < 2:
            return None
        position += 2 + length
    return None
