"""Clients of live streams, over either transport, with nothing a client library does by itself."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.system.wire import authorization

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.system.wire import Credentials

PATH = "/api/v2/stream"
PATIENCE = 10


class Event(NamedTuple):
    event: str
    id: str
    data: Any


class Follower:
    """Reads the events of a stream; ``position`` is where to go on."""

    def __init__(self) -> None:
        self.position = ""
        self.retry = 0
        self.beats = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def next(self) -> Event:
        """Return the next event.

        Raises:
            EOFError: the server has ended the stream.
        """
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def readings(self, count: int) -> list[dict[str, Any]]:
        """Return the next so many readings."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            event = self.next()
            if event.event == "reading":
                found.append(event.data)
        return found

    def values(self, count: int) -> list[Any]:
        return [reading["value"] for reading in self.readings(count)]

    def wait_for(self, wanted: str) -> Event:
        while (event := self.next()).event != wanted:
            pass
        return event

    def end(self) -> tuple[str, float]:
        """Return why the server ended the stream, and after how many seconds."""
        began = time.monotonic()
        code: str = self.wait_for("end").data["code"]
        try:
            self.next()
        except EOFError:
            return code, time.monotonic() - began
        raise AssertionError("something came after the end")


class Sse(Follower):
    """Server-Sent Events (HTML standard, section 9.2)."""

    def __init__(
        self,
        port: int,
        caller: Credentials = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> None:
        super().__init__()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.connection.connect()
        sent = {**authorization(caller), **(headers or {})}
        self.connection.request("GET", f"{PATH}?{urlencode(query)}", headers=sent)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["content-type"] == "text/event-stream"
        self.ready = self.next()
        assert self.ready.event == "ready"

    def next(self) -> Event:
        kind, data = "message", []
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            match name:
                case "id":
                    self.position = value
                case "event":
                    kind = value
                case "data":
                    data.append(value)
                case "retry":
                    self.retry = int(value)
                case "":
                    if value == "heartbeat":
                        self.beats += 1
                    elif data:
                        return Event(kind, self.position, json.loads("\n".join(data)))
        raise EOFError

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


class Ws(Follower):
    """WebSocket (RFC 6455)."""

    def __init__(
        self,
        port: int,
        caller: Credentials = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> None:
        super().__init__()
        self.socket = connect(
            f"ws://127.0.0.1:{port}{PATH}?{urlencode(query)}",
            additional_headers={**authorization(caller), **(headers or {})},
            compression=None,
            close_timeout=1,
        )
        self.closed: tuple[int, str] | None = None
        self.ready = self.next()

    def next(self) -> Event:
        try:
            while True:
                found = json.loads(self.socket.recv(PATIENCE))
                if "error" in found:
                    return Event("error", "", found["error"])
                self.position = found["id"]
                if found["event"] == "heartbeat":
                    self.beats += 1
                else:
                    return Event(**found)
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                self.closed = (closed.rcvd.code, closed.rcvd.reason)
            raise EOFError from None

    def close(self) -> None:
        self.socket.close()
