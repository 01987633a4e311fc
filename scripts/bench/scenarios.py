"""What is measured, of each server in turn."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import loaders
import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loaders import Load
    from processes import Memory
    from servers import Server

BULK_CONNECTIONS: Final = 4
QUERY_CONNECTIONS: Final = 8
SETTLE_SECONDS: Final = 0.5
PROBE_SECONDS: Final = 2
FILL_BATCHES: Final = 20
FILL_SECONDS: Final = 10
PACED_RATE: Final = 8000
"""Requests a second that the paced loader can be trusted with beside a server on two cores."""


class Options(NamedTuple):
    """How to measure."""

    seconds: int
    sensors: int
    connections: int
    with_wrk: bool


class Measure(NamedTuple):
    """One scenario, one server, one round."""

    scenario: str
    server: str
    round: int
    rate: float
    """Requests a second, or readings a second for bulk writes."""
    p50: float
    p99: float
    cpu: float
    """Processor seconds of the server's processes for 1 000 requests."""
    failures: dict[str, int]


class Bench:
    """Runs scenarios on servers that were started."""

    def __init__(self, running: list[Server], options: Options, folder: Path) -> None:
        self._servers = running
        self._options = options
        self._folder = folder
        self._single: dict[str, float] = {}
        self._bulk = {server.name: server.bulk_writes(servers.BULK) for server in running}
        self.runs: dict[str, Callable[[Server], Load | None]] = {
            "single": self._one_sensor,
            "spread": self._many_sensors,
            "latency": self._half_load,
            "bulk": self._bulk_writes,
            "latest": self._latest,
        }

    def memory(self) -> dict[str, Memory]:
        """Return the memory of each server."""
        return {server.name: server.program.memory() for server in self._servers}

    def pause(self) -> None:
        """Keep every server from working in the background."""
        for server in self._servers:
            server.pause()

    def warm_up(self) -> None:
        """Write to each server for a moment, and bring the readings that queries ask for."""
        for server in self._servers:
            self._awake(server, lambda one: self._write(one, 1, 1))
            if server.latest_path is not None:
                self._awake(server, self._fill)

    def measure(self, scenario: str, round_number: int) -> Iterator[Measure]:
        """Run a scenario on each server that it is for, in an order that turns with the round."""
        turn = round_number % len(self._servers)
        for server in self._servers[turn:] + self._servers[:turn]:
            found = self._awake(server, self.runs[scenario])
            if found is None:
                continue
            load, cpu = found
            many = servers.BATCH if scenario == "bulk" else 1
            yield Measure(
                scenario,
                server.name,
                round_number,
                load.rate * many,
                load.p50,
                load.p99,
                cpu / max(load.answers, 1) * 1000,
                load.failures,
            )

    def _awake(
        self, server: Server, run: Callable[[Server], Load | None]
    ) -> tuple[Load, float] | None:
        server.resume()
        try:
            time.sleep(SETTLE_SECONDS)
            before = server.program.cpu_seconds()
            load = run(server)
            if load is None:
                return None
            time.sleep(SETTLE_SECONDS)  # what an answer left to be done counts too
            return load, server.program.cpu_seconds() - before
        finally:
            server.pause()

    def _write(self, server: Server, sensors: int, seconds: int) -> Load:
        load = self._as_fast(server, server.writes(sensors), self._options.connections, seconds)
        return _noted(server, load, 1)

    def _as_fast(
        self, server: Server, requests: list[bytes], connections: int, seconds: int
    ) -> Load:
        if self._options.with_wrk:
            return loaders.wrk(server.address, requests, connections, seconds, self._folder)
        forever = (request for _ in iter(int, 1) for request in requests)
        return loaders.flat_out(server.address, forever, connections, seconds)

    def _one_sensor(self, server: Server) -> Load:
        load = self._write(server, 1, self._options.seconds)
        self._single[server.name] = load.rate
        return load

    def _many_sensors(self, server: Server) -> Load:
        return self._write(server, self._options.sensors, self._options.seconds)

    def _half_load(self, server: Server) -> Load | None:
        if not server.paced:
            return None
        if server.name not in self._single:
            self._single[server.name] = self._write(server, 1, PROBE_SECONDS).rate
        rate = min(self._single[server.name] / 2, PACED_RATE)
        options = self._options
        requests = server.writes(options.sensors)
        load = loaders.paced(server.address, requests, options.connections, options.seconds, rate)
        return _noted(server, load, 1)

    def _bulk_writes(self, server: Server) -> Load | None:
        batches = self._bulk[server.name]
        if batches is None:
            return None
        load = loaders.flat_out(server.address, batches, BULK_CONNECTIONS, self._options.seconds)
        return _noted(server, load, servers.BATCH)

    @staticmethod
    def _fill(server: Server) -> Load:
        batches = itertools.islice(server.bulk_writes(servers.LATEST) or (), FILL_BATCHES)
        load = loaders.flat_out(server.address, batches, 1, FILL_SECONDS)
        return _noted(server, load, servers.BATCH)

    def _latest(self, server: Server) -> Load | None:
        if server.latest_path is None:
            return None
        return self._as_fast(
            server, [server.latest_query()], QUERY_CONNECTIONS, self._options.seconds
        )


def _noted(server: Server, load: Load, readings: int) -> Load:
    """Count what the server said it stored, to compare it with what it has."""
    refused = sum(load.failures.values())
    server.acknowledged += (load.answers - refused) * readings
    server.uncertain += load.cut_off * readings
    return load
