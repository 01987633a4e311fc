"""The ways in: log in, log out, register, and links that let somebody choose a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from peewee import fn

from wotkit import times
from wotkit.auth import passwords
from wotkit.catalog import audit, links, logins, sessions, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.models import Account, User, rows
from wotkit.catalog.users import NewUser
from wotkit.errors import (
    AlreadyExists,
    CannotPerform,
    NotFound,
    TooManyLogins,
    Unauthenticated,
    WotkitError,
)
from wotkit.web.pages.authorize import targets_after_login
from wotkit.web.pages.page import TAKEN, Page, local_path, problems_of, read_form
from wotkit.web.pages.password_mail import known_address, send_password_link

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.web.pages.page import Form, Visitor

_WRONG: Final = "The name or the password is wrong."
_STALE: Final = "The page was from before; please try once more. Cookies must be allowed."
_SAME_ANSWER = "If there is such an account with an e-mail address, a link is on its way to it."


class LoginPage(Page):
    """``/login``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form; who is signed in already goes on."""
        visitor = await self.visitor(req)
        onward = local_path(req.get_param("next") or "/")
        if visitor.session is not None:
            self.lead(resp, onward)
            return
        targets = await targets_after_login(self, req, onward)
        self.show(req, resp, "login.html", visitor, form_targets=targets, values={"next": onward})

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Sign in and go on, or say that it did not work, but not why."""
        visitor = await self.visitor(req)
        form = await read_form(req)
        onward = local_path(form["next"] or "/")
        try:
            await self.check(form, visitor)
        except CannotPerform:
            if visitor.session is not None:
                raise CannotPerform(
                    f"You are logged in already, as {visitor.username}; in another tab, perhaps."
                ) from None
            await self._again(req, resp, visitor, form, onward, _STALE, 403)
            return
        began = times.now()
        try:
            identity = await self.site.authenticator.verify(
                form["username"].lower(), form.raw("password"), visitor.address
            )
        except Unauthenticated:
            await self._again(req, resp, visitor, form, onward, _WRONG, 401)
            return
        await self.sign_in(req, resp, identity.user_id, since=began)
        self.lead(resp, onward)

    async def _again(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        form: Form,
        onward: str,
        why: str,
        status: int,
    ) -> None:
        """Show the form once more."""
        self.show(
            req,
            resp,
            "login.html",
            visitor,
            status=status,
            form_targets=await targets_after_login(self, req, onward),
            values={**form.values(), "next": onward},
            wrong={"": why},
        )


class LogoutPage(Page):
    """``/logout``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Ask, since only a form of ours may end a session."""
        visitor, _ = await self.signed_in(req)
        self.show(req, resp, "logout.html", visitor)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """End the session."""
        visitor = await self.visitor(req)
        if visitor.session is None:  # it ended by itself, or in another tab
            self.lead(resp, "/", "You are logged out.")
            return
        form = await self.form(req, visitor)
        await self.catalog.writing(sessions.close, visitor.session.user_id, visitor.session.hash)
        self.sign_out(resp)
        self.lead(resp, local_path(form["next"] or "/"), "You are logged out.")


class _NewUserPage(Page):
    """Pages that make a user of what somebody typed."""

    async def make(self, form: Form, visitor: Visitor, *, role: str = "user", **link: str) -> int:
        """Make a user, using up a link if one is needed, and return its id.

        Raises:
            WotkitError: what is wrong is in ``more``, by field.
            NotFound: the link no longer works.
        """
        password = form.raw("password")
        passwords.check_choice(password, self.site.settings.auth.password_min_length)
        hashed = await self.site.authenticator.hash_password(password)
        user = NewUser(
            username=form["username"].lower(),
            password_hash=hashed,
            email=form["email"],
            first_name=form["first_name"],
            last_name=form["last_name"],
            time_zone=form["time_zone"] or "UTC",
            role=role,
        )
        return await self.catalog.writing(
            _create, user, Actor(user.username, visitor.address), **link
        )


def _wrong(error: WotkitError) -> dict[str, str]:
    """Return what is wrong with a new user, by the names of the form's fields."""
    if isinstance(error, AlreadyExists):
        return {"username": TAKEN}
    return problems_of(error)


def _create(user: NewUser, actor: Actor, *, purpose: str = "", secret_hash: str = "") -> int:
    if purpose and not links.use(secret_hash, purpose):
        raise NotFound("This link was used already, or its time is over.")
    return users.create(user, actor)


