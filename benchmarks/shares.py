"""Shares as they are printed, and how far chance alone may have moved them."""

import math


def percent(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


def interval(part: int, whole: int) -> tuple[float, float]:
    """Between what a share of all such names may lie, nineteen times in twenty (Wilson)."""
    share, spread = part / whole, 1.96**2 / whole
    middle = (share + spread / 2) / (1 + spread)
    wide = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    return middle - wide, middle + wide
