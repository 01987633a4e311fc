"""Text to readings.

What serial lines, programs, files, web pages and brokers deliver is read here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway_agent.clock import Clock, Stamp, device_stamp, parse_time
from gateway_agent.inputs.formats import SOURCES, number_or_text, shown
from gateway_agent.inputs.json_path import NotThere, parse_path
from gateway_agent.inputs.points import Points
from gateway_agent.inputs.record_config import KeyPoint, RecordConfig
from gateway_agent.reading import Sample, SensorSpec, Value

_MOST_RECORDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Record:
    """What one record says: values in the order of the text, and its own time if it has one.

    `values` are keyed by the sensor (None: the input's own) and the field.
    """

    values: Mapping[str | None, Mapping[str, Value]]
    time_us: int | None = None

    def samples(
        self, default_sensor: str, clock: Clock, stamp: Stamp | None = None
    ) -> Iterator[Sample]:
        """A sample for each sensor; `stamp` is for a record without a time of its own."""
        when = stamp if self.time_us is None else device_stamp(clock.stamp(), self.time_us)
        for sensor, fields in self.values.items():
            yield Sample(sensor or default_sensor, fields, when)


class RecordParser:
    """Turns text into records, as configured."""

    def __init__(self, config: RecordConfig) -> None:
        self._config = config
        self._source = SOURCES[config.format](config)
        self._path = parse_path(config.records or "") if config.format == "json" else ()

    def parse(self, text: str) -> list[Record]:
        """The records in a text. Raises ValueError when it cannot be read as configured.

        Of a JSON list, the elements without any of the configured values are left out.
        """
        try:
            return self._parse(text)
        except ValueError:
            raise
        except Exception as error:  # a text that broke its reader would come again for ever
            raise ValueError(f"{type(error).__name__}: {error}; {shown(text)}") from error

    def _parse(self, text: str) -> list[Record]:
        documents = list(self._source.documents(text, self._path))
        if len(documents) > _MOST_RECORDS:
            raise ValueError(f"more than {_MOST_RECORDS} records")
        records: list[Record] = []
        problem: ValueError | None = None
        for document in documents:
            try:
                records.append(self._record(document))
            except ValueError as error:
                problem = error
        if problem is not None and not records:
            raise problem
        return records

    def _record(self, document: Any) -> Record:
        config = self._config
        when = None
        if config.time is not None:
            try:
                when = parse_time(self._source.find(document, config.time))
            except NotThere as error:
                raise ValueError(f"no time at {config.time!r}") from error
        values: dict[str | None, dict[str, Value]] = {}
        if not config.point:
            values[None] = dict(self._source.everything(document))
        for point in config.point:
            try:
                found = self._source.find(document, point.key)
            except NotThere:
                continue
            value = _converted(point, found, numbers_are_texts=self._source.numbers_are_texts)
            values.setdefault(point.sensor, {})[point.field_name] = point.scaled(value)
        if not any(values.values()):
            raise ValueError("nothing that was looked for")
        return Record(values, when)


def declared(config: RecordConfig, points: Points[KeyPoint], description: str) -> list[SensorSpec]:
    """The sensors that the configured points feed; without points nothing is known before."""
    return points.sensors(description) if config.point else []


class Novelty:
    """Tells records that are new from those whose own time was seen before."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, ...], int] = {}

    def is_new(self, record: Record, origin: str = "") -> bool:
        """Whether this is later than what was seen of the same fields from the same origin.

        A record without a time of its own is always new.
        """
        if record.time_us is None:
            return True
        key = (origin, *(name for fields in record.values.values() for name in fields))
        if record.time_us <= self._latest.get(key, record.time_us - 1):
            return False
        if len(self._latest) >= _MOST_RECORDS:
            self._latest.clear()
        self._latest[key] = record.time_us
        return True


def _converted(point: KeyPoint, value: object, *, numbers_are_texts: bool) -> Value:
    """A found value as the point wants it. Raises ValueError when that cannot be."""
    if point.datatype == "text":
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, str):
        if point.datatype == "auto" and not numbers_are_texts:
            return value
        converted = number_or_text(value.strip())
        if point.datatype == "number" and isinstance(converted, str):
            raise ValueError(f"{point.key} is not a number: {shown(value)}")
        return converted
    if isinstance(value, bool | int | float):
        return value
    raise ValueError(f"{point.key} is neither a number nor a text: {shown(str(value))}")
