"""Readings in the forms of version 2: JSON, lines of JSON and CSV.

The stored JSON is joined, never parsed, but for CSV.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct

from wotkit import strict_json, times
from wotkit.api.v1.sensor_forms import FieldAnswer  # noqa: TC001  # msgspec resolves annotations
from wotkit.readings.form import Named, objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from wotkit.readings.store import StoredReading

CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
MEDIA: Final = {"csv": CSV, "ndjson": NDJSON}


class ReadingView(Struct, kw_only=True):
    """A reading; its fields stand beside these attributes, under their own names."""

    id: int
    sensor_id: int
    sensor_name: str
    timestamp: Annotated[str, Meta(description="Milliseconds since 1970, as text.")]
    timestamp_iso: Annotated[str, Meta(description="The same as ISO 8601.")]


class ReadingsAndFields(Struct, kw_only=True):
    """Readings, and the fields their sensor declares."""

    data: list[ReadingView]
    fields: list[FieldAnswer]


class ReadingsAnswer(Struct, kw_only=True, rename={"num_found": "numFound"}):
    """Readings, how many match, and how the query was understood."""

    num_found: Annotated[
        int,
        Meta(
            description="How many readings match, also those that are not in this answer; counted "
            "up to the setting query.max_count beyond it."
        ),
    ]
    data: ReadingsAndFields
    query: dict[str, Any]


def answer(
    sensor: Named,
    readings: Sequence[StoredReading],
    fields: list[FieldAnswer],
    found: int,
    echo: dict[str, Any],
) -> bytes:
    """Return the whole answer as JSON; its type is :class:`ReadingsAnswer`."""
    described = strict_json.encode(fields)
    return b'{"numFound":%d,"data":{"data":[%b],"fields":%b},"query":%b}' % (
        found,
        ",".join(objects(sensor, readings)).encode(),
        described,
        strict_json.encode(echo),
    )


def lines(sensor: Named) -> Callable[[Sequence[StoredReading]], bytes]:
    """Return what makes lines of JSON of a page of readings (https://github.com/ndjson)."""

    def of_page(readings: Sequence[StoredReading]) -> bytes:
        return "".join(f"{one}\n" for one in objects(sensor, readings)).encode()

    return of_page


def table(sensor: Named, columns: Sequence[str]) -> Callable[[Sequence[StoredReading]], bytes]:
    """Return what makes lines of CSV (RFC 4180) of a page of readings."""

    def of_page(readings: Sequence[StoredReading]) -> bytes:
        moments = times.to_iso_all([reading.ts for reading in readings])
        rows = []
        for (_, reading_id, data), iso in zip(readings, moments, strict=True):
            values = strict_json.decode(data)
            cells = (_cell(values.get(name)) for name in columns)
            rows.append((iso, reading_id, sensor.id, sensor.name, *cells))
        return _csv(rows)

    return of_page


def table_head(columns: Sequence[str]) -> bytes:
    """Return the first line of :func:`table`."""
    return _csv([("timestamp", "id", "sensor_id", "sensor_name", *columns)])


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return what a cell holds: texts as they are, nothing for null, else the JSON text."""
    if value is None or isinstance(value, str):
        return value
    return strict_json.encode(value).decode()
