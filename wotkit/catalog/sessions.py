"""Sessions of browsers: who is signed in, from where, and since when.

A session ends when its user signs out, changes the password or is disabled, and after its idle or
absolute lifetime. Its secret is in the browser's cookie; here is only the SHA-256.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from wotkit import times
from wotkit.catalog.identity import ADMIN, EVERYDAY, Identity, accounts_of
from wotkit.catalog.models import Account, User, WebSession, changed, rows

COOKIE: Final = "wotkit_session"
"""The name under which a browser keeps its session's secret."""
TOUCH_SECONDS: Final = 60
"""How often at most the last use of a session is written."""
_AGENT: Final = 200


class Lifetimes(Struct, frozen=True):
    """How long sessions last, in seconds: without a request, and in all."""

    idle: float
    absolute: float


class SessionRow(Struct, frozen=True, kw_only=True):
    """A session and the user who is signed in."""

    hash: str
    user_id: int
    username: str
    role: str
    time_zone: str
    created: int
    used: int
    address: str
    agent: str

    @property
    def admin(self) -> bool:
        """Whether the user is an administrator."""
        return self.role == "admin"


def open_session(
    user_id: int, secret_hash: str, address: str, agent: str, *, since: int | None = None
) -> None:
    """Note that a user signed in, with the password of a moment ago.

    ``since`` is when (microseconds) it began to be verified: had it been changed meanwhile, the
    session would end with it.
    """
    now = times.now() if since is None else since
    WebSession.insert(
        hash=secret_hash,
        user=user_id,
        created=now,
        used=now,
        address=address,
        agent=agent[:_AGENT],
    ).execute()


def find(secret_hash: str, lifetimes: Lifetimes) -> SessionRow | None:
    """Return a session that has not ended."""
    for row in _rows((WebSession.hash == secret_hash) & _alive(lifetimes)):
        return row
    return None


def list_for(user_id: int, lifetimes: Lifetimes) -> list[SessionRow]:
    """Return a user's sessions that have not ended, the last used first."""
    return _rows((WebSession.user == user_id) & _alive(lifetimes))


def _alive(lifetimes: Lifetimes) -> Any:
    now = times.now()
    return (
        (WebSession.used > now - int(lifetimes.idle * times.MICROSECONDS))
        & (WebSession.created > now - int(lifetimes.absolute * times.MICROSECONDS))
        & (WebSession.created >= User.password_changed)
        & (User.enabled == True)  # noqa: E712  # SQL, not Python
    )


def _rows(condition: Any) -> list[SessionRow]:
    query = (
        WebSession.select(
            WebSession.hash,
            User.account,
            Account.name,
            User.role,
            User.time_zone,
            WebSession.created,
            WebSession.used,
            WebSession.address,
            WebSession.agent,
        )
        .join(User)
        .join(Account)
        .where(condition)
        .order_by(WebSession.used.desc())
    )
    return [
        SessionRow(**dict(zip(SessionRow.__struct_fields__, values, strict=True)))
        for values in rows(query)
    ]


def identity_of(session: SessionRow) -> Identity:
    """Return the signed-in user as the catalog's verbs want it."""
    return Identity(
        user_id=session.user_id,
        username=session.username,
        accounts=accounts_of(session.user_id),
        scopes=EVERYDAY | {ADMIN} if session.admin else EVERYDAY,
        admin=session.admin,
    )


def touch(secret_hash: str, address: str) -> None:
    """Note that a session is used."""
    changed(
        WebSession.update(used=times.now(), address=address).where(WebSession.hash == secret_hash)
    )


def close(user_id: int, secret_hash: str) -> None:
    """End a session of a user."""
    changed(
        WebSession.delete().where((WebSession.hash == secret_hash) & (WebSession.user == user_id))
    )


def close_all(user_id: int, *, but: str = "") -> int:
    """End every session of a user, but perhaps one, and return how many."""
    return changed(
        WebSession.delete().where((WebSession.user == user_id) & (WebSession.hash != but))
    )


def forget(lifetimes: Lifetimes) -> int:
    """Delete sessions that have ended by their age and return how many."""
    now = times.now()
    return changed(
        WebSession.delete().where(
            (WebSession.used <= now - int(lifetimes.idle * times.MICROSECONDS))
            | (WebSession.created <= now - int(lifetimes.absolute * times.MICROSECONDS))
        )
    )
