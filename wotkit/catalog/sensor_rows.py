"""Sensors as they are read: whole pages of them, with one query for each table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from peewee import JOIN

from wotkit.catalog import fields, references, subscriptions
from wotkit.catalog.bulk import among, stream
from wotkit.catalog.identity import visible
from wotkit.catalog.models import Account, Metadata, Sensor, Tag

if TYPE_CHECKING:
    from collections.abc import Collection

    from wotkit.catalog.identity import Identity

TAGS: Final = "tags"
METADATA: Final = "metadata"
SUBSCRIBERS: Final = "subscribers"
FIELDS: Final = "fields"
PARTS: Final = frozenset({TAGS, METADATA, SUBSCRIBERS, FIELDS})
"""What of a sensor is kept in tables of its own, and is read only when asked for."""

_Fields = Sequence[fields.FieldRow]
Scalar = str | int | float | bool
"""What a metadata value may be."""

_scalar: Final = msgspec.json.Decoder(Scalar).decode


class SensorRow(Struct):
    """A sensor as it is kept, without its readings."""

    id: int
    owner: str
    publisher: str | None
    name: str
    long_name: str
    description: str
    latitude: float
    longitude: float
    visibility: str
    image_url: str | None
    created: int
    chosen_control: str | None = None
    """Who may control it, if somebody said so; see :attr:`control`."""
    tags: Sequence[str] = ()
    metadata: dict[str, Scalar] = {}
    subscribers: Sequence[str] = ()
    fields: _Fields = ()

    @property
    def control(self) -> str:
        """Who may control it: ``PUBLIC`` or ``OWNER``."""
        if self.chosen_control is not None:
            return self.chosen_control
        return "PUBLIC" if self.visibility == "PUBLIC" else "OWNER"


def get(identity: Identity, reference: str) -> SensorRow:
    """Return a sensor.

    Raises:
        NotFound: the caller may see no such sensor.
    """
    return load([references.find(identity, reference, visible(identity)).id])[0]


def load(sensor_ids: Sequence[int], parts: Collection[str] = PARTS) -> list[SensorRow]:
    """Return these sensors in this order, with the named parts of them."""
    found = _load_rows(sensor_ids)
    if not found:
        return []
    if TAGS in parts:
        tags = _tags(found)
        for sensor_id, row in found.items():
            row.tags = tags.get(sensor_id, ())
    if METADATA in parts:
        metadata = _metadata(found)
        for sensor_id, row in found.items():
            row.metadata = metadata.get(sensor_id, {})
    if SUBSCRIBERS in parts:
        subscribers = subscriptions.names_for(found)
        for sensor_id, row in found.items():
            row.subscribers = subscribers.get(sensor_id, ())
    if FIELDS in parts:
        declared = fields.of_many(list(found))
        for sensor_id, row in found.items():
            row.fields = declared[sensor_id]
    return [found[sensor_id] for sensor_id in sensor_ids if sensor_id in found]


def _load_rows(sensor_ids: Sequence[int]) -> dict[int, SensorRow]:
    publisher: Any = Account.alias()
    query = (
        Sensor.select(
            Sensor.id,
            Account.name,
            publisher.name,
            Sensor.name,
            Sensor.long_name,
            Sensor.description,
            Sensor.latitude,
            Sensor.longitude,
            Sensor.visibility,
            Sensor.image_url,
            Sensor.created,
            Sensor.control,
        )
        .join(Account, on=(Account.id == Sensor.owner))
        .join_from(Sensor, publisher, JOIN.LEFT_OUTER, on=(publisher.id == Sensor.publisher))
        .where(among(Sensor.id, sensor_ids))
    )
    return {values[0]: SensorRow(*values) for values in stream(query)}


def _tags(sensor_ids: Collection[int]) -> dict[int, list[str]]:
    query = Tag.select(Tag.sensor, Tag.name).where(among(Tag.sensor, sensor_ids))
    found: dict[int, list[str]] = {}
    for sensor_id, name in stream(query.order_by(Tag.sensor, Tag.folded)):
        found.setdefault(sensor_id, []).append(name)
    return found


def _metadata(sensor_ids: Collection[int]) -> dict[int, dict[str, Scalar]]:
    query = Metadata.select(Metadata.sensor, Metadata.name, Metadata.value)
    found: dict[int, dict[str, Scalar]] = {}
    for sensor_id, name, value in stream(
        query.where(among(Metadata.sensor, sensor_ids)).order_by(Metadata.sensor, Metadata.name)
    ):
        found.setdefault(sensor_id, {})[name] = _scalar(value)
    return found
