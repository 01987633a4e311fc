"""A small real HTTP platform: keeps streams as the contract says, and misbehaves when told to."""

import base64
import gzip
import json
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

Reading = dict[str, Any]
Misbehave = Callable[[], str | None]

KEY = "0123456789abcdef:demoKeyPassword0123456789"
_REASONS = {400: "Object has validation errors", 401: "Unauthorized", 404: ""}


@dataclass
class Request:
    """What a client asked for, and what it was told (0: the connection was dropped)."""

    method: str
    path: str
    status: int
    readings: int = 0
    encoding: str = ""


@dataclass
class StandInPlatform:
    """The state that the handler works on. `script` holds what to do with the next ingests."""

    key: str = KEY
    script: deque[str] = field(default_factory=deque)
    misbehave: Misbehave | None = None
    largest_batch: int | None = None
    takes_gzip: bool = True
    is_poison: Callable[[Reading], bool] = lambda _: False
    is_rejected: Callable[[Reading], bool] = lambda _: False
    knows_sensors: bool = False
    may_manage: bool = True
    may_write: bool = True
    takes_reports: bool = True
    reports: list[dict[str, Any]] = field(default_factory=list)
    """What came on the status of gateways."""
    streams: dict[str, int] = field(default_factory=dict)
    refused: set[tuple[str, int]] = field(default_factory=set)
    stored: list[Reading] = field(default_factory=list)
    sensors: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def __post_init__(self) -> None:
        handler = type("Handler", (_Handler,), {"platform": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/api"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def store(self, stream: str, readings: list[Reading]) -> dict[str, Any]:
        """One transaction: what is new is stored, the position moves, the rest is dropped.

        What was rejected is judged again when it comes again.
        """
        rejected = []
        through = self.streams.get(stream, 0)
        for reading in readings:
            seq = reading["seq"]
            if seq <= through and (stream, seq) not in self.refused:
                continue
            self.refused.discard((stream, seq))
            through = max(through, seq)
            if self.knows_sensors and reading["sensor"] not in self.sensors:
                message = "Could not locate this resource."
                rejected.append({"seq": seq, "code": 1101, "message": message})
            elif self.is_rejected(reading):
                rejected.append({"seq": seq, "code": 1201, "message": "expected NUMBER"})
            else:
                self.stored.append({"stream": stream, **reading})
        self.streams[stream] = through
        self.refused.update((stream, item["seq"]) for item in rejected)
        return {"acked_through": through, "rejected": rejected}

    def next_misdeed(self) -> str | None:
        if self.script:
            return self.script.popleft()
        return self.misbehave() if self.misbehave else None

    def ingests(self) -> list[Request]:
        with self.lock:
            return [request for request in self.requests if request.path == "/v2/ingest"]

    def seqs(self) -> list[int]:
        with self.lock:
            return [reading["seq"] for reading in self.stored]


class _Handler(BaseHTTPRequestHandler):
    platform: StandInPlatform
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        pass

    def _handle(self) -> None:
        try:
            body = self._body()
        except (OSError, EOFError, ValueError):  # the agent was killed while it sent
            self.close_connection = True
            return
        path = unquote(urlsplit(self.path).path).removeprefix("/api")
        with self.platform.lock:
            expected = base64.b64encode(self.platform.key.encode()).decode()
            if self.headers.get("authorization") != f"Basic {expected}":
                self._refuse(401, path)
            elif path == "/v2/ingest" and not self.platform.may_write:
                self._refuse(403, path)
            elif body == {} and (path == "/v2/ingest" or self.platform.may_manage):
                self._refuse(400, path)
            elif path == "/v2/ingest" and self.command == "POST":
                self._ingest(path, body)
            elif path.startswith("/v2/gateways/") and self.platform.takes_reports:
                self.platform.reports.append(body)
                self._send(204, b"", path)
            else:
                self._catalog(path, body)

    def _ingest(self, path: str, body: Any) -> None:
        readings = body["readings"]
        misdeed = self.platform.next_misdeed()
        largest = self.platform.largest_batch
        if misdeed == "drop":
            self._hang_up(path, len(readings))
        elif misdeed == "lose the answer":
            self.platform.store(body["stream"], readings)
            self._hang_up(path, len(readings))
        elif misdeed == "captive portal":
            self._send(200, b"<html>Please log in</html>", path, count=len(readings))
        elif misdeed is not None:
            status, _, after = misdeed.partition(" ")
            self._refuse(int(status), path, {"Retry-After": after} if after else {}, len(readings))
        elif not self.platform.takes_gzip and self.headers.get("content-encoding"):
            self._refuse(415, path, count=len(readings))
        elif largest is not None and len(readings) > largest:
            self._refuse(413, path, count=len(readings))
        elif any(map(self.platform.is_poison, readings)):
            self._refuse(400, path, count=len(readings))
        else:
            answer = self.platform.store(body["stream"], readings)
            self._send(200, json.dumps(answer).encode(), path, count=len(readings))

    def _catalog(self, path: str, body: Any) -> None:
        sensors = self.platform.sensors
        field_path = re.fullmatch(r"/v2/sensors/([^/]+)/fields/([^/]+)", path)
        sensor_path = re.fullmatch(r"/v2/sensors/([^/]+)", path)
        if self.command == "GET" and path == "/v2/sensors":
            self._send(200, json.dumps(list(sensors.values())).encode(), path)
        elif self.command == "GET" and sensor_path and sensor_path[1] in sensors:
            self._send(200, json.dumps(sensors[sensor_path[1]]).encode(), path)
        elif self.command != "GET" and not self.platform.may_manage:
            self._refuse(403, path)
        elif self.command == "POST" and path == "/v2/sensors":
            exists = body["name"] in sensors
            sensors.setdefault(body["name"], body)
            self._refuse(409, path) if exists else self._send(201, b"{}", path)
        elif self.command == "PUT" and field_path and field_path[1] in sensors:
            sensors[field_path[1]]["fields"].append(body)
            self._send(204, b"", path)
        else:
            self._refuse(404, path)

    def _body(self) -> Any:
        length = int(self.headers.get("content-length", 0))
        raw = self.rfile.read(length)
        if len(raw) < length:
            raise EOFError
        if self.headers.get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        return json.loads(raw) if raw else None

    def _refuse(
        self, status: int, path: str, headers: dict[str, str] | None = None, count: int = 0
    ) -> None:
        error = {"status": status, "code": status * 3, "message": _REASONS.get(status, "No")}
        body = json.dumps({"error": error}).encode()
        self._send(status, body, path, headers, count)

    def _send(
        self,
        status: int,
        body: bytes,
        path: str,
        headers: dict[str, str] | None = None,
        count: int = 0,
    ) -> None:
        self._note(path, status, count)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self, path: str, count: int) -> None:
        self._note(path, 0, count)
        self.close_connection = True

    def _note(self, path: str, status: int, count: int) -> None:
        encoding = self.headers.get("content-encoding", "")
        self.platform.requests.append(Request(self.command, path, status, count, encoding))
