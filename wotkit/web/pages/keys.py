"""The user's keys: list, make, look at, rotate, revoke."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from wotkit.auth import passwords
from wotkit.catalog import keys
from wotkit.catalog.identity import ADMIN, ALL, IN_WORDS
from wotkit.catalog.keys import KeyChange
from wotkit.errors import MalformedBody, NotFound, ValidationFailed, WotkitError
from wotkit.web.pages.page import Page, identity_of, problems_of
from wotkit.web.pages.times import parse_local

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.catalog.keys import KeyRow
    from wotkit.catalog.sessions import SessionRow
    from wotkit.web.pages.page import Form, Visitor

LIST: Final = "/account/keys"
OVERLAPS: Final = [
    ("0", "Ends at once"),
    ("1", "Stays good for an hour"),
    ("24", "Stays good for a day"),
    ("168", "Stays good for a week"),
]
"""Hours for which the password before a rotation stays good."""


AGENT: Final = """\
[gateway]
id = "{gateway}"

[platform]
http = "{address}/api"
credentials_file = "credentials"

[spool]
path = "spool.db"

[[input]]
type = "system"
name = "system"
interval = "30s"
"""


def agent_configuration(name: str, address: str) -> str:
    """Return a configuration of the gateway agent, named as the key is, in TOML."""
    gateway = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:40]
    if not re.match(r"[a-z_]", gateway):
        gateway = f"gateway-{gateway}".rstrip("-")[:40]
    return AGENT.format(gateway=gateway, address=address)


def scopes_for(session: SessionRow) -> dict[str, str]:
    """Return the scopes that a user may give, in words."""
    return {scope: text for scope, text in IN_WORDS.items() if scope != ADMIN or session.admin}


def change_of(form: Form, zone: str) -> KeyChange:
    """Return what a form says of a key.

    Raises:
        ValidationFailed: the expiry is no time.
    """
    try:
        expires = parse_local(form["expires"], zone)
    except ValueError:
        raise ValidationFailed(
            more={"expires": "is no time; use the form 2027-01-31T12:00"}
        ) from None
    sensors = [name.strip() for name in form["sensors"].replace(",", "\n").split("\n")]
    return KeyChange(
        name=form["name"],
        description=form["description"],
        scopes=form.all("scopes"),
        sensors=[name for name in sensors if name] or None,
        expires=expires,
    )


class KeysPage(Page):
    """``/account/keys``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the keys."""
        visitor, session = await self.signed_in(req)
        found = await self.catalog.reading(keys.list_for, session.user_id)
        self.show(req, resp, "keys.html", visitor, keys=found)


class NewKeyPage(Page):
    """``/account/keys/new``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the form."""
        visitor, session = await self.signed_in(req)
        self._form(req, resp, visitor, session, ticked=[ALL])

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Make a key and show its password, this once."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        password = passwords.make_secret()

        def make() -> KeyRow:
            change = change_of(form, session.time_zone)
            if change.sensors is None:
                change.sensors = UNSET
            secret_hash = passwords.hash_secret(password)
            known = passwords.mosquitto_hash(password, self.site.settings.mqtt)
            return keys.create(identity_of(session), change, secret_hash, visitor.actor, known)

        try:
            if not form["name"]:
                raise ValidationFailed(more={"name": "is required"})
            key = await self.catalog.writing(make)
        except (ValidationFailed, NotFound) as error:
            self._form(req, resp, visitor, session, form=form, error=error)
            return
        self.show(
            req,
            resp,
            "key_password.html",
            visitor,
            key=key,
            password=password,
            agent=agent_configuration(key.name, self.address(req)),
        )

    def _form(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        session: SessionRow,
        *,
        form: Form | None = None,
        error: WotkitError | None = None,
        ticked: list[str] | None = None,
    ) -> None:
        self.show(
            req,
            resp,
            "key_new.html",
            visitor,
            status=200 if error is None else 400,
            values={} if form is None else form.values(),
            wrong={} if error is None else _wrong(error),
            ticked=(ticked or []) if form is None else form.all("scopes"),
            scopes=scopes_for(session),
        )


class KeyPage(Page):
    """``/account/keys/{key}``."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, key: str) -> None:
        """Show everything about a key but its password."""
        visitor, session = await self.signed_in(req)
        row = await self.catalog.reading(lambda: keys.get(identity_of(session), key))
        self.show(
            req,
            resp,
            "key.html",
            visitor,
            key=row,
            overlaps=OVERLAPS,
            agent=agent_configuration(row.name, self.address(req)),
        )

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, key: str) -> None:
        """Rotate or revoke a key."""
        visitor, session = await self.signed_in(req)
        form = await self.form(req, visitor)
        if form["action"] == "rotate":
            await self._rotate(req, resp, visitor, session, key, form)
        elif form["action"] == "revoke":
            await self.catalog.writing(
                lambda: keys.revoke(identity_of(session), key, visitor.actor)
            )
            self.lead(resp, LIST, "The key is revoked. Whatever used it is refused from now on.")
        else:
            raise MalformedBody("action is neither rotate nor revoke")

    async def _rotate(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        visitor: Visitor,
        session: SessionRow,
        key: str,
        form: Form,
    ) -> None:
        if form["overlap"] not in dict(OVERLAPS):
            raise MalformedBody("overlap is none of those offered")
        password = passwords.make_secret()

        def rotate() -> KeyRow:
            return keys.rotate(
                identity_of(session),
                key,
                passwords.hash_secret(password),
                overlap_seconds=int(form["overlap"]) * 3600,
                actor=visitor.actor,
                mosquitto_hash=passwords.mosquitto_hash(password, self.site.settings.mqtt),
            )

        row = await self.catalog.writing(rotate)
        self.show(
            req,
            resp,
            "key_password.html",
            visitor,
            key=row,
            password=password,
            agent=agent_configuration(row.name, self.address(req)),
        )


def _wrong(error: WotkitError) -> dict[str, Any]:
    if isinstance(error, NotFound):
        name = " ".join(error.developer)
        return {"sensors": f"There is no sensor {name} that you can see."}
    return problems_of(error)
