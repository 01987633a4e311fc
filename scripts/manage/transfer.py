"""Readings into a CSV file and back, each so that it can be interrupted at any moment.

The file: ``id``, ``timestamp`` (ISO 8601, UTC), a column for each declared field, and ``other``
with whatever else a reading carried, as JSON.

An export goes on after the last whole row of the unfinished file. An import is a gateway's stream
named after the file: the server knows how many rows it has, and never stores one twice.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from platform_api import Platform

PAGE: Final = 1000
BATCH: Final = 500
OWN: Final = frozenset({"id", "sensor_id", "sensor_name", "timestamp", "timestamp_iso"})


class Progress(NamedTuple):
    """How far a transfer is."""

    done: int
    total: int


class Rejected(NamedTuple):
    """A row the server refused."""

    row: int
    reason: str


def export(
    platform: Platform,
    reference: str,
    target: Path,
    *,
    start: str | None = None,
    end: str | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> int:
    """Write the readings of a sensor into ``target`` and return how many there are in it.

    Raises:
        ApiError: the server refused; what is there already is kept, and the next call goes on.
    """
    sensor = platform.sensor(reference)
    fields = [field["name"] for field in sensor["fields"]]
    part = target.with_name(target.name + ".part")
    done, after = _resume(part, ["id", "timestamp", *fields, "other"])
    with part.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for page, total in _pages(platform, reference, start, end, after):
            for reading in page:
                writer.writerow(_row(reading, fields))
            file.flush()
            done += len(page)
            report(Progress(done, max(total, done)))
    part.replace(target)
    return done


def _pages(
    platform: Platform,
    reference: str,
    start: str | None,
    end: str | None,
    after: tuple[str, str] | None,
) -> Iterator[tuple[list[dict[str, Any]], int]]:
    path = f"sensors/{quote(reference)}/data"
    start_id = None if start is None else "0"
    if after is not None:
        start, start_id = after
    elif start is None:
        start, start_id = "0001-01-01T00:00:00Z", "0"
    while True:
        answer = platform.call(
            "GET",
            path,
            start=start,
            start_id=start_id,
            end=end or "9999-12-31T00:00:00Z",
            limit=PAGE,
        )
        page = answer["data"]["data"]
        if page:
            yield page, answer["numFound"]
        if len(page) < PAGE:
            return
        start, start_id = page[-1]["timestamp_iso"], str(page[-1]["id"])


def _row(reading: dict[str, Any], fields: list[str]) -> list[Any]:
    other = {
        name: value
        for name, value in reading.items()
        if name not in OWN and name not in fields and value is not None
    }
    values = [_cell(reading.get(name)) for name in fields]
    extra = json.dumps(other, ensure_ascii=False) if other else ""
    return [reading["id"], reading["timestamp_iso"], *values, extra]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _resume(part: Path, header: list[str]) -> tuple[int, tuple[str, str] | None]:
    """Return how many whole rows an unfinished file has, and time and id of the last."""
    text = part.read_bytes() if part.exists() else b""
    whole = text[: text.rfind(b"\r\n") + 2] if b"\r\n" in text else b""
    rows = list(csv.reader(io.StringIO(whole.decode("utf-8"), newline="")))
    while rows and len(rows[-1]) != len(rows[0]):
        rows.pop()  # a text with a line break in it, cut in half
    if not rows or rows[0] != header:
        with part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(header)
        return 0, None
    with part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    last = rows[-1]
    return len(rows) - 1, (last[1], last[0]) if len(rows) > 1 else None


def load(
    platform: Platform,
    reference: str,
    source: Path,
    *,
    report: Callable[[Progress], None] = lambda _: None,
) -> list[Rejected]:
    """Send the rows of ``source`` to a sensor; what the server has of them already is passed over.

    Raises:
        ApiError: the server refused; the next call goes on.
        ValueError: the file has no column ``timestamp``, or a cell ``other`` that is not JSON.
    """
    sensor = platform.sensor(reference)
    name = f"{sensor['owner']}.{sensor['name']}"
    stream = f"import-{_fingerprint(source, name)}"
    done = platform.call("POST", "ingest", {"stream": stream, "readings": []})["acked_through"]
    total = sum(1 for _ in _rows(source))
    rejected: list[Rejected] = []
    report(Progress(done, total))
    numbered = itertools.islice(enumerate(_rows(source), 1), done, None)
    while batch := list(itertools.islice(numbered, BATCH)):
        readings = [{"seq": number, "sensor": name, **values} for number, values in batch]
        answer = platform.call("POST", "ingest", {"stream": stream, "readings": readings})
        rejected += [Rejected(each["seq"], each["message"]) for each in answer["rejected"]]
        report(Progress(batch[-1][0], total))
    return rejected


def _rows(source: Path) -> Iterator[dict[str, Any]]:
    with source.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if "timestamp" not in (reader.fieldnames or ()):
            raise ValueError(f"{source} has no column timestamp")
        for number, row in enumerate(reader, 1):
            other = row.pop("other", "") or "{}"
            row.pop("id", None)
            values: dict[str, Any] = {name: text for name, text in row.items() if name and text}
            try:
                extra = json.loads(other)
            except ValueError:
                raise ValueError(f"{source}: row {number}: other is not JSON") from None
            yield {**extra, **values}


def _fingerprint(source: Path, name: str) -> str:
    """Return what this file for this sensor is known by, wherever it lies."""
    digest = hashlib.sha256(name.encode())
    with source.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:32]
