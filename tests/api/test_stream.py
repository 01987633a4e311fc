"""Live readings from a real server, as Server-Sent Events and over WebSocket."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.clients import PATH, Sse, Ws
from tests.live.conftest import store_elsewhere
from tests.system.server_process import PASSWORD, ServerProcess, wait_until
from tests.system.wire import authorization, raw
from tests.web_user import WebUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.server_process import Key

SOON = 1.0
DATA = "/api/v2/sensors/alice.roof/data"
BOTH = pytest.mark.parametrize("transport", [Sse, Ws])
Transport = type[Sse] | type[Ws]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose heartbeats are quick; Alice and Bobby share the team garden."""
    folder = tmp_path_factory.mktemp("stream")
    options = ("--set", "live.heartbeat_seconds=0.3", "--set", "live.max_per_user=8")
    with ServerProcess(folder / "data", *options) as found:
        for name in ("alice", "bobby", "charlie"):
            found.add_user(name)
        found.command("sensor", "create", "roof", "--user", "alice")
        yield found
        assert "Traceback" not in found.log, found.log[found.log.index("Traceback") - 600 :][:6000]
        assert "connection handler failed" not in found.log


@pytest.fixture
def key(server: ServerProcess) -> Key:
    return server.add_key("alice")


def post(server: ServerProcess, key: Key, *values: Any, path: str = DATA) -> None:
    with server.wire(key) as wire:
        for value in values:
            assert wire.post(path, {"value": value}).status == 201


def streams_open(server: ServerProcess) -> int:
    with server.wire() as wire:
        text = wire.get("/metrics").body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith("wotkit_live_streams ")]
    return int(float(line.split()[1]))


@BOTH
def test_reading_arrives_as_the_api_answers_it(
    server: ServerProcess, key: Key, transport: Transport
) -> None:
    with transport(server.port, key, sensors="roof") as stream, server.wire(key) as wire:
        assert stream.ready.data == {"sensors": 1}
        assert wire.post(DATA, {"value": 21.5, "note": "café"}).status == 201
        (reading,) = stream.readings(1)
        assert reading == wire.get(f"/api/v2/sensors/roof/data/{reading['id']}").json()
        assert stream.position == str(reading["id"])


@BOTH
def test_going_on_behind_the_last_event_misses_nothing(
    server: ServerProcess, key: Key, transport: Transport
) -> None:
    with transport(server.port, key, sensors="roof") as stream:
        post(server, key, 1, 2, 3)
        assert stream.values(2) == [1, 2]
    position = stream.position
    post(server, key, 4)
    with transport(server.port, key, sensors="roof", since=position) as again:
        post(server, key, 5)
        assert again.values(3) == [3, 4, 5]


def test_browser_goes_on_by_its_header_not_by_the_address_of_the_beginning(
    server: ServerProcess, key: Key
) -> None:
    with Sse(server.port, key, sensors="roof") as stream:
        post(server, key, 1, 2)
        assert stream.values(2) == [1, 2]
    post(server, key, 3)
    headers = {"Last-Event-ID": stream.position}
    with Sse(server.port, key, headers=headers, sensors="roof", since=0) as again:
        assert again.values(1) == [3]


@BOTH
def test_heartbeats_show_that_the_connection_lives(
    server: ServerProcess, key: Key, transport: Transport
) -> None:
    with transport(server.port, key, sensors="roof") as stream:
        time.sleep(1.2)
        post(server, key, 1)
        assert stream.values(1) == [1]
        assert stream.beats >= 2


@BOTH
def test_reading_that_another_process_stored_arrives(
    server: ServerProcess, key: Key, transport: Transport
) -> None:
    with server.wire(key) as wire:
        sensor_id = wire.get("/api/v2/sensors/roof").json()["id"]
    with transport(server.port, key, sensors="roof") as stream:
        post(server, key, 1)
        store_elsewhere(server.data / "readings.db", sensor_id, 2, 3)
        post(server, key, 4)
        assert stream.values(4) == [1, 2, 3, 4]


