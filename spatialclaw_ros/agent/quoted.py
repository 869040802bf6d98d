"""quoted: a value that came from outside, as an error message can show it, whatever it is."""

from __future__ import annotations

from typing import Any

MOST = 80
"""Characters that are shown."""


def quoted(value: Any) -> str:
    """The start of `repr(value)`. An integer of thousands of digits, which has no repr, is named as such."""
    try:
        return repr(value)[:MOST]
    except ValueError:  # sys.set_int_max_str_digits
        return f"a {type(value).__name__} with an integer of too many digits"
