"""Grants: what a user lets an application do; every code and token hangs off one.

Ending a grant ends them all, from the next request on, in every process: its row is among those
whose change raises the catalog's revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from peewee import JOIN

from wotkit import times
from wotkit.catalog import audit
from wotkit.catalog.accounts import next_id
from wotkit.catalog.audit import Actor
from wotkit.catalog.identity import expand
from wotkit.catalog.models import (
    AccessToken,
    Account,
    App,
    AuthorizationCode,
    DeviceCode,
    Frob,
    Grant,
    GrantUse,
    RefreshToken,
    changed,
    rows,
)
from wotkit.errors import NotFound

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity

CONSENT: Final = "consent"
DEVICE: Final = "device"
PASSWORD: Final = "password"  # noqa: S105  # a kind of grant
CLIENT: Final = "client"
DEVELOPER: Final = "developer"
FROB: Final = "frob"
_REUSED: Final = frozenset({CONSENT, CLIENT})
"""Kinds of which a user has one for the same application and scopes."""
_HANGING: Final = (AuthorizationCode, AccessToken, RefreshToken, DeviceCode, Frob)
"""What ends with its grant."""
_ELSEWHERE: Final = "unknown"


class GrantRow(Struct, frozen=True, kw_only=True):
    """A grant as it is listed."""

    id: int
    user: str
    client_id: str
    app: str
    """The name of the application."""
    website: str
    icon: str
    owner: str
    """Who has registered the application."""
    kind: str
    scopes: tuple[str, ...]
    created: int
    last_used: int | None
    last_address: str | None


def open_grant(
    user_id: int, app_id: int, *, kind: str, scopes: str, actor: Actor | None = None
) -> Grant:
    """Return a grant of these scopes (names between spaces), for codes and tokens to hang off.

    A live one that the user gave the application for the same scopes is used again where the kind
    is ``consent`` or ``client``. Without ``actor`` the audit log names the user.
    """
    if kind in _REUSED:
        found = _same(user_id, app_id, kind, scopes)
        if found is not None:
            return found
    now = times.now()
    grant = Grant.create(
        id=next_id("grant"),
        user=user_id,
        app=app_id,
        kind=kind,
        scopes=" ".join(sorted(set(scopes.split()))),
        created=now,
        changed=now,
    )
    by = Actor(_name_of(user_id), _ELSEWHERE) if actor is None else actor
    target = _client_of(app_id)
    audit.record(by, "grant.open", target, grant=grant.id, kind=kind, scopes=grant.scopes)
    return grant


def live(user_id: int, app_id: int, scopes: str) -> Grant | None:
    """Return the consent that the user has given the application for exactly these scopes."""
    return _same(user_id, app_id, CONSENT, scopes)


def _same(user_id: int, app_id: int, kind: str, scopes: str) -> Grant | None:
    wanted = expand(scopes.split())
    query: Any = Grant.select().where(
        (Grant.user == user_id)
        & (Grant.app == app_id)
        & (Grant.kind == kind)
        & Grant.ended.is_null()
    )
    for grant in list(query.order_by(Grant.id)):
        if expand(grant.scopes.split()) == wanted:
            found: Grant = grant
            return found
    return None


def end(grant_id: int, actor: Actor, reason: str) -> None:
    """End a grant with its codes and tokens; one that has ended stays as it is."""
    now = times.now()
    live_one = (Grant.id == grant_id) & Grant.ended.is_null()
    if not changed(Grant.update(ended=now, changed=now).where(live_one)):
        return
    for table in _HANGING:
        changed(table.delete().where(table.grant == grant_id))
    ((app_id, user_id),) = rows(Grant.select(Grant.app, Grant.user).where(Grant.id == grant_id))
    details = {"grant": grant_id, "user": _name_of(user_id), "reason": reason}
    audit.record(actor, "grant.end", _client_of(app_id), **details)


def end_all_of_user(user_id: int, actor: Actor, reason: str) -> None:
    """End every grant of a user."""
    _end_all(Grant.user == user_id, actor, reason)


def end_all_of_app(app_id: int, actor: Actor, reason: str) -> None:
    """End every grant of an application."""
    _end_all(Grant.app == app_id, actor, reason)


def _end_all(condition: Any, actor: Actor, reason: str) -> None:
    found = rows(Grant.select(Grant.id).where(condition & Grant.ended.is_null()))
    for (grant_id,) in found:
        end(grant_id, actor, reason)


def touched(grant_id: int) -> None:
    """Have every process look again: a single token of the grant has ended before its time."""
    changed(Grant.update(changed=times.now()).where(Grant.id == grant_id))


def list_for(user_id: int) -> list[GrantRow]:
    """Return the live grants of a user, newest first."""
    return _rows(Grant.user == user_id)


def list_all() -> list[GrantRow]:
    """Return every live grant, newest first."""
    return _rows(True)


def get(identity: Identity, grant_id: int) -> GrantRow:
    """Return a live grant of the caller; of anybody, for an administrator.

    Raises:
        NotFound: the caller has no such grant.
    """
    condition = Grant.id == grant_id
    if not identity.admin:
        condition &= Grant.user == identity.user_id
    for row in _rows(condition):
        return row
    raise NotFound(str(grant_id))


def revoke(identity: Identity, grant_id: int, actor: Actor) -> None:
    """End a live grant of the caller; of anybody, for an administrator.

    Raises:
        NotFound: the caller has no such grant.
    """
    get(identity, grant_id)
    end(grant_id, actor, "revoked")


def _rows(condition: Any) -> list[GrantRow]:
    owner = Account.alias("owner")
    query: Any = (
        Grant.select(
            Grant.id,
            Account.name,
            App.client_id,
            App.name,
            App.website,
            App.icon,
            owner.name,
            Grant.kind,
            Grant.scopes,
            Grant.created,
            GrantUse.used,
            GrantUse.address,
        )
        .join(App, on=(App.id == Grant.app))
        .join(Account, on=(Account.id == Grant.user))
        .join(owner, on=(owner.id == App.owner))
        .join(GrantUse, JOIN.LEFT_OUTER, on=(GrantUse.grant == Grant.id))
        .where(Grant.ended.is_null() & condition)
        .order_by(Grant.id.desc())
    )
    names = GrantRow.__struct_fields__
    found = [dict(zip(names, values, strict=True)) for values in rows(query)]
    return [GrantRow(**values | {"scopes": tuple(values["scopes"].split())}) for values in found]


def _name_of(user_id: int) -> str:
    ((name,),) = rows(Account.select(Account.name).where(Account.id == user_id))
    return str(name)


def _client_of(app_id: int) -> str:
    ((client_id,),) = rows(App.select(App.client_id).where(App.id == app_id))
    return str(client_id)


def note_uses(uses: dict[int, tuple[int, str]]) -> None:
    """Write when (microseconds) and from where grants were last used; unknown ones are ignored."""
    for grant_id, (used, address) in uses.items():
        if not rows(Grant.select(Grant.id).where(Grant.id == grant_id)):
            continue
        GrantUse.insert(grant=grant_id, used=used, address=address).on_conflict(
            conflict_target=[GrantUse.grant],
            update={GrantUse.used: used, GrantUse.address: address},
        ).execute()
