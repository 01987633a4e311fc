"""The gateway agent against a real server: memory, idle processor time, catching up."""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import machine
from processes import MEBIBYTE, Program

if TYPE_CHECKING:
    from collections.abc import Iterator

INPUTS: Final = 10
HOUR: Final = 3600
STEP: Final = 0.5
WOTKIT: Final = (sys.executable, "-m", "wotkit.cli")
CONFIG: Final = """
[gateway]
id = "bench"
[platform]
http = "{http}/api"
{mqtt}
credentials_file = "credentials"
[spool]
path = "spool.db"
[clock]
wait = "0s"
"""
INPUT: Final = """
[[input]]
type = "sim"
name = "sim{number}"
mode = "counter"
interval = "{interval}"
burst = {burst}
limit = {limit}
"""


class Server(NamedTuple):
    """A running server, with a key."""

    http: str
    mqtt: str
    readings: Path
    key: str

    def stored(self) -> int:
        """The number of the last reading; none is deleted here."""
        with closing(sqlite3.connect(f"file:{self.readings}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT coalesce(max(id), 0) FROM reading").fetchone()[0])


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run a server with its data in a new folder."""
    folder.mkdir()
    data = folder / "data"
    command = [*WOTKIT, "serve", "--port", "0", "--mqtt-port", "0", "--data", str(data)]
    program = Program(command, folder / "log")
    try:
        http = program.wait_for(r"WoTKit at (http://[^\s,/]+)")
        mqtt = program.wait_for(r"\b(mqtt://[^:\s]+:\d+)")
        wotkit(data, "user", "create", "bench", "--password-file", "-")
        made = wotkit(data, "key", "create", "--user", "bench", "--name", "gateway", "--json")
        key = json.loads(made)
        found = f"{key['key_id']}:{key['key_password']}"
        yield Server(http, mqtt, data / "readings.db", found)
    finally:
        program.stop()


def wotkit(data: Path, *arguments: str) -> str:
    """Run an operator's command."""
    return subprocess.run(
        [*WOTKIT, *arguments, "--data", str(data)],
        input="correct horse battery\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout


@contextmanager
def agent(
    folder: Path,
    server: Server,
    way: str,
    inputs: int,
    interval: str,
    burst: int = 1,
    limit: int = 0,
) -> Iterator[Program]:
    """Run the agent with made-up inputs."""
    folder.mkdir(exist_ok=True)
    credentials = folder / "credentials"
    credentials.write_text(server.key)
    credentials.chmod(0o600)
    mqtt = f'mqtt = "{server.mqtt}"' if way == "mqtt" else ""
    text = CONFIG.format(http=server.http, mqtt=mqtt)
    for number in range(inputs):
        text += INPUT.format(number=number, interval=interval, burst=burst, limit=limit)
    config = folder / "agent.toml"
    config.write_text(text)
    command = [sys.executable, "-m", "gateway_agent", "run", "--config", str(config)]
    program = Program(command, folder / "agent.log")
    try:
        yield program
    finally:
        program.stop()


def resident(program: Program) -> float:
    """Resident memory in MiB."""
    return float(program.tree()[0].memory_info().rss / MEBIBYTE)


def memory_of_an_hour(folder: Path, way: str, speed: int) -> str:
    """The readings of an hour from ten inputs at 1 Hz, at a higher rate."""
    wanted = INPUTS * HOUR
    interval = f"{1000 // speed}ms"
    with (
        serving(folder) as server,
        agent(folder / "agent", server, way, INPUTS, interval) as program,
    ):
        time.sleep(5)
        first = most = resident(program)
        while server.stored() < wanted:
            time.sleep(STEP)
            most = max(most, resident(program))
        last = resident(program)
    return f"{first:.1f} MiB after 5 s, {last:.1f} after {wanted} readings, {most:.1f} at most"


def idle_share(folder: Path, way: str, seconds: int) -> str:
    """Processor time with ten inputs at 1 Hz, as a share of one core."""
    with serving(folder) as server, agent(folder / "agent", server, way, INPUTS, "1s") as program:
        time.sleep(10)
        before, began = program.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        share = (program.cpu_seconds() - before) / (time.monotonic() - began)
        rss = resident(program)
    return f"{share:.2%} of a core over {seconds} s, {rss:.1f} MiB"


def fill(folder: Path, backlog: int) -> None:
    """Let the agent measure a backlog while there is no platform."""
    nowhere = Server("http://127.0.0.1:9", "mqtt://127.0.0.1:9", folder, "bench:bench")
    each = backlog // INPUTS
    with agent(folder, nowhere, "http", INPUTS, "100ms", 50, each):
        while waiting(folder) < each * INPUTS:
            time.sleep(STEP)


def waiting(folder: Path) -> int:
    """Readings in the spool."""
    spool = folder / "spool.db"
    if not spool.exists():
        return 0
    with closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=30)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM reading").fetchone()[0])
        except sqlite3.OperationalError:  # no table yet
            return 0


def catch_up(folder: Path, filled: Path, way: str, backlog: int) -> str:
    """Send a backlog to a server that has none of it; memory at begin, middle and end."""
    with serving(folder) as server:
        shutil.copytree(filled, folder / "agent")
        with agent(folder / "agent", server, way, 1, "1s") as program:
            while not server.stored():
                time.sleep(0.05)
            began, first, at = time.monotonic(), server.stored(), 0
            samples: list[tuple[int, float]] = []
            while at < backlog:
                time.sleep(STEP)
                at = server.stored()
                samples.append((at, resident(program)))
            rate = (at - first) / (time.monotonic() - began)
            log = (folder / "agent" / "agent.log").read_text()
    changed = log.count("output changed from=preferred")
    middle = min(samples, key=lambda sample: abs(sample[0] - backlog // 2))[1]
    most = max(rss for _, rss in samples)
    memory = f"{samples[0][1]:.1f}, {middle:.1f}, {samples[-1][1]:.1f} MiB, at most {most:.1f}"
    return f"{rate:.0f} readings/s; memory {memory}; {changed} changes of way"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=500_000, help="readings to catch up on")
    parser.add_argument("--idle", type=int, default=60, help="seconds of the idle measurement")
    parser.add_argument("--speed", type=int, default=50, help="hours that fit into one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agent-bench-") as name:
        folder = Path(name)
        for title, value in machine.describe(folder, "agent").items():
            print(f"- {title}: {value}")
        print("\n| what | way | measured |\n|---|---|---|", flush=True)
        filled = folder / "filled"
        fill(filled, options.backlog)
        for way in ("http", "mqtt"):
            found = catch_up(folder / f"catch-{way}", filled, way, options.backlog)
            print(f"| backlog of {options.backlog} | {way} | {found} |", flush=True)
            found = memory_of_an_hour(folder / f"hour-{way}", way, options.speed)
            print(f"| an hour's readings, {options.speed} x | {way} | {found} |", flush=True)
            found = idle_share(folder / f"idle-{way}", way, options.idle)
            print(f"| ten inputs at 1 Hz | {way} | {found} |", flush=True)


if __name__ == "__main__":
    main()
