"""The user's gateways: the list, and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit import times
from wotkit.catalog import gateways
from wotkit.web.pages.page import Page, identity_of

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.gateways import GatewayRow

LIST: Final = "/account/gateways"
ROWS: Final = 100
_DIGITS: Final = 6
_LATEST: Final = times.parse("2999-12-31T00:00:00Z")
_UNITS: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_SPANS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class GatewaysPage(Page):
    """``/account/gateways``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the user's gateways."""
        visitor, session = await self.signed_in(req)
        given = req.get_param("from") or ""
        offset = int(given) if given.isdecimal() and len(given) <= _DIGITS else 0
        wanted = gateways.Wanted(offset=offset, limit=ROWS + 1)

        def work() -> list[GatewayRow]:
            return gateways.list_for(identity_of(session), wanted)

        found = await self.catalog.reading(work)
        self.show(
            req,
            resp,
            "gateways.html",
            visitor,
            gateways=found[:ROWS],
            failing=failing,
            before=f"{LIST}?from={max(offset - ROWS, 0)}" if offset else "",
            after=f"{LIST}?from={offset + ROWS}" if len(found) > ROWS else "",
        )


class GatewayPage(Page):
    """``/account/gateways/{gateway}``."""

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, gateway: str
    ) -> None:
        """Show one gateway."""
        visitor, session = await self.signed_in(req)

        def work() -> GatewayRow:
            return gateways.get(identity_of(session), gateway)

        row = await self.catalog.reading(work)
        self.show(
            req,
            resp,
            "gateway.html",
            visitor,
            gateway=row,
            report=row.report,
            micros=micros,
            size=size,
            span=span,
        )

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, gateway: str
    ) -> None:
        """Forget one gateway."""
        visitor, session = await self.signed_in(req)
        await self.form(req, visitor)

        def work() -> str:
            row = gateways.get(identity_of(session), gateway)
            gateways.delete(row, visitor.actor)
            return row.name

        name = await self.catalog.writing(work)
        self.lead(resp, LIST, f"{name} is deleted. It appears again when it reports.")


def failing(row: GatewayRow) -> list[str]:
    """Return the names of a gateway's inputs that fail."""
    return [one.name for one in row.report.inputs if one.state == "failing"]


def micros(text: str) -> int:
    """Return a time that a gateway told, which may have a clock that is very wrong."""
    return min(max(times.parse(text), times.MICROSECONDS), _LATEST)


def size(count: int) -> str:
    """Return a number of bytes for people."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def span(seconds: float) -> str:
    """Return a time span in the largest unit that fits."""
    for length, unit in _SPANS:
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a second"
