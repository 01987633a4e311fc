"""The outermost layer of the server: request ids, metrics, log lines, CORS and fixed headers.

Plain ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html) around the framework, since it
runs for every request: it costs a few microseconds and allocates little.
"""

from __future__ import annotations

import itertools
import logging
import re
import secrets
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from wotkit.errors import WotkitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from wotkit.metrics import Histogram, RequestMetrics
    from wotkit.settings import Settings

REQUEST_ID: Final = "wotkit.request_id"
ROUTE: Final = "wotkit.route"
ERROR: Final = "wotkit.error"
CUT_OFF: Final = "wotkit.cut_off"
"""In the scope of a request without Content-Length once its client has gone away."""

FIXED_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
"""Security headers of every answer (OWASP Secure Headers)."""

_GIVEN_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHODS: Final = b"GET, POST, PUT, DELETE, OPTIONS"
_ALLOWED_HEADERS: Final = (
    b"Authorization, Content-Encoding, Content-Type, Idempotency-Key, Last-Event-ID, "
    b"X-DataSource-Auth, X-Request-Id"
)
_EXPOSED_HEADERS: Final = (
    b"Location, Link, Retry-After, WWW-Authenticate, X-Request-Id, Idempotent-Replayed, "
    b"X-Total-Truncated"
)
_CORS_SECONDS: Final = b"86400"
_COUNTED_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods with a metric of their own; clients may send any word."""
_LOGGED_PATH: Final = 500
_SECRET_PATHS: Final = ("/password/", "/welcome/")
"""What follows these in a path lets its reader in, and so is neither logged nor repeated."""
_SLOW_SECONDS: Final = 1.0
_SWITCHED: Final = 101

_log: Final = logging.getLogger("wotkit.requests")


class _Kind(Struct, frozen=True):
    """What the requests of one route, method and status have in common."""

    seconds: Histogram
    logged: bool


class Connections:
    """The connections of the server that runs the application, to close one by force."""

    def __init__(self) -> None:
        self.open: Collection[Any] = ()
        """uvicorn's protocols, of HTTP and WebSocket; the server says where they are."""

    def abort(self, scope: Any) -> None:
        """Close the connection of a request at once, whatever still waits to be sent on it.

        An orderly end would wait for ever for a client that does not read.
        """
        for connection in tuple(self.open):
            cycle = getattr(connection, "cycle", None)
            if getattr(connection if cycle is None else cycle, "scope", None) is scope:
                connection.transport.abort()
                return


