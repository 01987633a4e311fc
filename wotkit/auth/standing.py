"""Whether credentials still hold, for connections that outlive the request that brought them.

A standing keeps what its credentials were, and is asked again when the catalog has changed or when
they may have expired. Its ``renew`` is a unit of work: it returns the identity as it is now, and
None once the credentials are revoked, expired or changed. Equal ones need to be asked only once.
Those that are ``unwatched`` may end without the catalog's revision telling.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec
from msgspec import Struct

from wotkit import times
from wotkit.auth import credentials
from wotkit.catalog import sessions
from wotkit.catalog.identity import ANONYMOUS, KEY_ID, Identity, accounts_of
from wotkit.catalog.models import Grant, User, rows
from wotkit.catalog.sessions import Lifetimes  # noqa: TC001  # msgspec resolves annotations


class OfPublic(Struct, frozen=True):
    """Nobody in particular."""

    unwatched: bool = False

    def renew(self) -> Identity | None:
        """Return the public, which always holds."""
        return ANONYMOUS


class OfKey(Struct, frozen=True):
    """A key id and its password."""

    key_id: str
    key_password: str
    unwatched: bool = False

    def renew(self) -> Identity | None:
        """Return who is asking, now."""
        return credentials.of_key(self.key_id, self.key_password)


class OfToken(Struct, frozen=True):
    """An access token."""

    token: str
    unwatched: bool = False

    def renew(self) -> Identity | None:
        """Return who is asking, now."""
        return credentials.of_token(self.token)


class OfGrant(Struct, frozen=True):
    """An access token that was verified in another way than by itself."""

    identity: Identity
    unwatched: bool = False

    def renew(self) -> Identity | None:
        """Return who is asking, now."""
        before = self.identity
        if before.expires is not None and before.expires <= times.now():
            return None
        holds = (Grant.id == before.grant_id) & Grant.ended.is_null() & User.enabled
        joined = Grant.select(Grant.id).join(User, on=(User.account == Grant.user))
        if not rows(joined.where(holds)):
            return None
        return msgspec.structs.replace(before, accounts=accounts_of(before.user_id))


class OfPassword(Struct, frozen=True):
    """A user whose password had this hash; another password is another hash."""

    username: str
    password_hash: str
    unwatched: bool = False

    def renew(self) -> Identity | None:
        """Return who is asking, now."""
        found = credentials.candidate(self.username)
        if found is None or found.password_hash != self.password_hash:
            return None
        return found.identity


class OfSession(Struct, frozen=True):
    """A browser that is signed in; who signs out changes no cached table."""

    secret_hash: str
    lifetimes: Lifetimes
    unwatched: bool = True

    def renew(self) -> Identity | None:
        """Return who is asking, now."""
        found = sessions.find(self.secret_hash, self.lifetimes)
        return None if found is None else sessions.identity_of(found)


Standing = OfPublic | OfKey | OfToken | OfGrant | OfPassword | OfSession
PUBLIC: Final = OfPublic()


def of_header(header: str) -> Standing:
    """Return the standing of an Authorization header that is verified after this; a unit of work.

    In that order nothing is missed: a password that is changed meanwhile has another hash, so the
    standing does not hold from the beginning. What cannot be read will not be verified either.
    """
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return OfToken(rest.strip())
    try:
        name, _, password = base64.b64decode(rest.strip()).decode().partition(":")
    except ValueError:
        return PUBLIC
    if KEY_ID.fullmatch(name):
        return OfKey(name, password)
    found = credentials.candidate(name)
    return OfPassword(name, "" if found is None else found.password_hash)
