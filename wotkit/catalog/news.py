"""What is new in public: the latest sensors, and how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from peewee import fn

from wotkit.catalog import engine
from wotkit.catalog.bulk import among, stream
from wotkit.catalog.models import Account, Sensor, rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_PUBLIC: Final = "PUBLIC"


class PublicSensor(Struct, frozen=True):
    """What news tell of a sensor."""

    id: int
    owner: str
    name: str
    long_name: str
    created: int


class Counts(Struct, frozen=True):
    """How many public sensors there are."""

    total: int
    active: int
    since: Sequence[int]
    """How many were created since each of the times asked for."""


def newest(limit: int) -> list[PublicSensor]:
    """Return the public sensors that were created last, newest first."""
    query = _select().where(Sensor.visibility == _PUBLIC)
    newest_first = query.order_by(Sensor.created.desc(), Sensor.id.desc())
    return [PublicSensor(*values) for values in rows(newest_first.limit(limit))]


def public_among(sensor_ids: Collection[int]) -> dict[int, PublicSensor]:
    """Return those of these sensors that are public."""
    query = _select().where(among(Sensor.id, sensor_ids) & (Sensor.visibility == _PUBLIC))
    return {values[0]: PublicSensor(*values) for values in stream(query)}


def counts(active: Collection[int], times: Iterable[int]) -> Counts:
    """Count public sensors: all, the active ones, and those created since each time.

    The times fall. What lies between two of them is counted once, so all of it costs one walk
    along an index.
    """
    public = Sensor.visibility == _PUBLIC
    since: list[int] = []
    found, before = 0, public
    for at in times:
        found += _count(before & (Sensor.created >= at))
        before = public & (Sensor.created < at)
        since.append(found)
    of_active = (Sensor.visibility.concat("") == _PUBLIC) & engine.listed(Sensor.id, active)
    return Counts(found + _count(before), _count(of_active), since)


def _count(condition: Any) -> int:
    ((found,),) = rows(Sensor.select(fn.COUNT(Sensor.id)).where(condition))
    return int(found)


def _select() -> Any:
    columns = (Sensor.id, Account.name, Sensor.name, Sensor.long_name, Sensor.created)
    return Sensor.select(*columns).join(Account, on=(Account.id == Sensor.owner))
