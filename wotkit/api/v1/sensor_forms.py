"""How sensors and fields look in requests and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit import times
from wotkit.api.requests import convert
from wotkit.catalog import sensor_rows
from wotkit.catalog.fields import NewField
from wotkit.catalog.sensor_query import SensorQuery
from wotkit.catalog.sensors import NewSensor, SensorChange
from wotkit.errors import InvalidQuery, MalformedBody, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from wotkit.catalog.fields import FieldRow
    from wotkit.catalog.sensor_rows import SensorRow
    from wotkit.readings.store import Latest

S = TypeVar("S", NewSensor, SensorChange)

MAX_OFFSET: Final = 1_000_000_000

_Iso = Annotated[str, Meta(description="ISO 8601 in UTC, with milliseconds.")]


class FieldAnswer(Struct, kw_only=True, rename="camel"):
    """A field of a sensor."""

    name: str
    long_name: str
    type: str
    required: bool
    units: str
    index: Annotated[int, Meta(description="Its place among the fields, from 0.")]
    value: Annotated[Any, Meta(description="Its last value; absent when it never had one.")] = UNSET
    last_update: (
        Annotated[str, Meta(description="The time of the last reading that had the field.")]
        | UnsetType
    ) = UNSET


class SensorAnswer(Struct, kw_only=True, rename="camel"):
    """A sensor."""

    id: int
    name: str
    long_name: str
    description: str
    latitude: float
    longitude: float
    visibility: str
    control: Annotated[
        str, Meta(description="Who may send it messages: `PUBLIC`, whoever can see it, or `OWNER`.")
    ]
    owner: str
    publisher: Annotated[str, Meta(description="The user who created it.")] | UnsetType = UNSET
    tags: list[str]
    metadata: dict[str, Any]
    image_url: str | UnsetType = UNSET
    fields: list[FieldAnswer]
    last_update: (
        Annotated[str, Meta(description="When it last received a reading; absent when never.")]
        | UnsetType
    ) = UNSET
    created: _Iso
    subscriber_names: list[str]
    thing_type: str = "SENSOR"


class SensorPageQuery(SensorQuery, frozen=True, kw_only=True):
    """Which sensors, and which part of the list."""

    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="How many to skip.")] = 0
    limit: (
        Annotated[int, Meta(ge=1, description="How many to answer; 1000 at most, and by default.")]
        | None
    ) = None
    cursor: Annotated[
        str | None, Meta(description="Where a page starts, from the `Link` of the one before.")
    ] = None
    fields: Annotated[
        str | None, Meta(description="Attributes to answer, with commas; absent: all of them.")
    ] = None


_ATTRIBUTES: Final = {
    field.encode_name: field.name for field in msgspec.structs.fields(SensorAnswer)
}
_PARTS: Final = {
    "tags": sensor_rows.TAGS,
    "metadata": sensor_rows.METADATA,
    "subscriberNames": sensor_rows.SUBSCRIBERS,
    "fields": sensor_rows.FIELDS,
}
_FROM_READINGS: Final = {"fields", "lastUpdate"}


class Wanted:
    """The attributes of sensors that an answer is to have."""

    def __init__(self, names: Collection[str] = tuple(_ATTRIBUTES)) -> None:
        self._names = [name for name in _ATTRIBUTES if name in names]
        self._all = len(self._names) == len(_ATTRIBUTES)
        self.parts = {part for name, part in _PARTS.items() if name in names}
        """What the catalog needs to read for them."""
        self.latest = bool(_FROM_READINGS & set(names))
        """Whether they need the latest readings."""

    @classmethod
    def parse(cls, text: str | None) -> Wanted:
        """Return what the parameter ``fields`` asks for.

        Raises:
            InvalidQuery: a sensor has no such attribute.
        """
        names = [name.strip() for name in (text or "").split(",") if name.strip()]
        unknown = [name for name in names if name not in _ATTRIBUTES]
        if unknown:
            known = ", ".join(_ATTRIBUTES)
            raise InvalidQuery(more={"fields": f"is invalid: {unknown[0]!r} is none of {known}"})
        return cls(names) if names else cls()

    def answer(self, row: SensorRow, latest: Latest | None) -> SensorAnswer | dict[str, Any]:
        """Return a sensor with these attributes only."""
        whole = sensor_answer(row, latest)
        if self._all:
            return whole
        values = {name: getattr(whole, _ATTRIBUTES[name]) for name in self._names}
        return {name: value for name, value in values.items() if value is not UNSET}


def sensor_answer(row: SensorRow, latest: Latest | None) -> SensorAnswer:
    """Return a sensor as it is answered."""
    return SensorAnswer(
        id=row.id,
        name=row.name,
        long_name=row.long_name,
        description=row.description,
        latitude=row.latitude,
        longitude=row.longitude,
        visibility=row.visibility,
        control=row.control,
        owner=row.owner,
        publisher=UNSET if row.publisher is None else row.publisher,
        tags=list(row.tags),
        metadata=row.metadata,
        image_url=UNSET if row.image_url is None else row.image_url,
        fields=field_answers(row.fields, latest),
        last_update=UNSET if latest is None else iso(latest.updated),
        created=iso(row.created),
        subscriber_names=list(row.subscribers),
    )


def field_answers(rows: Iterable[FieldRow], latest: Latest | None) -> list[FieldAnswer]:
    """Return fields as they are answered, each with its last value."""
    values = {} if latest is None else latest.fields
    answers: list[FieldAnswer] = []
    for row in rows:
        answer = FieldAnswer(
            name=row.name,
            long_name=row.long_name,
            type=row.type,
            required=row.required,
            units=row.units,
            index=row.index,
        )
        if row.name in values:
            answer.value, ts = values[row.name]
            answer.last_update = iso(ts)
        answers.append(answer)
    return answers


def read_sensor(kind: type[S], value: Any) -> S:
    """Return a decoded body as a sensor, or as a change of one.

    Raises:
        MalformedBody: it is not an object.
        ValidationFailed: ``more`` names each wrong attribute, in fields as
            ``fields.index.attribute``.
    """
    if not isinstance(value, dict):
        raise MalformedBody("a JSON object is expected")
    problems: dict[str, str] = {}
    sensor = _convert_sensor(kind, value, "", problems)
    return _accept(sensor, problems)


def read_new_sensors(value: Any, most: int) -> list[NewSensor]:
    """Return a decoded body as a list of sensors.

    Raises:
        MalformedBody: it is not a list.
        ValidationFailed: it has more than ``most`` sensors, or one is wrong; keys of ``more`` begin
            with its index.
    """
    if not isinstance(value, list):
        raise MalformedBody("a JSON list of sensors is expected")
    if len(value) > most:
        raise ValidationFailed(f"{len(value)} sensors are more than {most}")
    problems: dict[str, str] = {}
    sensors = [
        _convert_sensor(NewSensor, item, f"{index}.", problems) for index, item in enumerate(value)
    ]
    return [_accept(sensor, problems) for sensor in sensors]


def _accept(sensor: S | None, problems: dict[str, str]) -> S:
    if sensor is None or problems:
        raise ValidationFailed(*(f"{name} {why}" for name, why in problems.items()), more=problems)
    return sensor


def _convert_sensor(kind: type[S], value: Any, prefix: str, problems: dict[str, str]) -> S | None:
    """Convert a sensor and, one by one, its fields; what is wrong is added to ``problems``."""
    if not isinstance(value, dict):
        problems[prefix.rstrip(".")] = "must be a JSON object"
        return None
    plain = {name: item for name, item in value.items() if name != "fields"}
    fields = _convert_fields(value.get("fields"), f"{prefix}fields", problems)
    try:
        sensor = convert(kind, plain, ValidationFailed, prefix)
    except ValidationFailed as wrong:
        problems.update(wrong.more)
        return None
    sensor.fields = fields
    return sensor


def _convert_fields(value: Any, place: str, problems: dict[str, str]) -> list[NewField] | UnsetType:
    if value is None:
        return UNSET
    if not isinstance(value, list):
        problems[place] = "must be a list of fields"
        return UNSET
    fields: list[NewField] = []
    for index, item in enumerate(value):
        try:
            fields.append(convert(NewField, item, ValidationFailed, f"{place}.{index}."))
        except ValidationFailed as wrong:
            problems.update(wrong.more)
        except MalformedBody:
            problems[f"{place}.{index}"] = "must be a JSON object"
    return fields


def iso(micros: int) -> str:
    """Return a time as sensors show it: ISO 8601 in UTC, with milliseconds."""
    return times.to_iso(micros - micros % times.MILLISECONDS)
