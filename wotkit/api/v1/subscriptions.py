"""Subscriptions: the sensors that the caller follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_query
from wotkit.api.responses import answer_json, answer_nothing
from wotkit.api.v1.paging import LINK, PageQuery, link_next
from wotkit.api.v1.sensor_forms import SensorAnswer, sensor_answer
from wotkit.catalog import sensor_query, subscriptions
from wotkit.catalog.identity import MANAGE, READ
from wotkit.catalog.sensor_query import SensorQuery, Slice
from wotkit.errors import CannotPerform, NotFound

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.readings.readers import ReaderPool

TAG: Final = "Subscriptions"


class SubscriptionsResource:
    """All sensors that the caller follows."""

    def __init__(self, catalog: Catalog, callers: Callers, readers: ReaderPool) -> None:
        self._catalog = catalog
        self._callers = callers
        self._readers = readers

    @operation(
        tag=TAG,
        summary="List the sensors you follow",
        privacy="private",
        scope=READ,
        query=PageQuery,
        returns={
            200: Returns(
                "The sensors, in the order of their ids.", list[SensorAnswer], headers=LINK
            )
        },
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the sensors that the caller follows."""
        identity = await self._callers.identify_known(req, READ)
        asked = read_query(req, PageQuery)
        followed = SensorQuery(scope="subscribed", text=asked.text)
        part = Slice(asked.limit, asked.offset)
        page = await self._catalog.reading(sensor_query.page, identity, followed, part)
        latest = await self._readers.latest([row.id for row in page.sensors])
        if page.more:
            link_next(req, resp, asked.offset + asked.limit)
        answer_json(resp, [sensor_answer(row, latest.get(row.id)) for row in page.sensors])


class SensorSubscriptionResource:
    """Whether the caller follows one sensor."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="Follow a sensor",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("Followed.")},
        errors=(NotFound, CannotPerform),
    )
    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Let the caller follow a sensor."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(subscriptions.subscribe, identity, sensor, actor)
        answer_nothing(resp)

    @operation(
        tag=TAG,
        summary="Stop following a sensor",
        privacy="private",
        scope=MANAGE,
        returns={204: Returns("No longer followed.")},
        errors=(NotFound, CannotPerform),
    )
    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, sensor: str
    ) -> None:
        """Let the caller follow a sensor no more."""
        identity = await self._callers.identify(req, MANAGE)
        actor = self._callers.actor(req, identity)
        await self._catalog.writing(subscriptions.unsubscribe, identity, sensor, actor)
        answer_nothing(resp)