class Edge:
    """Wraps an ASGI application."""

    def __init__(
        self,
        app: Any,
        settings: Settings,
        metrics: RequestMetrics,
        *,
        stop_waiting: Callable[[], Awaitable[None]] | None = None,
        connections: Connections | None = None,
    ) -> None:
        self._app = app
        self._stop_waiting = stop_waiting
        self.connections = Connections() if connections is None else connections
        self._metrics = metrics
        self._origins = frozenset(origin.encode() for origin in settings.http.cors_origins)
        self._any_origin = b"*" in self._origins
        self._log_all = settings.log.requests == "all"
        self._log_none = settings.log.requests == "none"
        self._kinds: dict[tuple[str | None, str, int], _Kind] = {}
        self._prefix = secrets.token_hex(6).encode() + b"-"
        self._count = itertools.count(1).__next__

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection or request."""
        if scope["type"] != "http":
            await self._app(scope, receive, self._noting_handshake(scope, send))
            return
        started = perf_counter()
        request_id = self._prefix + b"%x" % self._count()
        origin = None
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
                request_id = value
            elif name == b"origin":
                origin = value
            elif name == b"transfer-encoding":
                receive = _noting_cut_off(scope, receive)
        scope[REQUEST_ID] = request_id.decode()
        if origin is not None and scope["method"] == "OPTIONS" and _is_preflight(scope):
            await self._preflight(origin, request_id, send)
            self._observe(scope, 204, perf_counter() - started)
            return

        def observed_send(message: Any) -> Any:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                headers.append((b"x-request-id", request_id))
                if origin is not None:
                    headers += self._cors(origin)
                self._observe(scope, message["status"], perf_counter() - started)
            return send(message)  # to be awaited by the framework: one frame less

        await self._app(scope, receive, observed_send)

    async def stop_waiting(self) -> None:
        """Have requests answered that wait for something to happen: the server is to stop."""
        if self._stop_waiting is not None:
            await self._stop_waiting()

    def _observe(self, scope: Any, status: int, seconds: float) -> None:
        kind = (scope.get(ROUTE), scope["method"], status)
        known = self._kinds.get(kind)
        if known is None:
            known = self._learn(*kind)
        known.seconds.observe(seconds)
        if known.logged or (seconds > _SLOW_SECONDS and not self._log_none):
            self._write_line(scope, status, seconds)

    def _learn(self, route: str | None, method: str, status: int) -> _Kind:
        """Return how requests of a kind are counted and whether each gets a line."""
        counted = method in _COUNTED_METHODS
        histogram = self._metrics.child(route or "none", method if counted else "other", status)
        logged = self._log_all or not (self._log_none or _stored(route or "", method, status))
        kind = _Kind(histogram, logged)
        if counted:
            self._kinds[route, method, status] = kind
        return kind

    @staticmethod
    def _write_line(scope: Any, status: int, seconds: float) -> None:
        error = scope.get(ERROR)
        client = scope.get("client")
        fields: dict[str, Any] = {
            "request_id": scope[REQUEST_ID],
            "method": scope["method"],
            "path": plain_path(scope["path"])[:_LOGGED_PATH],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "client": client[0] if client else None,
        }
        if isinstance(error, WotkitError):
            fields["code"] = error.code.number
        _log.info("request", extra={"fields": fields})

    def _noting_handshake(self, scope: Any, send: Any) -> Any:
        """Return ``send``; the handshake of a WebSocket is counted and logged as a request."""
        if scope["type"] != "websocket":
            return send
        started = perf_counter()
        request_id = self._prefix + b"%x" % self._count()
        scope[REQUEST_ID] = request_id.decode()
        scope["method"] = "GET"

        def observed_send(message: Any) -> Any:
            if message["type"] == "websocket.accept":
                message.setdefault("headers", []).append((b"x-request-id", request_id))
                self._observe(scope, _SWITCHED, perf_counter() - started)
            elif message["type"] == "websocket.close":
                return _close(message, send)
            return send(message)

        return observed_send

    async def _preflight(self, origin: bytes, request_id: bytes, send: Any) -> None:
        headers = [
            (b"x-request-id", request_id),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", _CORS_SECONDS),
            *self._cors(origin),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _cors(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers that let a page of ``origin`` read the answer (WHATWG Fetch)."""
        if not self._any_origin and origin not in self._origins:
            return [(b"vary", b"Origin")]
        allowed = b"*" if self._any_origin else origin
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", _EXPOSED_HEADERS),
            (b"vary", b"Origin"),
        ]


def plain_path(path: str) -> str:
    """Return a path without what in it is a secret."""
    for start in _SECRET_PATHS:
        if path.startswith(start):
            return f"{start}…"
    return path


async def _close(message: Any, send: Any) -> None:
    """Close a WebSocket; that its client was faster is no error, as the server's parts take it."""
    with suppress(OSError):  # the ASGI specification, section "Disconnected Client"
        await send(message)


def _is_preflight(scope: Any) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])


def _stored(route: str, method: str, status: int) -> bool:
    """Return whether a request stored readings, which the metrics count and no line repeats."""
    if status == 200:  # noqa: PLR2004  # what a gateway is told
        return method == "POST" and route.endswith("/ingest")
    return status in {201, 204} and method in {"POST", "PUT"} and route.endswith("/data")


def _noting_cut_off(scope: Any, receive: Any) -> Any:
    """Return ``receive``, with a note in the scope when the client goes away.

    The framework takes that for the end of a body, and only Content-Length would tell.
    """

    async def noting() -> Any:
        event = await receive()
        if event["type"] == "http.disconnect":
            scope[CUT_OFF] = True
        return event

    return noting
