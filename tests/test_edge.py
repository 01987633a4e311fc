from __future__ import annotations

import asyncio
import io
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from wotkit import logs
from wotkit.edge import CUT_OFF, ERROR, REQUEST_ID, ROUTE, Edge
from wotkit.errors import NotFound
from wotkit.metrics import Collector, RequestMetrics
from wotkit.settings import HttpSettings, LogSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS = b"Basic YWxpY2U6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"


class App:
    """Answers as told, and keeps the scope it was given."""

    def __init__(self) -> None:
        self.status = 200
        self.route: str | None = "/api/v1/sensors"
        self.error: Exception | None = None
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if self.route is not None:
            scope[ROUTE] = self.route
        if self.error is not None:
            scope[ERROR] = self.error
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


class Server:
    def __init__(self, app: App, log: str = "all", origins: tuple[str, ...] = ("*",)) -> None:
        self.app = app
        self.metrics = RequestMetrics()
        settings = Settings(
            log=LogSettings(requests=log),  # type: ignore[arg-type]  # one of the three
            http=HttpSettings(cors_origins=origins),
        )
        self.edge = Edge(app, settings, self.metrics)

    def ask(
        self, method: str = "GET", path: str = "/api/v1/sensors", **headers: bytes
    ) -> tuple[int, dict[str, str]]:
        pairs = [(n.replace("_", "-").encode(), value) for n, value in headers.items()]
        return self.ask_with(method, path, pairs)

    def ask_with(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]]
    ) -> tuple[int, dict[str, str]]:
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(b"authorization", CREDENTIALS), *headers],
            "client": ("192.0.2.1", 5000),
            "query_string": b"access_token=hunter2",
        }

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            sent.append(event)

        asyncio.run(self.edge(scope, receive, send))
        assert [event["type"] for event in sent] == ["http.response.start", "http.response.body"]
        answered = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
        assert len(dict(answered)) == len(answered), "no header twice"
        return sent[0]["status"], dict(answered)

    def exposed(self) -> str:
        registry = CollectorRegistry()
        registry.register(Collector(self.metrics.families))  # type: ignore[arg-type]  # has collect()
        return generate_latest(registry).decode()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def server(app: App) -> Server:
    return Server(app)


# Request ids


@pytest.mark.parametrize("given_id", [b"abcdefgh", b"a.b_c-D9" * 8, b"0af7651916cd43dd8448eb21"])
def test_well_formed_request_id_is_echoed_and_passed_on(server: Server, given_id: bytes) -> None:
    _, headers = server.ask(x_request_id=given_id)
    assert headers["x-request-id"] == given_id.decode()
    assert server.app.scopes[0][REQUEST_ID] == given_id.decode()


@pytest.mark.parametrize(
    "given_id",
    [
        b"",
        b"short",
        b"x" * 65,
        b"has space",
        b"line\r\nSet-Cookie: a=b",
        b"trailing\n",
        b'quote"d-id',
        b"\xff" * 10,
        b"<script>alert</script>",
    ],
)
def test_other_request_ids_are_replaced(server: Server, given_id: bytes) -> None:
    _, headers = server.ask(x_request_id=given_id)
    assert headers["x-request-id"].encode() != given_id
    assert len(headers["x-request-id"]) >= 8
    assert headers["x-request-id"] == server.app.scopes[0][REQUEST_ID]


@given(st.binary(max_size=70))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_request_id_breaks_a_header(server: Server, given_id: bytes) -> None:
    _, headers = server.ask(x_request_id=given_id)
    assert all(char.isalnum() or char in "._-" for char in headers["x-request-id"])


def test_request_ids_differ_between_requests_and_servers(app: App) -> None:
    made = [Server(app).ask()[1]["x-request-id"] for _ in range(3)]
    server = Server(app)
    made += [server.ask()[1]["x-request-id"] for _ in range(3)]
    assert len(set(made)) == 6


