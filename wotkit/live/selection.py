"""Which sensors a stream follows: those a caller may see, asked for by name or by a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from wotkit.catalog import references, sensor_query
from wotkit.catalog.bulk import among, stream
from wotkit.catalog.identity import READ, visible
from wotkit.catalog.models import Account, Sensor
from wotkit.catalog.sensor_query import SensorQuery, Slice
from wotkit.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wotkit.auth.standing import Standing
    from wotkit.catalog.identity import Identity

Names = dict[int, str]
"""Ids of sensors to ``owner.name``, which a sensor keeps for all its life."""

EVERYTHING: Final = SensorQuery()


class Wanted(Struct, frozen=True):
    """What somebody wants to follow; both must hold."""

    ids: frozenset[int] | None = None
    """Sensors that were named; None is any."""
    query: SensorQuery = EVERYTHING


class Renewed(Struct, frozen=True):
    """What holds now, of credentials and what they want to follow."""

    identity: Identity | None
    """None when the credentials do not hold any more."""
    sensors: Names


def named(
    identity: Identity, references_: Sequence[str], query: SensorQuery, most: int
) -> tuple[Wanted, Names]:
    """Return what is wanted by names or ids, and a query, and the sensors that are meant now.

    Raises:
        NotFound: the caller may see no such sensor.
        InvalidQuery: a filter is malformed, or more than ``most`` sensors match.
    """
    condition = visible(identity)
    ids = None
    if references_:
        found = [references.find(identity, each, condition).id for each in references_]
        ids = frozenset(found)
    wanted = Wanted(ids, query)
    sensors = _select(identity, wanted, most + 1)
    if len(sensors) > most:
        raise InvalidQuery(
            f"more than {most} sensors match; name them with sensors, or ask for fewer with tags, "
            "groups or another filter"
        )
    return wanted, sensors


def renew(cases: Iterable[tuple[Standing, Wanted]], most: int) -> list[Renewed]:
    """Ask again for each of these, as it was at the beginning."""
    known: dict[Standing, Identity | None] = {}
    found: list[Renewed] = []
    for standing, wanted in cases:
        if standing not in known:
            known[standing] = standing.renew()
        identity = known[standing]
        may_read = identity is not None and READ in identity.scopes
        sensors = _select(identity, wanted, most) if identity is not None and may_read else {}
        found.append(Renewed(identity, sensors))
    return found


def _select(identity: Identity, wanted: Wanted, most: int) -> Names:
    if wanted.query == EVERYTHING and wanted.ids is not None:
        condition = among(Sensor.id, wanted.ids) & visible(identity)
    else:
        where = sensor_query.where(identity, wanted.query)
        if wanted.ids is not None:
            where = where._replace(condition=among(Sensor.id, wanted.ids) & where.condition)
        condition = among(Sensor.id, sensor_query.select(where, Slice(most)))
    query = Sensor.select(Sensor.id, Account.name, Sensor.name).join(
        Account, on=(Account.id == Sensor.owner)
    )
    return {
        sensor_id: f"{owner}.{name}"
        for sensor_id, owner, name in stream(query.where(condition).limit(most))
    }
