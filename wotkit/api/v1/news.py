"""What goes on in public: news and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from wotkit import times
from wotkit.api.operation import Returns, operation
from wotkit.api.responses import answer_json
from wotkit.catalog import news

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.catalog.news import PublicSensor

TAG: Final = "News and stats"
MOST: Final = 50
"""News of one answer."""


class NewsAnswer(Struct, kw_only=True):
    """Something that happened in public."""

    timestamp: Annotated[int, Meta(description="When, in milliseconds since 1970.")]
    title: str
    url: Annotated[str, Meta(description="The path of what it is about.")]


class NewsResource:
    """Recent public activity."""

    def __init__(self, catalog: Catalog, callers: Callers) -> None:
        self._catalog = catalog
        self._callers = callers

    @operation(
        tag=TAG,
        summary="Read the news",
        description=f"The {MOST} latest: public sensors that were created, newest first.",
        privacy="public or private",
        returns={200: Returns("The news.", list[NewsAnswer])},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the news."""
        await self._callers.identify_anybody(req)
        created = await self._catalog.reading(news.newest, MOST)
        answer_json(resp, [_created(sensor) for sensor in created])


def _created(sensor: PublicSensor) -> NewsAnswer:
    return NewsAnswer(
        timestamp=sensor.created // times.MILLISECONDS,
        title=f'{sensor.owner} created the sensor "{sensor.long_name}".',
        url=f"/api/v1/sensors/{sensor.id}",
    )
