"""The declared fields of a sensor's readings.

Positions count from 0 without gaps; what others call the index of a field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from msgspec import Meta, Struct

from wotkit.catalog import audit, references
from wotkit.catalog.bulk import among, stream
from wotkit.catalog.identity import visible, writable
from wotkit.catalog.models import Field, PendingCast, changed, rows
from wotkit.errors import InvalidFieldContent, InvalidObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity

NUMBER: Final = "NUMBER"
STRING: Final = "STRING"
TYPES: Final = (NUMBER, STRING)
RESERVED: Final = frozenset({"timestamp", "timestamp_iso", "id", "sensor_id", "sensor_name"})
"""Names that every reading has."""
MAX_FIELDS: Final = 200
MAX_NAME: Final = 100
MAX_TEXT: Final = 255


class NewField(Struct, kw_only=True, rename="camel"):
    """A field to be declared; in a new sensor a missing ``longName`` is the name."""

    name: Annotated[str, Meta(description="What readings call it; at most 100 characters.")]
    type: Annotated[str, Meta(description="`NUMBER` or `STRING`.")]
    long_name: Annotated[str, Meta(description="What people call it.")] = ""
    required: Annotated[bool, Meta(description="Whether a reading without it is refused.")] = False
    units: Annotated[str, Meta(description="Such as `°C`; any text.")] = ""


class FieldRow(Struct, frozen=True):
    """A field as it is declared."""

    name: str
    long_name: str
    type: str
    required: bool
    units: str
    index: int


class Cast(NamedTuple):
    """Stored values of a newly declared field are to be cast to its type, where they can be.

    They are in another store, so the catalog notes in the same transaction that it is to be done:
    cast them, then call :func:`values_cast`.
    """

    sensor_id: int
    field: str
    number: bool


DEFAULTS: Final = (
    NewField(name="lat", long_name="Latitude", type=NUMBER),
    NewField(name="lng", long_name="Longitude", type=NUMBER),
    NewField(name="value", long_name="Data", type=NUMBER),
    NewField(name="message", long_name="Message", type=STRING),
)
"""The fields of a sensor that was created without any."""

_COLUMNS: Final = (
    Field.name,
    Field.long_name,
    Field.type,
    Field.required,
    Field.units,
    Field.position,
)


def problems(field: NewField) -> dict[str, str]:
    """Return what is wrong with a field, by attribute."""
    found: dict[str, str] = {}
    if not field.name.strip():
        found["name"] = "is required"
    elif len(field.name) > MAX_NAME or not field.name.isprintable():
        found["name"] = f"is invalid: at most {MAX_NAME} printable characters"
    elif field.name in RESERVED:
        found["name"] = f"is invalid: {field.name!r} is part of every reading"
    if field.type not in TYPES:
        found["type"] = "is invalid: it is neither NUMBER nor STRING" if field.type else REQUIRED
    for name, text in (("longName", field.long_name), ("units", field.units)):
        if len(text) > MAX_TEXT or "\0" in text:
            found[name] = f"is invalid: at most {MAX_TEXT} characters"
    return found


REQUIRED: Final = "is required"


def list_problems(fields: Sequence[NewField]) -> dict[str, str]:
    """Return what is wrong with the fields of a sensor, by ``index.attribute``."""
    if len(fields) > MAX_FIELDS:
        return {"": f"are {len(fields)}, more than {MAX_FIELDS}"}
    found: dict[str, str] = {}
    names: set[str] = set()
    for index, field in enumerate(fields):
        for name, why in problems(field).items():
            found[f"{index}.{name}"] = why
        if field.name in names:
            found[f"{index}.name"] = f"is invalid: {field.name!r} stands twice"
        names.add(field.name)
    return found


def list_for(identity: Identity, reference: str) -> tuple[int, list[FieldRow]]:
    """Return a sensor's id and its fields, in the order of their index.

    Raises:
        NotFound: the caller may see no such sensor.
    """
    sensor = references.find(identity, reference, visible(identity))
    return sensor.id, _of(sensor.id)


def get(identity: Identity, reference: str, name: str) -> tuple[int, FieldRow]:
    """Return a sensor's id and one of its fields.

    Raises:
        NotFound: the caller may see no such sensor.
        InvalidFieldContent: it has no such field.
    """
    sensor_id, declared = list_for(identity, reference)
    for field in declared:
        if field.name == name:
            return sensor_id, field
    raise _unknown(name)


def put(identity: Identity, reference: str, field: NewField, actor: Actor) -> Cast | None:
    """Add or update a field; the answer says which stored values are to be cast.

    A field sent again unchanged is cast again, so that a caller who was told that the first cast
    failed has a way to repeat it.

    Raises:
        NotFound: the caller may not write to such a sensor.
        InvalidObject: the field is invalid; ``more`` names each attribute.
    """
    sensor = references.find(identity, reference, writable(identity))
    declared = {row.name: row for row in _of(sensor.id)}
    old = declared.get(field.name)
    wrong = problems(field)
    if not field.long_name.strip():
        wrong["longName"] = REQUIRED
    if old is None and len(declared) >= MAX_FIELDS:
        wrong["name"] = f"is one too many: a sensor has at most {MAX_FIELDS} fields"
    if wrong:
        raise InvalidObject(*(f"{name} {why}" for name, why in wrong.items()), more=wrong)
    new = _row(field, len(declared) if old is None else old.index)
    if old is None:
        _insert(sensor.id, [new])
    else:
        Field.update(_columns(new)).where(_is(sensor.id, new.name)).execute()
    audit.record(actor, "field.put", sensor.qualified, field=new.name, type=new.type)
    if old is None or old.type != new.type or old == new:
        cast = Cast(sensor.id, new.name, new.type == NUMBER)
        _note([cast])
        return cast
    return None


def delete(identity: Identity, reference: str, name: str, actor: Actor) -> None:
    """Delete a field; the index of each later one falls by one.

    Raises:
        NotFound: the caller may not write to such a sensor.
        InvalidFieldContent: it has no such field, or no other.
    """
    sensor = references.find(identity, reference, writable(identity))
    declared = {row.name: row for row in _of(sensor.id)}
    if name not in declared:
        raise _unknown(name)
    if len(declared) == 1:
        raise last_field()
    changed(Field.delete().where(_is(sensor.id, name)))
    changed(PendingCast.delete().where(_is_noted(sensor.id, name)))
    later = (Field.sensor == sensor.id) & (Field.position > declared[name].index)
    changed(Field.update(position=Field.position - 1).where(later))
    audit.record(actor, "field.delete", sensor.qualified, field=name)


def declare(sensor_id: int, fields: Iterable[NewField]) -> None:
    """Give a new sensor its fields, checked before."""
    _insert(sensor_id, [_row(field, index) for index, field in enumerate(fields)])


def replace(sensor_id: int, fields: Sequence[NewField]) -> list[Cast]:
    """Put fields, checked before, in the place of a sensor's; the answer is as of :func:`put`."""
    old = {row.name: row.type for row in _of(sensor_id)}
    changed(Field.delete().where(Field.sensor == sensor_id))
    declare(sensor_id, fields)
    casts = [
        Cast(sensor_id, field.name, field.type == NUMBER)
        for field in fields
        if old.get(field.name) != field.type
    ]
    kept = [field.name for field in fields]
    gone = (PendingCast.sensor == sensor_id) & PendingCast.field.not_in(kept)
    changed(PendingCast.delete().where(gone))
    _note(casts)
    return casts


