"""A line of numbers as one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Return one block for each value, from the lowest to the highest."""
    lowest, highest = min(values), max(values)
    if lowest == highest:
        return BLOCKS[len(BLOCKS) // 2] * len(values)
    # halves, since the difference of the largest numbers would overflow
    span = highest / 2 - lowest / 2
    levels = ((value / 2 - lowest / 2) / span if span else 0.5 for value in values)
    return "".join(BLOCKS[round(level * (len(BLOCKS) - 1))] for level in levels)
