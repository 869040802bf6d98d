"""What the header of a JPEG or PNG file says, and whether the file is whole, without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from spatialclaw_ros.frames.image_errors import CompressedDataError

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
# ITU-T T.81 table B.1: markers that start a frame, and markers without a length field
_JPEG_FRAME_STARTS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_START_OF_SCAN = 0xDA
_JPEG_MOST_MARKERS = 4096
"""Before the first scan; cameras write a few dozen at most. More only cost time: the walk is one Python step each."""
# PNG specification 11.2.1, IHDR colour types
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


@dataclass(frozen=True)
class CompressedHeader:
    """kind: 'jpeg' or 'png'; width, height in pixels; bits per channel; channels (a palette counts as 3)."""

    kind: str
    width: int
    height: int
    bits: int
    channels: int


def read_header(data: memoryview, source: str = "") -> CompressedHeader:
    """Read size and pixel type of a whole JPEG or PNG file; a few microseconds, no pixel is decoded.

    Raises: CompressedDataError where the data is neither, or where its end is missing.
    Source: ITU-T T.81 annex B (JPEG markers), PNG specification 5.2, 11.2 (signature, IHDR, IEND).
    """
    name = source or "compressed image"
    head = bytes(data[:8])
    if head == PNG_MAGIC:
        return _png_header(data, name)
    if head[:2] == JPEG_MAGIC:
        return _jpeg_header(data, name)
    raise CompressedDataError(
        f"{name}: {data.nbytes} bytes that start with {head.hex(' ') or 'nothing'}; expected a JPEG (ff d8) or PNG "
        f"(89 50 4e 47) file, whatever its name or format field says"
    )


def _png_header(data: memoryview, name: str) -> CompressedHeader:
    if data.nbytes < 45 or b"IEND" not in bytes(data[-64:]):  # signature, IHDR and IEND are 45 bytes
        raise CompressedDataError(f"{name}: PNG of {data.nbytes} bytes is cut off: its IEND chunk is missing")
    width, height, bits, color_type = struct.unpack(">IIBB", data[16:26])
    return CompressedHeader("png", width, height, bits, _PNG_CHANNELS.get(color_type, 0))


def _jpeg_header(data: memoryview, name: str) -> CompressedHeader:
    header: CompressedHeader | None = None
    position, size = 2, data.nbytes
    for _ in range(_JPEG_MOST_MARKERS):
        if position + 4 > size:
            break
        if data[position] != 0xFF:
            raise CompressedDataError(f"{name}: JPEG is damaged at byte {position}: a marker was expected")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _JPEG_BARE_MARKERS:
            position += 2
        elif marker == _JPEG_START_OF_SCAN:
            if header is None or not _has_end(data, position):
                break
            return header
        else:
            if marker in _JPEG_FRAME_STARTS and position + 10 <= size:
                bits, height, width, channels = struct.unpack(">BHHB", data[position + 4 : position + 10])
                header = CompressedHeader("jpeg", width, height, bits, channels)
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    else:
        raise CompressedDataError(
            f"{name}: JPEG has more than {_JPEG_MOST_MARKERS} markers before its picture; no camera writes such a file"
        )
    raise CompressedDataError(f"{name}: JPEG of {size} bytes is cut off: its end marker (ff d9) is missing")


def _has_end(data: memoryview, scan: int) -> bool:
    """The end marker cannot occur inside a scan; cameras may pad after it, so the last two bytes are a fast path."""
    if data.nbytes >= scan + 2 and bytes(data[-2:]) == JPEG_END:
        return True
    return JPEG_END in np.frombuffer(data, np.uint8)[scan:].tobytes()
