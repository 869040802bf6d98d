"""Units of answers: what a question asks for, and conversion between units of the same kind."""

from __future__ import annotations

import math
import re

_UNITS: dict[str, tuple[str, float, tuple[str, ...]]] = {
    # name: (kind, factor to the kind's SI unit, spellings)
    "m": ("length", 1.0, ("metre", "metres", "meter", "meters")),
    "cm": ("length", 0.01, ("centimetre", "centimetres", "centimeter", "centimeters")),
    "mm": ("length", 0.001, ("millimetre", "millimetres", "millimeter", "millimeters")),
    "km": ("length", 1000.0, ("kilometre", "kilometres", "kilometer", "kilometers")),
    "in": ("length", 0.0254, ("inch", "inches")),
    "ft": ("length", 0.3048, ("foot", "feet")),
    "rad": ("angle", 1.0, ("radian", "radians")),
    "deg": ("angle", math.pi / 180, ("degree", "degrees", "°")),
    "s": ("time", 1.0, ("sec", "second", "seconds")),
    "ms": ("time", 0.001, ("millisecond", "milliseconds")),
    "min": ("time", 60.0, ("minute", "minutes")),
    "h": ("time", 3600.0, ("hour", "hours")),
    "m/s": ("speed", 1.0, ("metres per second", "meters per second", "mps")),
    "cm/s": ("speed", 0.01, ("centimetres per second", "centimeters per second")),
    "km/h": ("speed", 1 / 3.6, ("kilometres per hour", "kilometers per hour", "kph")),
    "rad/s": ("angular speed", 1.0, ("radians per second",)),
    "deg/s": ("angular speed", math.pi / 180, ("degrees per second",)),
    "m^2": ("area", 1.0, ("m2", "m²", "square metre", "square metres", "square meter", "square meters", "sqm")),
    "cm^2": ("area", 1e-4, ("cm2", "cm²", "square centimetres", "square centimeters")),
    "m^3": ("volume", 1.0, ("m3", "m³", "cubic metre", "cubic metres", "cubic meter", "cubic meters")),
    "l": ("volume", 0.001, ("litre", "litres", "liter", "liters")),
    "1": ("ratio", 1.0, ("ratio", "fraction")),
    "%": ("ratio", 0.01, ("percent", "per cent", "percentage")),
}

_SPELLINGS = {spelling: name for name, (_, _, spellings) in _UNITS.items() for spelling in (name, *spellings)}

_ASKABLE = sorted((spelling for spelling in _SPELLINGS if spelling not in ("1", "in")), key=len, reverse=True)
_WORDS = "|".join(re.escape(spelling) for spelling in _ASKABLE)
_ASKED = (
    re.compile(rf"\b(?:in|as|to the nearest)\s+(?:a\s+|whole\s+)?({_WORDS})(?![\w/^²³])", re.IGNORECASE),
    re.compile(rf"\bhow\s+many\s+({_WORDS})(?![\w/^²³])", re.IGNORECASE),
    re.compile(rf"(?<!\w)[(\[]\s*(?:in\s+)?({_WORDS})\s*[)\]]", re.IGNORECASE),
)


def unit_name(text: str) -> str | None:
    """The canonical name of a unit ('metres' → 'm', '°' → 'deg'); None for a word that is none of the known units."""
    return _SPELLINGS.get(" ".join(text.strip().rstrip(".").lower().split()))


def asked_unit(question: str) -> str:
    """The unit that a question names for its answer ("..., in centimetres?" → 'cm'); "" when it names none."""
    for pattern in _ASKED:
        found = pattern.findall(question)
        if found:
            return _SPELLINGS[" ".join(found[-1].lower().split())]
    return ""


def base_unit(unit: str) -> str:
    """The SI unit of the same kind ('cm' → 'm', '%' → '1')."""
    kind = _UNITS[unit][0]
    return next(name for name, (other, factor, _) in _UNITS.items() if other == kind and factor == 1.0)


def is_measured_in(unit: str) -> bool:
    """Whether a number without a unit can be taken for one in `unit`: what tools and NumPy give is SI or degrees."""
    return unit == "deg" or _UNITS[unit][1] == 1.0


def conversion(source: str, target: str) -> float | None:
    """The factor from `source` to `target` (canonical names); None when they measure different things."""
    source_kind, source_factor, _ = _UNITS[source]
    target_kind, target_factor, _ = _UNITS[target]
    return source_factor / target_factor if source_kind == target_kind else None
