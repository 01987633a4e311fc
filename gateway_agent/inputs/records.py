"""Text to values: JSON, CSV, regular expressions, plain numbers and NMEA sentences.

What serial lines, programs, files, web pages and brokers deliver is read here, by the same
settings.
"""

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from gateway_agent.clock import Clock, Stamp, device_stamp, parse_time
from gateway_agent.inputs.base import InputConfig
from gateway_agent.inputs.json_path import NotThere, find, parse_path
from gateway_agent.inputs.points import PointConfig, Points, check_points, field_from
from gateway_agent.reading import Sample, SensorSpec, Value
from gateway_agent.settings import Setting, Tables, WrongSetting, choice, regex, text, texts

FORMATS: Final = ("json", "csv", "regex", "number", "nmea")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_MOST_RECORDS: Final = 10_000
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPoint(PointConfig):
    """A value in a record, found by its key."""

    key: Annotated[
        str,
        Setting(
            text(),
            "JSON: a path such as main.temp or list[0].value; CSV: a column's name, or its number "
            "from 1; regex: a group's name or number; nmea: such as latitude",
        ),
    ]
    datatype: Annotated[
        Literal["auto", "number", "text"],
        Setting(choice("auto", "number", "text"), '"auto" (as it is), "number" or "text"'),
    ] = "auto"

    @property
    def default_field(self) -> str:
        """The key, as far as a field's name allows."""
        return field_from(self.key)

    @property
    def is_numeric(self) -> bool:
        """Whether the value is a number, not a text."""
        return self.datatype != "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordConfig(InputConfig):
    """How text is turned into values; the inputs that read text add where it comes from."""

    format: Annotated[
        Literal["json", "csv", "regex", "number", "nmea"],
        Setting(choice(*FORMATS), '"json", "csv", "regex", "number" or "nmea"'),
    ] = "json"
    pattern: Annotated[
        re.Pattern[str] | None,
        Setting(regex, "regex: searched in the text; named groups become fields"),
    ] = None
    columns: Annotated[
        tuple[str, ...],
        Setting(texts, 'csv: the columns\' names in order; "-" for one that is left out'),
    ] = ()
    delimiter: Annotated[
        str, Setting(text(r"[^\n\r\"]", "one character"), "csv: what stands between columns")
    ] = ","
    records: Annotated[
        str | None,
        Setting(text(), "json: path to a list, each element of which is a record of its own"),
    ] = None
    time: Annotated[
        str | None,
        Setting(
            text(),
            "key of the record's own time: ISO 8601, or seconds or milliseconds since 1970; "
            "a record whose time was seen before is not sent again",
        ),
    ] = None
    point: Annotated[
        tuple[KeyPoint, ...],
        Setting(Tables(KeyPoint), "the values to take; everything in the record if left out"),
    ] = ()

    def __post_init__(self) -> None:
        """Raises WrongSetting when settings are missing for the format, or of another one."""
        check_points(self.point, needed=False)
        if self.format == "regex" and self.pattern is None:
            raise WrongSetting("format", 'format "regex" needs a pattern')
        if self.format == "csv" and not self.columns and not self.point:
            raise WrongSetting("format", 'format "csv" needs columns, or points by number')
        for name, used_by in (("pattern", "regex"), ("columns", "csv"), ("records", "json")):
            if getattr(self, name) and self.format != used_by:
                raise WrongSetting(name, f'is only for format "{used_by}"')
        if self.format == "number" and (self.time or self.point[1:]):
            raise WrongSetting("format", 'format "number" has one value and no time')
        self._check_keys()

    def _check_keys(self) -> None:
        keys = [(("point", index, "key"), point.key) for index, point in enumerate(self.point)]
        own = [(("time",), self.time), (("records",), self.records)]
        for place, key in [*keys, *own]:
            if key is None:
                continue
            try:
                self._check_key(key)
            except ValueError as error:
                raise WrongSetting(place, str(error)) from error

    def _check_key(self, key: str) -> None:
        if self.format == "json":
            parse_path(key)
        elif self.format == "csv" and not key.isdecimal() and key not in self.columns:
            raise ValueError(f"{key!r} is not one of columns")
        elif self.format == "regex" and self.pattern is not None:
            count = self.pattern.groups
            if key not in self.pattern.groupindex and not (key.isdecimal() and int(key) <= count):
                raise ValueError(f"{key!r} is not a group of the pattern")


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
        self._source = _SOURCES[config.format](config)
        self._path = parse_path(config.records or "") if config.format == "json" else ()

    def parse(self, text: str) -> list[Record]:
        """The records in a text. Raises ValueError when it cannot be read as configured.

        Of a JSON list, the elements without any of the configured values are left out.
        """
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


