"""show(): sends pictures to the model; plt.show() does the same with the open figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from spatialclaw_ros.workbench.bench import Bench
from spatialclaw_ros.workbench.errors import ToolError
from spatialclaw_ros.workbench.masks import PerFrameMask
from spatialclaw_ros.workbench.pictures import Shown, message, to_pictures, with_masks

MAX_PICTURES = 16
"""Pictures that one cell can show; more would crowd the model's context."""


class Display:
    """Sends pictures on the kernel's output stream; `show` is bound under that name."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._sent = 0

    def start_cell(self) -> None:
        self._sent = 0

    def show(self, *items: Any, label: str = "") -> None:
        """Look at pictures: frames, PIL images, arrays, bool masks, float maps (colour-mapped, with their range), mask
        results, matplotlib figures, lists of them. A bool mask right after an image of its size is drawn over that
        image. At most 16 a cell.

        Raises: ToolError for what is no picture.
        """
        if not items:
            raise ToolError("show() got nothing to show")
        for shown in self._pictures(_flat(items)):
            self._send(shown, label)

    def show_figures(self) -> None:
        """plt.show(): sends every open matplotlib figure and closes it."""
        from matplotlib import pyplot

        for number in pyplot.get_fignums():
            figure = pyplot.figure(number)
            try:
                for shown in to_pictures(figure):
                    self._send(shown, _title(figure))
            finally:
                pyplot.close(figure)

    def _pictures(self, items: list[Any]) -> list[Shown]:
        pictures: list[Shown] = []
        position = 0
        while position < len(items):
            image, masks = items[position], []
            position += 1
            while position < len(items) and _is_mask_of(items[position], image):
                masks.append(np.atleast_3d(items[position].T).T)
                position += 1
            pictures.extend([with_masks(image, np.concatenate(masks))] if masks else to_pictures(image))
            if hasattr(image, "savefig"):
                _close(image)
        return pictures

    def _send(self, shown: Shown, label: str) -> None:
        if self._sent >= MAX_PICTURES:
            self._bench.note(
                f"show: {MAX_PICTURES} pictures a cell; the others were left out. "
                "Show fewer, or small crops side by side"
            )
            return
        self._sent += 1
        self._bench.publish(*message(shown, label))


def _flat(items: Any) -> list[Any]:
    flat: list[Any] = []
    for item in items:
        if isinstance(item, dict):
            item = list(item.values())
        flat.extend(_flat(item) if isinstance(item, (list, tuple)) else [item])
    return flat


def _is_mask_of(item: Any, image: Any) -> bool:
    """True for a bool mask, or a stack of them, of an image's size."""
    if not isinstance(item, np.ndarray) or item.dtype != bool or item.ndim not in (2, 3):
        return False
    if isinstance(image, PerFrameMask):
        return False
    if isinstance(image, np.ndarray):
        return image.dtype == np.uint8 and image.ndim == 3 and image.shape[:2] == item.shape[-2:]
    size = getattr(image, "size", None)
    return isinstance(size, tuple) and size == item.shape[:-3:-1]


def _title(figure: Any) -> str:
    titles = [figure.get_suptitle() if hasattr(figure, "get_suptitle") else ""]
    titles += [axes.get_title() for axes in figure.axes]
    return next((title for title in titles if title), "")


def _close(figure: Any) -> None:
    from matplotlib import pyplot

    if hasattr(figure, "number"):
        pyplot.close(figure)
