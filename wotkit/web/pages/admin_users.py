"""Users, for administrators: list, make, change, let in again, end sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.auth import passwords
from wotkit.catalog import audit, links, sessions, users
from wotkit.catalog.users import NewUser, UserChange
from wotkit.errors import AlreadyExists, CannotPerform, InvalidObject, MalformedBody
from wotkit.web.pages.account import time_zones
from wotkit.web.pages.admin_home import PAGE_SIZE, asked, listing
from wotkit.web.pages.page import TAKEN, Page, problems_of

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.audit import Actor
    from wotkit.errors import WotkitError
    from wotkit.web.pages.page import Form, Visitor

LIST: Final = "/admin/users"
ROLES: Final = [
    ("user", "User"),
    ("admin", "Administrator: sees and changes all users, organizations and sensors"),
]


class UsersPage(Page):
    """``/admin/users``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List users, newest first, with a search."""
        visitor, _ = await self.administrator(req)
        text, number = asked(req)
        found = await self.catalog.reading(users.page, text, PAGE_SIZE + 1, number * PAGE_SIZE)
        self.show(req, resp, "admin_users.html", visitor, **listing(req, text, number, found))


class NewUserPage(Page):
    """``/admin/users/new``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form."""
        visitor, session = await self.administrator(req)
        self._form(req, resp, visitor, {"role": "user", "time_zone": session.time_zone}, None)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Make a user, whom nobody can be yet, and show the link to choose a password."""
        visitor, _ = await self.administrator(req)
        form = await self.form(req, visitor)
        user = NewUser(
            username=form["username"],
            # of a password that nobody knows
            password_hash=await self.site.authenticator.hash_password(passwords.make_secret()),
            email=form["email"],
            first_name=form["first_name"],
            last_name=form["last_name"],
            time_zone=form["time_zone"],
            role=form["role"],
        )
        try:
            await self.catalog.writing(users.create, user, visitor.actor)
        except (InvalidObject, AlreadyExists) as error:
            self._form(req, resp, visitor, form.values(), error)
            return
        await show_link(self, req, resp, visitor, user.username, new=True)

    def _form(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        values: dict[str, str],
        error: WotkitError | None,
    ) -> None:
        wrong = {} if error is None else _wrong(error)
        if isinstance(error, AlreadyExists):
            wrong = {"username": TAKEN}
        self.show(
            req,
            resp,
            "admin_user_new.html",
            visitor,
            status=200 if error is None else 400,
            values=values,
            wrong=wrong,
            zones=time_zones(),
            roles=ROLES,
        )


class UserPage(Page):
    """``/admin/users/{user}``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, user: str) -> None:
        """Show a user and what can be done."""
        visitor, _ = await self.administrator(req)
        await self._show(req, resp, visitor, user)

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, user: str
    ) -> None:
        """Change a user, make a link for a new password, or end sessions."""
        visitor, _ = await self.administrator(req)
        form = await self.form(req, visitor)
        row = await self.catalog.reading(users.get, user)
        to = f"{LIST}/{row.username}"
        if form["action"] == "link":
            await show_link(self, req, resp, visitor, row.username)
        elif form["action"] == "sessions":
            ended = await self.catalog.writing(_end_sessions, row, visitor.actor)
            self.lead(resp, to, f"{ended} session{'' if ended == 1 else 's'} ended.")
        elif form["action"] == "change":
            try:
                await self.catalog.writing(
                    users.change, row.username, _change_of(form), visitor.actor
                )
            except (InvalidObject, CannotPerform) as error:
                await self._show(req, resp, visitor, user, form, error)
                return
            self.lead(resp, to, "Saved.")
        else:
            raise MalformedBody("action is none of those offered")

    async def _show(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        name: str,
        form: Form | None = None,
        error: WotkitError | None = None,
    ) -> None:
        def read() -> tuple[Any, int]:
            row = users.get(name)
            return row, len(sessions.list_for(row.id, self.lifetimes))

        row, open_sessions = await self.catalog.reading(read)
        values = {field: str(getattr(row, field)) for field in row.__struct_fields__}
        self.show(
            req,
            resp,
            "admin_user.html",
            visitor,
            status=200 if error is None else 400,
            user=row,
            open_sessions=open_sessions,
            values=values if form is None else form.values(),
            enabled=row.enabled if form is None else form.ticked("enabled"),
            wrong={} if error is None else _wrong(error),
            zones=time_zones(),
            roles=ROLES,
        )


async def show_link(
    page: Page,
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    visitor: Visitor,
    username: str,
    *,
    new: bool = False,
) -> None:
    """Make a link with which a user chooses a password, and show it, this once."""
    secret = passwords.make_secret()
    seconds = page.site.settings.web.link_seconds

    def make() -> None:
        user_id = users.get(username).id
        hashed = passwords.hash_secret(secret)
        links.make(links.PASSWORD, hashed, seconds=seconds, user_id=user_id)
        audit.record(visitor.actor, "user.link", username)

    await page.catalog.writing(make)
    link = f"{page.address(req)}/password/{secret}"
    page.show(
        req,
        resp,
        "admin_user_link.html",
        visitor,
        username=username,
        link=link,
        hours=f"{seconds / 3600:g}",
        new=new,
    )


def _change_of(form: Form) -> UserChange:
    return UserChange(
        email=form["email"],
        first_name=form["first_name"],
        last_name=form["last_name"],
        time_zone=form["time_zone"],
        role=form["role"],
        enabled=form.ticked("enabled"),
    )


def _end_sessions(row: users.UserRow, actor: Actor) -> int:
    ended = sessions.close_all(row.id)
    audit.record(actor, "user.sessions", row.username, ended=ended)
    return ended


def _wrong(error: WotkitError) -> dict[str, str]:
    wrong = problems_of(error)
    if "timeZone" in wrong:
        wrong["time_zone"] = wrong.pop("timeZone")
    return wrong
