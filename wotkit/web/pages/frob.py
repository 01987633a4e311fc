"""The page on which a user decides about a desktop program that came with a frob."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from wotkit.auth import frob
from wotkit.auth.oauth2.authorize import Refused
from wotkit.catalog import frobs, tokens
from wotkit.catalog.identity import IN_WORDS
from wotkit.errors import FrobSpent, InvalidQuery, MalformedBody, WrongSignature
from wotkit.web.pages.authorize import ALLOW, DENY, login_address, query_of
from wotkit.web.pages.page import GoElsewhere, Page, read_form

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.models import App
    from wotkit.web.pages.page import Visitor

_PURPOSE = "frob"


class Asked(Struct, frozen=True, kw_only=True):
    """What a program asks of the user."""

    app: App
    frob: str
    permission: str
    name: str
    description: str
    website: str
    icon: str
    owner: str
    scopes: tuple[str, ...]


class FrobPage(Page):
    """``/apps/authorize``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Ask the user, who logs in first."""
        query = query_of(req)
        visitor = await self.visitor(req)
        found = await self.catalog.reading(self._examined, query)
        if isinstance(found, Refused):
            self._refuse(req, resp, visitor, found)
            return
        if visitor.session is None:
            raise GoElsewhere(login_address(req.path, query))
        self.show(
            req,
            resp,
            "frob.html",
            visitor,
            asked=found,
            words=IN_WORDS,
            query=self.site.signer.seal(_PURPOSE, query),
            back=f"{req.path}?{query}",
        )

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Take the decision, after examining what was asked once more."""
        visitor = await self.visitor(req)
        session = visitor.session
        if session is None:
            query = self._asked_in((await read_form(req))["query"])
            raise GoElsewhere(login_address(req.path, query))
        form = await self.form(req, visitor)
        query, decision = self._asked_in(form["query"]), form["decision"]
        if decision not in {ALLOW, DENY}:
            raise MalformedBody("the decision is missing: allow or deny")

        def decide() -> Asked | Refused:
            found = self._examined(query)
            if isinstance(found, Refused):
                return found
            user = self.present(session)
            if decision == ALLOW:
                frobs.allow(found.frob, found.app, found.permission, user, visitor.actor)
            else:
                frobs.deny(found.frob, found.app, user)
            return found

        found = await self.catalog.writing(decide)
        if isinstance(found, Refused):
            self._refuse(req, resp, visitor, found)
            return
        self.show(req, resp, "frob_done.html", visitor, asked=found, allowed=decision == ALLOW)

    def _asked_in(self, sealed: str) -> str:
        query = self.site.signer.opened(_PURPOSE, sealed)
        if query is None:
            raise MalformedBody("the form is incomplete; go back to the program and try again")
        return query

    def _examined(self, query: str) -> Asked | Refused:
        """Return what a program asks, or why it may not; a unit of work."""
        try:
            call = frob.read_call(query.encode(), (), frob.AUTHORIZE)
            app = frob.signer(call, self.site.secret_key)
        except InvalidQuery as error:
            return _malformed("; ".join([*error.developer, *map(" ".join, error.more.items())]))
        except WrongSignature as error:
            return _malformed("; ".join(error.developer))
        permission = call.params.get("perm_doc", frobs.NONE)
        if permission not in frobs.SCOPES:
            return _malformed(f"perm_doc must be one of {', '.join(frobs.SCOPES)}")
        given = call.params.get("frob", "")
        try:
            frobs.check_waits(given, app)
        except FrobSpent as error:
            return _spent("; ".join(error.developer))
        return Asked(
            app=app,
            frob=given,
            permission=permission,
            name=app.name,
            description=app.description,
            website=app.website,
            icon=app.icon,
            owner=tokens.owner_of(app),
            scopes=tuple(frobs.SCOPES[permission].split()),
        )

    def _refuse(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        refused: Refused,
    ) -> None:
        self.show(req, resp, "frob_refused.html", visitor, status=400, refused=refused)


def _malformed(developer: str) -> Refused:
    return Refused(
        title="The program's request cannot be used",
        detail="The link that brought you here is incomplete, was changed on its way, or is not "
        "of a program that is registered for it.",
        developer=developer,
    )


def _spent(developer: str) -> Refused:
    return Refused(
        title="This request is over",
        detail="It was decided about already, or is older than an hour. If the program still "
        "waits for you, have it ask once more.",
        developer=developer,
    )
