"""make_segmenter: the segmenter that a configuration names."""

from __future__ import annotations

from spatialclaw_ros.errors import ConfigurationError
from spatialclaw_ros.limits import CancelToken
from spatialclaw_ros.perception.colour import ColourSegmenter
from spatialclaw_ros.perception.colours import colour_name
from spatialclaw_ros.perception.grabcut import GrabCutSegmenter
from spatialclaw_ros.perception.interfaces import Locator, Masks, Prompt, Segmenter, SegmentInput

SEGMENTERS = ("auto", "colour", "grabcut")


class AutoSegmenter:
    """Chooses per prompt: boxes and points go to grabcut; text goes to grabcut when a locator can find it, else to
    colour.

    So a backbone that sees pictures is asked where the thing is; without one only things named with a colour can be
    found.
    """

    name = "auto"

    def __init__(self, locator: Locator | None) -> None:
        self._locator = locator
        self._colour, self._grabcut = ColourSegmenter(), GrabCutSegmenter(locator)

    def segment(self, image: SegmentInput, prompt: Prompt, cancel: CancelToken) -> Masks:
        """Raises: PerceptionError, Canceled; see the two segmenters."""
        by_colour = bool(prompt.text) and self._locator is None and colour_name(prompt.text) is not None
        return (self._colour if by_colour else self._grabcut).segment(image, prompt, cancel)


def make_segmenter(name: str, locator: Locator | None = None) -> Segmenter:
    """The segmenter of that name: 'auto', 'colour' or 'grabcut'. locator: finds a thing by words; None without a seeing
    model.

    Raises: ConfigurationError.
    """
    if name == "auto":
        return AutoSegmenter(locator)
    if name == "colour":
        return ColourSegmenter()
    if name == "grabcut":
        return GrabCutSegmenter(locator)
    raise ConfigurationError(f"perception.segmenter is {name!r}; expected one of {', '.join(SEGMENTERS)}")
