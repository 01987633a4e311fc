"""Send many times more than the server can store: it says so, stays small, and recovers."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

import pytest

from tests.system.conftest import add_alice
from tests.system.server_process import ServerProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.server_process import Key
    from tests.system.wire import Wire

CONNECTIONS = 64
BATCH = 250
QUEUE = 1_000
"""Readings that may wait: a sixteenth of what is under way at any moment."""
LARGEST_MIB = 220
"""What the worker may take in all; without limits it would rise with every second."""
CREEP_MIB = 30
"""By how much more the second half of the time may take than the first."""
WARM_UP_SECONDS = 10
"""In which caches fill."""
SINGLE = json.dumps({"value": 21.5}).encode()
MANY = json.dumps([{"sensor": "alice.roof", "value": each} for each in range(BATCH)]).encode()


class Load:
    """Connections that send without a pause, whatever they are answered.

    Half of them share the first key, and so come up against its rate.
    """

    def __init__(self, server: ServerProcess, keys: list[Key]) -> None:
        self.answers: Counter[int] = Counter()
        self.without_retry_after = 0
        self._server = server
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(keys[number % 2 * number // 8],), daemon=True)
            for number in range(CONNECTIONS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in self._threads)

    def _run(self, key: Key) -> None:
        with self._server.wire(key) as wire:
            while not self._stop.is_set():
                answer = wire.call("POST", "/api/v2/data", MANY)
                with self._lock:
                    self.answers[answer.status] += 1
                    if answer.status not in {201, 204} and "retry-after" not in answer.headers:
                        self.without_retry_after += 1


def largest_while(server: ServerProcess, seconds: float) -> float:
    """Return the largest resident memory (MiB) of the worker in a while."""
    until = time.monotonic() + seconds
    largest = 0.0
    while time.monotonic() < until:
        largest = max(largest, server.resident_mib())
        time.sleep(0.1)
    return largest


def metric(server: ServerProcess, name: str) -> float:
    with server.wire() as wire:
        lines = wire.get("/metrics").body.decode().splitlines()
    (line,) = [line for line in lines if line.startswith(name + " ")]
    return float(line.rpartition(" ")[2])


@pytest.mark.parametrize("seconds", [5, pytest.param(30, marks=pytest.mark.slow)])
def test_overload_is_answered_503_or_429_within_bounded_memory(
    tmp_path: Path, seconds: int
) -> None:
    limits = (f"ingest.queue_readings={QUEUE}", "ingest.rate=40", "ingest.burst=40")
    options = [part for limit in limits for part in ("--set", limit)]
    with ServerProcess(tmp_path / "data", *options) as server:
        add_alice(server)
        keys = [server.add_key("alice") for _ in range(CONNECTIONS // 8)]
        calm = server.resident_mib()
        with Load(server, keys) as load:
            halves = [largest_while(server, seconds / 2) for _ in range(2)]
        answers = load.answers
        print(f"{answers} in {seconds} s; {calm:.0f} MiB, then at most {halves} MiB")
        assert answers.keys() == {201, 429, 503}
        assert answers.total() > 10 * answers[201]  # it was an overload
        assert not load.without_retry_after
        refused = metric(server, 'wotkit_readings_refused_total{reason="queue full"}')
        assert refused == BATCH * answers[503]
        assert max(halves) < LARGEST_MIB
        if seconds > WARM_UP_SECONDS:
            assert halves[1] - halves[0] < CREEP_MIB
        with server.wire(server.add_key("alice")) as alice:
            assert_normal_within_seconds(server, alice)
            stored = sum(1 for reading in alice.readings("alice.roof"))
        assert stored == BATCH * answers[201] + 20


def assert_normal_within_seconds(server: ServerProcess, alice: Wire) -> None:
    wait_until(lambda: metric(server, "wotkit_ingest_queue_readings") == 0, 5, "an empty queue")
    for _ in range(20):
        began = time.monotonic()
        assert alice.call("POST", "/api/sensors/alice.roof/data", SINGLE).status == 201
        assert time.monotonic() - began < 1
