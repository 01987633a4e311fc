"""Reads HTTP from a connection; what is no HTTP is refused in the one shape of errors too."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from wotkit import strict_json
from wotkit.api import errors as api_errors
from wotkit.errors import MalformedBody, TooLarge, WotkitError

if TYPE_CHECKING:
    import asyncio

MAX_HEAD_BYTES: Final = 65_536
"""Bytes of a request line and headers that may arrive before they are complete."""

MAX_MESSAGE_BYTES: Final = 1_048_576
"""Bytes that one WebSocket message of a client may have."""

_log: Final = logging.getLogger("wotkit.requests")
_quiet: Final = logging.getLogger("wotkit.websocket")
_quiet.setLevel(logging.WARNING)


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = 0

    def data_received(self, data: bytes) -> None:
        """Take what arrived, unless it is a head without an end."""
        super().data_received(data)
        if self.scope is None or (self.cycle is not None and self.cycle.scope is self.scope):
            self._head = 0
            return
        self._head += len(data)
        if self._head > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(TooLarge(f"the headers have more than {MAX_HEAD_BYTES} bytes"))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, unless the handshake is more than a WebSocket's parser takes.

        Its limits are lower than those of HTTP, and beyond them it just waits for another one.
        """
        super().handle_websocket_upgrade()
        successor: Any = self.transport.get_protocol()
        if not successor.handshake_initiated:
            self.connections.discard(successor)
            self.transport.set_protocol(self)
            self._refuse(MalformedBody("the handshake of the WebSocket is too long or malformed"))

    def send_400_response(self, _: str) -> None:
        """Refuse what is no HTTP, and close the connection."""
        self._refuse(MalformedBody("the request is not well-formed HTTP"))

    def _refuse(self, error: WotkitError) -> None:
        request_id = secrets.token_hex(8)
        status = api_errors.status_of(error)
        body = strict_json.encode(api_errors.body(error, request_id))
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        client = self.client[0] if self.client else None
        fields = {"request_id": request_id, "status": status, "client": client}
        _log.info("not a request", extra={"fields": fields | {"code": error.code.number}})
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self.transport.close()


def websocket_protocol(**given: Any) -> asyncio.Protocol:
    """Return the protocol of a connection that becomes a WebSocket (RFC 6455).

    What it needs is in memory only from the first one on.
    """
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    protocol = WebSocketsSansIOProtocol(**given)
    # it logs whole addresses, and these may hold access tokens
    protocol.logger = protocol.conn.logger = _quiet
    return protocol
