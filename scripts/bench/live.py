"""Measures live streams of a real server, in two parts; see ``--help``."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import resource
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import machine
import uvloop
from requests_text import request
from servers import Wotkit

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTIONS: Final = 64
"""Over which readings are posted."""
MOST_P99: Final = 50.0
"""The promise, in milliseconds from accepted to received."""
FOLLOWED: Final = 20
"""Sensors that each of the few clients follows."""
SETTLE_SECONDS: Final = 1.0
STREAMS_AT_ONCE: Final = 50
_VALUE: Final = re.compile(rb'"value":(\d+)}')
_ROOM: Final = 64
"""Bytes at the end of what arrived that may be half a value."""


class Timing(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float
    most: float

    def __str__(self) -> str:
        """Return it for people."""
        return f"50 % within {self.p50:.1f}, 99 % within {self.p99:.1f}, all in {self.most:.1f} ms"


class Poster(asyncio.Protocol):
    """One connection that posts readings; a number is the value of each."""

    def __init__(self, posts: Posts) -> None:
        self._posts = posts
        self._numbers: list[int] = []

    def connection_made(self, transport: Any) -> None:
        """See :class:`asyncio.Protocol`."""
        self.transport = transport

    def post(self, number: int, text: bytes) -> None:
        """Send one."""
        self._numbers.append(number)
        self.transport.write(text)

    def data_received(self, data: bytes) -> None:
        """Note which were accepted; each answer comes whole."""
        now = perf_counter()
        for _ in range(data.count(b"HTTP/1.1 201")):
            self._posts.accepted[self._numbers.pop(0)] = now


class Posts:
    """Readings that were sent and accepted, by their number."""

    def __init__(self, server: Wotkit, sensors: Sequence[str]) -> None:
        self._server = server
        self._sensors = sensors
        self.sent: dict[int, float] = {}
        self.accepted: dict[int, float] = {}
        self.received: list[tuple[int, float]] = []
        self.count = 0

    def text(self, number: int) -> bytes:
        """Return the request of a reading."""
        path = f"/api/v1/sensors/bench.{self._sensors[number % len(self._sensors)]}/data"
        headers = {"Authorization": self._server.authorization, "Content-Type": "application/json"}
        return request("POST", path, self._server.address, b'{"value":%d}' % number, headers)

    async def send(self, rate: float, seconds: float, connections: int) -> None:
        """Post at a rate, whether or not the server keeps up."""
        loop = asyncio.get_running_loop()
        posters: list[Poster] = []
        for _ in range(connections):
            _, poster = await loop.create_connection(lambda: Poster(self), *self._server.address)
            posters.append(poster)
        total = int(rate * seconds)
        texts = [self.text(number) for number in range(total)]
        started = perf_counter()
        while self.count < total:
            due = min(total, int((perf_counter() - started) * rate) + 1)
            for number in range(self.count, due):
                self.sent[number] = perf_counter()
                posters[number % connections].post(number, texts[number])
            self.count = due
            await asyncio.sleep(0.0005)
        await asyncio.sleep(SETTLE_SECONDS)
        for poster in posters:
            poster.transport.close()


class Follower(asyncio.Protocol):
    """One stream."""

    def __init__(self, posts: Posts, head: bytes) -> None:
        self._posts = posts
        self._head = head
        self._rest = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """See :class:`asyncio.Protocol`."""
        self.transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        """Note the numbers that came."""
        now = perf_counter()
        if not self.ready.done():
            if not (self._rest + data).startswith(b"HTTP/1.1 200"):
                self.ready.set_exception(RuntimeError(data[:500].decode()))
            elif b"event: ready" not in self._rest + data:
                self._rest += data
                return
            else:
                self.ready.set_result(None)
        text = self._rest + data
        end = 0
        for found in _VALUE.finditer(text):
            self._posts.received.append((int(found[1]), now))
            end = found.end()
        self._rest = text[max(end, len(text) - _ROOM) :]


async def follow(
    server: Wotkit, posts: Posts, sensors: Sequence[str], count: int, each: int
) -> list[Follower]:
    """Open streams, each of some sensors in turn; with ``each`` 0, of all."""
    loop = asyncio.get_running_loop()
    opened: list[Follower] = []
    headers = {"Authorization": server.authorization}
    for start in range(0, count, STREAMS_AT_ONCE):
        part: list[Follower] = []
        for number in range(start, min(count, start + STREAMS_AT_ONCE)):
            first = number * each
            mine = [sensors[(first + n) % len(sensors)] for n in range(each or len(sensors))]
            path = "/api/v2/stream?sensors=" + ",".join(mine)
            head = request("GET", path, server.address, b"", headers)
            made = partial(Follower, posts, head)
            _, one = await loop.create_connection(made, *server.address)
            part.append(one)
        await asyncio.gather(*[one.ready for one in part])
        opened += part
    return opened


def timing(seconds: Sequence[float]) -> Timing:
    """Return how long most took."""
    found = sorted(seconds) or [0.0]
    p50, p99 = (found[int(len(found) * part)] * 1000 for part in (0.5, 0.99))
    return Timing(p50, p99, found[-1] * 1000)


async def measure(
    server: Wotkit, sensors: Sequence[str], clients: int, each: int, rate: float, seconds: float
) -> tuple[Timing, bool]:
    """Post while clients follow; return from accepted to received, and whether all came."""
    posts = Posts(server, sensors)
    before = server.program.memory().rss
    began = perf_counter()
    opened = await follow(server, posts, sensors, clients, each)
    took = perf_counter() - began
    grown = server.program.memory().rss - before
    cpu = server.program.cpu_seconds()
    gc.disable()  # a pause here would look like one of the server
    await posts.send(rate, seconds, min(CONNECTIONS, max(1, int(rate))))
    gc.enable()
    cpu = server.program.cpu_seconds() - cpu
    expected = posts.count * clients * (each or len(sensors)) // len(sensors)
    since_accepted = timing([at - posts.accepted[number] for number, at in posts.received])
    since_sent = timing([at - posts.sent[number] for number, at in posts.received])
    answers = timing([posts.accepted[number] - posts.sent[number] for number in posts.accepted])
    for one in opened:
        one.transport.close()
    print(
        f"{clients} streams open in {took:.2f} s, {grown * 1024 / clients:.0f} KiB each\n"
        f"{len(posts.accepted) / seconds:,.0f} readings/s accepted, "
        f"{len(posts.received) / seconds:,.0f} events/s received "
        f"({len(posts.received)} of {expected}), {cpu / (seconds + SETTLE_SECONDS):.0%} of a core\n"
        f"sent to accepted:      {answers}\n"
        f"accepted to received:  {since_accepted}\n"
        f"sent to received:      {since_sent}"
    )
    return since_accepted, len(posts.received) == expected and len(posts.accepted) == posts.count


async def run(server: Wotkit, options: argparse.Namespace) -> bool:
    """Measure both parts and return whether the promise holds."""
    print(f"\n{options.rate} readings/s, {options.clients} clients of {FOLLOWED} sensors each")
    await measure(server, server.sensors, options.clients, FOLLOWED, options.rate, 1)  # warm up
    print("and measured:")
    sensors = server.sensors
    found, whole = await measure(
        server, sensors, options.clients, FOLLOWED, options.rate, options.seconds
    )
    await asyncio.sleep(SETTLE_SECONDS)
    print(f"\n{options.crowd} clients of one sensor, 10 readings/s")
    _, crowd_whole = await measure(server, sensors[:1], options.crowd, 0, 10, options.seconds)
    print(
        f"\naccepted to received: 99 % within {found.p99:.1f} ms (less than {MOST_P99:.0f} is "
        f"promised); {'nothing is missing' if whole and crowd_whole else 'READINGS ARE MISSING'}"
    )
    return found.p99 < MOST_P99 and whole and crowd_whole


def main() -> None:
    """Start a server, measure, end it; exit with 1 when the promise is broken."""
    options = _options()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ["WOTKIT_LIVE_MAX_PER_USER"] = str(options.clients + options.crowd)
    with tempfile.TemporaryDirectory(prefix="wotkit-bench-") as name:
        folder = Path(name).resolve()
        for title, value in machine.describe(folder, "live").items():
            print(f"{title + ':':<13}{value}")
        server = Wotkit(folder, options.sensors)
        server.start()
        try:
            good = uvloop.run(run(server, options))
        finally:
            server.stop()
    sys.exit(0 if good else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/live",
        description="Measure live streams: first some clients that follow some sensors each while "
        "many readings come in, then a crowd of clients of one sensor. A server on a temporary "
        "folder and a free loopback port; the clients are one process.",
        epilog="Example: scripts/bench/live --rate 2000 --clients 100 --crowd 1000",
    )
    parser.add_argument("--rate", type=int, default=2000, help="readings a second; default: 2000")
    parser.add_argument("--clients", type=int, default=100, help="default: 100")
    parser.add_argument("--sensors", type=int, default=1000, help="default: 1000")
    parser.add_argument("--crowd", type=int, default=1000, help="default: 1000")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement; default: 5")
    return parser.parse_args()


if __name__ == "__main__":
    main()
