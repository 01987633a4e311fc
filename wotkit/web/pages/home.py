"""The home page: what this server is, or what the user has on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wotkit.catalog import users
from wotkit.catalog.models import App, Grant, Key, Sensor
from wotkit.web.pages.page import Page

if TYPE_CHECKING:
    import falcon.asgi


class HomePage(Page):
    """``GET /``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show what the user has, or what this is."""
        visitor = await self.visitor(req)
        if visitor.session is None:
            nobody = await self.catalog.reading(lambda: not users.page(None, 1, 0))
            self.show(req, resp, "home.html", visitor, new=nobody)
        else:
            counts = await self.catalog.reading(_counts, visitor.session.user_id)
            self.show(req, resp, "overview.html", visitor, counts=counts)


class Counts(NamedTuple):
    """How much of everything a user has."""

    sensors: int
    keys: int
    apps: int
    connected: int


def _counts(user_id: int) -> Counts:
    """Return how much of everything a user has; for a unit of work."""
    live = (Grant.user == user_id) & Grant.ended.is_null()
    return Counts(
        sensors=Sensor.select().where(Sensor.owner == user_id).count(),
        keys=Key.select().where(Key.user == user_id).count(),
        apps=App.select().where(App.owner == user_id).count(),
        connected=Grant.select(Grant.app).where(live).distinct().count(),
    )
