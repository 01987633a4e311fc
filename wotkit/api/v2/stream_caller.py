"""Who opens a live stream: credentials as everywhere, or the session of this server's own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import Struct

from wotkit.api.caller import address_of
from wotkit.api.presented import presented
from wotkit.auth import passwords, standing
from wotkit.auth.standing import PUBLIC, OfGrant, OfSession, Standing
from wotkit.catalog import sessions
from wotkit.catalog.identity import ANONYMOUS, READ, Identity
from wotkit.catalog.sessions import Lifetimes

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.caller import Callers
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

_SAME: Final = frozenset({"same-origin", "none"})
"""What Sec-Fetch-Site says of our own pages and of what the user typed (W3C Fetch Metadata)."""


class StreamCaller(Struct, frozen=True):
    """A caller whose credentials may be asked again."""

    identity: Identity
    standing: Standing
    account: str
    """As whose its streams count."""


class StreamCallers:
    """Identifies who opens streams."""

    def __init__(self, callers: Callers, catalog: Catalog, settings: Settings) -> None:
        self._callers = callers
        self._catalog = catalog
        self._max_body = settings.http.max_body_bytes
        self._public_url = settings.server.public_url
        web = settings.web
        self._lifetimes = Lifetimes(idle=web.idle_seconds, absolute=web.absolute_seconds)

    async def identify(self, req: falcon.asgi.Request) -> StreamCaller:
        """Return who is asking, the public included.

        Raises:
            Unauthenticated: credentials are wrong.
            MissingScope: the credentials do not allow to read.
            ConflictingCredentials: there is more than one of them.
            TooManyLogins: too many failed.
        """
        given = await presented(req, self._max_body)
        if given is None:
            return await self._of_session(req)
        held: Standing | None = None
        if isinstance(given, str):
            held = await self._catalog.reading(standing.of_header, given)
        identity = await self._callers.identify(req, READ)
        return _caller(identity, OfGrant(identity) if held is None else held, req)

    async def _of_session(self, req: falcon.asgi.Request) -> StreamCaller:
        """Return who is signed in, if one of our pages asks; else the public.

        A browser sends its cookie whichever page has a WebSocket opened, so who asks counts
        (https://owasp.org/www-community/attacks/csrf).
        """
        secrets = req.get_cookie_values(sessions.COOKIE)
        if secrets and self._is_own_page(req):
            held = OfSession(passwords.hash_secret(secrets[0]), self._lifetimes)
            identity = await self._catalog.reading(held.renew)
            if identity is not None:
                await self._catalog.writing(sessions.touch, held.secret_hash, address_of(req))
                return _caller(identity, held, req)
        return _caller(ANONYMOUS, PUBLIC, req)

    def _is_own_page(self, req: falcon.asgi.Request) -> bool:
        site = req.get_header("sec-fetch-site")
        if site is not None and site not in _SAME:
            return False
        origin = req.get_header("origin")
        if origin is None:
            # a WebSocket always has one; an answer without one is read by our own pages only
            return str(req.scope["type"]) == "http"
        if self._public_url:
            own = urlsplit(self._public_url)
            return origin == f"{own.scheme}://{own.netloc}"
        return urlsplit(origin).netloc == (req.get_header("host") or "")


def _caller(identity: Identity, held: Standing, req: falcon.asgi.Request) -> StreamCaller:
    account = address_of(req) if identity.anonymous else str(identity.user_id)
    return StreamCaller(identity, held, account)
