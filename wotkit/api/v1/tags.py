"""Tags of sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from wotkit import times
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import read_query
from wotkit.api.responses import answer_json
from wotkit.api.v1.paging import LINK, MOST, Limit, Offset, link_next
from wotkit.catalog import tags
from wotkit.catalog.identity import READ
from wotkit.catalog.sensor_query import SensorQuery
from wotkit.errors import BoxOutOfBounds, BoxUpsideDown, InvalidMetadataQuery, InvalidQuery

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.api.v1.activity import Activity
    from wotkit.catalog import Catalog

TAG: Final = "Tags"


class TagsQuery(SensorQuery, frozen=True, kw_only=True):
    """Tags of which sensors, and which part of the list."""

    offset: Offset = 0
    limit: Limit = MOST


class TagAnswer(Struct, kw_only=True, rename="camel"):
    """A tag, as its newest sensor spells it."""

    name: str
    count: Annotated[int, Meta(description="How many of the sensors have it.")]
    last_used: Annotated[
        int, Meta(description="When the newest of them was created, in milliseconds since 1970.")
    ]


class TagsResource:
    """The tags of sensors."""

    def __init__(self, catalog: Catalog, callers: Callers, activity: Activity) -> None:
        self._catalog = catalog
        self._callers = callers
        self._activity = activity

    @operation(
        tag=TAG,
        summary="List tags",
        description="Of the sensors that match the query and that the caller may see, in "
        "alphabetical order. `offset` and `limit` count tags.",
        privacy="public or private",
        scope=READ,
        query=TagsQuery,
        returns={200: Returns("The tags.", list[TagAnswer], headers=LINK)},
        errors=(InvalidQuery, InvalidMetadataQuery, BoxUpsideDown, BoxOutOfBounds),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the tags of the sensors that match."""
        identity = await self._callers.identify(req, READ)
        asked = read_query(req, TagsQuery)
        filters = {name: getattr(asked, name) for name in SensorQuery.__struct_fields__}
        active = None if asked.active is None else await self._activity.active()
        page = await self._catalog.reading(
            tags.page, identity, SensorQuery(**filters), asked.limit, asked.offset, active
        )
        if page.more:
            link_next(req, resp, asked.offset + asked.limit)
        answer_json(
            resp,
            [
                TagAnswer(
                    name=row.name, count=row.count, last_used=row.last_used // times.MILLISECONDS
                )
                for row in page.tags
            ],
        )
