"""Says what was measured: medians over the rounds, and ratios of the same round."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from processes import Memory
    from scenarios import Measure

TITLES: Final = {
    "single": "Single readings to one sensor (requests/s)",
    "spread": "Single readings spread over {sensors} sensors (requests/s)",
    "latency": "Single readings at half of that load, paced (requests/s that came through)",
    "bulk": "Bulk writes of 1 000 readings for one sensor, 4 connections (readings/s)",
    "latest": "Queries of the latest 1 000 readings as JSON, 8 connections (queries/s)",
}
RIVALS: Final = ("bare", "influxdb", "influxdb-quiet", "wotkit")
"""Servers whose ratio to each other one is told."""
HEADS: Final = (
    "",
    "median",
    "least",
    "most",
    "p50 ms",
    "p99 ms",
    "CPU s/1000",
    "to bare",
    "to influx",
    "to quiet",
    "to wotkit",
)


def summary(measures: Sequence[Measure]) -> dict[str, dict[str, dict[str, float]]]:
    """Return figures by scenario and server."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for one in measures:
        rounds = _of(measures, one.scenario, one.server)
        rates = [each.rate for each in rounds]
        figures = {
            "median": median(rates),
            "least": min(rates),
            "most": max(rates),
            "p50_ms": median(each.p50 for each in rounds),
            "p99_ms": median(each.p99 for each in rounds),
            "cpu_seconds_per_1000": median(each.cpu for each in rounds),
        }
        for rival in RIVALS:
            ratio = _ratio(rounds, _of(measures, one.scenario, rival))
            if ratio is not None:
                figures[f"to_{rival}"] = ratio
        found.setdefault(one.scenario, {})[one.server] = figures
    return found


def text(
    figures: Mapping[str, Mapping[str, Mapping[str, float]]], options: Mapping[str, Any]
) -> str:
    """Return tables for people."""
    parts: list[str] = []
    for scenario, by_server in figures.items():
        lines = [HEADS, *(_line(name, found) for name, found in by_server.items())]
        parts.append(TITLES[scenario].format(**options) + "\n" + aligned(lines))
    return "\n\n".join(parts)


def memory_text(idle: Mapping[str, Memory], loaded: Mapping[str, Memory]) -> str:
    """Return the memory of each server before and after."""
    heads = ("", "idle RSS", "idle PSS", "after RSS", "after PSS")
    lines = [(name, *(f"{value:.1f}" for value in (*idle[name], *loaded[name]))) for name in idle]
    return "Memory of all processes, MiB\n" + aligned([heads, *lines])


def _of(measures: Iterable[Measure], scenario: str, server: str) -> list[Measure]:
    return [one for one in measures if one.scenario == scenario and one.server == server]


def _ratio(ours: Sequence[Measure], theirs: Sequence[Measure]) -> float | None:
    """Return the median of the ratios of each round."""
    pairs = list(zip(ours, theirs, strict=False))
    if not pairs or any(other.rate == 0 for _, other in pairs):
        return None
    return median(one.rate / other.rate for one, other in pairs)


def _line(name: str, found: Mapping[str, float]) -> tuple[str, ...]:
    whole = [f"{found[column]:,.0f}" for column in ("median", "least", "most")]
    fine = [f"{found[column]:.2f}" for column in ("p50_ms", "p99_ms")]
    ratios = [f"{found[f'to_{rival}']:.2f}" if f"to_{rival}" in found else "-" for rival in RIVALS]
    return (name, *whole, *fine, f"{found['cpu_seconds_per_1000']:.3f}", *ratios)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return a table for people."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
