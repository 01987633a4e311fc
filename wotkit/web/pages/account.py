"""The user's own settings: profile, password, sessions."""

from __future__ import annotations

import zoneinfo
from functools import cache
from typing import TYPE_CHECKING, Final

from wotkit import times
from wotkit.auth import passwords
from wotkit.catalog import sessions, users
from wotkit.catalog.users import UserChange
from wotkit.errors import Unauthenticated, WotkitError
from wotkit.web.pages.page import Page, problems_of

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.sessions import SessionRow
    from wotkit.web.pages.page import Visitor

_NOT_PRESENT: Final = {"old_password": "This is not your present password."}


@cache
def time_zones() -> list[tuple[str, str]]:
    """Return every IANA time zone as value and text of a choice."""
    return [(name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones())]


class ProfilePage(Page):
    """``/account``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form."""
        visitor, session = await self.signed_in(req)
        user = await self.catalog.reading(users.get, session.username)
        values = {name: str(getattr(user, name)) for name in user.__struct_fields__}
        self.show(req, resp, "profile.html", visitor, values=values, zones=time_zones())

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Change the profile."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        wanted = UserChange(
            first_name=form["first_name"],
            last_name=form["last_name"],
            email=form["email"],
            time_zone=form["time_zone"],
        )
        try:
            await self.catalog.writing(users.change, session.username, wanted, visitor.actor)
        except WotkitError as error:
            wrong = problems_of(error)
            wrong["time_zone"] = wrong.pop("timeZone", "")
            self.show(
                req,
                resp,
                "profile.html",
                visitor,
                status=400,
                values=form.values(),
                wrong=wrong,
                zones=time_zones(),
            )
            return
        self.lead(resp, "/account", "Saved.")


class PasswordPage(Page):
    """``/account/password``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form."""
        visitor, _ = await self.signed_in(req)
        self._form(req, resp, visitor)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Change the password; every other session ends, and this one gets a new id."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        authenticator = self.site.authenticator
        began = times.now()
        try:
            await authenticator.verify(session.username, form.raw("old_password"), visitor.address)
        except Unauthenticated:
            self._form(req, resp, visitor, _NOT_PRESENT)
            return
        new = form.raw("password")
        try:
            passwords.check_choice(new, self.site.settings.auth.password_min_length)
        except WotkitError as error:
            self._form(req, resp, visitor, problems_of(error))
            return
        hashed = await authenticator.hash_password(new)

        def change() -> bool:
            if not users.unchanged_since(session.user_id, began):
                return False
            revoke_keys = form.ticked("revoke_keys")
            users.set_password(session.username, hashed, visitor.actor, revoke_keys=revoke_keys)
            return True

        if not await self.catalog.writing(change):
            self._form(req, resp, visitor, _NOT_PRESENT)
            return
        await self.sign_in(req, resp, session.user_id)
        self.lead(resp, "/account", "Your password is changed. All other sessions have ended.")

    def _form(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        wrong: dict[str, str] | None = None,
    ) -> None:
        length = self.site.settings.auth.password_min_length
        status = 400 if wrong else 200
        self.show(
            req, resp, "password.html", visitor, status=status, wrong=wrong or {}, length=length
        )


class SessionsPage(Page):
    """``/account/sessions``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the browsers that are signed in."""
        visitor, session = await self.signed_in(req)
        found: list[SessionRow] = await self.catalog.reading(
            sessions.list_for, session.user_id, self.lifetimes
        )
        self.show(req, resp, "sessions.html", visitor, sessions=found)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """End one session, or all others."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        if form["session"]:
            await self.catalog.writing(sessions.close, session.user_id, form["session"])
            self.lead(resp, "/account/sessions", "That browser is signed out.")
            return
        ended = await self.catalog.writing(sessions.close_all, session.user_id, but=session.hash)
        self.lead(resp, "/account/sessions", f"Signed out everywhere else: {ended}.")
