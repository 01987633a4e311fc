"""Codes, access tokens and refresh tokens: issued, claimed once, revoked.

Each hangs off a grant. Of each the SHA-256 is kept: 256 random bits need no slow hash. What works
once is claimed by a conditional UPDATE, so of many that bring it at the same moment one wins.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from wotkit import times
from wotkit.catalog import grants
from wotkit.catalog.models import (
    AccessToken,
    Account,
    App,
    AuthorizationCode,
    Frob,
    Grant,
    RefreshToken,
    User,
    changed,
    rows,
)

if TYPE_CHECKING:
    from wotkit.catalog.audit import Actor


class TokenFacts(Struct, frozen=True, kw_only=True):
    """What the application that has a token may know about it."""

    grant_id: int
    user_id: int
    username: str
    scopes: str
    issued: int
    expires: int
    """Microseconds since 1970 UTC, both."""
    refreshes: bool
    """Whether it is a refresh token."""


def make() -> str:
    """Return a new random secret of 256 bits, of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return what is kept of a secret: its SHA-256, as 64 hex digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def issue_access(grant: Grant, scopes: str, seconds: int) -> str:
    """Return a new access token of a grant."""
    secret = make()
    now = times.now()
    AccessToken.insert(
        hash=hash_of(secret),
        grant=grant.id,
        scopes=scopes,
        issued=now,
        expires=now + seconds * times.MICROSECONDS,
    ).execute()
    return secret


def issue_refresh(grant: Grant, scopes: str, seconds: int) -> str:
    """Return a new refresh token of a grant."""
    secret = make()
    now = times.now()
    RefreshToken.insert(
        hash=hash_of(secret),
        grant=grant.id,
        scopes=scopes,
        issued=now,
        expires=now + seconds * times.MICROSECONDS,
    ).execute()
    return secret


def keep_code(
    code: str,
    grant: Grant,
    *,
    redirect_uri: str,
    scopes: str,
    challenge: str | None,
    seconds: int,
) -> None:
    """Keep the hash of a code, and what it is bound to; no ``redirect_uri`` is an empty one."""
    AuthorizationCode.insert(
        hash=hash_of(code),
        grant=grant.id,
        redirect_uri=redirect_uri,
        scopes=scopes,
        challenge=challenge,
        expires=times.now() + seconds * times.MICROSECONDS,
    ).execute()


def find_code(code: str, app_id: int) -> AuthorizationCode | None:
    """Return the code of an application, used or not, expired or not."""
    found: AuthorizationCode | None = AuthorizationCode.get_or_none(
        AuthorizationCode.hash == hash_of(code)
    )
    return found if found is not None and found.grant.app_id == app_id else None


def find_refresh(token: str, app_id: int) -> RefreshToken | None:
    """Return the refresh token of an application, used or not, expired or not."""
    found: RefreshToken | None = RefreshToken.get_or_none(RefreshToken.hash == hash_of(token))
    return found if found is not None and found.grant.app_id == app_id else None


def claim(row: AuthorizationCode | RefreshToken) -> bool:
    """Use a code or a refresh token, which one caller can; return whether it was this one."""
    table = type(row)
    unused = (table.hash == row.hash) & table.used.is_null()
    return changed(table.update(used=times.now()).where(unused)) == 1


def usable(grant: Grant) -> bool:
    """Return whether a grant has not ended and its user may still sign in."""
    enabled = rows(User.select(User.enabled).where(User.account == grant.user_id))
    return grant.ended is None and enabled == [(True,)]


def revoke(token: str, app_id: int, actor: Actor) -> None:
    """End a token of an application; a refresh token ends its grant (RFC 7009 section 2.1).

    A token that is unknown, or another application's, is left alone.
    """
    refreshing = find_refresh(token, app_id)
    if refreshing is not None:
        grants.end(refreshing.grant_id, actor, "the application revoked it")
        return
    found = AccessToken.get_or_none(AccessToken.hash == hash_of(token))
    if found is not None and found.grant.app_id == app_id:
        changed(AccessToken.delete().where(AccessToken.hash == found.hash))
        grants.touched(found.grant_id)


def facts(token: str, app_id: int) -> TokenFacts | None:
    """Return what is to be said of an application's token that works, None of every other."""
    for table in (AccessToken, RefreshToken):
        found = _facts(table, token, app_id)
        if found is not None:
            return found
    return None


def _facts(table: type[AccessToken | RefreshToken], token: str, app_id: int) -> TokenFacts | None:
    refreshes = table is RefreshToken
    condition: Any = (table.hash == hash_of(token)) & (table.expires > times.now())
    if refreshes:
        condition &= RefreshToken.used.is_null()
    query = (
        table.select(Grant.id, Grant.user, Account.name, table.scopes, table.issued, table.expires)
        .join(Grant)
        .join(User, on=(User.account == Grant.user))
        .join(Account, on=(Account.id == Grant.user))
        .where(condition & (Grant.app == app_id) & Grant.ended.is_null() & User.enabled)
    )
    for grant_id, user_id, username, scopes, issued, expires in rows(query):
        return TokenFacts(
            grant_id=grant_id,
            user_id=user_id,
            username=username,
            scopes=scopes,
            issued=issued,
            expires=expires,
            refreshes=refreshes,
        )
    return None


def role_of(user_id: int) -> str:
    """Return the role of a user."""
    ((role,),) = rows(User.select(User.role).where(User.account == user_id))
    return str(role)


def owner_of(app: App) -> str:
    """Return the name of who has registered an application."""
    ((name,),) = rows(Account.select(Account.name).where(Account.id == app.owner_id))
    return str(name)


def forget_before(at: int) -> int:
    """Delete what expired before ``at`` (microseconds) and return how many rows that were."""
    tables = (AuthorizationCode, AccessToken, RefreshToken, Frob)
    return sum(changed(table.delete().where(table.expires < at)) for table in tables)
