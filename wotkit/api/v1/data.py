"""Readings of many sensors, version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from wotkit import times
from wotkit.api.operation import Returns, operation
from wotkit.api.reading_form import ReadingView, mixed_form
from wotkit.api.requests import read_query
from wotkit.api.responses import JSON
from wotkit.api.v1.reading_range import RangeParams, is_latest, range_of, starts_now, time_of
from wotkit.api.v1.readings import single
from wotkit.catalog import sensor_query, sensor_rows
from wotkit.catalog.identity import READ
from wotkit.catalog.sensor_query import SensorQuery, Slice
from wotkit.errors import (
    BoxOutOfBounds,
    BoxUpsideDown,
    InvalidMetadataQuery,
    InvalidQuery,
    Overloaded,
    StoreUnavailable,
)
from wotkit.readings.query import Across, read_across

if TYPE_CHECKING:
    from collections.abc import Collection

    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.api.v1.activity import Activity
    from wotkit.catalog import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.readings.readers import ReaderPool
    from wotkit.settings import Settings

MOST_SKIPPED: Final = 100_000
"""Readings that an offset may leave out, or that afterE and beforeE may count: they are read."""

_ERRORS: Final = (
    InvalidQuery,
    InvalidMetadataQuery,
    BoxUpsideDown,
    BoxOutOfBounds,
    Overloaded,
    StoreUnavailable,
)


class Order(Struct, kw_only=True, rename="camel"):
    """How readings of many sensors are ordered."""

    order_by: Annotated[
        Literal["time", "sensor"],
        Meta(description="By time, or sensor by sensor and then by time."),
    ] = "time"


class DataResource:
    """``GET data``: the readings of every sensor that a sensor query finds."""

    def __init__(
        self,
        catalog: Catalog,
        callers: Callers,
        readers: ReaderPool,
        activity: Activity,
        settings: Settings,
    ) -> None:
        self._catalog = catalog
        self._callers = callers
        self._readers = readers
        self._activity = activity
        self._limits = settings.query

    @operation(
        tag="Readings",
        summary="Query readings of many sensors",
        description="Takes the parameters of a query of sensors and those of a query of readings; "
        "counts, offset and limit are of all sensors together. `end` may lie before `start` here: "
        "the range is what lies between them.",
        privacy="public or private",
        scope=READ,
        query=(SensorQuery, RangeParams, Order),
        returns={
            200: Returns(
                "The readings.",
                list[ReadingView],
                headers={
                    "Link": 'The next page, as rel="next", when there is more.',
                    "X-Total-Truncated": "`true` when there is more.",
                },
            )
        },
        errors=_ERRORS,
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer readings of many sensors."""
        identity = await self._callers.identify(req, READ)
        sensors = read_query(req, SensorQuery)
        params = read_query(req, RangeParams)
        order = read_query(req, Order)
        now = times.now()
        across = _across(params, order, now, self._limits.max_readings)
        ids = await self._sensors(identity, sensors)
        found, more = await self._readers.run(lambda store: read_across(store, ids, across))
        names = await self._catalog.reading(_names, {sensor_id for sensor_id, _ in found})
        resp.data = mixed_form(names, found)
        resp.content_type = JSON
        if more:
            query = {**single(req), "offset": params.offset + len(found), "limit": len(found)}
            if starts_now(params):
                query["start"] = times.to_iso(now)  # the next page is of the same range
            resp.set_header("X-Total-Truncated", "true")
            resp.set_header("Link", f'<{req.path}?{urlencode(query)}>; rel="next"')

    async def _sensors(self, identity: Identity, query: SensorQuery) -> list[int]:
        """Return the ids of the sensors that match.

        Raises:
            InvalidQuery: a filter is malformed, or more match than one query may read.
        """
        active = await self._activity.active() if query.active is not None else None
        most = self._limits.max_data_sensors

        def find() -> list[int]:
            found = sensor_query.where(identity, query, active)
            return sensor_query.select(found, Slice(most + 1))

        ids = await self._catalog.reading(find)
        if len(ids) > most:
            raise InvalidQuery(
                f"more than {most} sensors match; ask for fewer, with owners, tags, text or "
                "another filter of sensors"
            )
        return ids


def _names(sensor_ids: Collection[int]) -> dict[int, str]:
    """Return how sensors are called, without those that were deleted meanwhile."""
    rows = sensor_rows.load(sorted(sensor_ids), ())
    return {row.id: f"{row.owner}.{row.name}" for row in rows}


def _across(params: RangeParams, order: Order, now: int, most: int) -> Across:
    """Return what to read.

    Raises:
        InvalidQuery: the parameters make no sense.
    """
    if params.offset > MOST_SKIPPED:
        why = f"is more than {MOST_SKIPPED}; begin at a later start"
        raise InvalidQuery(f"offset {why}", more={"offset": why})
    what = range_of(_forwards(params), 0, now, most)
    return Across(
        after=what.after,
        through=what.through,
        newest=None if what.newest is None else min(what.newest, MOST_SKIPPED),
        oldest=None if what.oldest is None else min(what.oldest, MOST_SKIPPED),
        by_sensor=order.order_by == "sensor",
        latest=is_latest(params),
        reverse=what.reverse,
        offset=what.offset,
        limit=what.limit or 0,
    )


def _forwards(params: RangeParams) -> RangeParams:
    """Return the same range with its start before its end."""
    if params.start is None or params.end is None:
        return params
    if time_of("end", params.end) >= time_of("start", params.start):
        return params
    return msgspec.structs.replace(params, start=params.end, end=params.start)