class Source(ABC):
    """One format: how a text becomes documents, and where values are in a document."""

    numbers_are_texts: ClassVar[bool] = False
    """Whether the format has texts only, some of which are numbers."""

    def __init__(self, config: RecordConfig) -> None:
        self._config = config

    @abstractmethod
    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:
        """The documents in a text. Raises ValueError."""

    @abstractmethod
    def find(self, document: Any, key: str) -> object:
        """The value at a key. Raises NotThere; None and empty texts are not there either."""

    @abstractmethod
    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        """All values under usable field names."""


class _Json(Source):
    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:
        try:
            document = json.loads(text)
            found = find(document, tuple(path))
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error}; {shown(text)}") from error
        except RecursionError as error:
            raise ValueError("JSON is nested too deeply") from error
        except NotThere as error:
            raise ValueError(f"no records: {error}") from error
        if isinstance(found, list) and (path or not self._config.point or _of_objects(found)):
            yield from found
        else:
            yield found

    def find(self, document: Any, key: str) -> object:
        return _there(find(document, parse_path(key)))

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        if isinstance(document, bool | int | float):
            yield "value", document
        elif isinstance(document, dict):
            for name, value in document.items():
                if isinstance(value, str | int | float) and name != self._config.time:
                    yield field_from(name), value


class _Csv(Source):
    numbers_are_texts = True

    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ARG002 - for JSON
        names = self._config.columns
        for cells in csv.reader(text.splitlines(), delimiter=self._config.delimiter):
            if any(cell.strip() for cell in cells) and tuple(cells) != names:
                if names and len(cells) != len(names):
                    raise ValueError(f"{len(cells)} columns, not {len(names)}: {shown(text)}")
                yield cells

    def find(self, document: Any, key: str) -> object:
        names = self._config.columns
        index = names.index(key) if key in names else int(key) - 1
        if not 0 <= index < len(document):
            raise NotThere(f"no column {key}")
        return _there(document[index].strip())

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        for name, cell in zip(self._config.columns, document, strict=True):
            if name not in {"-", self._config.time} and cell.strip():
                yield field_from(name), number_or_text(cell.strip())


class _Regex(Source):
    numbers_are_texts = True

    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ARG002 - for JSON
        assert self._config.pattern is not None
        match = self._config.pattern.search(text)
        if match is None:
            raise ValueError(f"does not match the pattern: {shown(text)}")
        yield match

    def find(self, document: Any, key: str) -> object:
        return _there(document[int(key) if key.isdecimal() else key])

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        named = document.groupdict()
        if not named and document.re.groups:
            named = {"value": document[1]}
        for name, value in named.items():
            if value is not None and name != self._config.time:
                yield field_from(name), number_or_text(value.strip())


class _Number(Source):
    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ARG002 - for JSON
        value = number_or_text(text.strip())
        if isinstance(value, str):
            raise ValueError(f"is not a number: {shown(text)}")
        yield value

    def find(self, document: Any, key: str) -> object:  # noqa: ARG002 - there is only one value
        return document

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        yield "value", document


class _Nmea(Source):
    def __init__(self, config: RecordConfig) -> None:
        from gateway_agent.inputs.nmea import decode

        super().__init__(config)
        self._decode = decode

    def documents(self, text: str, path: Sequence[str | int]) -> Iterator[Any]:  # noqa: ARG002 - for JSON
        values = self._decode(text)
        if values:
            yield values

    def find(self, document: Any, key: str) -> object:
        if key not in document:
            raise NotThere(f"no {key}")
        return document[key]

    def everything(self, document: Any) -> Iterator[tuple[str, Value]]:
        yield from ((name, value) for name, value in document.items() if name != "time")


_SOURCES: Final[Mapping[str, Callable[[RecordConfig], Source]]] = {
    "json": _Json,
    "csv": _Csv,
    "regex": _Regex,
    "number": _Number,
    "nmea": _Nmea,
}


def number_or_text(text: str) -> Value:
    """A number when the text is one in plain notation, else the text."""
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def shown(text: str) -> str:
    """The beginning of a text, for messages."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _of_objects(found: list[Any]) -> bool:
    return all(isinstance(element, dict) for element in found)


def _there(value: object) -> object:
    if value is None or value == "":
        raise NotThere("no value")
    return value


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
