"""The page on which a user lets a device without a browser act for it (RFC 8628 section 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wotkit.auth.oauth2.entry import DeviceEntry
from wotkit.catalog import devices
from wotkit.catalog.identity import IN_WORDS
from wotkit.errors import NotFound
from wotkit.web.pages.authorize import ALLOW, DENY
from wotkit.web.pages.page import Page, identity_of

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.devices import Waiting
    from wotkit.catalog.sessions import SessionRow
    from wotkit.web.pages.page import Site, Visitor

_LENGTH = 40
_UNKNOWN = (
    "No device waits with this code. Compare it with what the device shows; if it is the same, "
    "its time is over or it was used already: have the device show a new one."
)


class DevicePage(Page):
    """``/device``."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._entry = DeviceEntry(site.catalog, site.settings.auth)

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Ask for the code; or, with an address that has it in it, for the decision."""
        visitor, session = await self.signed_in(req)
        code = (req.get_param("user_code") or "").strip()[:_LENGTH]
        if code:
            await self._found(req, resp, visitor, session, code)
        else:
            self.show(req, resp, "device.html", visitor)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Take the code, or the decision; a decision too counts as a guess when it is wrong."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        code, decision = form["user_code"][:_LENGTH], form["decision"]
        found = await self._found(
            req, resp, visitor, session, code, ask=decision not in {ALLOW, DENY}
        )
        if found is None:
            return

        def decide() -> None:
            user = self.present(session)
            if decision == ALLOW:
                devices.allow(code, user, visitor.actor)
            else:
                devices.deny(code, user)

        try:
            await self.catalog.writing(decide)
        except NotFound:  # decided elsewhere, or its time ended, in between
            self._unknown(req, resp, visitor, code)
            return
        self.show(req, resp, "device_done.html", visitor, waiting=found, allowed=decision == ALLOW)

    async def _found(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        session: SessionRow,
        code: str,
        *,
        ask: bool = True,
    ) -> Waiting | None:
        """Return the device, unless the request is answered: by the question, or what is wrong."""
        user = await self.catalog.reading(identity_of, session)
        try:
            found = await self._entry.find(code, user, visitor.address)
        except NotFound:
            self._unknown(req, resp, visitor, code)
            return None
        if not ask:
            return found
        self.show(
            req,
            resp,
            "device_confirm.html",
            visitor,
            waiting=found,
            words=IN_WORDS,
            back=f"/device?user_code={found.user_code}",
        )
        return None

    def _unknown(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, visitor: Visitor, code: str
    ) -> None:
        self.show(
            req,
            resp,
            "device.html",
            visitor,
            status=400,
            values={"user_code": code},
            wrong={"user_code": _UNKNOWN},
        )