@BOTH
def test_key_revoked_on_the_command_line_ends_its_stream(
    server: ServerProcess, key: Key, transport: Transport
) -> None:
    with transport(server.port, key, sensors="roof") as stream:
        server.command("key", "revoke", key.key_id)
        code, seconds = stream.end()
        assert code == "revoked"
        assert seconds < SOON
        if isinstance(stream, Ws):
            assert stream.closed == (4401, "revoked")


@BOTH
def test_sensor_made_private_ends_a_strangers_stream(
    server: ServerProcess, key: Key, transport: Transport
) -> None:
    with server.wire(key) as wire:
        path = "/api/v2/sensors/roof"
        assert wire.put(path, {"visibility": "PUBLIC"}).status == 204
        with transport(server.port, None, sensors="alice.roof") as stream:
            post(server, key, 1)
            assert stream.values(1) == [1]
            assert wire.put(path, {"visibility": "PRIVATE"}).status == 204
            code, seconds = stream.end()
            assert code == "forbidden"
            assert seconds < SOON
            if isinstance(stream, Ws):
                assert stream.closed == (4403, "forbidden")


def test_access_token_in_the_address_opens_a_stream_and_is_not_logged(
    server: ServerProcess, key: Key
) -> None:
    words = ("--user", "alice", "--name", "plotter", "--website", "https://plotter.example")
    app = server.json("app", "create", *words, "--allow", "client-credentials")
    with server.wire((app["client_id"], app["client_secret"])) as wire:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = b"grant_type=client_credentials&scope=read"
        answer = wire.call("POST", "/api/oauth/token", body, form)
        token = answer.json()["access_token"]
    for transport in (Sse, Ws):
        with transport(server.port, None, sensors="alice.roof", access_token=token) as stream:
            post(server, key, 1)
            assert stream.values(1) == [1]
    assert token not in server.log


TOO_LONG = 5000
"""Characters of an address that a WebSocket's handshake cannot have."""
REFUSALS: list[tuple[dict[str, str], tuple[str, str] | None, int, int]] = [
    ({"sensors": "roof"}, ("alice", "wrong password"), 401, 1301),
    ({"sensors": "alice.roof"}, None, 404, 1101),
    ({"sensors": "alice.nothing"}, ("alice", PASSWORD), 404, 1101),
    ({"sensors": "roof", "since": "-1"}, ("alice", PASSWORD), 400, 1205),
    ({"sensors": "roof", "since": "soon"}, ("alice", PASSWORD), 400, 1205),
    ({"scope": "mine"}, ("alice", PASSWORD), 400, 1205),
    ({"tags": "," * 300}, ("alice", PASSWORD), 400, 1205),
    ({"sensors": ",".join(map(str, range(1, 1500)))}, ("alice", PASSWORD), 400, 1205),
]


@pytest.mark.parametrize(("query", "caller", "status", "code"), REFUSALS)
def test_stream_is_refused_with_the_reason(
    server: ServerProcess, query: dict[str, str], caller: Any, status: int, code: int
) -> None:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    with server.wire(caller) as wire:
        wire.get(f"{PATH}?{words}").error(status, code)
    if len(words) > TOO_LONG:
        return
    with Ws(server.port, caller, **query) as refused:
        assert refused.ready.event == "error"
        assert (refused.ready.data["status"], refused.ready.data["code"]) == (status, code)
        with pytest.raises(EOFError):
            refused.next()
        assert refused.closed is not None
        assert refused.closed[0] == 4000 + status


def test_header_that_no_event_had_is_refused(server: ServerProcess, key: Key) -> None:
    with server.wire(key) as wire:
        answer = wire.call("GET", f"{PATH}?sensors=roof", headers={"Last-Event-ID": "x"})
        assert answer.error(400, 1205)["moreInfo"] == {"Last-Event-ID": "is not the id of an event"}


def test_key_that_may_only_write_is_forbidden(server: ServerProcess) -> None:
    writer = server.add_key("alice", "--scope", "write")
    with server.wire(writer) as wire:
        wire.get(f"{PATH}?sensors=roof").error(403, 1302)


