"""Measures MQTT on a real server, and the way through mosquitto beside it; see ``--help``."""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import loaders
import machine
from mqtt_load import Plan
from mqtt_paths import SETTLE_SECONDS, Direct, Load, available, cpu_seconds
from report import aligned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mqtt_paths import Way

SCENARIOS: Final = ("publish", "latency", "storm", "idle", "http")
WARM_UP_SECONDS: Final = 1
LATENCY_RATE: Final = 2000
LATENCY_CONNECTIONS: Final = 20
STORM: Final = 1000
STORM_SECONDS: Final = 2
CROWD: Final = 5000
CROWD_MEBIBYTES: Final = 100
QUIET: Final = 2000
QUIET_KEYS: Final = 5
HTTP_CONNECTIONS: Final = 64
MOST_SLOWER: Final = 0.03
"""The promise: HTTP is not slowed by more than this by idle connections."""


class Publishing(NamedTuple):
    """One round of one way."""

    way: str
    acknowledged_rate: float
    rate: float
    """Readings a second until the last is committed."""
    cpu_micros: float
    """Processor time of all that works for a reading, for each."""


def main() -> None:
    """Measure, print; exit with 1 when a reading is missing."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    problems: list[str] = []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="wotkit-bench-", dir=options.folder) as name:
        folder = Path(name).resolve()
        about = machine.describe(folder, "mqtt")
        for title, value in about.items():
            print(f"{title + ':':<13}{value}")
        for scenario in SCENARIOS:
            if scenario in options.only:
                place = folder / scenario
                place.mkdir()
                figures[scenario] = RUNS[scenario](place, options, problems)
                sys.stdout.flush()
    if options.json is not None:
        options.json.write_text(json.dumps({"about": about, **figures}, indent=2) + "\n")
    for problem in problems:
        print(f"Error: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/mqtt",
        description="Measure MQTT on a real server, with keys, checks and an fsync for each "
        "commit; beside it the way through mosquitto with a subscriber by paho-mqtt that stores, "
        "and with the server's own bridge. On temporary folders and free loopback ports.",
        epilog="Example: scripts/bench/mqtt --only publish,latency --rounds 5 --json figures.json",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="default: 3")
    add("--seconds", type=int, default=5, help="of each measurement; default: 5")
    add("--sensors", type=int, default=100, help="to spread over; default: 100")
    add("--connections", type=int, default=20, help="that publish; default: 20")
    add("--window", type=int, default=20, help="publishes of each on their way; default: 20")
    add(
        "--only",
        type=_among(SCENARIOS),
        default=SCENARIOS,
        metavar="SCENARIO[,SCENARIO]",
        help=f"of {', '.join(SCENARIOS)}",
    )
    ways = [kind.name for kind in available()]
    add(
        "--ways",
        type=_among(ways),
        default=ways,
        metavar="WAY[,WAY]",
        help=f"to publish on, of {', '.join(ways)}; those that are installed",
    )
    add("--folder", type=Path, help="where the temporary folder is made; its disk is measured too")
    add("--json", type=Path, metavar="FILE", help="write every figure to a file")
    return parser.parse_args()


def _among(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        wrong = sorted(set(text.split(",")) - set(known))
        if wrong:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(known)}")
        return text.split(",")

    return names


# Readings a second


def publish(folder: Path, options: argparse.Namespace, problems: list[str]) -> Any:
    """Publish with a window, on each way in turn, beginning with another one in each round."""
    ways = [kind(folder, options.sensors) for kind in available() if kind.name in options.ways]
    done: dict[str, int] = {}
    found: list[Publishing] = []
    with ExitStack() as stack:
        for way in ways:
            way.start()
            stack.callback(way.stop)
        for number in range(-1, options.rounds):
            turn = number % len(ways)
            for way in ways[turn:] + ways[:turn]:
                seconds = WARM_UP_SECONDS if number < 0 else options.seconds
                one = _publish_once(way, options, seconds, done)
                if number >= 0:
                    found.append(one)
    print(
        f"\nQoS 1, {options.connections} connections with a window of {options.window}, one "
        f"reading each, {options.sensors} sensors; {options.rounds} rounds of {options.seconds} s. "
        "A ratio is the median of the rounds' ratios."
    )
    for way in ways:
        print(f"  {way.name}: PUBACK means: {way.promise}")
    heads = ("", "committed/s", "least", "most", "PUBACK/s", "CPU us each", "wotkit to it")
    print("\n" + aligned([heads, *[_line(way.name, found) for way in ways]]) + "\n")
    for way in ways:
        stored = way.stored()
        print(f"{way.name}: {done[way.name]} readings acknowledged, {stored} stored")
        if stored != done[way.name]:
            problems.append(f"{way.name} acknowledged {done[way.name]} and stored {stored}")
    return [one._asdict() for one in found]


def _publish_once(
    way: Way, options: argparse.Namespace, seconds: float, done: dict[str, int]
) -> Publishing:
    plan = Plan(
        "window",
        way.mqtt_port,
        way.keys(1),
        options.connections,
        [f"bench.{name}" for name in way.sensors],
        options.window,
        seconds=seconds,
        stored_file="" if way.count is None else str(way.count.file),
        stored=done.get(way.name, 0),
    )
    load = Load(plan)
    time.sleep(SETTLE_SECONDS)
    before, began = cpu_seconds(way), time.perf_counter()
    result = load.run()
    done[way.name] = done.get(way.name, 0) + result["acknowledged"]
    if way.count is not None:
        way.count.wait(done[way.name])
    took = time.perf_counter() - began
    time.sleep(SETTLE_SECONDS)
    count = max(result["acknowledged"], 1)
    return Publishing(
        way.name,
        count / result["seconds"],
        count / took,
        (cpu_seconds(way) - before) / count * 1e6,
    )


def _line(name: str, found: Sequence[Publishing]) -> tuple[str, ...]:
    rounds = [one for one in found if one.way == name]
    ours = [one.rate for one in found if one.way == Direct.name]
    rates = [one.rate for one in rounds]
    ratio = median(us / it for us, it in zip(ours, rates, strict=True)) if ours else None
    return (
        name,
        *(f"{figure:,.0f}" for figure in (median(rates), min(rates), max(rates))),
        f"{median(one.acknowledged_rate for one in rounds):,.0f}",
        f"{median(one.cpu_micros for one in rounds):.1f}",
        "-" if ratio is None or name == Direct.name else f"{ratio:.2f}",
    )


# Latency


def latency(folder: Path, options: argparse.Namespace, problems: list[str]) -> Any:
    """Publish at a rate; time counts from when a publish was due until its PUBACK."""
    found: list[dict[str, Any]] = []
    with _running(folder, options.sensors) as server:
        plan = Plan(
            "paced",
            server.mqtt_port,
            server.keys(1),
            LATENCY_CONNECTIONS,
            [f"bench.{name}" for name in server.sensors],
            rate=LATENCY_RATE,
            seconds=WARM_UP_SECONDS,
        )
        total = Load(plan).run()["acknowledged"]
        plan.seconds = options.seconds
        for _ in range(options.rounds):
            before = server.program.cpu_seconds()
            load = Load(plan)
            time.sleep(SETTLE_SECONDS)
            found.append(load.run())
            found[-1]["cpu"] = (server.program.cpu_seconds() - before) / options.seconds
            total += found[-1]["acknowledged"]
    if server.stored() != total:
        problems.append(f"latency: {total} acknowledged, {server.stored()} stored")
    print(
        f"\nPublish to PUBACK at {LATENCY_RATE} a second, {LATENCY_CONNECTIONS} connections: "
        f"50 % within {_middle(found, 'p50'):.2f} ms, 99 % within {_middle(found, 'p99'):.2f} ms, "
        f"all in {_middle(found, 'most'):.1f} ms; {_middle(found, 'cpu'):.0%} of a core"
    )
    return found


# Many clients


def storm(folder: Path, options: argparse.Namespace, problems: list[str]) -> Any:
    """Have many clients connect within a moment."""
    found: list[dict[str, Any]] = []
    with _running(folder, 1) as server:
        keys = server.keys(QUIET_KEYS)
        rate = STORM / STORM_SECONDS
        plan = Plan("storm", server.mqtt_port, keys, STORM, rate=rate)
        for _ in range(options.rounds):
            found.append(Load(plan).run())
            time.sleep(SETTLE_SECONDS)
            if found[-1]["opened"] != STORM:
                problems.append(f"storm: {found[-1]['opened']} of {STORM} came in")
    print(
        f"\n{STORM} clients connect within {STORM_SECONDS} s: all in after "
        f"{_middle(found, 'seconds'):.2f} s; CONNECT to CONNACK: half within "
        f"{_middle(found, 'p50'):.1f} ms, 99 % within {_middle(found, 'p99'):.1f} ms"
    )
    return found


def idle(folder: Path, options: argparse.Namespace, problems: list[str]) -> Any:
    """Weigh connections that do nothing."""
    with _running(folder, 1) as server:
        keys = server.keys(QUIET_KEYS)
        Load(Plan("idle", server.mqtt_port, keys, 1)).run()  # what any connection loads
        time.sleep(SETTLE_SECONDS)
        before = server.program.memory().pss
        load = Load(Plan("idle", server.mqtt_port, keys, CROWD))
        time.sleep(SETTLE_SECONDS)
        grown = server.program.memory().pss - before
        cpu = server.program.cpu_seconds()
        time.sleep(options.seconds)
        cpu = (server.program.cpu_seconds() - cpu) / options.seconds
        lost = load.run()["lost"]
    if lost or grown > CROWD_MEBIBYTES:
        problems.append(f"idle: {lost} connections were lost, {grown:.1f} MiB taken")
    print(
        f"\n{CROWD} idle connections: opened in {load.ready['seconds']:.1f} s, {grown:.1f} MiB, "
        f"{grown * 1024 / CROWD:.1f} KiB each, {cpu:.1%} of a core"
    )
    return {"mebibytes": grown, "cpu": cpu, "seconds": load.ready["seconds"]}


def http(folder: Path, options: argparse.Namespace, problems: list[str]) -> Any:
    """Post readings over HTTP while clients of MQTT are connected, and while none is."""
    if not loaders.has_wrk():
        print("\nReadings over HTTP beside idle connections: left out, there is no wrk")
        return None
    found: dict[int, list[tuple[float, float]]] = {0: [], QUIET: []}
    with _running(folder, options.sensors) as server:
        keys = server.keys(QUIET_KEYS)
        for number in range(-1, options.rounds):
            for crowd in (0, QUIET) if number % 2 else (QUIET, 0):
                one = _post(server, keys, crowd, folder, options)
                if number >= 0:
                    found[crowd].append(one)
    pairs = list(zip(found[0], found[QUIET], strict=True))
    rate = median(beside[0] / alone[0] for alone, beside in pairs)
    cpu = median(beside[1] / alone[1] for alone, beside in pairs)
    print(
        f"\nReadings over HTTP, {HTTP_CONNECTIONS} connections: "
        f"{median(one[0] for one in found[0]):,.0f} a second alone, "
        f"{median(one[0] for one in found[QUIET]):,.0f} beside {QUIET} idle connections of MQTT: "
        f"{rate:.3f} times as many, with {cpu:.3f} times the CPU for each "
        f"(no less than {1 - MOST_SLOWER:.2f} is promised)"
    )
    if rate < 1 - MOST_SLOWER:
        problems.append(f"http: {rate:.3f} of the rate beside idle connections")
    return {str(crowd): rounds for crowd, rounds in found.items()}


def _post(
    server: Direct,
    keys: list[tuple[str, str]],
    crowd: int,
    folder: Path,
    options: argparse.Namespace,
) -> tuple[float, float]:
    """Return the answers a second, and the processor seconds of the server for 1 000."""
    load = Load(Plan("idle", server.mqtt_port, keys, crowd)) if crowd else None
    time.sleep(1)
    before = server.program.cpu_seconds()
    requests = server.writes(options.sensors)
    sent = loaders.wrk(server.address, requests, HTTP_CONNECTIONS, options.seconds, folder)
    cpu = server.program.cpu_seconds() - before
    if sent.failures:
        raise SystemExit(f"HTTP: {sent.failures}")
    if load is not None and load.run()["lost"]:
        raise SystemExit("idle connections were lost")
    time.sleep(1)
    return sent.rate, cpu / sent.answers * 1000


@contextmanager
def _running(folder: Path, sensors: int) -> Iterator[Direct]:
    server = Direct(folder, sensors)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _middle(found: Sequence[dict[str, Any]], name: str) -> float:
    return float(median(one[name] for one in found))


RUNS: Final = {
    "publish": publish,
    "latency": latency,
    "storm": storm,
    "idle": idle,
    "http": http,
}


if __name__ == "__main__":
    main()
