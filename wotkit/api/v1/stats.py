"""How many public sensors there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from wotkit import times
from wotkit.api.operation import Returns, operation
from wotkit.api.responses import answer_json
from wotkit.api.v1.news import TAG
from wotkit.catalog import news

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.api.v1.activity import Activity
    from wotkit.catalog import Catalog

_DAYS: Final = (1, 7, 30, 365)
_DAY: Final = 86_400 * times.MICROSECONDS


class NewSensors(Struct, kw_only=True):
    """How many were created in the last 1, 7, 30 and 365 days."""

    day: int
    week: int
    month: int
    year: int


class StatsAnswer(Struct, kw_only=True):
    """Numbers of public sensors."""

    total: int
    active: Annotated[int, Meta(description="Those that had a reading in the last 15 minutes.")]
    new: NewSensors


class StatsResource:
    """Numbers of public sensors."""

    def __init__(self, catalog: Catalog, callers: Callers, activity: Activity) -> None:
        self._catalog = catalog
        self._callers = callers
        self._activity = activity

    @operation(
        tag=TAG,
        summary="Count public sensors",
        privacy="public or private",
        returns={200: Returns("The numbers.", StatsAnswer)},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer how many public sensors there are."""
        await self._callers.identify_anybody(req)
        now = times.now()
        since = [now - days * _DAY for days in _DAYS]
        active = await self._activity.active()
        counts = await self._catalog.reading(news.counts, active, since)
        day, week, month, year = counts.since
        answer_json(
            resp,
            StatsAnswer(
                total=counts.total,
                active=counts.active,
                new=NewSensors(day=day, week=week, month=month, year=year),
            ),
        )
