"""A TCP proxy before the server that loses answers: the request arrives, its answer does not."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 10


class LossyProxy:
    """Passes bytes on, and cuts the connection where ``loses`` says so.

    ``loses`` is asked when the first bytes of what the server says next have come back.
    """

    def __init__(self, port: int, loses: Callable[[], bool]) -> None:
        self.lost = 0
        self._server_port = port
        self._loses = loses
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
        for connection in list(self._open):
            _cut(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self._server_port), SECONDS) as server:
                self._open |= {client, server}
                back = threading.Thread(target=self._answer, args=(server, client), daemon=True)
                back.start()
                while data := client.recv(65_536):
                    server.sendall(data)
                _cut(server)
                back.join(SECONDS)
            self._open -= {client, server}

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self._loses():
                    self.lost += 1
                    break
                client.sendall(data)
        _cut(client)
        _cut(server)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
