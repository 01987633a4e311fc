"""Finds the identity behind a user name and password, a key id and key password, or a token.

Plain functions for units of work on the catalog; :mod:`wotkit.auth.authenticator` remembers.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from wotkit import times
from wotkit.auth import passwords
from wotkit.catalog import grants
from wotkit.catalog.identity import ADMIN, EVERYDAY, Identity, accounts_of, expand
from wotkit.catalog.models import AccessToken, Account, App, Grant, Key, KeySensor, User, rows


class Candidate(Struct, frozen=True):
    """A user whose password is still to be verified, which is slow and done elsewhere."""

    identity: Identity
    password_hash: str


def of_key(key_id: str, key_password: str) -> Identity | None:
    """Return the identity of a key, or None when the id, the password or the time is wrong."""
    key = Key.get_or_none(Key.id == key_id)
    if key is None:
        return None
    until = _valid_until(key, passwords.hash_secret(key_password))
    return None if until is None else _of_key(key, until)


def of_key_id(key_id: str) -> Identity | None:
    """Return the identity of a key whose password somebody else has verified, such as a broker.

    None when there is no such key, or it has expired.
    """
    key = Key.get_or_none(Key.id == key_id)
    if key is None:
        return None
    until = key.expires if key.expires is not None else _NEVER
    return _of_key(key, until) if until > times.now() else None


def _of_key(key: Key, until: int) -> Identity | None:
    ((username, role, enabled),) = rows(
        User.select(Account.name, User.role, User.enabled)
        .join(Account)
        .where(User.account == key.user_id)
    )
    if not enabled:
        return None
    scopes = expand(key.scopes.split())
    admin = role == "admin" and ADMIN in scopes
    sensors = None
    if key.limited:
        limits = rows(KeySensor.select(KeySensor.sensor).where(KeySensor.key == key.id))
        sensors = frozenset(sensor_id for (sensor_id,) in limits)
    return Identity(
        user_id=key.user_id,
        username=username,
        accounts=accounts_of(key.user_id),
        scopes=scopes if admin else scopes - {ADMIN},
        admin=admin,
        key_id=str(key.id),
        expires=until,
        sensors=sensors,
    )


def of_token(token: str) -> Identity | None:
    """Return the identity of an access token; None when it is unknown, expired or revoked.

    One from the handshake with a frob is good in signed calls only.
    """
    return _of_token(token, Grant.kind != grants.FROB)


def of_signed_token(token: str, client_id: str) -> Identity | None:
    """Return the identity of an application's token from the handshake with a frob, if it is good.

    That the application signed the call is for :mod:`wotkit.auth.frob` to check.
    """
    return _of_token(token, (Grant.kind == grants.FROB) & (App.client_id == client_id))


def _of_token(token: str, condition: Any) -> Identity | None:
    query = (
        AccessToken.select(
            Grant.user,
            Account.name,
            User.role,
            AccessToken.scopes,
            AccessToken.expires,
            Grant.id,
            App.client_id,
        )
        .join(Grant)
        .join(App, on=(App.id == Grant.app))
        .join(User, on=(User.account == Grant.user))
        .join(Account, on=(Account.id == Grant.user))
        .where(
            condition
            & (AccessToken.hash == passwords.hash_secret(token))
            & (AccessToken.expires > times.now())
            & Grant.ended.is_null()
            & (User.enabled == True)  # noqa: E712  # SQL, not Python
        )
    )
    for user_id, username, role, scopes, expires, grant_id, client_id in rows(query):
        allowed = expand(scopes.split())
        admin = role == "admin" and ADMIN in allowed
        return Identity(
            user_id=user_id,
            username=username,
            accounts=accounts_of(user_id),
            scopes=allowed if admin else allowed - {ADMIN},
            admin=admin,
            grant_id=grant_id,
            app=client_id,
            expires=expires,
        )
    return None


_NEVER: Final = 1 << 62


def _valid_until(key: Key, secret_hash: str) -> int | None:
    """Return until when (microseconds) this password of the key is good; None when it is not."""
    until = key.expires if key.expires is not None else _NEVER
    if not passwords.same_hash(key.secret_hash, secret_hash):
        if key.old_secret_hash is None or key.old_secret_until is None:
            return None
        if not passwords.same_hash(key.old_secret_hash, secret_hash):
            return None
        until = min(until, key.old_secret_until)
    return until if until > times.now() else None


def candidate(username: str) -> Candidate | None:
    """Return an enabled user, to verify a password against; None when there is none."""
    found = rows(
        User.select(Account.id, Account.name, User.role, User.password_hash)
        .join(Account)
        .where((Account.name == username) & (User.enabled == True))  # noqa: E712  # SQL, not Python
    )
    for user_id, name, role, password_hash in found:
        admin = role == "admin"
        identity = Identity(
            user_id=user_id,
            username=name,
            accounts=accounts_of(user_id),
            scopes=EVERYDAY | {ADMIN} if admin else EVERYDAY,
            admin=admin,
        )
        return Candidate(identity, password_hash)
    return None
