"""A TCP proxy before the server that cuts, refuses in the server's place and loses answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS: Final = 10
CUT: Final = "cut"
"""The connection ends before the request has arrived."""
LOSE: Final = "lose"
"""The request arrives, the connection ends before its answer is back."""
DEAF: Final = "deaf"
"""The request arrives, nothing comes back, and the connection stays."""
REFUSALS: Final = ("401", "429", "503")
"""The proxy answers in the server's place."""
TROUBLES: Final = (CUT, LOSE, DEAF, *REFUSALS)
CONNECT: Final = 0x10
REASONS: Final = {"401": 0x87, "429": 0x9F, "503": 0x88}
"""The same as in CONNACK (MQTT 5, section 3.2.2.2)."""


class RoughProxy:
    """Passes bytes on until ``trouble``, asked at each request, names what goes wrong with it.

    With ``http`` a request is what begins with a method; else it speaks MQTT, where any bytes
    count as one, and a refusal that is not about CONNECT cuts.
    """

    def __init__(
        self, port: int, trouble: Callable[[], str | None] = lambda: None, *, http: bool
    ) -> None:
        self.trouble = trouble
        self.caused: Counter[str] = Counter()
        self._server_port = port
        self._http = http
        self._is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)
        self.cut()

    def cut(self) -> None:
        """End every connection, and take none until ``mend``."""
        self._is_cut = True
        for connection in list(self._open):
            _end(connection)

    def mend(self) -> None:
        self._is_cut = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                client.close()
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._server_port), SECONDS) as server,
        ):
            server.settimeout(None)
            both = {client, server}
            self._open |= both
            swallows = threading.Event(), threading.Event()
            back = threading.Thread(
                target=self._answer, args=(server, client, *swallows), daemon=True
            )
            back.start()
            with contextlib.suppress(OSError):
                self._ask(client, server, *swallows)
            _end(server)
            back.join(SECONDS)
            self._open -= both

    def _ask(
        self,
        client: socket.socket,
        server: socket.socket,
        loses: threading.Event,
        deaf: threading.Event,
    ) -> None:
        while data := client.recv(65_536):
            found = self.trouble() if self._is_request(data) else None
            if found is not None:
                self.caused[found] += 1
            if found == CUT:
                _end(client)
                return
            if found in REASONS:
                self._refuse(client, data, found)
                return
            if found == LOSE:
                loses.set()
            elif found == DEAF:
                deaf.set()
            server.sendall(data)

    def _is_request(self, data: bytes) -> bool:
        return not self._http or data.startswith((b"GET ", b"POST ", b"PUT "))

    def _refuse(self, client: socket.socket, data: bytes, status: str) -> None:
        """Answer, then read what still comes: a reset would overtake the answer."""
        if self._http:
            body = b'{"error": {"message": "not now"}}'
            head = f"HTTP/1.1 {status} No\r\nRetry-After: 0\r\nConnection: close\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
        elif data[0] == CONNECT:
            client.sendall(bytes((0x20, 3, 0, REASONS[status], 0)))
        client.shutdown(socket.SHUT_WR)
        client.settimeout(1)
        while client.recv(65_536):
            pass

    def _answer(
        self,
        server: socket.socket,
        client: socket.socket,
        loses: threading.Event,
        deaf: threading.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if loses.is_set():
                    break
                if not deaf.is_set():
                    client.sendall(data)
        _end(client)
        _end(server)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
