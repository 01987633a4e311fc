"""Finds out who is asking, for resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit.api.presented import ordinary, presented
from wotkit.api.requests import read_body
from wotkit.catalog.audit import Actor
from wotkit.catalog.identity import ADMIN, ANONYMOUS, Identity
from wotkit.errors import MissingScope

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.auth.authenticator import Authenticator


_WITH_BODY: Final = frozenset({"POST", "PUT"})


def address_of(req: falcon.asgi.Request) -> str:
    """Return the address of the client; behind a trusted proxy, the one the proxy names."""
    client = req.scope.get("client")
    return str(client[0]) if client else "unknown"


class Callers:
    """Identifies callers of the API; of credentials in several places, none are taken."""

    def __init__(self, authenticator: Authenticator, max_body: int) -> None:
        """Take the bytes a form may have: it may hold an access token."""
        self._authenticator = authenticator
        self._max_body = max_body

    async def identify(self, req: falcon.asgi.Request, scope: str) -> Identity:
        """Return who is asking, the public included, if the credentials allow ``scope``.

        Raises:
            Unauthenticated: credentials are wrong, or missing where ``scope`` needs them.
            MissingScope: the credentials do not allow ``scope``.
            ConflictingCredentials: there is more than one of them.
            TooManyLogins: too many failed.
            Overloaded: too many passwords wait to be verified.
        """
        identity = self._remembered(req) or await self._caller(req)
        identity.require(scope)
        return identity

    async def identify_known(self, req: falcon.asgi.Request, scope: str) -> Identity:
        """Like :meth:`identify`, and refuse the public.

        Raises:
            Unauthenticated: credentials are missing or wrong.
            MissingScope: the credentials do not allow ``scope``.
        """
        identity = await self.identify(req, scope)
        identity.require_known()
        return identity

    async def identify_sender(self, req: falcon.asgi.Request, scope: str) -> Identity:
        """Like :meth:`identify`, as of the end of the request's body, which is then read.

        Raises:
            Unauthenticated: credentials are wrong or missing, also since the request began.
            MissingScope: the credentials do not allow ``scope``.
            TooLarge, UnsupportedMedia, MalformedBody: the body cannot be read.
        """
        await self.identify(req, scope)
        await self._read(req)
        return await self.identify(req, scope)

    async def identify_or_public(self, req: falcon.asgi.Request, scope: str) -> Identity:
        """Return who is asking: the public, or somebody whose credentials allow ``scope``.

        As of the end of the request's body, which is then read.

        Raises:
            Unauthenticated: credentials are wrong.
            MissingScope: the credentials do not allow ``scope``.
            TooLarge, UnsupportedMedia, MalformedBody: the body cannot be read.
        """
        await self._public_or(req, scope)
        await self._read(req)
        return await self._public_or(req, scope)

    async def _public_or(self, req: falcon.asgi.Request, scope: str) -> Identity:
        identity = self._remembered(req) or await self._caller(req)
        if not identity.anonymous:
            identity.require(scope)
        return identity

    async def identify_user(self, req: falcon.asgi.Request, what: str) -> Identity:
        """Return the user who is asking; a key or application that acts for one is refused.

        Raises:
            Unauthenticated: credentials are missing or wrong.
            MissingScope: neither a key nor an application ever manages ``what``.
        """
        (await self._caller(req)).require_user(what)
        await self._read(req)
        identity = await self._caller(req)
        identity.require_user(what)
        return identity

    async def identify_anybody(self, req: falcon.asgi.Request) -> Identity:
        """Return who is asking for what everybody may see; also there, wrong credentials are wrong.

        Raises:
            Unauthenticated: credentials are wrong.
        """
        return self._remembered(req) or await self._caller(req)

    async def identify_admin(self, req: falcon.asgi.Request) -> Identity:
        """Return the administrator who is asking.

        Raises:
            Unauthenticated: credentials are missing or wrong.
            MissingScope: the user has not the role admin, or the key not the scope ``admin``.
        """
        await self._admin(req)
        await self._read(req)
        return await self._admin(req)

    async def _admin(self, req: falcon.asgi.Request) -> Identity:
        identity = await self.identify(req, ADMIN)
        if not identity.admin:
            token = identity.grant_id is not None
            raise MissingScope("this method is for administrators", scope=ADMIN, token=token)
        return identity

    async def _read(self, req: falcon.asgi.Request) -> None:
        """Wait for the body, which may be as slow as its sender likes.

        Whoever sends one is asked for once more after it: else a request that was begun with a
        stolen password, or by a member, could be ended when it is one no more.
        """
        if req.method in _WITH_BODY:
            req.context["body"] = await read_body(req, self._max_body)

    def _remembered(self, req: falcon.asgi.Request) -> Identity | None:
        header = ordinary(req)
        return None if header is None else self._authenticator.remembered(header, address_of(req))

    async def _caller(self, req: falcon.asgi.Request) -> Identity:
        found = await presented(req, self._max_body)
        if found is None:
            return ANONYMOUS
        if isinstance(found, str):
            return await self._authenticator.authenticate(found, address_of(req))
        return await self._authenticator.authenticate_signed(found, address_of(req))

    @staticmethod
    def actor(req: falcon.asgi.Request, identity: Identity) -> Actor:
        """Return the caller as the audit log records it."""
        return Actor.of(identity, address_of(req))
