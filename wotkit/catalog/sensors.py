"""Sensors: created, changed and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType
from peewee import IntegrityError

from wotkit import strict_json, times
from wotkit.catalog import audit, fields, sensor_checks, subscriptions
from wotkit.catalog.accounts import next_id
from wotkit.catalog.identity import writable
from wotkit.catalog.models import Account, DroppedSensor, Metadata, Sensor, Tag, changed, rows
from wotkit.catalog.references import Found, find
from wotkit.catalog.sensor_rows import SensorRow, load
from wotkit.errors import (
    AlreadyExists,
    ExtraneousField,
    MissingScope,
    NotFound,
    ValidationFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.fields import Cast
    from wotkit.catalog.identity import Identity

__all__ = [
    "change",
    "create",
    "create_many",
    "delete",
    "drops_to_repeat",
    "find",
    "forget_drops",
    "pending_drops",
    "readings_dropped",
]

PUBLIC: Final = "PUBLIC"
PRIVATE: Final = "PRIVATE"
_WHOLE: Final = 1e15
"""Numbers below it are whole exactly when their fraction is zero."""

_Fields = list[fields.NewField]
_Tags = Annotated[list[str], Meta(description="Any texts; which differ in case only are the same.")]
_Metadata = Annotated[
    dict[str, Any],
    Meta(description="Names, each with a text, a number or a truth value; none may be empty."),
]
_ImageUrl = Annotated[str | None, Meta(description="Address of a picture; null is none.")]
_Visibility = Annotated[str, Meta(description="`PUBLIC` or `PRIVATE`.")]
_Control = Annotated[
    str | None,
    Meta(
        description="Who may send messages to its actuator: `PUBLIC` (whoever can see it) or "
        "`OWNER`; null or absent: PUBLIC while the sensor is public, OWNER while it is private."
    ),
]
_Latitude = Annotated[float, Meta(description="Degrees north (WGS 84).")]
_Longitude = Annotated[float, Meta(description="Degrees east (WGS 84).")]


class NewSensor(Struct, kw_only=True, rename="camel"):
    """A sensor to be created."""

    name: Annotated[
        str,
        Meta(
            description="4 to 50 characters of a-z, 0-9, _ and -, a letter or _ first; unique "
            "among the owner's sensors; it never changes."
        ),
    ]
    long_name: Annotated[str, Meta(description="What people call it.")]
    description: Annotated[str, Meta(description="What it measures, and where.")]
    owner: (
        Annotated[str, Meta(description="The caller, or an organization it is a member of.")]
        | UnsetType
    ) = UNSET
    latitude: _Latitude = 0.0
    longitude: _Longitude = 0.0
    visibility: _Visibility = PRIVATE
    control: _Control = None
    image_url: _ImageUrl = None
    tags: _Tags = []
    metadata: _Metadata = {}
    fields: (
        Annotated[
            _Fields,
            Meta(
                description="Absent or empty: `lat`, `lng`, `value` (NUMBER), `message` (STRING)."
            ),
        ]
        | UnsetType
    ) = UNSET


class SensorChange(Struct, kw_only=True, rename="camel"):
    """What of a sensor is to change; what is absent stays as it is."""

    id: Annotated[int, Meta(description="Never changes.")] | UnsetType = UNSET
    name: Annotated[str, Meta(description="Never changes.")] | UnsetType = UNSET
    owner: Annotated[str, Meta(description="Never changes.")] | UnsetType = UNSET
    long_name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    latitude: _Latitude | UnsetType = UNSET
    longitude: _Longitude | UnsetType = UNSET
    visibility: Annotated[str, Meta(description="PRIVATE ends every subscription.")] | UnsetType = (
        UNSET
    )
    control: _Control | UnsetType = UNSET
    image_url: _ImageUrl | UnsetType = UNSET
    tags: _Tags | UnsetType = UNSET
    metadata: _Metadata | UnsetType = UNSET
    fields: _Fields | UnsetType = UNSET


def create(identity: Identity, sensor: NewSensor, actor: Actor) -> SensorRow:
    """Add a sensor of the caller's, or of an organization it is a member of.

    Raises:
        MissingScope: the credentials are limited to certain sensors.
        ValidationFailed: an attribute is invalid; ``more`` names each.
        NotFound: the caller is no member of such an organization.
        AlreadyExists: the owner has a sensor of this name.
    """
    _check_unlimited(identity)
    _refuse(sensor_checks.new_problems(sensor))
    return load([_insert(identity, sensor, actor, "name")])[0]


def create_many(identity: Identity, sensors: Sequence[NewSensor], actor: Actor) -> None:
    """Add all of these sensors or, when one is refused, none.

    Raises:
        WotkitError: what :func:`create` raises; keys of ``more`` begin with the sensor's index.
    """
    _check_unlimited(identity)
    _refuse(
        {
            f"{index}.{name}": why
            for index, sensor in enumerate(sensors)
            for name, why in sensor_checks.new_problems(sensor).items()
        }
    )
    for index, sensor in enumerate(sensors):
        _insert(identity, sensor, actor, f"{index}.name")


def change(identity: Identity, reference: str, wanted: SensorChange, actor: Actor) -> list[Cast]:
    """Change a sensor; the answer says which stored values are to be cast.

    Raises:
        NotFound: the caller may not write to such a sensor.
        ExtraneousField: it would get another id, name or owner.
        ValidationFailed: an attribute is invalid; ``more`` names each.
        InvalidFieldContent: it would be left without fields.
    """
    sensor = find(identity, reference, writable(identity))
    _check_fixed(sensor, wanted)
    _refuse(sensor_checks.change_problems(wanted))
    details: dict[str, Any] = {"changed": _present(wanted)}
    if wanted.visibility is not UNSET and wanted.visibility.upper() == PRIVATE:
        details["unsubscribed"] = _hide(sensor.id)
    columns = _columns(wanted)
    if columns:
        Sensor.update(columns).where(Sensor.id == sensor.id).execute()
    if wanted.tags is not UNSET:
        changed(Tag.delete().where(Tag.sensor == sensor.id))
        _insert_tags(sensor.id, wanted.tags)
    if wanted.metadata is not UNSET:
        changed(Metadata.delete().where(Metadata.sensor == sensor.id))
        _insert_metadata(sensor.id, wanted.metadata)
    casts: list[Cast] = []
    if wanted.fields is not UNSET:
        if not wanted.fields:
            raise fields.last_field()
        casts = fields.replace(sensor.id, wanted.fields)
    audit.record(actor, "sensor.change", sensor.qualified, **details)
    return casts


def delete(identity: Identity, reference: str, actor: Actor) -> int:
    """Delete a sensor and return its id; its readings are then to be dropped.

    They are in another store, so the catalog notes in the same transaction that they are still
    there: drop them, then call :func:`readings_dropped`.

    Raises:
        NotFound: the caller may not write to such a sensor.
    """
    sensor = find(identity, reference, writable(identity))
    DroppedSensor.insert(sensor_id=sensor.id).on_conflict_ignore().execute()
    changed(Sensor.delete().where(Sensor.id == sensor.id))
    audit.record(actor, "sensor.delete", sensor.qualified, id=sensor.id)
    return sensor.id


def pending_drops() -> list[int]:
    """Return the ids of deleted sensors whose readings are still to be dropped."""
    return _dropped(DroppedSensor.dropped.is_null())


def readings_dropped(sensor_ids: Iterable[int]) -> None:
    """Note that the readings of these deleted sensors are gone, but for stragglers."""
    done = DroppedSensor.sensor_id.in_(list(sensor_ids))
    changed(DroppedSensor.update(dropped=times.now()).where(done))


def drops_to_repeat(before: int) -> list[int]:
    """Return the ids of deleted sensors whose readings were dropped before a time.

    Whatever was on its way then is stored by now: drop once more, then call
    :func:`forget_drops`.
    """
    return _dropped(DroppedSensor.dropped < before)


def forget_drops(sensor_ids: Iterable[int]) -> None:
    """Note that no reading of these deleted sensors is or will be stored."""
    changed(DroppedSensor.delete().where(DroppedSensor.sensor_id.in_(list(sensor_ids))))


def _dropped(condition: Any) -> list[int]:
    found = DroppedSensor.select(DroppedSensor.sensor_id).where(condition)
    return [sensor_id for (sensor_id,) in rows(found.order_by(DroppedSensor.sensor_id))]


def _check_unlimited(identity: Identity) -> None:
    if identity.sensors is not None:
        raise MissingScope("this key is limited to certain sensors, so it cannot create another")


def _refuse(problems: dict[str, str]) -> None:
    if problems:
        raise ValidationFailed(*(f"{name} {why}" for name, why in problems.items()), more=problems)


def _insert(identity: Identity, sensor: NewSensor, actor: Actor, place: str) -> int:
    owner_id, owner = _owner(identity, sensor)
    qualified = f"{owner}.{sensor.name}"
    sensor_id = next_id("sensor")
    try:
        Sensor.insert(
            id=sensor_id,
            owner=owner_id,
            publisher=identity.user_id,
            name=sensor.name,
            created=times.now(),
            **_columns(sensor),
        ).execute()
    except IntegrityError:
        raise AlreadyExists(
            f"the sensor {qualified!r} already exists",
            more={place: f"{qualified!r} already exists"},
        ) from None
    given = () if sensor.fields is UNSET else sensor.fields
    fields.declare(sensor_id, given or fields.DEFAULTS)
    _insert_tags(sensor_id, sensor.tags)
    _insert_metadata(sensor_id, sensor.metadata)
    audit.record(actor, "sensor.create", qualified, id=sensor_id)
    return sensor_id


def _owner(identity: Identity, sensor: NewSensor) -> tuple[int, str]:
    """Return the id and the name of whoever is to own a new sensor."""
    if sensor.owner is UNSET or sensor.owner == identity.username:
        return identity.user_id, identity.username
    own = Account.id.in_(list(identity.accounts)) & (Account.name == sensor.owner)
    for (owner_id,) in rows(Account.select(Account.id).where(own)):
        return owner_id, sensor.owner
    raise NotFound(sensor.owner)


def _columns(sensor: NewSensor | SensorChange) -> dict[str, Any]:
    """Return the columns that are present."""
    plain = ("long_name", "description", "latitude", "longitude", "image_url")
    values = {name: getattr(sensor, name) for name in plain}
    for name in ("visibility", "control"):
        value = getattr(sensor, name)
        values[name] = value.upper() if isinstance(value, str) else value
    return {name: value for name, value in values.items() if value is not UNSET}


def _present(wanted: SensorChange) -> list[str]:
    fixed = {"id", "name", "owner"}
    return [
        name
        for name in wanted.__struct_fields__
        if name not in fixed and getattr(wanted, name) is not UNSET
    ]


def _check_fixed(sensor: Found, wanted: SensorChange) -> None:
    """Refuse another id, name or owner; equal ones are what a client read and sends back."""
    for name in ("id", "name", "owner"):
        value = getattr(wanted, name)
        if value is not UNSET and value != getattr(sensor, name):
            raise ExtraneousField(
                f'Cannot change the field "{name}"', more={name: "cannot be changed"}
            )


def _hide(sensor_id: int) -> int:
    """End the subscriptions to a sensor that is about to stop being public."""
    public = (Sensor.id == sensor_id) & (Sensor.visibility == PUBLIC)
    return subscriptions.clear(sensor_id) if rows(Sensor.select(Sensor.id).where(public)) else 0


def _insert_tags(sensor_id: int, tags: Iterable[str]) -> None:
    folded: dict[str, str] = {}
    for tag in tags:
        folded.setdefault(tag.strip().casefold(), tag.strip())
    if folded:
        Tag.insert_many(
            [{"sensor": sensor_id, "folded": key, "name": name} for key, name in folded.items()]
        ).execute()


def _insert_metadata(sensor_id: int, metadata: dict[str, Any]) -> None:
    if metadata:
        Metadata.insert_many(
            [
                {
                    "sensor": sensor_id,
                    "name": name,
                    "value": strict_json.encode(value).decode(),
                    "text": _text_of(value),
                }
                for name, value in metadata.items()
            ]
        ).execute()


def _text_of(value: Any) -> str:
    """Return a metadata value as queries compare it: 5.0 is found as 5."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    return strict_json.encode(value).decode()
