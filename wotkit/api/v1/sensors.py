"""Sensors: found, created, changed and deleted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from wotkit import strict_json
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_body, read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v1.sensor_forms import (
    SensorAnswer,
    SensorPageQuery,
    Wanted,
    read_new_sensors,
    read_sensor,
    sensor_answer,
)
from wotkit.catalog import fields, sensor_query, sensor_rows, sensors
from wotkit.catalog.identity import MANAGE, READ
from wotkit.catalog.sensor_query import Slice
from wotkit.catalog.sensors import NewSensor, SensorChange
from wotkit.errors import (
    AlreadyExists,
    BoxOutOfBounds,
    BoxUpsideDown,
    ExtraneousField,
    InvalidFieldContent,
    InvalidMetadataQuery,
    InvalidQuery,
    MalformedBody,
    NotFound,
    Overloaded,
    StoreUnavailable,
    ValidationFailed,
)
from wotkit.readings.store import CastField, DropSensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.api.v1.activity import Activity
    from wotkit.catalog import Catalog
    from wotkit.catalog.fields import Cast
    from wotkit.ingest.door import Door
    from wotkit.readings.readers import ReaderPool
    from wotkit.settings import Settings

TAG: Final = "Sensors"
MOST_AT_ONCE: Final = 100
"""Sensors that one request may create."""

_EXAMPLE: Final = {
    "name": "greenhouse",
    "longName": "Greenhouse climate",
    "description": "Temperature under the roof, every minute",
    "visibility": "PUBLIC",
    "latitude": 53.35,
    "longitude": -6.26,
    "tags": ["climate", "garden"],
    "metadata": {"model": "SHT41", "height": 2.5},
    "fields": [{"name": "temperature", "type": "NUMBER", "units": "°C"}],
}
_QUERY_ERRORS: Final = (InvalidQuery, InvalidMetadataQuery, BoxUpsideDown, BoxOutOfBounds)

_log: Final = logging.getLogger(__name__)


class SensorNoun:
    """What the resources of sensors and of their fields share."""

    def __init__(
        self,
        catalog: Catalog,
        callers: Callers,
        readers: ReaderPool,
        door: Door,
        settings: Settings,
    ) -> None:
        self._catalog = catalog
        self._callers = callers
        self._readers = readers
        self._door = door
        self._settings = settings

    async def _read(self, req: falcon.asgi.Request) -> Any:
        return strict_json.decode(await read_body(req, self._settings.http.max_body_bytes))

    async def _cast(self, casts: Iterable[Cast]) -> None:
        """Cast stored values to the types that were just declared.

        Raises:
            Overloaded, StoreUnavailable: not now; the catalog remembers what is left to do.
        """
        for cast in casts:
            await self._door.apply(CastField(*cast))
            await self._catalog.writing(fields.values_cast, cast)


class SensorsResource(SensorNoun):
    """All sensors."""

    def __init__(
        self,
        catalog: Catalog,
        callers: Callers,
        readers: ReaderPool,
        door: Door,
        settings: Settings,
        activity: Activity,
    ) -> None:
        super().__init__(catalog, callers, readers, door, settings)
        self._activity = activity

    @operation(
        tag=TAG,
        summary="Find sensors",
        description="Filters combine with AND. In the order of their ids.",
        privacy="public or private",
        scope=READ,
        query=SensorPageQuery,
        returns={
            200: Returns(
                "The sensors that match and that the caller may see.",
                list[SensorAnswer],
                headers={"Link": 'The next page, as rel="next", when there is more.'},
            )
        },
        errors=_QUERY_ERRORS,
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer a page of the sensors that match."""
        identity = await self._callers.identify(req, READ)
        query = read_query(req, SensorPageQuery)
        wanted = Wanted.parse(query.fields)
        limit = self._limit(query)
        after = 0 if query.cursor is None else sensor_query.read_cursor(query.cursor)
        page = await self._catalog.reading(
            sensor_query.page,
            identity,
            query,
            Slice(limit, query.offset, after),
            None if query.active is None else await self._activity.active(),
            wanted.parts,
        )
        ids = [row.id for row in page.sensors]
        latest = await self._readers.latest(ids) if wanted.latest and ids else {}
        if page.more:
            resp.set_header("Link", _next_link(req, ids[-1]))
        answer_json(resp, [wanted.answer(row, latest.get(row.id)) for row in page.sensors])

    @operation(
        tag=TAG,
        summary="Create a sensor",
        privacy="private",
        scope=MANAGE,
        body=NewSensor,
        example=_EXAMPLE,
        returns={
            201: Returns(
                "The new sensor.", SensorAnswer, headers={"Location": "The path of the new sensor."}
            )
        },
        errors=(ValidationFailed, MalformedBody, NotFound, AlreadyExists),
    )
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Create one sensor."""
        identity = await self._callers.identify_sender(req, MANAGE)
        sensor = read_sensor(NewSensor, await self._read(req))
        actor = self._callers.actor(req, identity)
        row = await self._catalog.writing(sensors.create, identity, sensor, actor)
        resp.set_header("Location", f"{req.path}/{row.id}")
        answer_json(resp, sensor_answer(row, None), 201)

    @operation(
        tag=TAG,
        summary="Create several sensors",
        description=f"At most {MOST_AT_ONCE}; all of them or, when one is refused, none.",
        privacy="private",
        scope=MANAGE,
        body=list[NewSensor],
        example=[_EXAMPLE],
        returns={201: Returns("For each name, whether it was created.", dict[str, bool])},
        errors=(ValidationFailed, MalformedBody, NotFound, AlreadyExists),
    )
    async def on_put(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Create many sensors."""
        identity = await self._callers.identify_sender(req, MANAGE)
        new = read_new_sensors(await self._read(req), MOST_AT_ONCE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(sensors.create_many, identity, new, actor)
        answer_json(resp, {sensor.name: True for sensor in new}, 201)

    def _limit(self, query: SensorPageQuery) -> int:
        most = self._settings.query.max_sensors
        if query.limit is not None and query.limit > most:
            raise InvalidQuery(more={"limit": f"is invalid: {query.limit} is more than {most}"})
        return most if query.limit is None else query.limit


class SensorResource(SensorNoun):
    """One sensor."""

    @operation(
        tag=TAG,
        summary="Show a sensor",
        privacy="public or private",
        scope=READ,
        returns={200: Returns("The sensor.", SensorAnswer)},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Answer one sensor."""
        identity = await self._callers.identify(req, READ)
        row = await self._catalog.reading(sensor_rows.get, identity, sensor)
        latest = await self._readers.latest([row.id])
        answer_json(resp, sensor_answer(row, latest.get(row.id)))

    @operation(
        tag=TAG,
        summary="Change a sensor",
        description="Changes what is present; tags, fields and metadata replace the old ones. "
        "Making it PRIVATE ends every subscription.",
        privacy="private",
        scope=MANAGE,
        body=SensorChange,
        example={"longName": "Greenhouse climate", "tags": ["climate"]},
        returns={204: Returns("Changed.")},
        errors=(NotFound, ValidationFailed, MalformedBody, ExtraneousField, InvalidFieldContent),
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Change one sensor."""
        identity = await self._callers.identify_sender(req, MANAGE)
        change = read_sensor(SensorChange, await self._read(req))
        actor = self._callers.actor(req, identity)
        casts = await self._catalog.writing(sensors.change, identity, sensor, change, actor)
        await self._cast(casts)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Delete a sensor",
        description="Its readings, subscriptions and group memberships go too.",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("Deleted.")},
        errors=(NotFound,),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Delete one sensor and its readings."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        sensor_id = await self._catalog.writing(sensors.delete, identity, sensor, actor)
        try:
            await self._door.apply(DropSensor(sensor_id))
            await self._catalog.writing(sensors.readings_dropped, [sensor_id])
        except (Overloaded, StoreUnavailable) as error:
            # the sensor is gone for everybody; the catalog remembers what is left to do
            _log.warning(
                "readings of deleted sensor %d are still to be dropped: %s", sensor_id, error
            )
        answer_nothing(resp)


def _next_link(req: falcon.asgi.Request, after: int) -> str:
    """Return the Link (RFC 8288) to the page after this id."""
    params = {name: value for name, value in req.params.items() if name != "offset"}
    params["cursor"] = sensor_query.make_cursor(after)
    return f'<{req.path}?{urlencode(params, doseq=True)}>; rel="next"'
