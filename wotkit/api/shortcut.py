"""A shortcut past the framework for the most frequent request: one reading, posted as JSON.

A platform's load is this request, from callers and for sensors that are known already. It needs
nothing that a framework does, and the framework's part costs as much as everything else together.
So it is answered here, by the same parts in the same order as in
:meth:`wotkit.api.v1.readings.ReadingsResource.on_post`; whatever is out of the ordinary goes on to
the framework, as if this was not here. The tests send the same requests both ways.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit.api import errors as api_errors
from wotkit.catalog.identity import WRITE
from wotkit.edge import ROUTE
from wotkit.ingest.formats import readings as readings_format

if TYPE_CHECKING:
    from wotkit.auth.authenticator import Authenticator
    from wotkit.catalog.identity import Identity
    from wotkit.ingest.accept import Ingest
    from wotkit.ingest.directory import SensorDirectory, Target

PATHS: Final = 100_000
"""Paths remembered at most; beyond it all are forgotten and read again."""

_PATH: Final = re.compile(r"(?P<base>/api(?:/v1|/v2)?)/sensors/(?P<sensor>[^/]+)/data/?")
_UNUSUAL: Final = (b"idempotency-key", b"content-encoding", b"transfer-encoding", b"expect")
"""Headers that only the framework's way knows."""
_BODY: Final = {"type": "http.response.body", "body": b""}


class _Path(NamedTuple):
    route: str
    sensor: str


class Shortcut:
    """An ASGI application before another."""

    def __init__(
        self,
        app: Any,
        authenticator: Authenticator,
        directory: SensorDirectory,
        ingest: Ingest,
        max_body: int,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._directory = directory
        self._ingest = ingest
        self._max_body = max_body
        self._paths: dict[str, _Path | None] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer the request, or leave it to the framework."""
        known = self._known(scope) if scope["type"] == "http" else None
        if known is None:
            await self._app(scope, receive, send)
            return
        identity, target = known
        revision = self._directory.revision
        events = [await receive()]
        while events[-1].get("more_body"):
            events.append(await receive())
        body = events[0].get("body", b"")
        if len(events) > 1:
            body = b"".join(event.get("body", b"") for event in events)
        if (
            events[-1]["type"] != "http.request"
            or not body.startswith(b"{")
            or self._directory.revision != revision  # what was known may be over
        ):
            await self._app(scope, _again(events, receive), send)
            return
        try:
            parsed = readings_format.parse_one(body)
            await self._ingest.append_to(target, identity, parsed)
        except Exception as error:  # noqa: BLE001  # any error is answered in the one shape
            await api_errors.send(error, scope, send)
            return
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send(_BODY)

    def _known(self, scope: Any) -> tuple[Identity, Target] | None:
        """Return the caller and the sensor if both are known and the request is an ordinary one."""
        if scope["method"] != "POST":
            return None
        path = self._paths.get(scope["path"]) or self._learn(scope["path"])
        authorization = None if path is None else self._authorization(scope)
        if path is None or authorization is None:
            return None
        client = scope["client"]
        identity = self._authenticator.remembered(authorization, client[0] if client else "unknown")
        if identity is None or WRITE not in identity.scopes:
            return None
        target = self._directory.remembered(identity, path.sensor)
        if target is None:
            return None
        scope[ROUTE] = path.route
        return identity, target

    def _authorization(self, scope: Any) -> str | None:
        """Return the credentials; None when there are none or another header is unusual."""
        headers = dict(scope["headers"])
        if len(headers) != len(scope["headers"]) or scope["query_string"]:
            return None  # there may be several credentials
        authorization = headers.get(b"authorization")
        length = headers.get(b"content-length", b"")
        if authorization is None or not length.isdigit() or int(length) > self._max_body:
            return None
        for name in _UNUSUAL:
            if name in headers:
                return None
        return str(authorization, "latin-1")

    def _learn(self, text: str) -> _Path | None:
        match = _PATH.fullmatch(text)
        if match is None:
            return None
        path = _Path(f"{match['base']}/sensors/{{sensor}}/data", match["sensor"])
        if len(self._paths) >= PATHS:
            self._paths.clear()
        self._paths[text] = path
        return path


def _again(events: list[Any], receive: Any) -> Any:
    """Return a ``receive`` that first gives the events that were received already."""
    events.reverse()

    async def receive_again() -> Any:
        return events.pop() if events else await receive()

    return receive_again
