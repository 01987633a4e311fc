"""What administrators see first, and all applications."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from wotkit.catalog import apps, audit
from wotkit.catalog.audit import AuditFilter
from wotkit.catalog.overview import overview
from wotkit.web.pages.apps import KINDS, SWITCHES
from wotkit.web.pages.page import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    import falcon.asgi

PAGE_SIZE: Final = 50
_LATELY: Final = 10
_MOST_PAGES: Final = 100_000


def asked(req: falcon.asgi.Request) -> tuple[str, int]:
    """Return what is searched for, and the number of the page."""
    text = (req.get_param("q") or "").strip()[:200]
    number = req.get_param_as_int("page", min_value=0, max_value=_MOST_PAGES, default=0)
    return text, number or 0


def listing(req: falcon.asgi.Request, text: str, number: int, found: Sequence[Any]) -> Any:
    """Return what a template shows of a page of a list; ``found`` has one row more than fits."""

    def link(to: int) -> str:
        return f"{req.path}?{urllib.parse.urlencode({'q': text, 'page': to})}"

    return {
        "rows": found[:PAGE_SIZE],
        "text": text,
        "before": None if number == 0 else link(number - 1),
        "after": link(number + 1) if len(found) > PAGE_SIZE else None,
    }


class AdminPage(Page):
    """``/admin``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show how much there is, and what was done lately."""
        visitor, _ = await self.administrator(req)
        counts, rows = await self.catalog.reading(
            lambda: (overview(), audit.page(AuditFilter(), _LATELY))
        )
        self.show(req, resp, "admin.html", visitor, counts=counts, rows=rows)


class AdminAppsPage(Page):
    """``/admin/apps``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List every application, whoever owns it."""
        visitor, _ = await self.administrator(req)
        text, number = asked(req)
        found = await self.catalog.reading(apps.page, text, PAGE_SIZE + 1, number * PAGE_SIZE)
        self.show(
            req,
            resp,
            "admin_apps.html",
            visitor,
            kinds=KINDS,
            switches=SWITCHES,
            **listing(req, text, number, found),
        )
