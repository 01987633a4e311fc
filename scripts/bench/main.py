"""Measures a real WoTKit server beside others, in interleaved rounds; see ``--help``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import loaders
import machine
import report
import servers
from scenarios import Bench, Options

if TYPE_CHECKING:
    from processes import Memory
    from scenarios import Measure
    from servers import Server

SCENARIOS: Final = ("single", "spread", "latency", "bulk", "latest", "memory")
LEAST_ROUNDS: Final = 3


def main() -> None:
    """Start the servers, measure, print, end the servers; exit with 1 when something was wrong."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="wotkit-bench-", dir=options.folder) as name:
        folder = Path(name).resolve()
        about = machine.describe(folder)
        for title, value in about.items():
            print(f"{title + ':':<13}{value}")
        problems, found = _run(options, folder)
    if options.json is not None:
        options.json.write_text(json.dumps({"about": about, **found}, indent=2) + "\n")
    for problem in problems:
        print(f"Error: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def _options() -> argparse.Namespace:
    kinds = [kind.name for kind in servers.available()]
    parser = argparse.ArgumentParser(
        prog="scripts/bench/ingest",
        description="Measure a real WoTKit server beside others on this machine: started on "
        "temporary folders and free loopback ports, in interleaved rounds.",
        epilog="Example: scripts/bench/ingest --only single,latency --rounds 5 --json figures.json",
    )
    add = parser.add_argument
    add("--rounds", type=_within(1, 50), default=LEAST_ROUNDS, help="default: 3")
    add("--seconds", type=_within(1, 60), default=5, help="of each measurement; default: 5")
    add("--sensors", type=_within(1, 10_000), default=100, help="to spread over; default: 100")
    add("--connections", type=_within(1, 1000), default=64, help="for single readings; default: 64")
    add(
        "--only",
        type=_among(SCENARIOS),
        default=SCENARIOS,
        metavar="SCENARIO[,SCENARIO]",
        help=f"of {', '.join(SCENARIOS)}",
    )
    add(
        "--servers",
        type=_among(kinds),
        default=kinds,
        metavar="SERVER[,SERVER]",
        help=f"of {', '.join(kinds)}; those that are installed",
    )
    add("--loader", choices=("wrk", "python"), help="default: wrk when it is installed")
    add("--folder", type=Path, help="where the temporary folder is made; its disk is measured too")
    add("--json", type=Path, metavar="FILE", help="write every figure to a file")
    options = parser.parse_args()
    options.loader = options.loader or ("wrk" if loaders.has_wrk() else "python")
    return options


def _within(least: int, most: int) -> Any:
    def number(text: str) -> int:
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be {least} to {most}")
        return int(text)

    return number


def _among(known: Any) -> Any:
    def names(text: str) -> list[str]:
        wrong = sorted(set(text.split(",")) - set(known))
        if wrong:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(known)}")
        return text.split(",")

    return names


def _run(options: argparse.Namespace, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Return what went wrong, and the figures."""
    kinds = [kind for kind in servers.available() if kind.name in options.servers]
    running = [kind(folder, options.sensors) for kind in kinds]
    how = Options(options.seconds, options.sensors, options.connections, options.loader == "wrk")
    with ExitStack() as stack:
        for server in running:
            server.start()
            stack.callback(server.stop)
        bench = Bench(running, how, folder)
        idle = bench.memory()
        bench.pause()
        bench.warm_up()
        measures = _rounds(bench, options)
        loaded = bench.memory()
    figures = report.summary(measures)
    _print(figures, idle, loaded, running, options)
    return [*_failures(measures), *_lost(running)], {
        "summary": figures,
        "rounds": [one._asdict() for one in measures],
        "memory_mib": {
            name: {"idle": idle[name]._asdict(), "after": loaded[name]._asdict()} for name in idle
        },
    }


def _rounds(bench: Bench, options: argparse.Namespace) -> list[Measure]:
    measures: list[Measure] = []
    for number in range(options.rounds):
        for scenario in SCENARIOS:
            if scenario in options.only and scenario in bench.runs:
                print(f"round {number + 1} of {options.rounds}: {scenario}", file=sys.stderr)
                measures += bench.measure(scenario, number)
    return measures


def _print(
    figures: dict[str, dict[str, dict[str, float]]],
    idle: dict[str, Memory],
    loaded: dict[str, Memory],
    running: list[Server],
    options: argparse.Namespace,
) -> None:
    print(
        f"\n{options.rounds} rounds of {options.seconds} s each, {options.connections} "
        f"connections, load by {options.loader}; a ratio is the median of the rounds' ratios."
    )
    for server in running:
        print(f"  {server.name}: an answer means: {server.promise}")
    print("\n" + report.text(figures, vars(options)) + "\n")
    if "memory" in options.only:
        print(report.memory_text(idle, loaded) + "\n")
    for server in running:
        stored = server.stored()
        if stored is not None:
            print(
                f"{server.name}: {server.acknowledged} readings acknowledged, {stored} stored; "
                f"up to {server.uncertain} were cut off before their answer"
            )


def _failures(measures: list[Measure]) -> list[str]:
    return [
        f"{one.server}, {one.scenario}, round {one.round + 1}: {one.failures}"
        for one in measures
        if one.failures
    ]


def _lost(running: list[Server]) -> list[str]:
    """Compare what was acknowledged with what is in the files of servers that have ended."""
    found: list[str] = []
    for server in running:
        stored, least = server.stored(), server.acknowledged
        if stored is not None and not least <= stored <= least + server.uncertain:
            found.append(f"{server.name} stored {stored}; {least} were acknowledged")
    return found


if __name__ == "__main__":
    main()
