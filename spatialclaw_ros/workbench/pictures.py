"""From anything that show() is given to pictures: pixels, a caption, and whether they need lossless encoding."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from spatialclaw_ros.workbench.bench import rgb_pixels
from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.images import FrameImage
from spatialclaw_ros.workbench.masks import PerFrameMask, overlay

MAX_SIDE = 1024
JPEG_QUALITY = 85
RANGE_SAMPLE = 20_000
"""Pixels that the range of a float map is taken from."""
HOLE_COLOUR = (90, 90, 90)


@dataclass(frozen=True)
class Shown:
    """pixels: (H, W, 3) uint8 RGB or (H, W) uint8 grey; caption: what it is; frame_index, stamp (ns): of its frame."""

    pixels: np.ndarray
    caption: str = ""
    lossless: bool = False
    frame_index: int | None = None
    stamp: int | None = None
    source: str = ""


def to_pictures(item: Any) -> list[Shown]:
    """The pictures of one thing. Raises: ToolError for what is no picture."""
    if isinstance(item, FrameImage):
        return [_of_frame(item, rgb_pixels(item), "")]
    if isinstance(item, PerFrameMask):
        return [_of_mask_result(item)]
    if isinstance(item, Image.Image):
        return [Shown(rgb_pixels(item))]
    if hasattr(item, "savefig"):
        return [Shown(figure_pixels(item), lossless=True, source="figure")]
    if hasattr(item, "render_bev"):
        return [Shown(rgb_pixels(item.render_bev()), "seen from above, -Z up, +X right", source="bev")]
    if hasattr(item, "figure") and hasattr(item.figure, "savefig"):
        return to_pictures(item.figure)
    if isinstance(item, np.ndarray):
        return _of_array(item)
    raise ToolError(
        f"show() takes images, masks, float maps, figures, and lists of them; got a {type(item).__name__}. "
        "Use print() for text and numbers"
    )


def encode(shown: Shown) -> tuple[bytes, str, int, int]:
    """(bytes, MIME type, width, height): JPEG, or PNG for plots; larger pictures are shrunk to 1024 pixels a side."""
    pixels = shown.pixels
    height, width = pixels.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    bgr = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if shown.lossless:
        ok, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    else:
        ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise ToolError(f"a picture of {width}x{height} pixels could not be encoded")
    return data.tobytes(), "image/png" if shown.lossless else "image/jpeg", pixels.shape[1], pixels.shape[0]


def message(shown: Shown, label: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(data, metadata) of the display_data message; image bytes are base64 text, as Jupyter's protocol wants."""
    data, mime, width, height = encode(shown)
    caption = ": ".join(part for part in (label, shown.caption) if part)
    about = {
        "label": caption, "frame_index": shown.frame_index, "stamp": shown.stamp,
        "source": shown.source, "width": width, "height": height,
    }  # fmt: skip
    return {mime: base64.b64encode(data).decode("ascii"), "text/plain": caption or "picture"}, {"spatialclaw": about}


def with_masks(image: Any, masks: np.ndarray) -> Shown:
    """An image with bool masks (N, H, W) over it."""
    pixels = overlay(rgb_pixels(image), masks)
    caption = f"{len(masks)} mask{'s' if len(masks) != 1 else ''}, {int(masks.sum())} px"
    return _of_frame(image, pixels, caption) if isinstance(image, FrameImage) else Shown(pixels, caption)


def figure_pixels(figure: Any) -> np.ndarray:
    """(H, W, 3) uint8 of a matplotlib figure, drawn by Agg."""
    canvas = figure.canvas
    if not hasattr(canvas, "buffer_rgba"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def color_map(values: np.ndarray) -> tuple[np.ndarray, str]:
    """A float map (H, W) in turbo colours between its 1st and 99th percentile; holes (NaN, inf) grey. Returns pixels,
    caption."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.full((*values.shape, 3), HOLE_COLOUR, np.uint8), "float map without a finite value"
    step = max(1, round((values.size / RANGE_SAMPLE) ** 0.5))
    sample = values[::step, ::step][finite[::step, ::step]]
    low, high = (float(v) for v in np.percentile(sample if sample.size else values[finite], [1, 99]))
    scale = np.float32(255.0 / (high - low) if high > low else 0.0)
    with np.errstate(invalid="ignore"):  # a hole's level is whatever comes out; it is painted over
        level = np.clip((values - np.float32(low)) * scale, 0, 255).astype(np.uint8)
    pixels = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    pixels[~finite] = HOLE_COLOUR
    holes = f", {100 * (1 - finite.mean()):.0f} % holes (grey)" if not finite.all() else ""
    return pixels, f"values {low:.4g} (blue) to {high:.4g} (red){holes}"


def _thinned(values: np.ndarray) -> np.ndarray:
    """A map no larger than a picture may be, by leaving out rows and columns: neither holes nor edges are blended."""
    height, width = values.shape
    side = max(height, width)
    if side <= MAX_SIDE or values.dtype.kind not in "fiub":
        return values
    rows = np.linspace(0, height - 1, max(1, round(height * MAX_SIDE / side))).round().astype(int)
    columns = np.linspace(0, width - 1, max(1, round(width * MAX_SIDE / side))).round().astype(int)
    return values[rows[:, None], columns]


def _of_frame(item: FrameImage, pixels: np.ndarray, caption: str) -> Shown:
    text = f"frame {item.frame_index} ({item.camera}, {item.stamp:.2f} s)" + (f", {caption}" if caption else "")
    return Shown(pixels, text, frame_index=item.frame_index, stamp=item.stamp_ns, source=item.camera)


def _of_mask_result(result: PerFrameMask) -> Shown:
    pixels = rgb_pixels(result.visualize())
    image = result._image
    caption = f"{result.num_objects} masks of '{result.labels[0]}' by {result.backend}" if result.labels else "no masks"
    return _of_frame(image, pixels, caption) if isinstance(image, FrameImage) else Shown(pixels, caption)


def _of_array(array: np.ndarray) -> list[Shown]:
    if array.size == 0 or array.ndim not in (2, 3):
        raise ToolError(f"an array to show is (H, W), (H, W, 3) or a stack of masks (N, H, W); got shape {array.shape}")
    if array.dtype == bool:
        if array.ndim == 3 and array.shape[2] not in (1, 3):
            black = np.zeros((*array.shape[1:], 3), np.uint8)
            return [Shown(overlay(black, array), f"{len(array)} masks", lossless=True)]
        flat = array if array.ndim == 2 else array[..., 0]
        return [Shown(flat * np.uint8(255), f"mask, {int(flat.sum())} px", lossless=True)]
    single = array if array.ndim == 2 else array[..., 0] if array.shape[2] == 1 else None
    if single is not None and (array.dtype.kind == "f" or array.dtype.itemsize > 1):
        return [Shown(*color_map(_thinned(single).astype(np.float32)))]
    return [Shown(rgb_pixels(array))]
