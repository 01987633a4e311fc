"""Connected applications: what the user lets others do, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.catalog import grants
from wotkit.catalog.identity import IN_WORDS
from wotkit.catalog.references import is_id
from wotkit.errors import NotFound
from wotkit.web.pages.page import Page, identity_of

if TYPE_CHECKING:
    import falcon.asgi

HOW: Final = {
    grants.CONSENT: "You allowed it in the browser",
    grants.DEVICE: "You allowed it by a code",
    grants.PASSWORD: "You typed your password into it",
    grants.CLIENT: "It is yours and acts by itself",
    grants.DEVELOPER: "Developer token that you made",
    grants.FROB: "You allowed a desktop program",
}
"""How each kind of grant came about, as the user remembers it."""


class ConnectedPage(Page):
    """``/account/connected``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the user's live grants."""
        visitor, session = await self.signed_in(req)
        found = await self.catalog.reading(grants.list_for, session.user_id)
        self.show(req, resp, "connected.html", visitor, grants=found, how=HOW, scopes=IN_WORDS)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """End a grant: its tokens are refused from the next request on."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        if not is_id(form["grant"]):
            raise NotFound("There is no such connection.")
        grant_id = int(form["grant"])

        def revoke() -> str:
            row = grants.get(identity_of(session), grant_id)
            grants.revoke(identity_of(session), grant_id, visitor.actor)
            return row.app

        name = await self.catalog.writing(revoke)
        self.lead(resp, "/account/connected", f"{name} can no longer act for you.")
