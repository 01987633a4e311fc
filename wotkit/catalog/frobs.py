"""Frobs: tickets of desktop programs that wait for their user, for the older handshake.

A program gets a frob, opens a page for its user with it, and once the user has allowed it exchanges
the frob for a token, once. Of a frob the SHA-256 is kept, as of every random secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from wotkit import times
from wotkit.catalog import grants, tokens
from wotkit.catalog.models import Account, App, Frob, Grant, User, changed, rows
from wotkit.errors import FrobSpent, NotYetAuthorized, Overloaded

if TYPE_CHECKING:
    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity

PENDING: Final = "pending"
ALLOWED: Final = "allowed"
DENIED: Final = "denied"
USED: Final = "used"

NONE: Final = "none"
SCOPES: Final = {NONE: "", "read": "read", "write": "read write", "delete": "read write manage"}
"""What a permission that a program asks for allows."""
SECONDS: Final = 3600
"""How long a frob is good."""
MAX_WAITING: Final = 10_000
"""Frobs of one application that are good at the same time."""
_LASTING_SECONDS: Final = 100 * 365 * 86_400
"""Life of a token: these programs cannot refresh one, so it lives as long as its grant."""
_BUSY_SECONDS: Final = 60
_SPENT: Final = "it is unknown, has expired, or was used or decided about already"


class Issued(Struct, frozen=True, kw_only=True):
    """A token, which is shown this once, and for whom it acts."""

    token: str
    permission: str
    user_id: int
    username: str
    real_name: str


def make(app: App) -> str:
    """Return a new frob of an application, good for :data:`SECONDS`.

    Raises:
        Overloaded: as many as there may be are good already.
    """
    now = times.now()
    if Frob.select().where((Frob.app == app.id) & (Frob.expires > now)).count() >= MAX_WAITING:
        raise Overloaded(
            f"{MAX_WAITING} users of this application are being asked", retry_after=_BUSY_SECONDS
        )
    secret = tokens.make()
    Frob.insert(
        hash=tokens.hash_of(secret), app=app.id, expires=now + SECONDS * times.MICROSECONDS
    ).execute()
    return secret


def check_waits(frob: str, app: App) -> None:
    """Check that a frob of the application waits for its user.

    Raises:
        FrobSpent: it does not, or not any more.
    """
    row = _good(frob, app)
    if row is None or row.state != PENDING:
        raise FrobSpent(_SPENT)


def allow(frob: str, app: App, permission: str, identity: Identity, actor: Actor) -> None:
    """Let the program act for the user, within a permission of :data:`SCOPES`.

    Raises:
        FrobSpent: the frob does not wait for its user, or not any more.
    """
    _decide(frob, app, ALLOWED, identity)
    grant = grants.open_grant(
        identity.user_id, app.id, kind=grants.FROB, scopes=SCOPES[permission], actor=actor
    )
    kept = Frob.update(grant=grant.id, permission=permission)
    changed(kept.where(Frob.hash == tokens.hash_of(frob)))


def deny(frob: str, app: App, identity: Identity) -> None:
    """Refuse the program.

    Raises:
        FrobSpent: the frob does not wait for its user, or not any more.
    """
    _decide(frob, app, DENIED, identity)


def _decide(frob: str, app: App, state: str, identity: Identity) -> None:
    check_waits(frob, app)
    waits = (Frob.hash == tokens.hash_of(frob)) & (Frob.state == PENDING)
    if not changed(Frob.update(state=state, user=identity.user_id).where(waits)):
        raise FrobSpent(_SPENT)


def redeem(frob: str, app: App) -> Issued:
    """Exchange a frob of the application for a token, which one caller can.

    The token lives as long as its grant, unless the application's own life of access tokens is set.

    Raises:
        NotYetAuthorized: the user has not decided.
        FrobSpent: the user denied it, or it is unknown, has expired or was used.
    """
    row = _good(frob, app)
    if row is None:
        raise FrobSpent(_SPENT)
    if row.state == PENDING:
        raise NotYetAuthorized("not yet authorized: the user has not decided; ask again later")
    if row.state == DENIED:
        raise FrobSpent("the user denied it")
    allowed = (Frob.hash == row.hash) & (Frob.state == ALLOWED)
    if not changed(Frob.update(state=USED).where(allowed)):
        raise FrobSpent(_SPENT)
    grant = Grant.get_by_id(row.grant_id)
    if not tokens.usable(grant):
        raise FrobSpent("what the user allowed has ended")
    seconds = app.access_seconds or _LASTING_SECONDS
    return _issued(tokens.issue_access(grant, grant.scopes, seconds), row.permission, grant)


def _good(frob: str, app: App) -> Frob | None:
    found: Frob | None = Frob.get_or_none(
        (Frob.hash == tokens.hash_of(frob)) & (Frob.app == app.id) & (Frob.expires > times.now())
    )
    return found


def _issued(token: str, permission: str, grant: Grant) -> Issued:
    ((username, first, last),) = rows(
        User.select(Account.name, User.first_name, User.last_name)
        .join(Account)
        .where(User.account == grant.user_id)
    )
    return Issued(
        token=token,
        permission=permission,
        user_id=grant.user_id,
        username=username,
        real_name=f"{first} {last}".strip(),
    )
