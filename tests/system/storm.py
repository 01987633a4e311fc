"""Clients that post all the time and send again whenever they did not hear how it went."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.system.server_process import Key, ServerProcess
    from tests.system.wire import Answer, Wire

GIVE_UP_SECONDS = 30
START = 1_700_000_000_000
"""A time (milliseconds) in the past, for readings whose times clients choose."""


class StormClient:
    """One client in a thread of its own, on one connection."""

    good = frozenset({201})
    """What means that it is stored."""
    sensor: str

    def __init__(self, number: int) -> None:
        self.number = number
        self.acknowledged = 0
        """Requests that were answered with success."""
        self.unclear = 0
        """Times that an answer was lost or said to try again."""

    def run(self, wire: Wire, stop: threading.Event) -> None:
        """Send one request after another until told to stop."""
        for request in self.requests():
            self.deliver(wire, *request)
            if stop.is_set():
                return

    def requests(self) -> Iterator[tuple[str, str, Any, Mapping[str, str]]]:
        """Yield method, path, body and headers."""
        raise NotImplementedError

    def deliver(
        self, wire: Wire, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> None:
        """Send the same request until it is clear that it was done."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            answer = self.attempt(wire, method, path, body, headers)
            if answer is not None and answer.status in self.good:
                self.acknowledged += 1
                self.heard(answer)
                return
            assert answer is None or answer.status == 503, (answer.status, answer.body)
            assert time.monotonic() < deadline, "the server does not come back"
            self.unclear += 1
            time.sleep(0.01)

    def heard(self, answer: Answer) -> None:
        """Check what a success says."""

    def attempt(
        self, wire: Wire, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> Answer | None:
        """Send once; None is no answer."""
        try:
            return wire.send(method, path, body, headers)
        except (OSError, http.client.HTTPException):
            return None

    def check(self, readings: list[dict[str, Any]]) -> None:
        """Check what is stored, given all readings of :attr:`sensor` by this client."""
        raise NotImplementedError

    def numbers(self, readings: list[dict[str, Any]]) -> Counter[int]:
        """Return how often each number is there."""
        return Counter(each["number"] for each in readings if each["client"] == self.number)

    def check_once(self, readings: list[dict[str, Any]], expected: range) -> None:
        """Check that these numbers are there, once each, and no others."""
        found = self.numbers(readings)
        missing, others = Counter(expected) - found, found - Counter(expected)
        assert not missing, f"lost: {[*missing][:10]}"
        assert not others, f"more than once, or never sent: {[*others][:10]}"


class Careful(StormClient):
    """Posts single readings, each with an Idempotency-Key of its own."""

    sensor = "alice.careful"

    def requests(self) -> Iterator[tuple[str, str, Any, Mapping[str, str]]]:
        for number in range(1_000_000):
            reading = {"client": self.number, "number": number}
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            yield "POST", f"/api/v1/sensors/{self.sensor}/data", reading, headers

    def check(self, readings: list[dict[str, Any]]) -> None:
        self.check_once(readings, range(self.acknowledged))


class Careless(StormClient):
    """Posts single readings without a key, each once, and counts what was acknowledged."""

    sensor = "alice.careless"

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.stored: list[int] = []

    def requests(self) -> Iterator[tuple[str, str, Any, Mapping[str, str]]]:
        for number in range(1_000_000):
            reading = {"client": self.number, "number": number}
            yield "POST", f"/api/v1/sensors/{self.sensor}/data", reading, {}

    def deliver(
        self, wire: Wire, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> None:
        answer = self.attempt(wire, method, path, body, headers)
        if answer is None or answer.status == 503:
            self.unclear += 1
            time.sleep(0.01)
            return
        assert answer.status == 201, answer.body
        self.acknowledged += 1
        self.stored.append(body["number"])

    def check(self, readings: list[dict[str, Any]]) -> None:
        found = self.numbers(readings)
        assert set(self.stored) <= found.keys()
        assert set(found.values()) <= {1}  # what was sent once is never there twice
        assert found.total() <= self.acknowledged + self.unclear


class Replacing(StormClient):
    """Puts lists of a sensor of its own; every second one replaces the one before."""

    good = frozenset({204})

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.sensor = f"alice.replaced-{number}"

    def requests(self) -> Iterator[tuple[str, str, Any, Mapping[str, str]]]:
        for turn in range(1_000_000):
            readings = [
                {
                    "timestamp": START + 1000 * number,
                    "client": self.number,
                    "number": number,
                    "turn": turn,
                }
                for number in self.numbers_of(turn)
            ]
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            yield "PUT", f"/api/v1/sensors/{self.sensor}/data", readings, headers

    @staticmethod
    def numbers_of(turn: int) -> range:
        first = turn // 2 * 5
        return range(first, first + 5)

    def check(self, readings: list[dict[str, Any]]) -> None:
        turns = {
            number: turn for turn in range(self.acknowledged) for number in self.numbers_of(turn)
        }
        assert [(each["number"], each["turn"]) for each in readings] == sorted(turns.items())


class ManySensors(StormClient):
    """Posts lists for several sensors, with an Idempotency-Key."""

    sensor = "alice.many"

    def requests(self) -> Iterator[tuple[str, str, Any, Mapping[str, str]]]:
        for turn in range(1_000_000):
            readings = [
                {"sensor": self.sensor, "client": self.number, "number": 5 * turn + each}
                for each in range(5)
            ]
            other = {"sensor": "alice.roof", "value": turn}
            yield "POST", "/api/v2/data", [*readings, other], {"Idempotency-Key": str(uuid.uuid4())}

    def heard(self, answer: Answer) -> None:
        assert answer.json() == [{"index": index, "status": 201} for index in range(6)]

    def check(self, readings: list[dict[str, Any]]) -> None:
        self.check_once(readings, range(5 * self.acknowledged))


class Gateway(StormClient):
    """Posts batches of a numbered stream."""

    good = frozenset({200})
    sensor = "alice.gateway"

    def requests(self) -> Iterator[tuple[str, str, Any, Mapping[str, str]]]:
        stream = f"gw-{uuid.uuid4()}"
        for turn in range(1_000_000):
            readings = [
                {"seq": seq, "sensor": self.sensor, "client": self.number, "number": seq}
                for seq in range(5 * turn + 1, 5 * turn + 6)
            ]
            yield "POST", "/api/v2/ingest", {"stream": stream, "readings": readings}, {}

    def heard(self, answer: Answer) -> None:
        assert answer.json() == {"acked_through": 5 * self.acknowledged, "rejected": []}

    def check(self, readings: list[dict[str, Any]]) -> None:
        self.check_once(readings, range(1, 5 * self.acknowledged + 1))


class Storm:
    """All clients at once, while something happens to the server."""

    def __init__(self, server: ServerProcess, clients: list[StormClient], key: Key) -> None:
        self.clients = clients
        self._server = server
        self._key = key
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(client,), daemon=True) for client in clients
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * GIVE_UP_SECONDS)

    def _run(self, client: StormClient) -> None:
        with self._server.wire(self._key) as wire:
            client.run(wire, self._stop)

    def acknowledged(self) -> int:
        return sum(client.acknowledged for client in self.clients)

    def check(self) -> None:
        """Check that what is stored is what was acknowledged, once each."""
        assert not any(thread.is_alive() for thread in self._threads)
        stored: dict[str, list[dict[str, Any]]] = {}
        with self._server.wire(self._key) as wire:
            for client in self.clients:
                if client.sensor not in stored:
                    stored[client.sensor] = wire.readings(client.sensor)
                client.check(stored[client.sensor])
