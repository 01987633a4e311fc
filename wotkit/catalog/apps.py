"""Applications of third parties: who has registered them, and with what.

A client id names an application in public. Only one of kind ``web`` can keep a secret and has one;
of it the SHA-256 is kept, as the secret of a key is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct, UnsetType
from peewee import fn

from wotkit import strict_json, times
from wotkit.catalog import app_checks, audit, grants
from wotkit.catalog.accounts import next_id
from wotkit.catalog.app_checks import WEB
from wotkit.catalog.bulk import containing
from wotkit.catalog.models import Account, App, Grant, changed, rows
from wotkit.errors import CannotPerform, NotFound, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity

MAX_PER_OWNER: Final = 100
"""Applications one user may have registered."""
_SWITCHES: Final = ("allow_password", "allow_implicit", "allow_client_credentials", "allow_frob")
_COLUMNS: Final = (
    "name",
    "description",
    "website",
    "icon",
    *_SWITCHES,
    "access_seconds",
    "refresh_seconds",
    "grace_seconds",
)
"""What of a change is a column of the same name."""


class AppRow(Struct, frozen=True, kw_only=True):
    """An application as its owner sees it: everything but its secrets."""

    client_id: str
    owner: str
    name: str
    description: str
    website: str
    icon: str
    kind: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    """What it gets when it asks for no scope."""
    confidential: bool
    """Whether it has a client secret."""
    old_secret_until: int | None
    signed: bool
    """Whether it has a signing secret."""
    allow_password: bool
    allow_implicit: bool
    allow_client_credentials: bool
    allow_frob: bool
    access_seconds: int | None
    refresh_seconds: int | None
    grace_seconds: int
    created: int


class AppChange(Struct, kw_only=True):
    """What of an application is to change; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    website: str | UnsetType = UNSET
    icon: str | UnsetType = UNSET
    redirect_uris: Sequence[str] | UnsetType = UNSET
    scopes: Sequence[str] | UnsetType = UNSET
    allow_password: bool | UnsetType = UNSET
    allow_implicit: bool | UnsetType = UNSET
    allow_client_credentials: bool | UnsetType = UNSET
    allow_frob: bool | UnsetType = UNSET
    access_seconds: int | UnsetType | None = UNSET
    refresh_seconds: int | UnsetType | None = UNSET
    grace_seconds: int | UnsetType = UNSET


class Ending(Struct, frozen=True):
    """What deleting an application would end."""

    users: int
    grants: int


def create(
    identity: Identity, kind: str, change: AppChange, secret_hash: str | None, actor: Actor
) -> AppRow:
    """Register an application of the caller; ``secret_hash`` is kept for kind ``web`` only.

    Raises:
        ValidationFailed: an attribute is invalid; ``more`` names each.
        CannotPerform: the caller has registered as many as one may.
    """
    missing = {
        name: "is required" for name in ("name", "website") if getattr(change, name) is UNSET
    }
    if missing:
        raise ValidationFailed(more=missing)
    app_checks.check(change, kind)
    if App.select().where(App.owner == identity.user_id).count() >= MAX_PER_OWNER:
        raise CannotPerform(f"one user may register {MAX_PER_OWNER} applications")
    client_id = secrets.token_hex(16)
    values = {"description": ""} | _values(change)
    App.insert(
        id=next_id("app"),
        owner=identity.user_id,
        client_id=client_id,
        kind=kind,
        secret_hash=secret_hash if kind == WEB else None,
        created=times.now(),
        **values,
    ).execute()
    audit.record(actor, "app.create", client_id, name=values["name"], kind=kind)
    return get(identity, client_id)


def _values(change: AppChange) -> dict[str, Any]:
    given = {name: getattr(change, name) for name in _COLUMNS}
    values = {name: value for name, value in given.items() if value is not UNSET}
    if change.redirect_uris is not UNSET:
        values["redirect_uris"] = strict_json.encode(list(change.redirect_uris)).decode()
    if change.scopes is not UNSET:
        values["scopes"] = " ".join(sorted(set(change.scopes)))
    return values


def update(identity: Identity, client_id: str, change: AppChange, actor: Actor) -> AppRow:
    """Change an application of the caller; what was granted stays granted.

    Raises:
        NotFound: the caller has no such application.
        ValidationFailed: an attribute is invalid; ``more`` names each.
    """
    app_checks.check(change, get(identity, client_id).kind)
    values = _values(change)
    if values:
        changed(App.update(values).where(App.client_id == client_id))
    audit.record(actor, "app.change", client_id, changed=sorted(values))
    return get(identity, client_id)


