"""One HTTP connection, kept open, without anything a client library does by itself."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

Credentials = tuple[str, str] | None
"""A user's name or a key's id, and the password."""
SECONDS = 20


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def error(self, status: int, code: int | None = None) -> dict[str, Any]:
        """Check that this is a refusal of the one shape, and return what it says."""
        assert self.status == status, self.body
        assert self.headers["content-type"] == "application/json"
        (error,) = self.json().values()
        assert error.keys() == {
            "status",
            "code",
            "message",
            "developerMessage",
            "moreInfo",
            "requestId",
        }
        assert error["status"] == status
        assert error["requestId"] == self.headers["x-request-id"]
        if code is not None:
            assert error["code"] == code, error
        found: dict[str, Any] = error
        return found

    def retry_after(self) -> int:
        """Return after how many seconds to come again; it is said, and never 0."""
        seconds = int(self.headers["retry-after"])
        assert seconds >= 1
        return seconds


class Wire:
    """Sends requests over one connection; a broken one is made again at the next request."""

    def __init__(self, port: int, caller: Credentials = None) -> None:
        self.caller = caller
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def local_port(self) -> int:
        """Return this side's port, which tells one connection from the next."""
        port: int = self._connection.sock.getsockname()[1]
        return port

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and read its answer.

        Raises:
            OSError, HTTPException: there was none; the server may have done the work or not.
        """
        try:
            self._connection.request(
                method,
                path,
                body,
                {**authorization(self.caller), **(headers or {})},
                encode_chunked=body is not None and not isinstance(body, bytes),
            )
            answer = self._connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        except BaseException:
            self.close()
            raise

    def send(
        self, method: str, path: str, value: Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a value as JSON."""
        kind = {"Content-Type": "application/json"}
        return self.call(method, path, json.dumps(value).encode(), {**kind, **(headers or {})})

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post(self, path: str, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("POST", path, value, headers)

    def put(self, path: str, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("PUT", path, value, headers)

    def readings(self, sensor: str) -> list[dict[str, Any]]:
        """Return all readings of a sensor, page by page."""
        found: list[dict[str, Any]] = []
        path = f"/api/v1/sensors/{sensor}/data"
        page = 10_000
        while True:
            query = f"start=1&end=4102444800000&limit={page}&offset={len(found)}"
            answer = self.get(f"{path}?{query}")
            assert answer.status == 200, answer.body
            found += answer.json()
            if answer.headers["x-total-truncated"] is None:
                return found


def authorization(caller: Credentials) -> dict[str, str]:
    if caller is None:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(":".join(caller).encode()).decode()}


def raw(port: int, request: bytes) -> Answer:
    """Send bytes as they are and read one answer."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        with contextlib.suppress(ConnectionError):  # refused before all of it was taken
            connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one answer from a connection."""
    with contextlib.closing(http.client.HTTPResponse(connection, method=method)) as answer:
        answer.begin()
        return Answer(answer.status, answer.headers, answer.read())
