"""`/healthz` and `/metrics` on loopback, for those who look after the machine."""

import json
import logging
import socketserver
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from gateway_agent.metrics import metrics_text
from gateway_agent.status import Document

_HOST: Final = "127.0.0.1"
_PATIENCE: Final = 5.0
"""Seconds that a client may take for its request: there is one thread for all of them."""
_LOOK_EVERY: Final = 0.5


class HealthServer:
    """Answers in a thread of its own, one request at a time."""

    def __init__(self, port: int, document: Callable[[], Document]) -> None:
        """Listen on a port, 0 for any. Raises OSError when it is taken."""
        handler = type("Handler", (_Handler,), {"document": staticmethod(document)})
        self._server = _Server((_HOST, port), handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_EVERY,), name="health", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, and free the port; not before `start`."""
        # A request that hangs is not waited for.
        threading.Thread(target=self._server.shutdown, daemon=True).start()
        self._thread.join(_LOOK_EVERY * 2)
        self._server.server_close()


class _Server(socketserver.TCPServer):
    """Not http.server's own, which asks the name service for its name first."""

    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's
        logging.getLogger(__name__).debug("request failed")


class _Handler(BaseHTTPRequestHandler):
    document: Callable[[], Document]
    timeout = _PATIENCE
    server_version = "gateway-agent"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            text = metrics_text(self.document())
            self._answer(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", text)
        elif path == "/healthz":
            found = health(self.document())
            able = found["status"] != "failing"
            status = HTTPStatus.OK if able else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(found))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "/healthz or /metrics\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        """Nothing is logged of requests."""

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def health(document: Document) -> Document:
    """`ok`; `degraded` when something around the agent is wrong; `failing` when it keeps nothing.

    Only the last one is for an alarm that restarts things: while the platform is away or a device
    hangs, the agent does what it is there for.
    """
    spool = document["spool"]
    state = "degraded" if document["problems"] else "ok"
    if spool["trouble"] or document["stuck"]:
        state = "failing"
    return {
        "status": state,
        "problems": document["problems"],
        "waiting": spool["depth"] + spool["queued"],
        "oldest_age": spool["oldest_age"],
        "last_acknowledged": document["output"]["last_acknowledged"],
        "clock_synchronized": document["synced"],
    }
