"""Stop the server while clients send: what was accepted is stored, and it ends in time."""

from __future__ import annotations

import json
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.system.server_process import STOP_SECONDS, wait_until
from tests.system.storm import Careful, Careless, Gateway, ManySensors, Replacing, Storm
from tests.system.wire import authorization, read_answer

if TYPE_CHECKING:
    from tests.system.server_process import Key, ServerProcess

KINDS = (Careful, Careless, Replacing, ManySensors, Gateway)
DATA = "/api/sensors/alice.roof/data"

STOPS = pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGINT, True)],
    ids=["SIGTERM", "SIGINT", "Ctrl-C"],
)


@STOPS
def test_stop_under_load_loses_nothing_and_the_next_start_has_all(
    server: ServerProcess, number: signal.Signals, group: bool
) -> None:
    clients = [kind(each) for each, kind in enumerate(KINDS * 3)]
    key = server.add_key("alice")
    for name in {client.sensor.removeprefix("alice.") for client in clients}:
        server.command("sensor", "create", name, "--user", "alice")
    with Storm(server, clients, key) as storm:
        wait_until(lambda: storm.acknowledged() > 200, 20, "readings stored")
        began = time.monotonic()
        assert server.stop(number, group=group) == 0
        print(f"stopped in {time.monotonic() - began:.2f} s")
        server.start()
        print(f"started in {server.started_in:.2f} s")
        before = storm.acknowledged()
        wait_until(lambda: storm.acknowledged() > before + 200, 20, "readings stored")
    storm.check()
    assert "Traceback" not in server.log


def send_half(server: ServerProcess, key: Key) -> socket.socket:
    """Begin to post a reading, and keep the rest."""
    connection = socket.create_connection(("127.0.0.1", server.port), STOP_SECONDS)
    body = json.dumps({"value": 21.5}).encode()
    head = f"POST {DATA} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    head += f"Authorization: {authorization(key)['Authorization']}\r\n\r\n"
    connection.sendall(head.encode() + body[:5])
    return connection


def wait_until_it_stops(server: ServerProcess) -> None:
    def refuses() -> bool:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(refuses, STOP_SECONDS, "no connections are taken")


def test_request_under_way_is_finished_after_sigterm(server: ServerProcess) -> None:
    key = server.add_key("alice")
    with send_half(server, key) as slow, server.wire(key) as idle:
        assert idle.get("/healthz").status == 200
        server.tell(signal.SIGTERM)
        wait_until_it_stops(server)
        slow.sendall(json.dumps({"value": 21.5}).encode()[5:])
        assert read_answer(slow, "POST").status == 201
    assert server.wait() == 0
    server.start()
    with server.wire(key) as alice:
        (stored,) = alice.readings("alice.roof")
    assert stored["value"] == 21.5


def test_client_that_never_finishes_does_not_hold_up_the_stop(server: ServerProcess) -> None:
    key = server.add_key("alice")
    with send_half(server, key), send_half(server, key), server.wire(key) as alice:
        assert alice.post(DATA, {"value": 1}).status == 201
        assert server.stop() == 0
    server.start()
    with server.wire(key) as alice:
        assert [reading["value"] for reading in alice.readings("alice.roof")] == [1]


def test_second_signal_does_not_break_the_stop(server: ServerProcess) -> None:
    with server.wire(server.add_key("alice")) as alice:
        assert alice.post(DATA, {"value": 1}).status == 201
    server.tell(signal.SIGINT, group=True)
    server.tell(signal.SIGTERM)
    assert server.wait() in {0, -signal.SIGTERM}


def test_worker_that_dies_is_replaced_within_seconds(server: ServerProcess) -> None:
    key = server.add_key("alice")
    first = server.worker()
    server.kill_worker()
    wait_until(lambda: server.worker() != first, 5, "another worker")
    with server.wire(key) as alice:
        assert alice.post(DATA, {"value": 1}).status == 201
        assert alice.get("/readyz").status == 200
    assert server.stop() == 0


def test_main_process_that_is_killed_takes_its_worker_along(server: ServerProcess) -> None:
    """Else the orphan would hold the port and the data folder against the next start."""
    key = server.add_key("alice")
    server.tell(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    server.start()
    with server.wire(key) as alice:
        assert alice.post(DATA, {"value": 1}).status == 201
