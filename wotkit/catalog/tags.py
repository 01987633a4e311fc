"""Tags: which there are on sensors, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from peewee import fn

from wotkit.catalog import engine, sensor_query
from wotkit.catalog.bulk import stream
from wotkit.catalog.models import Sensor, Tag, TagUse
from wotkit.catalog.sensor_query import SensorQuery, Slice

if TYPE_CHECKING:
    from collections.abc import Collection

    from wotkit.catalog.identity import Identity

_PUBLIC: Final = 0
"""The scope of all public sensors; others are ids of owners."""


class TagRow(Struct, frozen=True):
    """A tag, as its newest sensor spells it."""

    name: str
    count: int
    """How many sensors have it."""
    last_used: int
    """When the newest of them was created."""


class Page(Struct, frozen=True):
    """Some of the tags, and whether there are more."""

    tags: list[TagRow]
    more: bool


def page(
    identity: Identity,
    query: SensorQuery,
    limit: int,
    offset: int,
    active: Collection[int] | None = None,
) -> Page:
    """Return tags of the sensors that match, in alphabetical order.

    The arguments are those of :func:`sensor_query.where`.

    Raises:
        InvalidQuery: as :func:`sensor_query.where`.
    """
    scopes = _scopes(identity, query)
    if scopes is not None:
        uses = _kept(scopes)
    else:
        found = sensor_query.where(identity, query, active)
        uses = _counted(sensor_query.select(found, Slice(limit=None)))
    uses = uses.limit(limit + 1).offset(offset)
    spelled = (
        Tag.select(Tag.name, uses.c.uses, Sensor.created)
        .join_from(Tag, uses, on=((Tag.sensor == uses.c.newest) & (Tag.folded == uses.c.folded)))
        .join_from(Tag, Sensor, on=(Sensor.id == Tag.sensor))
        .order_by(Tag.folded)
    )
    tags = [TagRow(*values) for values in stream(spelled)]
    return Page(tags[:limit], len(tags) > limit)


def _scopes(identity: Identity, query: SensorQuery) -> list[int] | None:
    """Return the scopes that a query is answered by, or None when sensors must be counted."""
    if identity.sensors is not None or query != SensorQuery(visibility=query.visibility):
        return None
    own = list(identity.accounts)
    if query.visibility is None:
        return [_PUBLIC, *own]
    return {"PUBLIC": [_PUBLIC], "PRIVATE": own}.get(query.visibility.strip().upper(), [])


def _kept(scopes: list[int]) -> Any:
    return _grouped(TagUse, fn.SUM(TagUse.uses), TagUse.newest).where(TagUse.scope.in_(scopes))


def _counted(sensor_ids: list[int]) -> Any:
    counted = _grouped(Tag, fn.COUNT(Tag.sensor), Tag.sensor)
    return counted.where(engine.listed(Tag.sensor, sensor_ids))


def _grouped(table: Any, uses: Any, newest: Any) -> Any:
    columns = (table.folded, uses.alias("uses"), fn.MAX(newest).alias("newest"))
    return table.select(*columns).group_by(table.folded).order_by(table.folded)
