"""Measures two servers that differ in their alerts only, in interleaved rounds; see ``--help``."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import loaders
import machine
from scenarios import Bench, Options
from servers import Wotkit

from wotkit.auth import credentials
from wotkit.catalog import Catalog, alerts
from wotkit.catalog.alert_conditions import Condition
from wotkit.catalog.alerts import AlertChange
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.catalog.models import InboxMessage
from wotkit.settings import AlertSettings

CONNECTIONS: Final = 64
MOST_SLOWER: Final = 0.15
"""The promise: alerts slow the storing of readings by less."""
_LOWEST: Final = 15.0
_SPREAD: Final = 100
"""Limits lie among the values that are sent, so that about half of the alerts fire."""


class Alerted(Wotkit):
    """A server with alerts."""

    name = "with-alerts"

    def watch(self, count: int) -> None:
        """Add alerts, evenly over the sensors."""
        with closing(Catalog(self._data)) as catalog:
            catalog.write(self._add, count)

    def told(self) -> int:
        """Return how many messages alerts wrote."""
        with closing(Catalog(self._data)) as catalog:
            return int(catalog.read(lambda: InboxMessage.select().count()))

    def _add(self, count: int) -> None:
        owner = credentials.candidate("bench")
        assert owner is not None
        settings = AlertSettings(max_per_user=count)
        for number in range(count):
            condition = Condition(
                sensor=self.sensors[number % len(self.sensors)],
                field="value",
                operator="GT",
                value=_LOWEST + number // 10 % _SPREAD / 10,
            )
            wanted = AlertChange(name=f"alert {number}", conditions=[condition])
            alerts.create(owner.identity, wanted, COMMAND_LINE, settings)


class Plain(Wotkit):
    """The same without."""

    name = "without-alerts"


def main() -> None:
    """Start both, measure in turns, print, end them; exit with 1 when the promise is broken."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="wotkit-bench-") as name, ExitStack() as stack:
        folder = Path(name).resolve()
        for title, value in machine.describe(folder, "alerts").items():
            print(f"{title + ':':<13}{value}")
        running = [Plain(folder, options.sensors), Alerted(folder, options.sensors)]
        for server in running:
            server.start()
            stack.callback(server.stop)
        _, alerted = running
        assert isinstance(alerted, Alerted)
        alerted.watch(options.alerts)
        how = Options(options.seconds, options.sensors, CONNECTIONS, loaders.has_wrk())
        bench = Bench(list(running), how, folder)
        bench.warm_up()
        list(bench.measure("spread", 0))  # here alerts fire for the first time
        slower = _rounds(bench, options.rounds)
        print(f"\nmessages that alerts wrote: {alerted.told()}")
    median = statistics.median(slower)
    print(
        f"{options.alerts} alerts on {options.sensors} sensors: {median:.1%} slower, the median "
        f"of {options.rounds} rounds (less than {MOST_SLOWER:.0%} is promised)"
    )
    sys.exit(0 if median < MOST_SLOWER else 1)


def _rounds(bench: Bench, count: int) -> list[float]:
    """Return by how much alerts slowed each round."""
    slower: list[float] = []
    for number in range(count):
        found = {one.server: one for one in bench.measure("spread", number)}
        plain, alerted = found[Plain.name], found[Alerted.name]
        slower.append(1 - alerted.rate / plain.rate)
        print(
            f"round {number + 1}: {plain.rate:,.0f} readings/s without, {alerted.rate:,.0f} with "
            f"alerts, {slower[-1]:.1%} slower; 99 % within {plain.p99:.1f} and "
            f"{alerted.p99:.1f} ms; processor {alerted.cpu / plain.cpu - 1:+.1%} a reading"
        )
        for one in (plain, alerted):
            if one.failures:
                sys.exit(f"Error: {one.server}: {one.failures}")
    return slower


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/alerts",
        description="Measure how much alerts slow down the storing of readings: two servers on "
        "temporary folders and free loopback ports, in interleaved rounds.",
        epilog="Example: scripts/bench/alerts --alerts 5000 --sensors 1000 --rounds 5",
    )
    parser.add_argument("--alerts", type=int, default=5000, help="default: 5000")
    parser.add_argument("--sensors", type=int, default=1000, help="default: 1000")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement; default: 5")
    return parser.parse_args()


if __name__ == "__main__":
    main()
