"""A year of hourly temperatures of two cities, from the package ``vega_datasets``.

Its CSV files are from NOAA's public data, of the year 2010, in degrees Fahrenheit and in the
cities' standard time. They are read without importing the package, which would need pandas.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta, timezone
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from wotkit import times

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = "vega_datasets"
PACIFIC: Final = timezone(timedelta(hours=-8))
"""Both cities' standard time; the data know no summer time."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Temperature(NamedTuple):
    """One hour."""

    at: datetime
    celsius: float


def read(file_name: str) -> list[Temperature] | None:
    """Return the temperatures of a file of the package, or None where it is not installed.

    Raises:
        ValueError: the file is not what it should be.
    """
    spec = PathFinder.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "_data" / file_name
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                return list(_parse(file))
    return None


def _parse(file: Iterator[str]) -> Iterator[Temperature]:
    for row in csv.DictReader(file):
        at = datetime.fromisoformat(row["date"].replace("/", "-")).replace(tzinfo=PACIFIC)
        yield Temperature(at, _to_celsius(float(row["temp"])))


def _to_celsius(fahrenheit: float) -> float:
    return round((fahrenheit - 32) * 5 / 9, 2)


def moved_to_end_at(year: list[Temperature], now: int) -> list[tuple[int, float]]:
    """Return times (microseconds) and degrees Celsius of the year that ends at ``now``.

    Each hour keeps its day of the year, so that the seasons stay right: it moves by whole years,
    to the last one in which it is not in the future.
    """
    latest = _EPOCH + timedelta(microseconds=now)
    this_year = latest.astimezone(PACIFIC).year
    moved = []
    for at, celsius in year:
        then = at.replace(year=this_year)
        if then > latest:
            then = at.replace(year=this_year - 1)
        moved.append((int(then.timestamp()) * times.MICROSECONDS, celsius))
    return sorted(moved)
