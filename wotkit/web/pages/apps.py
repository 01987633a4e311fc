"""Applications: the public list, and those that the user has registered."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from wotkit.auth import passwords, sealing
from wotkit.catalog import app_checks, apps, developer
from wotkit.catalog.apps import AppChange
from wotkit.catalog.identity import ADMIN, IN_WORDS
from wotkit.errors import MalformedBody, ValidationFailed, WotkitError
from wotkit.web.pages.keys import OVERLAPS
from wotkit.web.pages.page import Page, identity_of, problems_of

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.sessions import SessionRow
    from wotkit.web.pages.page import Form, Visitor

LIST: Final = "/account/apps"
PAGE_SIZE: Final = 50

KINDS: Final = {
    app_checks.WEB: "Web application: runs on a server and can keep a secret",
    app_checks.DESKTOP: "Desktop program, phone app or device: cannot keep a secret",
    app_checks.BROWSER: "Browser application: runs in a page, without a server of its own",
}
SWITCHES: Final = {
    "allow_password": (
        "Password grant",
        "Users type their password into it. Only for this server's own programs; avoid it.",
    ),
    "allow_implicit": (
        "Implicit grant",
        "Tokens are handed over in an address. Only old browser applications need it.",
    ),
    "allow_client_credentials": (
        "Client credentials",
        "It may act for you, its owner, by itself. For machines.",
    ),
    "allow_frob": (
        "Handshake with a frob",
        "For desktop programs of an older photo platform. Needs a signing secret.",
    ),
}
ADDRESSES: Final = {
    "Authorize": "/api/oauth/authorize",
    "Token": "/api/oauth/token",
    "Device authorization": "/api/oauth/device_authorization",
    "Revocation": "/api/oauth/revoke",
    "Introspection": "/api/oauth/introspect",
    "Discovery": "/.well-known/oauth-authorization-server",
}
_FIELDS: Final = {
    "redirectUris": "redirect_uris",
    "allowClientCredentials": "allow_client_credentials",
    "accessSeconds": "access_seconds",
    "refreshSeconds": "refresh_seconds",
    "graceSeconds": "grace_seconds",
}
"""Names in the API of what is wrong, and of the form's fields."""


def change_of(form: Form) -> AppChange:
    """Return what a form says of an application.

    Raises:
        ValidationFailed: a lifetime is no whole number.
    """
    lines = (line.strip() for line in form["redirect_uris"].split("\n"))
    switches = {name: form.ticked(name) for name in SWITCHES}
    return AppChange(
        name=form["name"],
        description=form["description"],
        website=form["website"],
        icon=form["icon"],
        redirect_uris=[line for line in lines if line],
        scopes=form.all("scopes"),
        access_seconds=_seconds(form, "access_seconds"),
        refresh_seconds=_seconds(form, "refresh_seconds"),
        grace_seconds=_seconds(form, "grace_seconds") or 0,
        **switches,
    )


def _seconds(form: Form, name: str) -> int | None:
    text = form[name]
    if not text:
        return None
    if not text.isdecimal() or not text.isascii():
        raise ValidationFailed(more={name: "is no whole number of seconds"})
    return int(text[:12])


def wrong_of(error: WotkitError) -> dict[str, str]:
    """Return what is wrong by the names of the form's fields."""
    return {_FIELDS.get(name, name): text for name, text in problems_of(error).items()}


class PublicAppsPage(Page):
    """``/apps``: every application, for everybody."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List applications in order of name, with a search."""
        visitor = await self.visitor(req)
        text = (req.get_param("q") or "").strip()[:200]
        number = min(req.get_param_as_int("page", min_value=0, default=0) or 0, 10_000)
        found = await self.catalog.reading(apps.page, text, PAGE_SIZE + 1, number * PAGE_SIZE)
        self.show(
            req,
            resp,
            "apps_public.html",
            visitor,
            apps=found[:PAGE_SIZE],
            text=text,
            before=None if number == 0 else _page_link(text, number - 1),
            after=_page_link(text, number + 1) if len(found) > PAGE_SIZE else None,
        )


