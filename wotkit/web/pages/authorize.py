"""The page on which a user decides whether an application may act for it."""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING, Final

from wotkit.api.oauth.metadata import issuer_of
from wotkit.auth.oauth2 import authorize
from wotkit.auth.oauth2.authorize import Asked, Redirect, Refused
from wotkit.catalog.app_checks import OUT_OF_BAND
from wotkit.catalog.identity import IN_WORDS
from wotkit.errors import MalformedBody
from wotkit.web.entrance import AUTHORIZE
from wotkit.web.pages.page import GoElsewhere, Page, identity_of, read_form

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.sessions import SessionRow
    from wotkit.web.pages.page import Site, Visitor

ALLOW: Final = "allow"
DENY: Final = "deny"
NONE: Final = "none"
CONSENT: Final = "consent"
"""What an application may say of asking the user: its parameter ``prompt``."""

_PURPOSE: Final = "authorize"
_AS_SENT: Final = "!$%&'()*+,-./:;=?@_~"
"""What stays as it is in a query; all else is escaped, so that it fits into a path of ours."""
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")
_LOOPBACK: Final = "127.0.0.1"


def query_of(req: falcon.asgi.Request) -> str:
    """Return the query in ASCII, with what the browser did not escape escaped."""
    return urllib.parse.quote_from_bytes(req.scope["query_string"], safe=_AS_SENT)


def form_targets(redirect_uri: str) -> tuple[str, ...]:
    """Return the sources to which a form may lead whose answer redirects to ``redirect_uri``.

    Browsers hold the whole chain of redirects to them, and an application's callback often leads
    on to another of its hosts: any https address is among them, where the callback is on the web.
    """
    if redirect_uri == OUT_OF_BAND:
        return ()
    parts = urllib.parse.urlsplit(redirect_uri)
    if parts.scheme not in {"http", "https"}:
        return (f"{parts.scheme}:",)
    if parts.hostname == _LOOPBACK:
        return (f"http://{_LOOPBACK}:*",)
    if _HOST.fullmatch(parts.netloc) is None:
        return (f"{parts.scheme}:",)  # addresses in brackets cannot be named there
    return (f"{parts.scheme}://{parts.netloc}", "https:")


class AuthorizePage(Page):
    """``/api/oauth/authorize``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Ask the user, who logs in first; or answer at once where there is nothing to ask."""
        query = query_of(req)
        visitor = await self.visitor(req)
        found = await self.catalog.reading(
            examined, self.site, query, issuer_of(req, self.site.settings), visitor.session
        )
        prompts = _prompts(query)
        if isinstance(found, Asked) and NONE in prompts:
            found = await self._silently(req, visitor, query, prompts, may_skip=found.may_skip)
        elif isinstance(found, Asked):
            if visitor.session is None:
                raise GoElsewhere(login_address(req.path, query))
            if found.may_skip and CONSENT not in prompts:
                found = await self._decided(req, visitor, visitor.session, query, ALLOW)
        self._answer(req, resp, visitor, found, query)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Take the decision, after examining what was asked once more."""
        visitor = await self.visitor(req)
        if visitor.session is None:
            query = self._asked_in((await read_form(req))["query"])
            raise GoElsewhere(login_address(req.path, query))
        form = await self.form(req, visitor)
        query = self._asked_in(form["query"])
        decision = form["decision"]
        if decision not in {ALLOW, DENY}:
            raise MalformedBody("the decision is missing: allow or deny")
        found = await self._decided(req, visitor, visitor.session, query, decision)
        self._answer(req, resp, visitor, found, query)

    async def _silently(
        self,
        req: falcon.asgi.Request,
        visitor: Visitor,
        query: str,
        prompts: frozenset[str],
        *,
        may_skip: bool,
    ) -> Redirect | Refused:
        """Answer an application that wants no page shown (``prompt=none``).

        The errors are those of OpenID Connect Core 1.0 section 3.1.2.6.
        """
        if len(prompts) > 1:
            error, why = "invalid_request", "prompt is none and something else."
        elif visitor.session is None:
            error, why = "login_required", "Nobody is logged in."
        elif may_skip:
            return await self._decided(req, visitor, visitor.session, query, ALLOW)
        else:
            error, why = "consent_required", "The user has to be asked."
        return await self.catalog.reading(
            authorize.deny,
            query,
            issuer=issuer_of(req, self.site.settings),
            settings=self.site.settings,
            user=None,
            error=error,
            why=why,
        )

    def _asked_in(self, sealed: str) -> str:
        query = self.site.signer.opened(_PURPOSE, sealed)
        if query is None:
            raise MalformedBody("the form is incomplete; go back to the application and try again")
        return query

    async def _decided(
        self,
        req: falcon.asgi.Request,
        visitor: Visitor,
        session: SessionRow,
        query: str,
        decision: str,
    ) -> Redirect | Refused:
        issuer, settings = issuer_of(req, self.site.settings), self.site.settings

        def decide() -> Redirect | Refused:
            user = self.present(session)
            if decision == DENY:
                return authorize.deny(query, issuer=issuer, settings=settings, user=user)
            return authorize.allow(
                query, issuer=issuer, settings=settings, user=user, actor=visitor.actor
            )

        return await self.catalog.writing(decide)

    def _answer(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        found: Asked | Redirect | Refused,
        query: str,
    ) -> None:
        if isinstance(found, Refused):
            self.show(req, resp, "authorize_refused.html", visitor, status=400, refused=found)
        elif isinstance(found, Redirect):
            if found.location is not None:
                self.lead(resp, found.location)
            else:
                self.show(req, resp, "authorize_shown.html", visitor, shown=found.shown)
        else:
            self.show(
                req,
                resp,
                "authorize.html",
                visitor,
                form_targets=form_targets(found.redirect_uri),
                asked=found,
                words=IN_WORDS,
                query=self.site.signer.seal(_PURPOSE, query),
                back=f"{req.path}?{query}",
            )


async def targets_after_login(page: Page, req: falcon.asgi.Request, onward: str) -> tuple[str, ...]:
    """Return the sources beyond this server to which the login form may lead.

    An application that was allowed before is answered right after the login, and browsers count
    that redirect as the form's.
    """
    path, _, query = onward.partition("?")
    if path not in AUTHORIZE:
        return ()
    issuer = issuer_of(req, page.site.settings)
    found = await page.catalog.reading(examined, page.site, query, issuer, None)
    return form_targets(found.redirect_uri) if isinstance(found, Asked) else ()


def examined(
    site: Site, query: str, issuer: str, session: SessionRow | None
) -> Asked | Redirect | Refused:
    """Return what an application asks of the user; a unit of work."""
    user = None if session is None else identity_of(session)
    return authorize.examine(query, issuer=issuer, settings=site.settings, user=user)


def login_address(path: str, query: str) -> str:
    """Return the address of the login page that leads back to a path with its query."""
    return f"/login?{urllib.parse.urlencode({'next': f'{path}?{query}'})}"


def _prompts(query: str) -> frozenset[str]:
    """Return whether the application wants the user to be asked again, or not to be asked."""
    prompts = urllib.parse.parse_qs(query).get("prompt", [])
    return frozenset(word for prompt in prompts for word in prompt.split())