def rotate(
    identity: Identity, client_id: str, secret_hash: str, *, overlap_seconds: float, actor: Actor
) -> AppRow:
    """Give an application of the caller another secret; the old one stays good for the overlap.

    Raises:
        NotFound: the caller has no such application.
        CannotPerform: applications of its kind have no secret.
    """
    row = get(identity, client_id)
    if not row.confidential:
        raise CannotPerform(
            f"an application of kind {row.kind} has no secret: it could not keep it"
        )
    until = times.now() + int(overlap_seconds * times.MICROSECONDS)
    kept = overlap_seconds > 0
    changed(
        App.update(
            old_secret_hash=App.secret_hash if kept else None,
            old_secret_until=until if kept else None,
            secret_hash=secret_hash,
        ).where(App.client_id == client_id)
    )
    audit.record(actor, "app.rotate", client_id, overlap_seconds=overlap_seconds)
    return get(identity, client_id)


def set_signing_secret(identity: Identity, client_id: str, sealed: str, actor: Actor) -> AppRow:
    """Give an application of the caller a secret to sign the frob handshake with, encrypted.

    Raises:
        NotFound: the caller has no such application.
    """
    get(identity, client_id)
    changed(App.update(signing_secret=sealed).where(App.client_id == client_id))
    audit.record(actor, "app.signing_secret", client_id)
    return get(identity, client_id)


def ending(identity: Identity, client_id: str) -> Ending:
    """Return what deleting the application would end.

    Raises:
        NotFound: the caller has no such application.
    """
    get(identity, client_id, admin=True)
    query = Grant.select(fn.count(Grant.user.distinct()), fn.count(Grant.id)).join(App)
    ((users, found),) = rows(query.where((App.client_id == client_id) & Grant.ended.is_null()))
    return Ending(users, found)


def delete(identity: Identity, client_id: str, actor: Actor) -> None:
    """Delete an application of the caller, or any for an administrator, and end its grants.

    Raises:
        NotFound: the caller has no such application.
    """
    row = get(identity, client_id, admin=True)
    ended = ending(identity, client_id)
    app = by_client_id(client_id)
    if app is not None:
        grants.end_all_of_app(app.id, actor, "the application was deleted")
    changed(App.delete().where(App.client_id == client_id))
    details = {"name": row.name, "owner": row.owner, "grants": ended.grants}
    audit.record(actor, "app.delete", client_id, **details)


def by_client_id(client_id: str) -> App | None:
    """Return the application of this client id."""
    found: App | None = App.get_or_none(App.client_id == client_id)
    return found


def secret_matches(app: App, secret: str) -> bool:
    """Return whether this is the application's secret, or the one before within the overlap."""
    given = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
    # both are always compared, so that the time tells nothing
    new = hmac.compare_digest(app.secret_hash or "", given)
    old = hmac.compare_digest(app.old_secret_hash or "", given)
    overlapping = app.old_secret_until is not None and app.old_secret_until > times.now()
    return new or (old and overlapping)


def redirect_uris(app: App) -> list[str]:
    """Return the addresses the application may send people back to."""
    return [str(uri) for uri in strict_json.decode(app.redirect_uris.encode())]


def list_mine(user_id: int) -> list[AppRow]:
    """Return the applications of a user, oldest first."""
    return _rows(_select().where(App.owner == user_id).order_by(App.id))


def list_all() -> list[AppRow]:
    """Return every application, oldest first."""
    return _rows(_select().order_by(App.id))


def page(text: str | None, limit: int, offset: int) -> list[AppRow]:
    """Return applications with this text in their name, description or owner, in order of name."""
    query = _select().order_by(fn.lower(App.name), App.id).limit(limit).offset(offset)
    if text:
        names = (App.name, App.description, Account.name)
        query = query.where(containing(names, text))
    return _rows(query)


def get(identity: Identity, client_id: str, *, admin: bool = False) -> AppRow:
    """Return an application of the caller, or with ``admin`` any for an administrator.

    Raises:
        NotFound: the caller has no such application.
    """
    query = _select().where(App.client_id == client_id)
    if not (admin and identity.admin):
        query = query.where(App.owner == identity.user_id)
    for row in _rows(query):
        return row
    raise NotFound(client_id)


def _select() -> Any:
    return App.select(App, Account.name.alias("owner_name")).join(
        Account, on=(Account.id == App.owner)
    )


def _rows(query: Any) -> list[AppRow]:
    return [_row(values) for values in list(query.dicts())]


def _row(values: dict[str, Any]) -> AppRow:
    same = {name: values[name] for name in (*_COLUMNS, "client_id", "kind", "created")}
    return AppRow(
        **same,
        owner=values["owner_name"],
        redirect_uris=tuple(strict_json.decode(values["redirect_uris"].encode())),
        scopes=tuple(values["scopes"].split()),
        confidential=values["secret_hash"] is not None,
        old_secret_until=values["old_secret_until"],
        signed=values["signing_secret"] is not None,
    )