def _page_link(text: str, number: int) -> str:
    return "/apps?" + urllib.parse.urlencode({"q": text, "page": number})


class MyAppsPage(Page):
    """``/account/apps``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the user's own applications, with how many people use each."""
        visitor, session = await self.signed_in(req)

        def mine() -> list[tuple[Any, Any]]:
            identity = identity_of(session)
            return [
                (row, apps.ending(identity, row.client_id))
                for row in apps.list_mine(session.user_id)
            ]

        found = await self.catalog.reading(mine)
        self.show(req, resp, "apps_mine.html", visitor, apps=found, kinds=KINDS)


class NewAppPage(Page):
    """``/account/apps/new``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form."""
        visitor, _ = await self.signed_in(req)
        self._form(req, resp, visitor, values={"kind": app_checks.WEB}, ticked=["all"])

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Register an application and show its secret, if it has one, this once."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        secret = passwords.make_secret()

        def create() -> Any:
            return apps.create(
                identity_of(session),
                form["kind"],
                change_of(form),
                passwords.hash_secret(secret),
                visitor.actor,
            )

        try:
            row = await self.catalog.writing(create)
        except WotkitError as error:
            self._form(
                req,
                resp,
                visitor,
                status=400,
                values=form.values(),
                wrong=wrong_of(error),
                ticked=form.all("scopes"),
            )
            return
        if not row.confidential:
            self.lead(resp, f"{LIST}/{row.client_id}", "The application is registered.")
            return
        self.show(
            req, resp, "app_secret.html", visitor, app=row, secret=secret, what="Client secret"
        )

    def _form(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, visitor: Visitor, **more: Any
    ) -> None:
        self.show(req, resp, "app_new.html", visitor, kinds=KINDS, scopes=_scopes(), **more)


def _scopes() -> dict[str, str]:
    return {scope: text for scope, text in IN_WORDS.items() if scope != ADMIN}


