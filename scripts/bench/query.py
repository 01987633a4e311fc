"""Measures queries for 1 000 readings among few and among very many; see ``--help``."""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Final

import machine

from wotkit import times
from wotkit.api.reading_form import list_form
from wotkit.api.v2 import reading_query
from wotkit.api.v2.reading_query import ReadingQuery
from wotkit.readings.query import Across, Walk, read_across
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Append, NewReading, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WANTED: Final = 1000
SENSORS: Final = 100
"""Half of the readings belong to the first, the others to the rest."""
FIRST: Final = 1_700_000_000 * times.MICROSECONDS
STEP: Final = times.MICROSECONDS
MOST_RATIO: Final = 2.0
SEED: Final = 3


def main() -> None:
    """Fill a store for each size, measure, print; exit with 1 when large is over twice small."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="wotkit-bench-", dir=options.folder) as name:
        folder = Path(name).resolve()
        about = machine.describe(folder, "query")
        about["command"] = " ".join(["scripts/bench/query", *sys.argv[1:]])
        for title, value in about.items():
            print(f"{title + ':':<13}{value}")
        stores = {size: _filled(folder / str(size), size) for size in options.sizes}
        found = _measure(stores, options.rounds)
        for store in stores.values():
            store.close()
    _print(found, options.sizes)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    few, many = options.sizes[0], options.sizes[-1]
    slow = [name for name, took in found.items() if took[many] > MOST_RATIO * took[few]]
    for name in slow:
        print(f"Error: {name} takes over twice as long among {many:,}", file=sys.stderr)
    sys.exit(1 if slow else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/query",
        description=f"Measure queries for {WANTED} readings of the store, with the making of the "
        "answer, among few and among very many stored readings, in interleaved rounds.",
    )
    add = parser.add_argument
    add("--sizes", type=_sizes, default=[10_000, 10_000_000], help="default: 10000,10000000")
    add("--rounds", type=int, default=50, help="default: 50")
    add("--folder", type=Path, help="where the temporary folder is made; 10 million take 1.1 GB")
    add("--json", type=Path, metavar="FILE", help="write the figures, in seconds, to a file")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    return sorted(int(part) for part in text.split(","))


def _filled(folder: Path, size: int) -> SqliteStore:
    """Return a store with ``size`` readings."""
    print(f"filling a store with {size:,} readings", file=sys.stderr)
    folder.mkdir()
    SqliteStore(folder / FILE_NAME).close()
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        # past the store, which would sync each batch: the same rows in the same order
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany("INSERT INTO reading VALUES (?, ?, ?, ?)", _rows(size))
        connection.execute("UPDATE counter SET value = ? WHERE name = 'next_id'", (size + 1,))
        connection.commit()
    store = SqliteStore(folder / FILE_NAME)
    last = FIRST + size * STEP
    newest = [NewReading(sensor, last, b'{"n":1}', {"n": 1}) for sensor in range(1, SENSORS + 1)]
    store.apply([Append(newest)], last)
    return store


def _rows(size: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield half of the readings for sensor 1, the others for the rest, each in order of time."""
    half = size // 2
    for place in range(half):
        yield 1, FIRST + place * STEP, place + 1, _data(place)
    share = -(-(size - half) // (SENSORS - 1))
    for place in range(size - half):
        sensor, number = divmod(place, share)
        yield sensor + 2, FIRST + number * STEP, half + place + 1, _data(place)


def _data(place: int) -> bytes:
    return b'{"temperature":%d.5,"humidity":%d}' % (place % 40, place % 100)


def _measure(stores: dict[int, SqliteStore], rounds: int) -> dict[str, dict[int, float]]:
    """Return the median seconds by query and size."""
    chance = random.Random(SEED)  # noqa: S311  # for places in time, not for secrets
    taken: dict[str, dict[int, list[float]]] = {}
    for _ in range(rounds):
        place = chance.random()
        for size, store in stores.items():
            for name, query in _queries(store, size, place).items():
                started = perf_counter()
                query()
                spent = perf_counter() - started
                taken.setdefault(name, {}).setdefault(size, []).append(spent)
    return {
        name: {size: median(spent) for size, spent in sizes.items()}
        for name, sizes in taken.items()
    }


def _queries(store: SqliteStore, size: int, place: float) -> dict[str, Callable[[], object]]:
    start = FIRST + int(place * (size // 2 - WANTED)) * STEP
    inside = Range(sensor_id=1, after=(start, 0), limit=WANTED)
    oldest = Across(after=(start, 0), limit=WANTED)
    newest = Across(latest=True, limit=WANTED)
    sensors = range(1, SENSORS + 1)
    ranged = ReadingQuery(start=str(start // 1000), end=str((start + WANTED * STEP) // 1000))
    everything = ReadingQuery(start="0", limit=WANTED)

    def answer(what: Range) -> bytes:
        return list_form(1, "alice.greenhouse", store.read(what))

    def version_2(query: ReadingQuery) -> int:
        asked = reading_query.understand(query, store, 1, FIRST)
        answer(Range(sensor_id=1, after=asked.what.after, through=asked.what.through, limit=WANTED))
        return store.count(asked.counted, WANTED)

    return {
        "the latest 1 000": lambda: answer(Range(sensor_id=1, newest=WANTED)),
        "1 000 from a time on": lambda: answer(inside),
        "1 000 between two times, counted": lambda: version_2(ranged),
        "the first 1 000 of all": lambda: version_2(everything),
        "one by its id": lambda: store.find(1, 1 + int(place * (size // 2 - 1))),
        "the latest 1 000 of 100 sensors": lambda: read_across(store, sensors, newest),
        "1 000 of 100 sensors from a time on": lambda: read_across(store, sensors, oldest),
        "the first page of an export": lambda: Walk(Range(sensor_id=1)).next(store),
    }


def _print(found: dict[str, dict[int, float]], sizes: list[int]) -> None:
    heads = "".join(f"{size:>16,}" for size in sizes)
    print(f"\n{'milliseconds, median':<38}{heads}{'ratio':>8}")
    for name, took in found.items():
        cells = "".join(f"{took[size] * 1000:>16.3f}" for size in sizes)
        print(f"{name:<38}{cells}{took[sizes[-1]] / took[sizes[0]]:>8.2f}")


if __name__ == "__main__":
    main()