# Browsers of other origins (WHATWG Fetch)

PREFLIGHT = {"origin": b"https://a.example", "access_control_request_method": b"PUT"}


def test_preflight_is_answered_without_the_application(server: Server) -> None:
    status, headers = server.ask("OPTIONS", **PREFLIGHT)
    assert status == 204
    assert server.app.scopes == []
    assert headers["access-control-allow-origin"] == "*"
    assert {"GET", "POST", "PUT", "DELETE"} <= set(
        headers["access-control-allow-methods"].split(", ")
    )
    allowed = headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "content-encoding", "idempotency-key"} <= set(allowed)
    assert int(headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in headers


def test_options_that_is_no_preflight_reaches_the_application(server: Server) -> None:
    server.ask("OPTIONS", origin=b"https://a.example")
    server.ask("OPTIONS", access_control_request_method=b"PUT")
    assert len(server.app.scopes) == 2


def test_answer_may_be_read_by_pages_of_any_origin_by_default(server: Server) -> None:
    _, headers = server.ask(origin=b"https://a.example")
    assert headers["access-control-allow-origin"] == "*"
    exposed = headers["access-control-expose-headers"].lower().split(", ")
    assert {"location", "link", "retry-after", "x-request-id", "idempotent-replayed"} <= set(
        exposed
    )
    assert "www-authenticate" in exposed  # a client in a browser reads there why it is refused
    assert "access-control-allow-origin" not in server.ask()[1]


def test_only_listed_origins_are_allowed_and_answers_vary(app: App) -> None:
    server = Server(app, origins=("https://a.example", "https://b.example"))
    for origin in ("https://a.example", "https://b.example"):
        _, headers = server.ask(origin=origin.encode())
        assert headers["access-control-allow-origin"] == origin
        assert headers["vary"] == "Origin"
    refused = [b"https://c.example", b"null", b"https://a.example.evil", b"HTTPS://a.example", b"*"]
    for origin in refused:
        for method in ("GET", "OPTIONS"):
            _, headers = server.ask(method, origin=origin, access_control_request_method=b"PUT")
            assert "access-control-allow-origin" not in headers
            assert headers["vary"] == "Origin"


def test_no_origin_is_allowed_when_none_is_listed(app: App) -> None:
    _, headers = Server(app, origins=()).ask(origin=b"https://a.example")
    assert "access-control-allow-origin" not in headers


# Metrics


def labels(exposed: str) -> list[str]:
    return [
        line for line in exposed.splitlines() if line.startswith("wotkit_request_seconds_count")
    ]


def test_requests_are_counted_by_route_method_and_status(server: Server, app: App) -> None:
    for status in (200, 200, 404):
        app.status = status
        server.ask()
    exposed = server.exposed()
    counted = 'wotkit_request_seconds_count{method="GET",route="/api/v1/sensors",status="200"} 2.0'
    assert counted in exposed
    assert 'status="404"} 1.0' in exposed


def test_preflights_are_counted(server: Server) -> None:
    server.ask("OPTIONS", **PREFLIGHT)
    assert 'method="OPTIONS",route="none",status="204"} 1.0' in server.exposed()


def test_junk_methods_and_paths_share_one_series(server: Server, app: App) -> None:
    app.route, app.status = None, 404
    for number in range(200):
        server.ask(f"JUNK{number}", f"/nothing/{number}\n")
    (line,) = labels(server.exposed())
    assert line.endswith('{method="other",route="none",status="404"} 200.0')


# Log lines


@pytest.fixture
def lines() -> Iterator[Any]:
    """What the log's own formatter writes of the requests."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("wotkit.requests")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    logger.propagate = False

    def read(form: type[logging.Formatter] = logs.Logfmt) -> list[str]:
        handler.setFormatter(form())
        return stream.getvalue().splitlines()

    handler.setFormatter(logs.Logfmt())
    yield read
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


STORED = [
    ("POST", "/api/v1/sensors/{sensor}/data", 201),
    ("PUT", "/api/sensors/{sensor}/data", 204),
    ("POST", "/api/v2/data", 201),
    ("POST", "/api/v2/ingest", 200),
]
NOTABLE = [
    ("GET", "/api/v1/sensors/{sensor}/data", 200),
    ("DELETE", "/api/v2/sensors/{sensor}/data", 204),
    ("POST", "/api/v2/data", 200),
    ("POST", "/api/v1/sensors", 201),
    ("PUT", "/api/v1/sensors/{sensor}", 204),
    ("POST", "/api/v1/sensors/{sensor}/data", 400),
    ("POST", "/api/v2/ingest", 401),
    ("POST", None, 404),
]


@pytest.mark.parametrize(("method", "route", "status"), STORED)
@pytest.mark.parametrize(("log", "count"), [("all", 1), ("notable", 0), ("none", 0)])
def test_stored_readings_get_a_line_only_when_all_do(
    app: App, lines: Any, method: str, route: str, status: int, log: str, count: int
) -> None:
    app.route, app.status = route, status
    Server(app, log).ask(method)
    assert len(lines()) == count


@pytest.mark.parametrize(("method", "route", "status"), NOTABLE)
@pytest.mark.parametrize(("log", "count"), [("all", 1), ("notable", 1), ("none", 0)])
def test_every_other_request_gets_a_line_unless_none_does(
    app: App, lines: Any, method: str, route: str, status: int, log: str, count: int
) -> None:
    app.route, app.status = route, status
    Server(app, log).ask(method)
    assert len(lines()) == count


def test_slow_store_is_notable(app: App, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app.route, app.status = "/api/v2/data", 201
    clock = iter([100.0, 101.5])
    monkeypatch.setattr("wotkit.edge.perf_counter", lambda: next(clock))
    Server(app, "notable").ask("POST")
    (line,) = lines()
    assert "ms=1500.0" in line


def test_line_says_who_asked_what_and_how_it_went(server: Server, app: App, lines: Any) -> None:
    app.status, app.error = 404, NotFound("alice.lamp")
    _, headers = server.ask("GET", "/api/v1/sensors/alice.lamp")
    (line,) = lines()
    for part in (
        f"request_id={headers['x-request-id']}",
        "method=GET",
        "path=/api/v1/sensors/alice.lamp",
        "status=404",
        "client=192.0.2.1",
        "code=1101",
    ):
        assert part in line.split()


@pytest.mark.parametrize("form", [logs.Logfmt, logs.JsonLines])
def test_line_holds_no_credentials_and_is_one_line(
    server: Server, lines: Any, form: type[logging.Formatter]
) -> None:
    lines(form)
    server.ask("GET", "/a\nlevel=error message=forged\r\u2028\x85\x1b[31m" + "x" * 5000)
    server.ask("GET", "/b", x_request_id=b"id\nforged-line")
    found = lines(form)
    assert len(found) == 2
    for line in found:
        assert len(line) < 1500
        assert "\x1b" not in line
        for secret in (CREDENTIALS.decode(), CREDENTIALS.decode()[6:], "hunter2"):
            assert secret not in line


# What is left alone


def test_lifespan_and_websockets_pass_through(app: App) -> None:
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> None:
        raise AssertionError

    edge = Edge(inner, Settings(), RequestMetrics())
    for kind in ("lifespan", "websocket"):
        asyncio.run(edge({"type": kind}, nothing, nothing))
    assert seen == ["lifespan", "websocket"]


def test_client_that_goes_away_is_noted_only_without_a_length(server: Server, app: App) -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await app(scope, receive, send)

    server.edge = Edge(inner, Settings(), RequestMetrics())
    server.ask("POST", transfer_encoding=b"chunked")
    server.ask("POST", content_length=b"5")
    assert [CUT_OFF in scope for scope in app.scopes] == [True, False]