class AppPage(Page):
    """``/account/apps/{app}``: everything about an application of the user."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Show the settings."""
        visitor, session = await self.signed_in(req)
        await self._settings(req, resp, visitor, session, app)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Save the settings, or do what one of the buttons says."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        actions = {
            "save": self._save,
            "rotate": self._rotate,
            "signing": self._signing,
            "developer": self._developer,
            "developer-end": self._end_developer,
        }
        action = actions.get(form["action"])
        if action is None:
            raise MalformedBody("action is none of those offered")
        await action(req, resp, visitor, session, app, form)

    async def _settings(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        session: SessionRow,
        app: str,
        form: Form | None = None,
        error: WotkitError | None = None,
    ) -> None:
        row = await self.catalog.reading(lambda: apps.get(identity_of(session), app))
        values = _values(row) if form is None else form.values()
        ticked = list(row.scopes) if form is None else form.all("scopes")
        on = {name: getattr(row, name) if form is None else form.ticked(name) for name in SWITCHES}
        address = self.address(req)
        self.show(
            req,
            resp,
            "app.html",
            visitor,
            status=200 if error is None else 400,
            app=row,
            values=values,
            wrong={} if error is None else wrong_of(error),
            ticked=ticked,
            on=on,
            switches=SWITCHES,
            scopes=_scopes(),
            kinds=KINDS,
            overlaps=OVERLAPS,
            oauth=self.site.settings.oauth,
            addresses={name: address + path for name, path in ADDRESSES.items()},
        )

    async def _save(
        self, req: Any, resp: Any, visitor: Visitor, session: SessionRow, app: str, form: Form
    ) -> None:
        def save() -> Any:
            return apps.update(identity_of(session), app, change_of(form), visitor.actor)

        try:
            await self.catalog.writing(save)
        except ValidationFailed as error:
            await self._settings(req, resp, visitor, session, app, form, error)
            return
        self.lead(resp, f"{LIST}/{app}", "Saved.")

    async def _rotate(
        self, req: Any, resp: Any, visitor: Visitor, session: SessionRow, app: str, form: Form
    ) -> None:
        if form["overlap"] not in dict(OVERLAPS):
            raise MalformedBody("overlap is none of those offered")
        secret = passwords.make_secret()

        def rotate() -> Any:
            return apps.rotate(
                identity_of(session),
                app,
                passwords.hash_secret(secret),
                overlap_seconds=int(form["overlap"]) * 3600,
                actor=visitor.actor,
            )

        row = await self.catalog.writing(rotate)
        self.show(
            req, resp, "app_secret.html", visitor, app=row, secret=secret, what="Client secret"
        )

    async def _signing(
        self, req: Any, resp: Any, visitor: Visitor, session: SessionRow, app: str, _form: Form
    ) -> None:
        secret = passwords.make_secret()
        sealed = sealing.seal(secret, self.site.secret_key, about=app)
        row = await self.catalog.writing(
            lambda: apps.set_signing_secret(identity_of(session), app, sealed, visitor.actor)
        )
        self.show(
            req, resp, "app_secret.html", visitor, app=row, secret=secret, what="Signing secret"
        )

    async def _developer(
        self, req: Any, resp: Any, visitor: Visitor, session: SessionRow, app: str, _form: Form
    ) -> None:
        seconds = self.site.settings.oauth.developer_token_seconds

        def issue() -> tuple[Any, Any]:
            identity = identity_of(session)
            token = developer.issue(identity, app, None, seconds, visitor.actor)
            return apps.get(identity, app), token

        row, token = await self.catalog.writing(issue)
        self.show(
            req,
            resp,
            "app_secret.html",
            visitor,
            app=row,
            secret=token.token,
            what="Developer token",
            until=token.expires,
        )

    async def _end_developer(
        self, _req: Any, resp: Any, visitor: Visitor, session: SessionRow, app: str, _form: Form
    ) -> None:
        await self.catalog.writing(
            lambda: developer.revoke(identity_of(session), app, visitor.actor)
        )
        self.lead(resp, f"{LIST}/{app}", "The developer token is revoked.")


def _values(row: apps.AppRow) -> dict[str, str]:
    """Return an application as its form shows it."""
    lives = ("access_seconds", "refresh_seconds", "grace_seconds")
    return {
        "name": row.name,
        "description": row.description,
        "website": row.website,
        "icon": row.icon,
        "redirect_uris": "\n".join(row.redirect_uris),
        **{name: "" if getattr(row, name) is None else str(getattr(row, name)) for name in lives},
    }


class DeleteAppPage(Page):
    """``/account/apps/{app}/delete``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Say what it will end, and ask."""
        visitor, session = await self.signed_in(req)
        await self._ask(req, resp, visitor, session, app)

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, app: str) -> None:
        """Delete the application, an administrator any, when its name is typed."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        row = await self.catalog.reading(lambda: apps.get(identity_of(session), app, admin=True))
        if form["name"] != row.name:
            wrong = {"name": "This is not the name of the application."}
            await self._ask(req, resp, visitor, session, app, wrong)
            return
        await self.catalog.writing(lambda: apps.delete(identity_of(session), app, visitor.actor))
        to = LIST if row.owner == session.username else "/admin/apps"
        self.lead(resp, to, f"{row.name} is deleted, and everything it could do has ended.")

    async def _ask(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        session: SessionRow,
        app: str,
        wrong: dict[str, str] | None = None,
    ) -> None:
        def ends() -> tuple[Any, Any]:
            identity = identity_of(session)
            return apps.get(identity, app, admin=True), apps.ending(identity, app)

        row, ending = await self.catalog.reading(ends)
        self.show(
            req,
            resp,
            "app_delete.html",
            visitor,
            status=400 if wrong else 200,
            app=row,
            ending=ending,
            wrong=wrong or {},
        )
