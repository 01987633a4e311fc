"""Sends requests for pages to the site, and all others on to the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.edge import ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SEGMENTS: Final = frozenset(
    {
        "",
        "account",
        "admin",
        "apps",
        "device",
        "forgotten",
        "login",
        "logout",
        "password",
        "register",
        "static",
        "welcome",
    }
)
"""How the paths of pages begin."""
PAGES: Final = "/pages"
"""As which route pages are counted."""
AUTHORIZE: Final = frozenset({"/api/oauth/authorize", "/api/oauthv2/authorize"})
"""Pages among the API's paths."""


OTHERS: Final = frozenset(
    {"api", "docs", "healthz", "readyz", "metrics", ".well-known", "internal"}
)
"""How the other paths begin that this server knows."""


def is_page(path: str) -> bool:
    """Return whether a path belongs to the pages and not to the API."""
    return path[1:].partition("/")[0] in FIRST_SEGMENTS or path in AUTHORIZE


def is_lost(scope: Any) -> bool:
    """Return whether somebody with a browser asks for what does not exist: a page says so."""
    if scope["path"][1:].partition("/")[0] in OTHERS:
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


class Entrance:
    """An ASGI application before the API's; the site is made when it is first asked for."""

    def __init__(self, api: Any, make_site: Callable[[], Any]) -> None:
        self._api = api
        self._make_site = make_site
        self._site: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request from the one or the other."""
        if scope["type"] != "http" or not (is_page(scope["path"]) or is_lost(scope)):
            await self._api(scope, receive, send)
            return
        if self._site is None:
            self._site = self._make_site()
        scope[ROUTE] = PAGES
        await self._site(scope, receive, send)
