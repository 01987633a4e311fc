"""Clients of an MQTT server, as cheap as they can be, in a process of its own.

It reads a line with a :class:`Plan`, says ``{"ready": …}`` when its connections are open, waits for
another line, does its work, and says what came of it. Packets are made before; all have the same
size, so that what is sent next is a slice of bytes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import deque
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import uvloop
from msgspec import Struct

from wotkit.mqtt.codec import Connect, Publish, Version, encode

if TYPE_CHECKING:
    from collections.abc import Callable

CONNACK_BYTES: Final = 4
PUBACK_BYTES: Final = 4
RING: Final = 1000
"""Different packets of a connection, with the packet ids from 1."""
GRACE_SECONDS: Final = 20
TICK: Final = 0.0005
MOST_BEHIND: Final = 20_000
"""Readings that were acknowledged and are not stored, beyond which nothing is published."""
OPENED_AT_ONCE: Final = 100
KEEP_ALIVE: Final = 120


class Plan(Struct):
    """What is to be done."""

    kind: str
    """``window``, ``paced``, ``storm`` or ``idle``."""
    port: int
    keys: list[tuple[str, str]]
    """Ids and passwords of keys, for the connections in turn."""
    connections: int
    sensors: list[str] = []
    window: int = 20
    """Publishes of a connection that wait for their acknowledgement."""
    rate: float = 0
    """Publishes, or new connections, a second."""
    seconds: float = 0
    stored_file: str = ""
    """Where eight bytes say how many readings are stored, if acknowledgements do not say it."""
    stored: int = 0
    """How many were before."""


class Client(asyncio.Protocol):
    """A connection."""

    def __init__(self, plan: Plan, number: int) -> None:
        """Take the client's number, which chooses its key and its first sensor."""
        self.key_id, password = plan.keys[number % len(plan.keys)]
        self._hello = encode(
            Connect(
                f"load-{number}",
                Version.V311,
                keep_alive=KEEP_ALIVE,
                username=self.key_id,
                password=password.encode(),
            ),
            Version.V311,
        )
        self.number = number
        self._came = 0
        self._acknowledged = 0
        self.on_acknowledged: Callable[[Client, int], None] | None = None
        self.ready: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.lost = False
        self.sent = 0
        self.due: deque[float] = deque()

    def connection_made(self, transport: Any) -> None:
        """See :class:`asyncio.Protocol`."""
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Count acknowledgements; their packet ids come in order."""
        size = len(data)
        if not self._came:
            if data[:CONNACK_BYTES] != b"\x20\x02\x00\x00":
                self.ready.set_exception(RuntimeError(f"CONNECT was answered {data[:20]!r}"))
                return
            self.ready.set_result(perf_counter())
        self._came += size
        total = (self._came - CONNACK_BYTES) // PUBACK_BYTES
        new = total - self._acknowledged
        if new and self.on_acknowledged is not None:
            self._acknowledged = total
            self.on_acknowledged(self, new)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Note it."""
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(RuntimeError("the connection was closed"))

    def packets(self, sensors: list[str]) -> None:
        """Make what it publishes."""
        topics = [f"wotkit/{self.key_id}/sensors/{sensor}/data" for sensor in sensors]
        made = [
            encode(
                Publish(
                    topics[(self.number + n) % len(topics)],
                    b'{"value":%05.2f}' % (15 + n % 100 / 10),
                    1,
                    n + 1,
                ),
                Version.V311,
            )
            for n in range(RING)
        ]
        self._size = len(made[0])
        self._ring = b"".join(made) * 2

    def publish(self, count: int) -> None:
        """Send the next packets."""
        start = self.sent % RING * self._size
        self.transport.write(self._ring[start : start + count * self._size])
        self.sent += count


