"""Live readings, as Server-Sent Events and over WebSocket."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Annotated, Final, Literal

from falcon.errors import WebSocketDisconnected
from msgspec import Meta, Struct

from wotkit import strict_json
from wotkit.api import errors as api_errors
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import client_gone, read_query
from wotkit.catalog.references import LARGEST_ID, is_id
from wotkit.catalog.sensor_query import SensorQuery
from wotkit.errors import (
    InvalidQuery,
    NotFound,
    Overloaded,
    StoreUnavailable,
    TooManyStreams,
    WotkitError,
)
from wotkit.live.items import END, READY, End

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.api.v2.stream_caller import StreamCallers
    from wotkit.edge import Connections
    from wotkit.live.stream import Stream
    from wotkit.live.streams import Streams

EVENT_STREAM: Final = "text/event-stream"
MOST_NAMED: Final = 1_000
"""Sensors that one request may name."""
CLOSE: Final = {
    End.SLOW_READER: 4408,
    End.REVOKED: 4401,
    End.FORBIDDEN: 4403,
    End.SERVER_STOPPING: 4503,
}
"""Codes a WebSocket is closed with, of the range for applications (RFC 6455 section 7.4.2)."""
REFUSED: Final = 4000
"""Added to the HTTP status, the code when a stream is refused."""
_RETRY: Final = (1_000, 3_000)
"""Milliseconds after which browsers try again; not all at the same moment."""


class StreamQuery(Struct, frozen=True, kw_only=True):
    """Which readings; filters combine with AND."""

    sensors: Annotated[
        str | None, Meta(description="Sensors by id, name or `owner.name`, with commas.")
    ] = None
    tags: Annotated[
        str | None, Meta(description="`a,b;c` is (a or b) and c; case does not count.")
    ] = None
    groups: Annotated[
        str | None, Meta(description="Groups by id, name or `owner.name`, with commas.")
    ] = None
    owners: Annotated[str | None, Meta(description="Names of owners, with commas.")] = None
    orgs: Annotated[
        str | None, Meta(description="Names of organizations that own, with commas.")
    ] = None
    scope: Annotated[
        Literal["all", "subscribed", "contributed"],
        Meta(description="All sensors, those the caller follows, or those the caller made."),
    ] = "all"
    since: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=LARGEST_ID,
                description="The id of an event: what was stored after it comes first.",
            ),
        ]
        | None
    ) = None


class StreamResource:
    """``/api/v2/stream``."""

    def __init__(self, callers: StreamCallers, streams: Streams, connections: Connections) -> None:
        self._callers = callers
        self._streams = streams
        self._connections = connections

    @operation(
        tag="Readings",
        summary="Follow readings as they are stored",
        description="Server-Sent Events: `ready`, then `reading` with the object that the other "
        "methods answer, `sensors` when others are followed from now on, `end` with a code. What "
        "was stored after `since` or `Last-Event-ID` comes first, so nothing is missed and nothing "
        "comes twice. The same path takes a WebSocket, with the same parameters. Also good for "
        "pages of this server, by the session of the browser.",
        privacy="public or private",
        scope="read",
        query=StreamQuery,
        headers={"Last-Event-ID": "As `since`, and before it: browsers send it by themselves."},
        returns={200: Returns("Events without an end.", str, media=EVENT_STREAM)},
        errors=(InvalidQuery, NotFound, TooManyStreams, Overloaded, StoreUnavailable),
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer events."""
        stream = await self._open(req)
        resp.content_type = EVENT_STREAM
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("X-Accel-Buffering", "no")  # nginx would wait for more
        resp.stream = _Events(stream, req)

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        """Send the same events as messages; what the client says is not heard."""
        await ws.accept()
        try:
            try:
                stream = await self._open(req)
            except WotkitError as error:
                await _refuse(ws, error)
                return
            gone = asyncio.ensure_future(_until_closed(ws, stream))
            try:
                await _send_all(ws, stream)
            finally:
                gone.cancel()
                stream.close()
        except WebSocketDisconnected:
            pass

    async def _open(self, req: falcon.asgi.Request) -> Stream:
        caller = await self._callers.identify(req)
        query = read_query(req, StreamQuery)
        since = _since(req, query)
        references = [name.strip() for name in (query.sensors or "").split(",") if name.strip()]
        if len(references) > MOST_NAMED:
            raise InvalidQuery(more={"sensors": f"names more than {MOST_NAMED}"})
        filters = SensorQuery(
            scope=query.scope,
            tags=query.tags,
            groups=query.groups,
            owners=query.owners,
            orgs=query.orgs,
        )
        wanted, sensors = await self._streams.select(caller.identity, references, filters)
        scope = req.scope
        return await self._streams.open(
            caller.standing,
            wanted,
            sensors,
            account=caller.account,
            since=since,
            abort=lambda: self._connections.abort(scope),
        )


class _Events:
    """What the framework sends as the body."""

    def __init__(self, stream: Stream, req: falcon.asgi.Request) -> None:
        self._stream = stream
        self._gone = asyncio.ensure_future(client_gone(req))
        self._gone.add_done_callback(lambda _: stream.leave())

    def __aiter__(self) -> _Events:
        return self

    async def __anext__(self) -> bytes:
        items = await anext(self._stream)
        sent = b"".join([item.sse for item in items])
        if items[0].event in {READY, END}:
            sent = b"retry: %d\n%b" % (random.randint(*_RETRY), sent)  # noqa: S311  # no secret
        return sent

    async def close(self) -> None:
        """Give up the stream; the framework calls it in any case."""
        self._gone.cancel()
        self._stream.close()


def _since(req: falcon.asgi.Request, query: StreamQuery) -> int | None:
    """Return the position to go on from.

    Raises:
        InvalidQuery: the header is none that this server sent.
    """
    header = req.get_header("last-event-id")
    if not header:
        return query.since
    if not is_id(header):
        raise InvalidQuery(more={"Last-Event-ID": "is not the id of an event"})
    return int(header)


async def _send_all(ws: falcon.asgi.WebSocket, stream: Stream) -> None:
    async for items in stream:
        for item in items:
            await ws.send_text(item.text)
    code = stream.code
    if code is not None:
        await ws.close(CLOSE[code], code.value)


async def _refuse(ws: falcon.asgi.WebSocket, error: WotkitError) -> None:
    """Say why there is no stream: a browser's program never sees the status of a handshake."""
    await ws.send_text(strict_json.encode(api_errors.body(error)).decode())
    await ws.close(REFUSED + api_errors.status_of(error), error.code.message)


async def _until_closed(ws: falcon.asgi.WebSocket, stream: Stream) -> None:
    """Take what the client says, which is nothing of meaning, until it goes."""
    try:
        while True:
            await ws._receive()  # noqa: SLF001  # text and data alike
    except WebSocketDisconnected:
        stream.leave()
