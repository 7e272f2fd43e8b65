"""Numbers that may come as text, from templates and from connections given as a URI. Pure."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Real

# No underscores, no digits of other scripts, no inf and nan.
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?|[0-9]*\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
LONGEST = 400
"""Longest text in characters that is read: a longer number is beyond any float."""


def number_of(value: object) -> int | float | None:
    """Return the finite number that a value means, a whole one as int; None if it means none.

    :param value: a number (Python's, ``decimal``'s or numpy's), or one as text.
    """
    if isinstance(value, str):
        value = value.strip()
        if len(value) > LONGEST or not NUMBER.fullmatch(value):
            return None
    elif isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # a signalling NaN, an integer beyond every float
        return None
    if not math.isfinite(number):
        return None
    if isinstance(value, int):
        return int(value)
    return int(number) if number.is_integer() else number
