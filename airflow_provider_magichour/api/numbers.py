"""Numbers that may be texts, as templates and connections in a URI give them. Pure."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Real

# No underscores, no digits of other scripts, no inf and nan: what a person would not call a number is none.
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?|[0-9]*\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
LONGEST = 400
"""Characters of a text that is read: a longer number is beyond any float."""


def number_of(value: object) -> int | float | None:
    """Return the finite number that a value means, a whole one as int; None where it means none.

    :param value: a number of Python's, of ``decimal`` or of numpy's, or a text that is one.
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
