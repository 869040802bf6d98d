"""The ways in which an image can fail to be what its header says."""

from __future__ import annotations

from spatialclaw_ros.errors import ImageError

COLOR_ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16")


class ColorEncodingError(ImageError):
    """The encoding is none that holds colour or grey pictures."""

    def __init__(self, encoding: str, source: str, hint: str = "") -> None:
        super().__init__(
            f"{source or 'image'}: colour encoding is {encoding!r}; expected one of {', '.join(COLOR_ENCODINGS)}, or "
            f"compressed jpeg or png. {hint or 'Set the driver to one of these, or convert it with image_proc.'}"
        )


class DepthEncodingError(ImageError):
    """The encoding is not one of REP-118's two depth encodings, raw or compressed without loss."""

    def __init__(self, encoding: str, source: str, hint: str = "") -> None:
        super().__init__(
            f"{source or 'depth image'}: depth encoding is {encoding!r}; expected '16UC1' (millimetres) or '32FC1' "
            f"(metres), raw, '16UC1; png compressed', or either with 'compressedDepth'. "
            f"{hint or 'Remap the depth image, not its colour-mapped preview.'}"
        )


class ImageLayoutError(ImageError):
    """Width, height, step and data length of an image contradict each other."""


class CompressedDataError(ImageError):
    """Compressed data is cut off, damaged, or neither JPEG nor PNG."""


class DepthSizeError(ImageError):
    """A depth image has another size than the colour image that it belongs to."""

    def __init__(self, depth_size: tuple[int, int], color_size: tuple[int, int], source: str, hint: str = "") -> None:
        super().__init__(
            f"{source or 'depth image'}: depth is {depth_size[0]}x{depth_size[1]}, colour is "
            f"{color_size[0]}x{color_size[1]} pixels; expected the same size. "
            f"{hint or 'Use the depth topic registered to colour (aligned_depth_to_color, depth_registered).'}"
        )