def test_too_many_streams_of_a_user_are_refused_until_one_closes(
    server: ServerProcess, key: Key
) -> None:
    wait_until(lambda: streams_open(server) == 0, 5, "no streams are left")
    opened = [Sse(server.port, key, sensors="roof") for _ in range(8)]
    with server.wire(key) as wire:
        refused = wire.get(f"{PATH}?sensors=roof")
        refused.error(429, 1507)
        assert refused.retry_after()
        assert streams_open(server) == 8
        opened.pop().close()
        wait_until(lambda: streams_open(server) == 7, 5, "the server notices")
        opened.append(Sse(server.port, key, sensors="roof"))
    for stream in opened:
        stream.close()
    wait_until(lambda: streams_open(server) == 0, 5, "no streams are left")


def test_handshake_that_is_too_long_is_refused_and_leaves_nothing(server: ServerProcess) -> None:
    head = f"GET {PATH}?sensors={'9' * 9000} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    head += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    raw(server.port, head.encode()).error(400, 1207)


def test_path_that_is_no_websocket_is_refused(server: ServerProcess) -> None:
    head = (
        "GET /api/v2/sensors HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    )
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert raw(server.port, head.encode()).status == 403


# Pages of this server, by the session of the browser


@pytest.fixture
def cookie(server: ServerProcess) -> str:
    with WebUser(server.url) as alice:
        alice.open("/account")
        found: str = alice.http.cookies["wotkit_session"]
    return f"wotkit_session={found}"


@BOTH
def test_own_page_follows_private_sensors_until_it_signs_out(
    server: ServerProcess, key: Key, transport: Transport
) -> None:
    with WebUser(server.url) as alice:
        page = alice.open("/account")
        headers = {
            "Cookie": f"wotkit_session={alice.http.cookies['wotkit_session']}",
            "Origin": server.url,
            "Sec-Fetch-Site": "same-origin",
            "Host": server.url.removeprefix("http://"),
        }
        headers.pop("Host")
        with transport(server.port, None, headers=headers, sensors="alice.roof") as stream:
            post(server, key, 1)
            assert stream.values(1) == [1]
            answer = alice.http.get("/account")
            token = alice_token(answer.text)
            alice.http.post("/logout", data={"csrf": token})
            code, seconds = stream.end()
            assert code == "revoked"
            assert seconds < SOON
    assert page.status_code == 200


def alice_token(text: str) -> str:
    _, _, rest = text.partition('name="csrf" value="')
    return rest.partition('"')[0]


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://127.0.0.1:1"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_page_of_another_site_is_nobody_whatever_cookie_comes_along(
    server: ServerProcess, cookie: str, headers: dict[str, str]
) -> None:
    sent = {**headers, "Cookie": cookie}
    with server.wire() as wire:
        answer = wire.call("GET", f"{PATH}?sensors=alice.roof", headers=sent)
        answer.error(404, 1101)
    with Ws(server.port, None, headers=sent, sensors="alice.roof") as refused:
        assert refused.ready.data["status"] == 404


def test_websocket_without_an_origin_is_not_a_browser_of_ours(
    server: ServerProcess, cookie: str
) -> None:
    with Ws(server.port, None, headers={"Cookie": cookie}, sensors="alice.roof") as refused:
        assert refused.ready.data["status"] == 404
    with Sse(server.port, None, headers={"Cookie": cookie}, sensors="alice.roof") as stream:
        assert stream.ready.data == {"sensors": 1}


def test_cookie_that_ended_is_nobody(server: ServerProcess) -> None:
    with server.wire() as wire:
        sent = {"Cookie": "wotkit_session=gone", "Sec-Fetch-Site": "same-origin"}
        answer = wire.call("GET", f"{PATH}?sensors=alice.roof", headers=sent)
        answer.error(404, 1101)


def test_other_origins_may_read_what_is_public_and_send_the_header(server: ServerProcess) -> None:
    with server.wire() as wire:
        sent = {
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "last-event-id",
        }
        answer = wire.call("OPTIONS", PATH, headers=sent)
        assert answer.status == 204
        assert "Last-Event-ID" in answer.headers["access-control-allow-headers"]


# Servers of their own


def own_server(folder: Any, *settings: str) -> ServerProcess:
    options = [word for setting in settings for word in ("--set", setting)]
    return ServerProcess(folder / "data", *options)


