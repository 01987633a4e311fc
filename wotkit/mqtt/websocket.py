"""A WebSocket as the transport of an MQTT connection (MQTT 5, section 6)."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from falcon.errors import PayloadTypeError, WebSocketDisconnected

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon.asgi

    from wotkit.mqtt.connection import Connection

MOST_UNSENT: Final = 65_536
"""Bytes that may wait to be sent before the connection is told that its client does not read."""
NORMAL: Final = 1000
NO_BINARY: Final = 1003
"""Codes of RFC 6455, section 7.4.1."""


class WebSocketTransport:
    """What a connection knows of its WebSocket; as little as possible of what asyncio's have."""

    def __init__(self, ws: falcon.asgi.WebSocket, address: str, abort: Callable[[], None]) -> None:
        """Take what closes the network connection at once, whatever waits to be sent on it."""
        self._ws = ws
        self._address = address
        self._abort = abort
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._wanted = asyncio.Event()
        """Whether there is something to send, or to end."""
        self._readable = asyncio.Event()
        self._readable.set()
        self._ending = False
        self._stalled = False
        self._code = (NORMAL, "")

    async def run(self, connection: Connection) -> None:
        """Carry bytes in both directions until the end."""
        self._connection = connection
        connection.connection_made(self)
        loop = asyncio.get_running_loop()
        directions = loop.create_task(self._receive_all()), loop.create_task(self._send_all())
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            connection.connection_lost(None)

    # What a connection asks of its transport

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them until they can be sent."""
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        self._wanted.set()
        if self._unsent_bytes > MOST_UNSENT and not self._stalled:
            self._stalled = True
            self._connection.pause_writing()

    def close(self) -> None:
        """Close when all is sent."""
        self._ending = True
        self._wanted.set()
        self._readable.set()

    def abort(self) -> None:
        """Close at once."""
        self._abort()

    def pause_reading(self) -> None:
        """Hand out no more bytes."""
        self._readable.clear()

    def resume_reading(self) -> None:
        """Hand out bytes again."""
        self._readable.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the other side: its address."""
        return (self._address, 0) if name == "peername" else default

    # The two directions

    async def _receive_all(self) -> None:
        """Hand over messages; one may hold several packets, or a part of one (section 6)."""
        with suppress(WebSocketDisconnected):
            while True:
                await self._readable.wait()
                try:
                    data = await self._ws.receive_data()
                except PayloadTypeError:
                    self._code = (NO_BINARY, "packets are sent in binary messages")
                    self.close()
                    continue
                if not self._ending:
                    self._connection.data_received(data)

    async def _send_all(self) -> None:
        with suppress(WebSocketDisconnected):
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self._unsent:
                    data = b"".join(self._unsent)
                    self._unsent.clear()
                    await self._ws.send_data(data)
                    self._unsent_bytes -= len(data)
                    self._read_again()
                if self._ending:
                    await self._ws.close(*self._code)
                    return

    def _read_again(self) -> None:
        if self._stalled and self._unsent_bytes <= MOST_UNSENT // 2:
            self._stalled = False
            self._connection.resume_writing()
