"""A line of numbers over the last hours, as SVG."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

HOURS: Final = 24
BUCKETS: Final = 288
"""Points of the line at most: the mean of each five minutes."""
GAP: Final = 2 / HOURS
"""The line breaks where nothing came for two hours."""
MOST: Final = 1e100
"""Larger numbers are left out: their sums would overflow."""

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 30


class Series(NamedTuple):
    """One field of a sensor over the last hours."""

    points: list[tuple[float, float]]
    """From 0, where the plot begins, to 1, which is now; and the value there."""
    lowest: float
    highest: float
    latest: float
    readings: int


def series(readings: Iterable[dict[str, Any]], field: str, now: float) -> Series | None:
    """Return the numbers of a field among readings in the order of time, or None if there are none.

    Times of readings and ``now`` are in milliseconds and in seconds since 1970.
    """
    sums: dict[int, tuple[float, int]] = {}
    lowest, highest, latest, count = math.inf, -math.inf, 0.0, 0
    for reading in readings:
        value = reading.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if abs(value) > MOST:
            continue
        age = now - int(reading["timestamp"]) / 1000
        bucket = int((1 - age / (HOURS * 3600)) * BUCKETS)
        if not 0 <= bucket <= BUCKETS:
            continue
        total, members = sums.get(bucket, (0.0, 0))
        sums[bucket] = total + value, members + 1
        lowest, highest = min(lowest, value), max(highest, value)
        latest, count = value, count + 1
    if not count:
        return None
    points = [(key / BUCKETS, total / members) for key, (total, members) in sorted(sums.items())]
    return Series(points, lowest, highest, latest, count)


def ticks(low: float, high: float) -> list[float]:
    """Return three to five round numbers, the first and the last around the values."""
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-90):  # all but the same
        around = abs(low) if abs(low) > 1e-90 else 1  # noqa: PLR2004  # all but 0
        low, high = low - around / 2, high + around / 2
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def svg(shown: Series, title: str) -> str:
    """Return the plot; its colours are in the style sheet."""
    values = [value for _, value in shown.points]
    marks = ticks(min(values), max(values))
    span = marks[-1] - marks[0]

    def x(part: float) -> float:
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - marks[0]) / span * (HEIGHT - TOP - BOTTOM), 1)

    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="what">',
        f'<title id="what">{escape(title)}</title>',
    ]
    for mark in marks:
        parts += [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(mark)}" y2="{y(mark)}"/>',
            f'<text x="{LEFT - 8}" y="{y(mark) + 4}" text-anchor="end">{mark:.6g}</text>',
        ]
    for hours in range(0, HOURS + 1, 6):
        text = f"{hours} h ago" if hours else "now"
        anchor = "middle" if 0 < hours < HOURS else "start" if hours else "end"
        at = x(1 - hours / HOURS)
        parts.append(f'<text x="{at}" y="{HEIGHT - 8}" text-anchor="{anchor}">{text}</text>')
    for line in _unbroken(shown.points):
        steps = "L".join(f"{x(part)},{y(value)}" for part, value in line)
        dot = "h0" if len(line) == 1 else ""  # of no length: the round ends make it a dot
        parts.append(f'<path class="line" d="M{steps}{dot}"/>')
    return "\n".join([*parts, "</svg>"])


def _unbroken(points: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    lines: list[list[tuple[float, float]]] = []
    for point in points:
        if lines and point[0] - lines[-1][-1][0] <= GAP:
            lines[-1].append(point)
        else:
            lines.append([point])
    return lines