def with_alice(server: ServerProcess) -> Key:
    server.add_user("alice")
    server.command("sensor", "create", "roof", "--user", "alice")
    return server.add_key("alice")


def test_client_that_stops_reading_is_cut_off_and_goes_on_later(tmp_path: Any) -> None:
    with own_server(tmp_path, "live.queue_readings=20") as server:
        key = with_alice(server)
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", server.port))
        head = f"GET {PATH}?sensors=roof HTTP/1.1\r\nHost: x\r\n"
        head += f"Authorization: {authorization(key)['Authorization']}\r\n\r\n"
        stuck.sendall(head.encode())
        wait_until(lambda: streams_open(server) == 1, 5, "the stream is open")
        text = "x" * 60_000
        with Sse(server.port, key, sensors="roof") as quick, server.wire(key) as wire:
            sent = 0
            while streams_open(server) == 2:
                assert sent < 600, "it is never cut off"
                for _ in range(10):
                    assert wire.post(DATA, {"value": sent, "note": text}).status == 201
                    sent += 1
                assert len(quick.readings(10)) == 10
            assert 'wotkit_live_ended_total{code="slow_reader"} 1.0' in (
                wire.get("/metrics").body.decode()
            )
        stuck.settimeout(5)
        got = b""
        while chunk := read_some(stuck):
            got += chunk
        stuck.close()
        ids = [
            int(line[4:])
            for line in got.split(b"\n")
            if line.startswith(b"id: ") and line[4:].isdigit()
        ]
        with Sse(server.port, key, sensors="roof", since=ids[-2]) as again:
            assert again.readings(1)[0]["id"] == ids[-2] + 1
        assert server.stop() == 0


def read_some(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionError:
        return b""


def has_loaded(server: ServerProcess, package: str) -> bool:
    maps = Path(f"/proc/{server.worker()}/maps").read_text(encoding="utf-8")
    return f"/{package}/" in maps


def test_stop_ends_streams_at_once_and_says_why(tmp_path: Any) -> None:
    with own_server(tmp_path) as server:
        key = with_alice(server)
        with Sse(server.port, key, sensors="roof"):
            assert not has_loaded(server, "websockets"), "only a WebSocket needs it"
        with Ws(server.port, key, sensors="roof"):
            assert has_loaded(server, "websockets")
        wait_until(lambda: streams_open(server) == 0, 5, "no streams are left")
        with (
            Sse(server.port, key, sensors="roof") as sse,
            Ws(server.port, key, sensors="roof") as ws,
        ):
            stuck = socket.create_connection(("127.0.0.1", server.port))
            head = f"GET {PATH}?sensors=roof HTTP/1.1\r\nHost: x\r\n"
            head += f"Authorization: {authorization(key)['Authorization']}\r\n\r\n"
            stuck.sendall(head.encode())
            wait_until(lambda: streams_open(server) == 3, 5, "three streams are open")
            began = time.monotonic()
            server.tell(signal.SIGTERM)
            assert sse.end()[0] == "server_stopping"
            assert sse.retry >= 1000
            assert ws.end()[0] == "server_stopping"
            assert ws.closed == (4503, "server_stopping")
            assert time.monotonic() - began < 1
            assert server.wait() == 0
            stuck.close()


def test_client_goes_on_after_the_server_was_killed_without_a_gap(tmp_path: Any) -> None:
    with own_server(tmp_path) as server:
        key = with_alice(server)
        ids: list[int] = []
        position = "0"
        for turn in range(2):
            with Sse(server.port, key, sensors="roof", since=position) as stream:
                post(server, key, *range(turn * 10, turn * 10 + 10))
                ids += [reading["id"] for reading in stream.readings(7)]
                position = stream.position
                server.kill_all()
            server.start()
        with Sse(server.port, key, sensors="roof", since=position) as stream:
            ids += [reading["id"] for reading in stream.readings(6)]
        with server.wire(key) as wire:
            found = wire.get("/api/v2/sensors/roof/data?start=0&limit=100").json()
        assert ids == [reading["id"] for reading in found["data"]["data"]]
        assert server.stop() == 0
