"""Lengths of time as people write them."""

import math
import re

from blocks.speech import BadInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def seconds(text: str) -> float:
    """Of `90s`, `45m`, `1h30m` or `2d`; infinite for nothing at all. Raises BadInput."""
    plain = re.sub(r"\s+", "", text.lower())
    if not plain:
        return math.inf
    if _PARTS.sub("", plain):
        raise BadInput(f"{text!r} is no length of time: write it as 90s, 45m, 1h30m or 2d")
    return sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(plain))
