"""Where MQTT is spoken over WebSocket (MQTT 5, section 6), at the port of HTTP.

For programs in browsers, and for networks that let nothing else through. Who may connect is decided
by CONNECT, as everywhere: no cookie counts, so a page of any origin may try.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from falcon.errors import WebSocketDisconnected

from wotkit.api.caller import address_of

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.edge import Connections
    from wotkit.mqtt.listening import Listening

SUBPROTOCOLS: Final = ("mqtt", "mqttv3.1")
"""Names of the protocol in the handshake; the second is that of clients older than the standard."""
PROTOCOL_ERROR: Final = 1002
TRY_AGAIN_LATER: Final = 1013
"""Codes of RFC 6455, section 7.4.1, and of its registry."""


class MqttResource:
    """``/mqtt``."""

    def __init__(self, listening: Listening, connections: Connections) -> None:
        self._listening = listening
        self._connections = connections

    async def on_websocket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        """Serve a connection until either side ends it."""
        chosen = next((name for name in SUBPROTOCOLS if name in ws.subprotocols), None)
        with suppress(WebSocketDisconnected):
            await ws.accept(subprotocol=chosen)
            if chosen is None:
                await ws.close(PROTOCOL_ERROR, "ask for the subprotocol mqtt")
                return
            service = await self._listening.service()
            if service is None:
                await ws.close(TRY_AGAIN_LATER, "MQTT is not served")
                return
            from wotkit.mqtt.connection import Connection  # in memory only where clients connect
            from wotkit.mqtt.websocket import WebSocketTransport

            abort = partial(self._connections.abort, req.scope)
            await WebSocketTransport(ws, address_of(req), abort).run(Connection(service))
