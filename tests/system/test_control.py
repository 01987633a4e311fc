"""The control channel of a real server: restarts, stops, clients that hang up, many who wait."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.server_process import PASSWORD, ServerProcess
from tests.system.wire import authorization
from wotkit.catalog import Catalog, control
from wotkit.catalog.identity import ANONYMOUS
from wotkit.settings import ControlSettings

if TYPE_CHECKING:
    from collections.abc import Callable


ALICE = ("alice", PASSWORD)
MANY = 1_000


def subscribe(server: ServerProcess) -> int:
    with server.wire(ALICE) as wire:
        answer = wire.call("POST", "/api/control/sub/roof")
    assert answer.status == 200, answer.body
    number: int = answer.json()["subscription"]
    return number


def send(server: ServerProcess, **pairs: Any) -> None:
    with server.wire(ALICE) as wire:
        assert wire.post("/api/sensors/roof/message", pairs).status == 200


def poll(server: ServerProcess, number: int, wait: float = 0) -> list[Any]:
    with server.wire(ALICE) as wire:
        answer = wire.get(f"/api/control/sub/{number}?wait={wait}")
    assert answer.status == 200, answer.body
    found: list[Any] = answer.json()
    return found


def waiting(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Do something in a thread; the list gets its answer and how many seconds it took."""
    found: list[Any] = []

    def timed() -> None:
        started = time.monotonic()
        answer = work()
        found.extend([answer, time.monotonic() - started])

    thread = threading.Thread(target=timed)
    thread.start()
    time.sleep(0.5)  # until it waits
    return thread, found


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_message_is_there_after_a_restart(server: ServerProcess, killed: bool) -> None:
    number = subscribe(server)
    send(server, slider=1)
    send(server, slider=2, expires=60)
    if killed:
        server.kill_all()
    else:
        server.tell(signal.SIGTERM)
        assert server.wait() == 0
    server.start()
    plain, expiring = poll(server, number, wait=5)
    assert (plain["slider"], expiring["slider"]) == (1, 2)
    assert poll(server, number) == []


def test_waiting_poll_ends_empty_and_at_once_when_the_server_stops(server: ServerProcess) -> None:
    number = subscribe(server)
    thread, found = waiting(lambda: poll(server, number, wait=20))
    told = time.monotonic()
    server.tell(signal.SIGTERM)
    assert server.wait() == 0
    stopped_in = time.monotonic() - told
    thread.join(5)
    assert found[0] == []
    assert found[1] < 5
    assert stopped_in < 3


def test_client_that_hung_up_takes_no_message(server: ServerProcess) -> None:
    number = subscribe(server)
    lines = [f"GET /api/control/sub/{number}?wait=20 HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in authorization(ALICE).items()]
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        time.sleep(0.5)
    time.sleep(0.2)
    send(server, slider=1)
    assert [message["slider"] for message in poll(server, number)] == [1]


def test_message_that_another_process_sends_wakes_who_waits(server: ServerProcess) -> None:
    number = subscribe(server)
    catalog = Catalog(server.data)
    with server.wire(ALICE) as wire:
        wire.put("/api/sensors/roof", {"visibility": "PUBLIC"})
    thread, found = waiting(lambda: poll(server, number, wait=15))
    settings = ControlSettings()
    catalog.write(control.send, ANONYMOUS, "alice.roof", '{"a":1}', None, settings)
    thread.join(20)
    catalog.close()
    assert found[0][0]["a"] == 1
    assert found[1] < 5


def test_subscription_outlives_a_restart_and_its_number_is_never_given_again(
    server: ServerProcess,
) -> None:
    first = subscribe(server)
    server.kill_all()
    server.start()
    assert subscribe(server) > first
    assert poll(server, first) == []


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def one_poll(port: int, number: int, answers: list[Any]) -> None:
    """Wait for messages and note the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET /api/control/sub/{number}?wait=20 HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in authorization(ALICE).items()]
    writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    answers.append(json.loads(body))
    writer.close()


def test_thousand_waiting_polls_cost_next_to_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        server.add_user("alice")
        server.command("sensor", "create", "roof", "--user", "alice")
        numbers = [subscribe(server) for _ in range(100)]
        worker = server.worker()
        memory = server.resident_mib()
        answers: list[Any] = []

        async def main() -> tuple[float, float]:
            polls = [
                asyncio.create_task(one_poll(server.port, numbers[n % 100], answers))
                for n in range(MANY)
            ]
            await asyncio.sleep(5)  # until all of them wait
            before, started = cpu_seconds(worker), time.monotonic()
            await asyncio.sleep(4)
            share = (cpu_seconds(worker) - before) / (time.monotonic() - started)
            grown = server.resident_mib() - memory
            assert not answers
            await asyncio.to_thread(send, server, slider=1)
            await asyncio.sleep(1.5)
            woken = len([each for each in answers if each])
            assert woken == 100, "one poll of each subscription"
            server.tell(signal.SIGTERM)
            await asyncio.wait_for(asyncio.gather(*polls), 5)
            return share, grown

        share, grown = asyncio.run(main())
        assert len(answers) == MANY
        print(f"1000 waiting polls: {share:.1%} of a processor, {grown:.0f} MiB")
        assert share < 0.05
        assert grown < 60
