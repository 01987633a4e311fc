"""Turns an Authorization header into an identity, and remembers verified ones for a while.

What is remembered is forgotten as soon as any process changes an account, a key or a sensor in
the catalog, so a revocation holds from the next request on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import math
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TypeVar

from wotkit import times
from wotkit.auth import credentials, frob, passwords
from wotkit.catalog import audit, grants, keys, logins, users
from wotkit.catalog.identity import KEY_ID
from wotkit.errors import Overloaded, TooManyLogins, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.watch import Watch
    from wotkit.settings import AuthSettings

T = TypeVar("T")

REMEMBERED: Final = 100_000
"""Identities and proofs remembered at most; beyond it all are forgotten and verified again."""
BCRYPT_THREADS: Final = 2
BCRYPT_QUEUE: Final = 64
"""Passwords waiting to be verified at most; beyond it the answer is 503."""


class _Remembered(NamedTuple):
    identity: Identity
    until: float
    """Monotonic seconds."""


class _Proven(NamedTuple):
    """What bcrypt has shown: which hash the password has, whatever else changes in the catalog."""

    password_hash: str
    until: float
    """Monotonic seconds."""


class Authenticator:
    """Verifies credentials for one process; to be used on the event loop's thread."""

    def __init__(
        self,
        catalog: Catalog,
        settings: AuthSettings,
        watch: Watch | None = None,
        secret_key: str = "",
    ) -> None:
        """Take the catalog, the watch on it that others share, and what signing secrets need."""
        self._secret_key = secret_key
        self._catalog = catalog
        self._settings = settings
        self._watch: Watch = catalog.watch() if watch is None else watch
        self._revision = -1
        self._remembered: dict[bytes, _Remembered] = {}
        self._hash_key = secrets.token_bytes(32)
        self._proven: dict[bytes, _Proven] = {}
        self._under_way: dict[tuple[bytes, int], asyncio.Task[tuple[Identity, float]]] = {}
        self._bcrypt = ThreadPoolExecutor(BCRYPT_THREADS, thread_name_prefix="bcrypt")
        self._slots = asyncio.Semaphore(BCRYPT_THREADS)
        self._waiting = 0
        self._decoy = passwords.unmatched_hash(settings.bcrypt_cost)
        self._uses: dict[str, tuple[int, str]] = {}
        self._grant_uses: dict[int, tuple[int, str]] = {}

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
        if identity.key_id is not None or identity.grant_id is not None:
            now = times.now()
            if identity.expires is not None and identity.expires <= now:
                return None
            self._note_use(identity, now, address)
        return identity

    def _note_use(self, identity: Identity, now: int, address: str) -> None:
        if identity.key_id is not None:
            self._uses[identity.key_id] = (now, address)
        elif identity.grant_id is not None:
            self._grant_uses[identity.grant_id] = (now, address)

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
        fingerprint = self._fingerprint(header)
        token = _token(header)
        if token is not None:
            identity = await self._of_token(token, address)
            self._remember(fingerprint, identity, revision, float("inf"))
            return identity
        name, password = _basic(header)
        if KEY_ID.fullmatch(name):
            identity, until = await self._key(name, password, address), float("inf")
        else:
            proof = self._under_way.get((fingerprint, revision))
            if proof is None:
                proof = self._start_proof(fingerprint, revision, name, password, address)
            identity, until = await asyncio.shield(proof)
        self._remember(fingerprint, identity, revision, until)
        return identity

    async def authenticate_signed(self, call: frob.Call, address: str) -> Identity:
        """Return the identity behind a signed call; each has another signature to check.

        Raises:
            Unauthenticated: the signature or the token is wrong, or the token expired or revoked.
        """
        identity = await self._catalog.reading(frob.caller, call, self._secret_key)
        self._note_use(identity, times.now(), address)
        return identity

    async def verify(self, username: str, password: str, address: str) -> Identity:
        """Return the identity of a user after verifying the password, as a login page does.

        Raises:
            Unauthenticated: the name or the password is wrong.
            TooManyLogins: too many failed from this address or for this account.
            Overloaded: too many passwords wait to be verified.
        """
        candidate = await self._verified(username, password, address)
        return candidate.identity

    async def flush_uses(self) -> None:
        """Write when keys and grants were last used; to be called about once a minute.

        Raises:
            Overloaded: the catalog is locked; the uses are kept for the next time.
            StoreUnavailable: it cannot be written; likewise.
        """
        if self._uses:
            uses, self._uses = self._uses, {}
            try:
                await self._catalog.writing(keys.note_uses, uses)
            except BaseException:
                self._uses = uses | self._uses
                raise
        if self._grant_uses:
            used, self._grant_uses = self._grant_uses, {}
            try:
                await self._catalog.writing(grants.note_uses, used)
            except BaseException:
                self._grant_uses = used | self._grant_uses
                raise

    async def hash_password(self, password: str) -> str:
        """Hash a password off the event loop.

        Raises:
            Overloaded: too many passwords wait.
        """
        async with self._slot():
            return await self._hash(password)

    def close(self) -> None:
        """Stop the threads and the watch."""
        self._bcrypt.shutdown(cancel_futures=True)
        self._watch.close()

    def _fingerprint(self, header: str) -> bytes:
        return hashlib.blake2b(
            header.encode("utf-8", "surrogatepass"), key=self._hash_key, digest_size=16
        ).digest()

    def _remember(
        self, fingerprint: bytes, identity: Identity, revision: int, until: float
    ) -> None:
        if self._watch.revision() != revision:
            return  # the catalog changed while this was verified: the next request asks again
        if revision != self._revision or len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
            self._revision = revision
        self._remembered[fingerprint] = _Remembered(identity, until)

    async def _key(self, key_id: str, password: str, address: str) -> Identity:
        identity = await self._catalog.reading(credentials.of_key, key_id, password)
        if identity is None:
            await self._refuse(key_id, address, logins.address(address))
        self._note_use(identity, times.now(), address)
        return identity

    async def _of_token(self, token: str, address: str) -> Identity:
        """Return the identity of an access token.

        Wrong ones are not counted as failed logins: applications find out that way that a token
        has expired, and nobody guesses 256 bits.
        """
        identity = await self._catalog.reading(credentials.of_token, token)
        if identity is None:
            raise Unauthenticated("the access token is wrong, expired or revoked", token=True)
        self._note_use(identity, times.now(), address)
        return identity

    def _start_proof(
        self, fingerprint: bytes, revision: int, name: str, password: str, address: str
    ) -> asyncio.Task[tuple[Identity, float]]:
        """Verify a password once for all requests that bring it at the same time.

        Only for requests that saw the same revision, so that none profits from what was read
        before a revocation.
        """
        proof = asyncio.create_task(self._prove(fingerprint, name, password, address))
        self._under_way[fingerprint, revision] = proof
        proof.add_done_callback(lambda _: self._under_way.pop((fingerprint, revision), None))
        return proof

    async def _prove(
        self, fingerprint: bytes, name: str, password: str, address: str
    ) -> tuple[Identity, float]:
        """Return the user's identity, and until when (monotonic seconds) the proof is good.

        While it is, and the hash is still the user's, bcrypt need not be asked again: other
        changes of the catalog are frequent.
        """
        candidate = await self._catalog.reading(credentials.candidate, name)
        proven = self._proven.get(fingerprint)
        if (
            candidate is None
            or proven is None
            or proven.until < time.monotonic()
            or proven.password_hash != candidate.password_hash
        ):
            candidate = await self._verified(name, password, address)
            until = time.monotonic() + self._settings.remember_seconds
            proven = _Proven(candidate.password_hash, until)
            if len(self._proven) >= REMEMBERED:
                self._proven.clear()
            self._proven[fingerprint] = proven
        return candidate.identity, proven.until

    async def _verified(self, name: str, password: str, address: str) -> credentials.Candidate:
        await self._check_limits(name, address)
        async with self._slot():
            await self._check_limits(name, address)  # others may have failed meanwhile
            candidate = await self._catalog.reading(credentials.candidate, name)
            # a user who does not exist takes as long as one who does
            hashed = self._decoy if candidate is None else candidate.password_hash
            good = await self._slowly(lambda: passwords.verify_password(password, hashed))
            if candidate is None or not good:
                await self._refuse(name, address, logins.account(name), logins.address(address))
            if passwords.needs_rehash(hashed, self._settings.bcrypt_cost):
                candidate = await self._renew(candidate, password)
        await self._catalog.writing(logins.forget, logins.account(name))
        return candidate

    async def _renew(
        self, candidate: credentials.Candidate, password: str
    ) -> credentials.Candidate:
        new_hash = await self._hash(password)
        await self._catalog.writing(
            users.rehash, candidate.identity.user_id, candidate.password_hash, new_hash
        )
        return credentials.Candidate(candidate.identity, new_hash)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Wait for one of the bcrypt threads.

        Limits are checked and failures counted inside, so that many guesses at once are no way
        around the limits.
        """
        if self._waiting >= BCRYPT_QUEUE:
            raise Overloaded("too many logins at once", retry_after=2)
        self._waiting += 1
        try:
            async with self._slots:
                yield
        finally:
            self._waiting -= 1

    async def _hash(self, password: str) -> str:
        return await self._slowly(
            lambda: passwords.hash_password(password, self._settings.bcrypt_cost)
        )

    async def _slowly(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._bcrypt, work)

    async def _check_limits(self, name: str, address: str) -> None:
        settings = self._settings
        limits = {
            logins.account(name): settings.failures_per_account,
            logins.address(address): settings.failures_per_address,
        }
        await self._check(limits)

    async def _check(self, limits: dict[str, int]) -> None:
        seconds = await self._catalog.reading(
            logins.longest_wait, limits, window_seconds=self._settings.failure_window_seconds
        )
        if seconds > 0:
            raise TooManyLogins(f"wait {math.ceil(seconds)} seconds", retry_after=seconds)

    async def _refuse(self, name: str, address: str, *subjects: str) -> NoReturn:
        """Count a failed login, note it in the audit log and refuse it.

        A good key is never refused for the failures of others behind the same address: a key's
        password cannot be guessed, so failures only slow down who fails.
        """
        await self._check({subjects[-1]: self._settings.failures_per_address})

        def note() -> None:
            logins.record(*subjects)
            audit.login_failed(name, address)

        await self._catalog.writing(note)
        raise Unauthenticated("the credentials are wrong, expired or revoked")


def _token(header: str) -> str | None:
    """Return the token of an Authorization header (RFC 6750 section 2.1); None without one."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() in {"bearer", "oauth"} else None


def _basic(header: str) -> tuple[str, str]:
    """Return name and password of an Authorization header (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        # not repeated: where the scheme was forgotten, this is the secret itself
        raise Unauthenticated("the schemes of credentials that are supported are Basic and Bearer")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Unauthenticated("the Basic credentials are not base64 of UTF-8") from None
    name, colon, password = decoded.partition(":")
    if not colon:
        raise Unauthenticated("the Basic credentials lack a colon")
    return name, password
