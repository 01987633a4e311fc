"""Loads a server: wrk as fast as it goes, or coroutines, also at a given pace."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import shutil
import subprocess
from collections import Counter, deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httptools
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
    from pathlib import Path

    from requests_text import Address

MOST_REQUESTS: Final = 2_000_000
"""One measurement sends no more, however fast the server is."""
GRACE_SECONDS: Final = 20
TICK: Final = 0.001

_WRK_SCRIPT: Final = """
local requests = {%s}
local sent = 0
function request()
  sent = sent %% #requests + 1
  return requests[sent]
end
function done(summary, latency, _)
  local e = summary.errors
  local file = io.open("%s", "w")
  file:write(string.format(
    '{"answers": %%d, "micros": %%d, "refused": %%d, "broken": %%d, "p50": %%f, "p99": %%f}',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
  file:close()
end
"""


class Load(NamedTuple):
    """What a load did to a server."""

    answers: int
    """How many answers came, refusals included."""
    seconds: float
    p50: float
    """Milliseconds."""
    p99: float
    failures: dict[str, int]
    """Answers other than 2xx and broken connections; empty when all is well."""
    cut_off: int
    """Requests at most that were sent and whose answer was not waited for."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def has_wrk() -> bool:
    """Return whether wrk is installed."""
    return shutil.which("wrk") is not None


def wrk(
    address: Address, requests: Sequence[bytes], connections: int, seconds: int, folder: Path
) -> Load:
    """Send ``requests`` in turn as fast as answers come, with one thread of wrk."""
    script, result = folder / "load.lua", folder / "load.json"
    quoted = ",\n".join(_lua(request) for request in requests)
    script.write_text(_WRK_SCRIPT % (quoted, result), encoding="ascii")
    result.unlink(missing_ok=True)
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s"]
    subprocess.run(
        [*command, "--timeout=10s", f"--script={script}", f"http://{address}/"],
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=seconds + GRACE_SECONDS,
    )
    found = json.loads(result.read_text())
    failures = {"status above 399": found["refused"], "connection": found["broken"]}
    return Load(
        found["answers"],
        found["micros"] / 1e6,
        found["p50"] / 1000,
        found["p99"] / 1000,
        {name: count for name, count in failures.items() if count},
        connections,
    )


def _lua(request: bytes) -> str:
    """Return a Lua text; every byte that is not a plain character as a number."""
    plain = set(range(32, 127)) - set(b'"\\')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03d}" for b in request) + '"'


def flat_out(address: Address, requests: Iterable[bytes], connections: int, seconds: float) -> Load:
    """Send ``requests`` as fast as answers come; every answer is waited for."""
    return _run(
        _flat_out(_Client(address), itertools.islice(requests, MOST_REQUESTS), connections, seconds)
    )


def paced(
    address: Address, requests: Sequence[bytes], connections: int, seconds: float, rate: float
) -> Load:
    """Send ``rate`` requests a second, whether or not the server keeps up.

    Latency counts from when a request was due, so waiting for a free connection is part of it.
    """
    count = min(int(rate * seconds), MOST_REQUESTS)
    due = itertools.islice(itertools.cycle(requests), count)
    return _run(_paced(_Client(address), due, connections, count, rate))


def _run(load: Coroutine[Any, Any, Load]) -> Load:
    gc.disable()  # a pause of the loader would look like one of the server
    try:
        return uvloop.run(load)
    finally:
        gc.enable()


class _Connection(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._parser = httptools.HttpResponseParser(self)
        self._due = 0.0
        self._busy = False

    def connection_made(self, transport: Any) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at a time of :func:`time.perf_counter`."""
        self._due = due
        self._busy = True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Take in an answer; called by the parser."""
        status = self._parser.get_status_code()
        keeps_open = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        self._busy = False
        self._client.answered(status, perf_counter() - self._due, self if keeps_open else None)

    def connection_lost(self, _: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        if self._busy:
            self._client.broken()

    def close(self) -> None:
        """Close it."""
        self._transport.close()


class _Client:
    """Connections to one server, and what came of their requests."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connections: list[_Connection] = []
        self.latencies: list[float] = []
        self.failures: Counter[str] = Counter()
        self.under_way = 0
        self.on_free: Callable[[_Connection], None]

    async def open(self, connections: int) -> list[_Connection]:
        """Open connections."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), *self._address)
            self._connections.append(connection)
        return self._connections

    def answered(self, status: int, seconds: float, connection: _Connection | None) -> None:
        """Note an answer, and use its connection again."""
        self.under_way -= 1
        self.latencies.append(seconds)
        if not 200 <= status < 300:  # noqa: PLR2004  # RFC 9110 section 15.3
            self.failures[f"status {status}"] += 1
        if connection is None:
            self.failures["connection closed by the server"] += 1
        else:
            self.on_free(connection)

    def broken(self) -> None:
        """Note a connection that ended in the middle of a request."""
        self.under_way -= 1
        self.failures["connection"] += 1

    async def finish(self, started: float) -> Load:
        """Wait for the last answers."""
        ends = perf_counter() + GRACE_SECONDS
        # polled: an event for each answer would cost the loader more than it may take
        while self.under_way and perf_counter() < ends:  # noqa: ASYNC110  # as above
            await asyncio.sleep(TICK)
        seconds = perf_counter() - started
        if self.under_way:
            self.failures["no answer"] += self.under_way
        for connection in self._connections:
            connection.close()
        found = sorted(self.latencies) or [0.0]
        p50, p99 = (found[int(len(found) * part)] * 1000 for part in (0.5, 0.99))
        return Load(len(self.latencies), seconds, p50, p99, dict(self.failures), 0)


async def _flat_out(
    client: _Client, requests: Iterator[bytes], connections: int, seconds: float
) -> Load:
    started = perf_counter()
    ends = started + seconds

    def send_next(connection: _Connection) -> None:
        now = perf_counter()
        request = next(requests, None) if now < ends else None
        if request is not None:
            client.under_way += 1
            connection.send(request, now)

    client.on_free = send_next
    for connection in list(await client.open(connections)):
        send_next(connection)
    while client.under_way and perf_counter() < ends:  # noqa: ASYNC110  # as in finish
        await asyncio.sleep(TICK * 10)
    return await client.finish(started)


async def _paced(
    client: _Client, requests: Iterator[bytes], connections: int, count: int, rate: float
) -> Load:
    free: deque[_Connection] = deque(await client.open(connections))
    waiting: deque[tuple[bytes, float]] = deque()

    def use(connection: _Connection) -> None:
        if waiting:
            connection.send(*waiting.popleft())
        else:
            free.append(connection)

    client.on_free = use
    started = perf_counter()
    sent = 0
    while sent < count:
        reached = min(count, int((perf_counter() - started) * rate) + 1)
        for number in range(sent, reached):
            client.under_way += 1
            waiting.append((next(requests), started + number / rate))
        sent = reached
        while waiting and free:
            free.popleft().send(*waiting.popleft())
        await asyncio.sleep(TICK)
    return await client.finish(started)