def pending_casts() -> list[Cast]:
    """Return the casts that were not finished."""
    noted = PendingCast.select(PendingCast.sensor, PendingCast.field, PendingCast.number)
    return [
        Cast(sensor_id, name, bool(number))
        for sensor_id, name, number in rows(noted.order_by(PendingCast.sensor, PendingCast.field))
    ]


def values_cast(cast: Cast) -> None:
    """Note that a cast is done; not if the field got another type meanwhile."""
    this = _is_noted(cast.sensor_id, cast.field) & (PendingCast.number == cast.number)
    changed(PendingCast.delete().where(this))


def of_many(sensor_ids: Sequence[int]) -> dict[int, list[FieldRow]]:
    """Return the fields of each of these sensors, in the order of their index."""
    found: dict[int, list[FieldRow]] = {sensor_id: [] for sensor_id in sensor_ids}
    query = Field.select(Field.sensor, *_COLUMNS).where(among(Field.sensor, sensor_ids))
    for sensor_id, name, long_name, kind, required, units, position in stream(
        query.order_by(Field.sensor, Field.position)
    ):
        row = FieldRow(name, long_name, kind, bool(required), units, position)
        found[sensor_id].append(row)
    return found


def last_field() -> InvalidFieldContent:
    """Return the refusal to leave a sensor without fields."""
    return InvalidFieldContent("Cannot delete last field from sensor")


def _unknown(name: str) -> InvalidFieldContent:
    return InvalidFieldContent(
        f"the sensor has no field {name!r}", more={name: "is not a field of this sensor"}
    )


def _of(sensor_id: int) -> list[FieldRow]:
    return of_many([sensor_id])[sensor_id]


def _is(sensor_id: int, name: str) -> Any:
    return (Field.sensor == sensor_id) & (Field.name == name)


def _is_noted(sensor_id: int, name: str) -> Any:
    return (PendingCast.sensor == sensor_id) & (PendingCast.field == name)


def _note(casts: Iterable[Cast]) -> None:
    for sensor_id, name, number in casts:
        row = PendingCast.insert(sensor=sensor_id, field=name, number=number)
        row.on_conflict(
            conflict_target=[PendingCast.sensor, PendingCast.field],
            update={PendingCast.number: number},
        ).execute()


def _row(field: NewField, index: int) -> FieldRow:
    long_name = field.long_name if field.long_name.strip() else field.name
    return FieldRow(field.name, long_name, field.type, field.required, field.units, index)


def _columns(row: FieldRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "long_name": row.long_name,
        "type": row.type,
        "required": row.required,
        "units": row.units,
        "position": row.index,
    }


def _insert(sensor_id: int, declared: Iterable[FieldRow]) -> None:
    Field.insert_many([{"sensor": sensor_id, **_columns(row)} for row in declared]).execute()