async def opened(plan: Plan, number: int) -> Client:
    """Return a client whose CONNECT was answered."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(plan, number), "127.0.0.1", plan.port)
    await client.ready
    return client


async def all_opened(plan: Plan) -> list[Client]:
    """Open all connections."""
    clients: list[Client] = []
    for start in range(0, plan.connections, OPENED_AT_ONCE):
        numbers = range(start, min(plan.connections, start + OPENED_AT_ONCE))
        clients += await asyncio.gather(*[opened(plan, number) for number in numbers])
    return clients


def say(**what: Any) -> None:
    """Tell who started this."""
    print(msgspec.json.encode(what).decode(), flush=True)


async def told() -> None:
    """Wait for a line, or for the end of them."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def window(plan: Plan) -> None:
    """Publish as fast as acknowledgements come."""
    clients = await all_opened(plan)
    for client in clients:
        client.packets(plan.sensors)
    say(ready=len(clients))
    await told()
    acknowledged = 0
    sending = True
    waiting: list[tuple[Client, int]] = []

    def again(client: Client, count: int) -> None:
        nonlocal acknowledged
        acknowledged += count
        if waiting or behind(plan, acknowledged):
            waiting.append((client, count))
        elif sending:
            client.publish(count)

    started = perf_counter()
    for client in clients:
        client.on_acknowledged = again
        client.publish(plan.window)
    while perf_counter() < started + plan.seconds:
        await asyncio.sleep(TICK)
        if waiting and not behind(plan, acknowledged):
            for client, count in waiting:
                client.publish(count)
            waiting.clear()
    sending = False
    sent = sum(client.sent for client in clients)
    await _until(lambda: acknowledged == sent)
    say(seconds=perf_counter() - started, sent=sent, acknowledged=acknowledged)


def behind(plan: Plan, acknowledged: int) -> bool:
    """Return whether too much was acknowledged that is not stored."""
    if not plan.stored_file:
        return False
    stored = int.from_bytes(Path(plan.stored_file).read_bytes(), "little")
    return acknowledged - (stored - plan.stored) > MOST_BEHIND


async def paced(plan: Plan) -> None:
    """Publish at a rate, whether or not the server keeps up; time counts from when it was due."""
    clients = await all_opened(plan)
    latencies: list[float] = []

    def note(client: Client, count: int) -> None:
        now = perf_counter()
        latencies.extend(now - client.due.popleft() for _ in range(count))

    for client in clients:
        client.packets(plan.sensors)
        client.on_acknowledged = note
    say(ready=len(clients))
    await told()
    total, sent = int(plan.rate * plan.seconds), 0
    started = perf_counter()
    while sent < total:
        reached = min(total, int((perf_counter() - started) * plan.rate) + 1)
        for number in range(sent, reached):
            client = clients[number % len(clients)]
            client.due.append(started + number / plan.rate)
            client.publish(1)
        sent = reached
        await asyncio.sleep(TICK)
    await _until(lambda: len(latencies) == total)
    seconds = perf_counter() - started
    p50, p99, most = _percentiles(latencies)
    say(seconds=seconds, sent=sent, acknowledged=len(latencies), p50=p50, p99=p99, most=most)


async def storm(plan: Plan) -> None:
    """Open connections at a rate; time counts from when each was due."""
    say(ready=0)
    await told()
    started = perf_counter()

    async def one(number: int) -> float:
        due = started + number / plan.rate
        await asyncio.sleep(max(0, due - perf_counter()))
        client = await opened(plan, number)
        clients.append(client)
        return client.ready.result() - due

    clients: list[Client] = []
    found = await asyncio.gather(
        *[one(number) for number in range(plan.connections)], return_exceptions=True
    )
    seconds = perf_counter() - started
    latencies = [each for each in found if isinstance(each, float)]
    p50, p99, most = _percentiles(latencies)
    say(seconds=seconds, opened=len(latencies), p50=p50, p99=p99, most=most)


async def idle(plan: Plan) -> None:
    """Keep connections until told."""
    began = perf_counter()
    clients = await all_opened(plan)
    say(ready=len(clients), seconds=perf_counter() - began)
    await told()
    say(lost=sum(client.lost for client in clients))


def _percentiles(seconds: list[float]) -> tuple[float, float, float]:
    """Return milliseconds: of half, of 99 %, of all."""
    found = sorted(seconds) or [0.0]
    return (
        found[int(len(found) * 0.5)] * 1000,
        found[int(len(found) * 0.99)] * 1000,
        found[-1] * 1000,
    )


async def _until(condition: Callable[[], bool]) -> None:
    ends = perf_counter() + GRACE_SECONDS
    while not condition() and perf_counter() < ends:  # noqa: ASYNC110  # an event costs more
        await asyncio.sleep(TICK)


def main() -> None:
    """Do what the plan says."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    gc.disable()  # a pause here would look like one of the server
    uvloop.run({"window": window, "paced": paced, "storm": storm, "idle": idle}[plan.kind](plan))


if __name__ == "__main__":
    main()