class RegisterPage(_NewUserPage):
    """``/register``, as far as the setting ``web.registration`` allows."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form."""
        visitor = await self.visitor(req)
        invitation = await self._invitation(req.get_param("invitation") or "")
        values = {"invitation": req.get_param("invitation") or "", "email": invitation}
        self.show(req, resp, "register.html", visitor, values=values, heading="Register")

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Make the user and sign in."""
        visitor = await self.visitor(req)
        form = await self.form(req, visitor)
        await self._invitation(form["invitation"])
        link: dict[str, str] = {}
        if self.site.settings.web.registration == "invitation":
            secret_hash = passwords.hash_secret(form["invitation"])
            link = {"purpose": links.INVITATION, "secret_hash": secret_hash}
        try:
            user_id = await self.make(form, visitor, **link)
        except WotkitError as error:
            self.show(
                req,
                resp,
                "register.html",
                visitor,
                status=400,
                values=form.values(),
                wrong=_wrong(error),
                heading="Register",
            )
            return
        await self.sign_in(req, resp, user_id)
        self.lead(resp, "/", "Welcome.")

    async def _invitation(self, secret: str) -> str:
        """Return the e-mail address that was invited, after checking that one may register."""
        how = self.site.settings.web.registration
        if how == "open":
            return ""
        found = await self.catalog.reading(
            links.find, passwords.hash_secret(secret), links.INVITATION
        )
        if how == "closed" or found is None:
            raise CannotPerform("Accounts are made by the administrator of this server.")
        return found.email


class FirstAdminPage(_NewUserPage):
    """``/welcome/{secret}``: creates the administrator of a new server, once."""

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, secret: str
    ) -> None:
        """Show the form."""
        visitor = await self.visitor(req)
        await self._require(secret)
        self.show(
            req,
            resp,
            "register.html",
            visitor,
            heading="Create the administrator",
            values={"username": "admin"},
        )

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, secret: str
    ) -> None:
        """Make the administrator and sign in."""
        visitor = await self.visitor(req)
        form = await self.form(req, visitor)
        await self._require(secret)
        link = {"purpose": links.ADMIN, "secret_hash": passwords.hash_secret(secret)}
        try:
            user_id = await self.make(form, visitor, role="admin", **link)
        except WotkitError as error:
            self.show(
                req,
                resp,
                "register.html",
                visitor,
                status=400,
                values=form.values(),
                wrong=_wrong(error),
                heading="Create the administrator",
            )
            return
        await self.sign_in(req, resp, user_id)
        self.lead(resp, "/", "Your server is ready.")

    async def _require(self, secret: str) -> None:
        secret_hash = passwords.hash_secret(secret)
        found = await self.catalog.reading(links.find, secret_hash, links.ADMIN)
        if found is None or await self.catalog.reading(lambda: bool(users.page(None, 1, 0))):
            raise NotFound("This link was used already, or is of an earlier start of the server.")


class ForgottenPage(Page):
    """``/forgotten``: has a link sent, where the server sends e-mail."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form, or whom to ask."""
        visitor = await self.visitor(req)
        mail = bool(self.site.settings.mail.host and known_address(self.site, req))
        self.show(req, resp, "forgotten.html", visitor, mail=mail)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Send a link; the answer does not tell whether there is such an account."""
        visitor = await self.visitor(req)
        form = await self.form(req, visitor)
        address = known_address(self.site, req)
        if not self.site.settings.mail.host or address is None:
            raise CannotPerform("This server sends no e-mail; please ask its administrator.")
        await self._limit(visitor.address)
        found = await self.catalog.reading(_with_email, form["username"])
        if found is not None:
            send_password_link(self.site, address, visitor.address, *found)
        self.lead(resp, "/login", _SAME_ANSWER)

    async def _limit(self, address: str) -> None:
        """Count a request against those from its address, as a failed login.

        Raises:
            TooManyLogins: there were too many.
        """
        auth = self.site.settings.auth
        subject = logins.address(f"forgotten {address}")

        def count() -> None:  # at once, so that many requests at once are no way around it
            wait = logins.wait(
                subject,
                limit=auth.failures_per_account,
                window_seconds=auth.failure_window_seconds,
            )
            if wait > 0:
                raise TooManyLogins("Too many links were asked for.", retry_after=wait)
            logins.record(subject)

        await self.catalog.writing(count)


def _with_email(name: str) -> tuple[int, str, str] | None:
    lower = name.lower()
    query = (
        User.select(User.account, Account.name, User.email)
        .join(Account)
        .where(
            ((Account.name == lower) | (User.email == name) | (fn.lower(User.email) == lower))
            & (User.enabled == True)  # noqa: E712  # SQL, not Python
            & (User.email != "")
        )
    )
    for user_id, username, email in rows(query):
        return int(user_id), username, email
    return None


class NewPasswordPage(Page):
    """``/password/{secret}``: lets the owner of a link choose a password, once."""

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, secret: str
    ) -> None:
        """Show the form."""
        visitor = await self.visitor(req)
        link = await self._require(secret)
        self.show(req, resp, "new_password.html", visitor, username=link.username)

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, secret: str
    ) -> None:
        """Set the password and sign in."""
        visitor = await self.visitor(req)
        form = await self.form(req, visitor)
        link = await self._require(secret)
        try:
            passwords.check_choice(
                form.raw("password"), self.site.settings.auth.password_min_length
            )
        except WotkitError as error:
            self.show(
                req,
                resp,
                "new_password.html",
                visitor,
                status=400,
                username=link.username,
                wrong=problems_of(error),
            )
            return
        hashed = await self.site.authenticator.hash_password(form.raw("password"))
        actor = Actor(link.username or "", visitor.address)
        await self.catalog.writing(
            _set_password, passwords.hash_secret(secret), link.username, hashed, actor
        )
        await self.sign_in(req, resp, link.user_id or 0)
        self.lead(resp, "/", "Your password is changed. All other sessions have ended.")

    async def _require(self, secret: str) -> Any:
        found = await self.catalog.reading(
            links.find, passwords.hash_secret(secret), links.PASSWORD
        )
        if found is None:
            raise NotFound("This link was used already, or its time is over.")
        return found


def _set_password(secret_hash: str, username: str, password_hash: str, actor: Actor) -> None:
    if not links.use(secret_hash, links.PASSWORD):
        raise NotFound("This link was used already, or its time is over.")
    users.set_password(username, password_hash, actor)
    audit.record(actor, "user.password_link", username)
