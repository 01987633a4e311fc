"""Turns an Authorization header into an identity, and remembers verified ones for a while.

What is remembered is forgotten as soon as any process changes an account, a key or a sensor in
the catalog, so a revocation holds from the next request on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TypeVar

from wotkit import times
from wotkit.auth import credentials, passwords
from wotkit.catalog import keys, logins, users
from wotkit.errors import Overloaded, TooManyLogins, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.catalog.database import Catalog
    from wotkit.catalog.engine import ChangeWatch
    from wotkit.catalog.identity import Identity
    from wotkit.config import AuthSettings

T = TypeVar("T")

REMEMBERED: Final = 100_000
"""Identities remembered at most; beyond it all are forgotten and verified again."""
BCRYPT_THREADS: Final = 2
BCRYPT_QUEUE: Final = 64
"""Passwords waiting to be verified at most; beyond it the answer is 503."""


class _Remembered(NamedTuple):
    identity: Identity
    until: float
    """Monotonic seconds."""


class Authenticator:
    """Verifies credentials for one process; to be used on the event loop's thread."""

    def __init__(self, catalog: Catalog, settings: AuthSettings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._watch = catalog.watch()
        self._revision = -1
        self._remembered: dict[bytes, _Remembered] = {}
        self._hash_key = secrets.token_bytes(32)
        self._bcrypt = ThreadPoolExecutor(BCRYPT_THREADS, thread_name_prefix="bcrypt")
        self._waiting = 0
        self._decoy = ""
        self._uses: dict[str, tuple[int, str]] = {}

    def remembered(self, header: str, address: str) -> Identity | None:
        """Return the identity if these very credentials were verified a short time ago.

        Costs some microseconds and never waits; None means: ask :meth:`authenticate`.
        """
        if self._watch.revision() != self._revision:
            return None
        found = self._remembered.get(self._fingerprint(header))
        if found is None:
            return None
        identity, until = found
        if until < time.monotonic():
            return None
        if identity.key_id is not None:
            now = times.now()
            if identity.expires is not None and identity.expires <= now:
                return None
            self._uses[identity.key_id] = (now, address)
        return identity

    async def authenticate(self, header: str, address: str) -> Identity:
        """Return the identity behind an Authorization header.

        Raises:
            Unauthenticated: the credentials are malformed, wrong, expired or revoked.
            TooManyLogins: too many failed from this address or for this account.
            Overloaded: too many passwords wait to be verified.
        """
        found = self.remembered(header, address)
        if found is not None:
            return found
        revision = self._watch.revision()
        name, password = _basic(header)
        if credentials.KEY_ID.fullmatch(name):
            identity = await self._catalog.reading(credentials.of_key, name, password)
            if identity is None:
                await self._refuse(logins.address(address))
            self._uses[name] = (times.now(), address)
            remember = float("inf")
        else:
            identity = await self._user(name, password, address)
            remember = self._settings.remember_seconds
        self._remember(header, identity, revision, time.monotonic() + remember)
        return identity

    @property
    def watch(self) -> ChangeWatch:
        """The watch on the catalog, for others that cache on the event loop."""
        return self._watch

    async def verify(self, username: str, password: str, address: str) -> Identity:
        """Return the identity of a user after verifying the password, as a login page does.

        Raises:
            Unauthenticated: the name or the password is wrong.
            TooManyLogins: too many failed from this address or for this account.
            Overloaded: too many passwords wait to be verified.
        """
        return await self._user(username, password, address)

    async def flush_uses(self) -> None:
        """Write when keys were last used; to be called about once a minute."""
        if self._uses:
            uses, self._uses = self._uses, {}
            await self._catalog.writing(keys.note_uses, uses)

    async def hash_password(self, password: str) -> str:
        """Hash a password off the event loop."""
        return await self._slowly(
            lambda: passwords.hash_password(password, self._settings.bcrypt_cost)
        )

    def close(self) -> None:
        """Stop the threads and the watch."""
        self._bcrypt.shutdown(cancel_futures=True)
        self._watch.close()

    def _fingerprint(self, header: str) -> bytes:
        return hashlib.blake2b(
            header.encode("utf-8", "surrogateescape"), key=self._hash_key, digest_size=16
        ).digest()

    def _remember(self, header: str, identity: Identity, revision: int, until: float) -> None:
        if self._watch.revision() != revision:
            return  # the catalog changed while this was verified: the next request asks again
        if revision != self._revision or len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
            self._revision = revision
        self._remembered[self._fingerprint(header)] = _Remembered(identity, until)

    async def _user(self, name: str, password: str, address: str) -> Identity:
        await self._check_limits(name, address)
        candidate = await self._catalog.reading(credentials.candidate, name)
        if not await self._matches(password, candidate):
            await self._refuse(logins.account(name), logins.address(address))
        assert candidate is not None
        if passwords.needs_rehash(candidate.password_hash, self._settings.bcrypt_cost):
            new_hash = await self.hash_password(password)
            await self._catalog.writing(
                users.rehash, candidate.identity.user_id, candidate.password_hash, new_hash
            )
        return candidate.identity

    async def _matches(self, password: str, candidate: credentials.Candidate | None) -> bool:
        """Verify a password; a user who does not exist takes as long as one who does."""
        if candidate is not None:
            return await self._slowly(
                lambda: passwords.verify_password(password, candidate.password_hash)
            )
        if not self._decoy:
            self._decoy = await self.hash_password(secrets.token_hex())
        await self._slowly(lambda: passwords.verify_password(password, self._decoy))
        return False

    async def _slowly(self, work: Callable[[], T]) -> T:
        if self._waiting >= BCRYPT_QUEUE:
            raise Overloaded("too many logins at once", retry_after=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._bcrypt, work)
        finally:
            self._waiting -= 1

    async def _check_limits(self, name: str, address: str) -> None:
        settings = self._settings
        limits = {
            logins.account(name): settings.failures_per_account,
            logins.address(address): settings.failures_per_address,
        }
        for subject, limit in limits.items():
            seconds = await self._catalog.reading(
                logins.wait, subject, limit=limit, window_seconds=settings.failure_window_seconds
            )
            if seconds > 0:
                raise TooManyLogins(f"wait {seconds:.0f} seconds", retry_after=seconds)

    async def _refuse(self, *subjects: str) -> NoReturn:
        """Count a failed login and refuse it.

        A good key is never refused for the failures of others behind the same address: a key's
        password cannot be guessed, so failures only slow down who fails.
        """
        settings = self._settings
        address = subjects[-1]
        seconds = await self._catalog.reading(
            logins.wait,
            address,
            limit=settings.failures_per_address,
            window_seconds=settings.failure_window_seconds,
        )
        if seconds > 0:
            raise TooManyLogins(f"wait {seconds:.0f} seconds", retry_after=seconds)
        await self._catalog.writing(logins.record, *subjects)
        raise Unauthenticated("the credentials are wrong, expired or revoked")


def _basic(header: str) -> tuple[str, str]:
    """Return name and password of an Authorization header (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise Unauthenticated(f"the scheme {scheme[:20]!r} is not supported; use Basic")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Unauthenticated("the Basic credentials are not base64 of UTF-8") from None
    name, colon, password = decoded.partition(":")
    if not colon:
        raise Unauthenticated("the Basic credentials lack a colon")
    return name, password
