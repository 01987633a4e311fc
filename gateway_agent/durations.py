"""Durations as people write them: "250ms", "1s", "5m", "1h30m"."""

import re
from typing import Final

_MICROSECONDS: Final = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Turn "1s", "5m" or "1h30m" into seconds.

    Raises ValueError when the text is anything else; a bare number has no unit and is refused.
    """
    compact = text.strip()
    total = 0
    position = 0
    for part in _PART.finditer(compact):
        if part.start() != position:
            break
        total += round(float(part[1]) * _MICROSECONDS[part[2]])
        position = part.end()
    if not compact or position != len(compact):
        raise ValueError(f'{text!r} is not a duration; write "500ms", "5s", "1m30s" or "2h"')
    return total / 1_000_000


def format_duration(seconds: float) -> str:
    """Write seconds (rounded to microseconds) so that `parse_duration` reads them back."""
    rest = round(seconds * 1_000_000)
    if rest <= 0:
        return "0s"
    parts: list[str] = []
    for unit, size in _MICROSECONDS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
