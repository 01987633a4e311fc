"""Measures lists of sensors among very many, with one filter at a time; see ``--help``."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Final

import machine
import urllib3
from processes import Program

from wotkit import times
from wotkit.catalog import Catalog
from wotkit.catalog.models import Field, Metadata, Sensor, Tag
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Append, NewReading

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH: Final = 1000
ACTIVE_SHARE: Final = 0.3
PROMISED_MS: Final = 30.0
QUERIES: Final = (
    "sensors?limit=100",
    "sensors?limit=100&offset=60000",
    "sensors?limit=100&tags=t5",
    "sensors?limit=100&text=number 77",
    "sensors?limit=100&text=nothing-has-this",
    "sensors?limit=100&owners=bench",
    "sensors?limit=100&visibility=PUBLIC",
    "sensors?limit=100&metadata=kind:k7",
    "sensors?limit=100&location=20,-20:-20,20",
    "sensors?limit=100&near=10,10,50000",
    "sensors?limit=100&active=true",
    "sensors?limit=100&active=false",
    "tags?limit=100",
    "stats",
)


def main() -> None:
    """Make the sensors, start a server, ask it; exit with 1 when a median is over the promise."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="wotkit-bench-", dir=options.folder) as name:
        folder = Path(name).resolve()
        about = machine.describe(folder, "sensors")
        about["command"] = " ".join(["scripts/bench/sensors", *sys.argv[1:]])
        for title, value in about.items():
            print(f"{title + ':':<13}{value}")
        _fill(folder / "data", options.sensors)
        command = [sys.executable, "-m", "wotkit.cli", "serve", "--port", "0"]
        server = Program([*command, "--data", str(folder / "data")], folder / "log")
        try:
            address = server.wait_for(r"WoTKit at (\S+),")
            found = {query: _ask(f"{address}/api/v1/{query}", options.rounds) for query in QUERIES}
        finally:
            server.stop()
    print(f"\n{options.sensors:,} sensors; milliseconds of {options.rounds} requests each")
    print(f"{'':<46}{'median':>8}{'most':>8}")
    for query, taken in found.items():
        print(f"{query:<46}{median(taken):>8.1f}{max(taken):>8.1f}")
    slow = [query for query, taken in found.items() if median(taken) > PROMISED_MS]
    for query in slow:
        print(f"Error: {query} takes more than {PROMISED_MS:g} ms", file=sys.stderr)
    sys.exit(1 if slow else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sensors", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--rounds", type=int, default=15, help="requests of each kind (15)")
    parser.add_argument("--folder", help="where data is kept meanwhile")
    return parser.parse_args()


def _fill(folder: Path, count: int) -> None:
    """Make the sensors through the catalog, and a reading for each, some of them old."""
    with closing(Catalog(folder)) as catalog:
        subprocess.run(
            [
                *(sys.executable, "-m", "wotkit.cli", "user", "create", "bench"),
                *("--password-file", "-", "--data", str(folder)),
            ],
            input=b"correct horse battery",
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for first in range(1, count + 1, BATCH):
            catalog.write(_add, range(first, min(first + BATCH, count + 1)))
    now = times.now()
    with closing(SqliteStore(folder / FILE_NAME)) as store:
        values = {"value": 1}
        for first in range(1, count + 1, BATCH):
            ids = range(first, min(first + BATCH, count + 1))
            readings = [NewReading(each, now, b'{"value":1}', values) for each in ids]
            active = first <= count * ACTIVE_SHARE
            store.apply([Append(readings)], now if active else now - 3600 * times.MICROSECONDS)


def _add(ids: range) -> None:
    chance = random.Random(ids.start)  # noqa: S311  # made-up places
    Sensor.insert_many([_sensor(each, chance) for each in ids]).execute()
    Field.insert_many(
        [
            {"sensor": each, "name": name, "position": place, "long_name": name, "type": "NUMBER"}
            for each in ids
            for place, name in enumerate(("lat", "lng", "value"))
        ]
    ).execute()
    Tag.insert_many(
        [{"sensor": each, "folded": tag, "name": tag} for each in ids for tag in _tags(each)]
    ).execute()
    Metadata.insert_many(
        [
            {"sensor": each, "name": "kind", "value": f'"k{each % 50}"', "text": f"k{each % 50}"}
            for each in ids
        ]
    ).execute()


def _tags(number: int) -> Iterator[str]:
    yield "all"
    yield f"t{number % 100}"
    yield f"u{number % 10_000}"


def _sensor(number: int, chance: random.Random) -> dict[str, object]:
    return {
        "id": number,
        "owner": 1,
        "publisher": 1,
        "name": f"sensor{number}",
        "long_name": f"Sensor number {number}",
        "description": f"What is measured in room {number % 977}",
        "latitude": chance.uniform(-60, 60),
        "longitude": chance.uniform(-180, 180),
        "visibility": "PUBLIC" if number % 10 else "PRIVATE",
        "created": number,
    }


def _ask(url: str, rounds: int) -> list[float]:
    """Return the milliseconds of each request; the first of all is not counted."""
    taken: list[float] = []
    with urllib3.PoolManager() as pool:
        for _ in range(rounds + 1):
            begun = perf_counter()
            answer = pool.request("GET", url)
            taken.append((perf_counter() - begun) * 1000)
            if answer.status != 200:  # noqa: PLR2004
                raise SystemExit(f"{url} answers {answer.status}: {answer.data[:300]!r}")
    return taken[1:]


if __name__ == "__main__":
    main()
