"""What every answer carries, whichever layer gives it, and what no log line holds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.system.conftest import add_alice
from tests.system.server_process import PASSWORD, ServerProcess
from tests.system.wire import authorization, raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.server_process import Key
    from tests.system.wire import Answer

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
DATA = "/api/v1/sensors/alice.roof/data"
ALICE = ("alice", PASSWORD)

REQUESTS = [
    ("GET", "/healthz", None, 200),
    ("GET", "/readyz", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/api/openapi.json", None, 200),
    ("GET", "/api/reference", None, 200),
    ("GET", "/api/reference/nothing.css", None, 404),
    ("GET", "/api/sensors/alice.roof", b"", 200),
    ("GET", DATA, b"", 200),
    ("POST", DATA, b'{"value":1}', 201),
    ("PUT", DATA, b'[{"value":1}]', 204),
    ("DELETE", DATA + "/1", b"", 204),
    ("POST", "/api/v2/data", b'[{"sensor":"roof","value":1}]', 201),
    ("POST", "/api/v2/ingest", b'{"stream":"gw","readings":[]}', 200),
    ("POST", "/api/sensors", b"{}", 400),
    ("POST", DATA, b"{", 400),
    ("POST", DATA, b'{"value":"warm"}', 400),
    ("GET", DATA + "?before=never", b"", 400),
    ("GET", "/api/v2/keys", None, 401),
    ("POST", DATA, None, 401),
    ("GET", "/nothing", None, 404),
    ("GET", "/", None, 200),
    ("GET", "/api/sensors/alice.cellar", b"", 404),
    ("GET", "/api/%ff%00%0d%0aX-Evil:%201", None, 404),
    ("GET", "/" + "a" * 8000, None, 404),
    ("PATCH", DATA, b"", 405),
    ("DELETE", "/healthz", None, 405),
    ("POST", "/api/v2/data", b"[" + b"1," * 6_000_000 + b"1]", 413),
]
"""Method, path, the body of Alice or None of nobody, and the status."""

NO_REQUESTS = [
    b"GARBAGE\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"BREW /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n",
    b"POST /api/v2/data HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    b"POST /api/v2/data HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
    b"POST /api/v2/data HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
]


def check_headers(answer: Answer) -> str:
    """Check what every answer carries and return its request id."""
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers.get_all(name) == [value]
    (request_id,) = answer.headers.get_all("x-request-id", [])
    assert len(request_id) >= 8
    assert "x-evil" not in answer.headers
    assert "server" not in answer.headers
    return str(request_id)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    REQUESTS,
    ids=[f"{method} {path[:30]} {status}" for method, path, _, status in REQUESTS],
)
def test_answer_has_security_headers_and_errors_repeat_the_request_id(
    shared_server: ServerProcess, method: str, path: str, body: bytes | None, status: int
) -> None:
    with shared_server.wire(None if body is None else ALICE) as wire:
        answer = wire.call(method, path, body, {"Content-Type": "application/json"})
        given = wire.call(
            "GET", path.partition("?")[0], headers={"X-Request-Id": "given-by-alice.1"}
        )
    assert answer.status == status
    request_id = check_headers(answer)
    if status >= 400:
        assert answer.error(status)["requestId"] == request_id
    assert check_headers(given) == "given-by-alice.1"


@pytest.mark.parametrize("request_bytes", NO_REQUESTS, ids=lambda value: value[:25])
def test_what_is_no_http_is_refused_in_the_same_shape(
    shared_server: ServerProcess, request_bytes: bytes
) -> None:
    answer = raw(shared_server.port, request_bytes)
    request_id = check_headers(answer)
    error = answer.error(400)
    assert error["requestId"] == request_id
    assert error["developerMessage"] == ["the request is not well-formed HTTP"]
    assert answer.headers["connection"] == "close"
    assert f"request_id={request_id}" in shared_server.log


@pytest.mark.parametrize(
    "start",
    [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100],
    ids=["path", "header", "headers"],
)
def test_head_without_an_end_is_refused(shared_server: ServerProcess, start: bytes) -> None:
    answer = raw(shared_server.port, start + b"a" * 1_000_000)
    check_headers(answer)
    assert answer.status in {400, 413}
    answer.error(answer.status)


def test_internal_error_tells_the_request_id_that_the_log_explains(server: ServerProcess) -> None:
    with contextlib.closing(sqlite3.connect(server.data / "catalog.db")) as catalog:
        catalog.execute("ALTER TABLE sensor RENAME TO lost")
    with server.wire(ALICE) as alice:
        answer = alice.get("/api/sensors/alice.roof")
    request_id = check_headers(answer)
    error = answer.error(500, 1901)
    assert error["developerMessage"] == [f"request id {request_id}"]
    assert b"sqlite" not in answer.body.lower()
    assert b"table" not in answer.body
    assert f"unexpected error, request_id={request_id}" in server.log


def send_secrets_everywhere(server: ServerProcess, secrets: list[tuple[str, str]], key: Key) -> str:
    """Send credentials in all places where people put them; return one that the server made."""
    bodies = [b'{"value":1}', b"{", json.dumps({"password": key.key_password}).encode()]
    for caller in secrets:
        with server.wire(caller) as wire:
            for body in bodies:
                wire.call("POST", DATA, body)
            wire.get("/api/v2/keys")
            wire.get("/nothing")
            wire.get("/api/sensors?" + urlencode(dict.fromkeys(["password", "x"], caller[1])))
    junk = f"Basic {key.key_id}:{key.key_password}"
    with server.wire() as wire:
        for header in (junk, junk.removeprefix("Basic "), f"Bearer {key.key_password}"):
            wire.call("GET", "/api/v2/keys", headers={"Authorization": header})
    with server.wire(ALICE) as alice:
        made = alice.post("/api/v2/keys", {"name": "another"}).json()
        alice.post(f"/api/v2/keys/{made['id']}/rotate", {})
    head = (
        f"GET / HTTP/1.1\r\nAuthorization: {authorization(key)['Authorization']}\r\nHost x\r\n\r\n"
    )
    raw(server.port, head.encode())
    return next(value for name, value in made.items() if "assword" in name and value)


@pytest.fixture
def talkative_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that logs all it can."""
    options = ("--set", "log.level=debug", "--set", "log.requests=all")
    with ServerProcess(tmp_path / "data", *options) as found:
        add_alice(found)
        yield found


def test_no_credentials_are_in_any_log(talkative_server: ServerProcess) -> None:
    server = talkative_server
    key = server.add_key("alice")
    wrong = ("alice", "a-wrong-password-of-alice")
    made = send_secrets_everywhere(server, [ALICE, key, wrong], key)
    with contextlib.closing(sqlite3.connect(server.data / "catalog.db")) as catalog:
        catalog.execute("ALTER TABLE sensor RENAME TO lost")
    with server.wire(key) as alice:
        assert alice.get("/api/sensors/alice.roof").status == 500
    assert server.stop() == 0
    log = server.log + server.said
    assert log.count("logger=wotkit.requests") > 20
    assert "Traceback" in log
    for caller in (ALICE, key, wrong):
        assert caller[1] not in log
        assert authorization(caller)["Authorization"].removeprefix("Basic ") not in log
    assert made not in log
    assert hashlib.sha256(made.encode()).hexdigest() not in log  # what is kept of it
    assert "uthorization" not in log
