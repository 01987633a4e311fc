"""Errors as pages: what happened, and what to do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import falcon
import falcon.asgi

from wotkit import errors
from wotkit.api import errors as api_errors
from wotkit.edge import plain_path
from wotkit.errors import Category, WotkitError
from wotkit.web.pages.page import GoElsewhere, Page

if TYPE_CHECKING:
    from wotkit.web.pages.page import Site

_TITLES: Final = {
    Category.NOT_FOUND: "There is nothing here",
    Category.METHOD_NOT_ALLOWED: "That cannot be done here",
    Category.FORBIDDEN: "That is not allowed",
    Category.UNAUTHENTICATED: "Please log in",
    Category.TOO_MANY: "Too many tries",
    Category.UNAVAILABLE: "Too busy at the moment",
    Category.INTERNAL: "Something went wrong",
}
_OF_STATUS: Final[dict[int, type[WotkitError]]] = {
    404: errors.NoSuchRoute,
    405: errors.MethodNotAllowed,
}
_FROM_INTERNAL: Final = 500

_log: Final = logging.getLogger(__name__)


class ErrorPage(Page):
    """Answers an error as a page."""

    async def answer(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, error: WotkitError
    ) -> None:
        """Answer an error; where not even the visitor can be found out, to anybody."""
        req.scope["wotkit.error"] = error
        for name, value in api_errors.headers(error).items():
            if name != "WWW-Authenticate":  # a browser would ask for a password by itself
                resp.set_header(name, value)
        try:
            visitor = await self.visitor(req)
        except WotkitError:
            visitor = self.nobody(req)
        category = error.code.category
        self.show(
            req,
            resp,
            "error.html",
            visitor,
            status=api_errors.status_of(error),
            title=_TITLES.get(category, "That did not work"),
            lines=[*error.developer, *error.more.values()] or [error.code.message],
            wait=error.retry_after,
            request_id=req.scope.get("wotkit.request_id", ""),
        )


def install(app: falcon.asgi.App[Any, Any], site: Site) -> None:
    """Answer every error of ``app`` as a page."""
    page = ErrorPage(site)

    async def of_domain(req: Any, resp: Any, error: WotkitError, _: Any) -> None:
        await page.answer(req, resp, error)

    async def of_falcon(req: Any, resp: Any, error: falcon.HTTPError, _: Any) -> None:
        known = _OF_STATUS.get(error.status_code)
        if known is not None:
            await page.answer(req, resp, known(f"There is no page {plain_path(req.path)[:100]}."))
            resp.set_headers({k: v for k, v in dict(error.headers or {}).items() if k == "Allow"})
        elif error.status_code < _FROM_INTERNAL:
            await page.answer(req, resp, errors.MalformedBody(error.description or ""))
        else:
            await unexpected(req, resp, error, None)

    async def elsewhere(_req: Any, resp: Any, error: GoElsewhere, _: Any) -> None:
        page.lead(resp, error.path)

    async def unexpected(req: Any, resp: Any, error: Exception, _: Any) -> None:
        request_id = req.scope.get("wotkit.request_id", "")
        _log.error("unexpected error, request_id=%s", request_id, exc_info=error)
        await page.answer(
            req, resp, errors.InternalError("The server's log says more, under this request id.")
        )

    app.add_error_handler(Exception, unexpected)
    app.add_error_handler(falcon.HTTPError, of_falcon)
    app.add_error_handler(WotkitError, of_domain)
    app.add_error_handler(GoElsewhere, elsewhere)
