"""The gateway agent beside thingsboard-gateway with its SQLite storage, in one run."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import venv
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import machine
from agent_size import MEGABYTE, copied, install, sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER: Final = "thingsboard-gateway==3.8"
RATE: Final = 4000
COUNT: Final = 60_000
KILLS: Final = 10
DISK_BYTES: Final = 6 << 20
TAKEN_BYTES: Final = 4 << 20
"""By another program, until half of the readings have been put."""
STORAGE: Final = Path(__file__).with_name("agent_storage.py")
PUT: Final = re.compile(r"^(\d+) (\d+)$", re.MULTILINE)
STORAGE_FOLDER: Final = "storage"
IDLE_SECONDS: Final = 15
AGENT_CONFIG: Final = """
[gateway]
id = "bench"
[platform]
http = "http://127.0.0.1:9/api"
mqtt = "mqtt://127.0.0.1:9"
credentials_file = "credentials"
[spool]
path = "spool.db"
[[input]]
type = "sim"
interval = "60s"
"""


class Gateway(NamedTuple):
    """One of those that are compared."""

    name: str
    kind: str
    python: Path
    commit_interval: float
    query: str
    file: str

    def kept(self, folder: Path) -> list[tuple[str, int]]:
        """Run and number of what its storage would send."""
        found: list[tuple[str, int]] = []
        with closing(sqlite3.connect(folder / self.file)) as db:
            for (text,) in db.execute(self.query):
                values = json.loads(text)
                found.append((values["run"], values["number"]))
        return found


def gateways(python: Path, other: Path) -> list[Gateway]:
    """The agent with its default and with a shorter commit interval, and the other one."""
    agent = ("agent", python), ("SELECT fields FROM reading", "spool.db")
    return [
        Gateway("gateway-agent, commit 1 s", *agent[0], 1.0, *agent[1]),
        Gateway("gateway-agent, commit 0.1 s", *agent[0], 0.1, *agent[1]),
        Gateway(OTHER, "thingsboard", other, 0, "SELECT message FROM messages", "data.db"),
    ]


def start(gateway: Gateway, folder: Path, run: int, count: int) -> subprocess.Popen[str]:
    """Begin to put readings; what it says goes to a file beside the folder."""
    arguments = [gateway.kind, folder, run, count, RATE, gateway.commit_interval]
    with said(folder).open("w") as output, said(folder).with_suffix(".err").open("a") as errors:
        return subprocess.Popen(
            [gateway.python, STORAGE, *map(str, arguments)],
            stdout=output,
            stderr=errors,
            text=True,
        )


def said(folder: Path) -> Path:
    """Where the program on a folder says how far it is: not on its small disk."""
    place = folder.parent if folder.name == STORAGE_FOLDER else folder
    return place.with_suffix(".out")


def put(folder: Path) -> tuple[int, int]:
    """How many readings it has put, and how many of them were taken."""
    found = PUT.findall(said(folder).read_text(encoding="utf-8"))
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


def killed(gateway: Gateway, folder: Path) -> str:
    """``kill -9`` again and again; what was taken and is not kept was lost."""
    folder.mkdir()
    chance = random.Random(1)  # noqa: S311 - the same moments for each
    taken: dict[str, int] = {}
    for run in range(KILLS):
        process = start(gateway, folder, run, RATE * 60)
        while not put(folder)[1]:
            time.sleep(0.05)
        time.sleep(chance.uniform(1, 2.5))
        process.kill()
        process.wait()
        taken[str(run)] = put(folder)[1]
    kept = gateway.kept(folder)
    assert len(set(kept)) == len(kept)
    lost = sum(max(0, count - sum(run == one for one, _ in kept)) for run, count in taken.items())
    return f"{lost} of {sum(taken.values())}, {lost / KILLS:.0f} per kill"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of a few MB in memory; takes root."""
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def disk_full(gateway: Gateway, place: Path) -> str:
    """A disk that is full, and has room again when half of the readings have been put."""
    with small_disk(place) as disk:
        others = disk / "others"
        others.write_bytes(bytes(TAKEN_BYTES))
        folder = disk / STORAGE_FOLDER
        folder.mkdir()
        process = start(gateway, folder, 0, COUNT)
        while process.poll() is None:
            time.sleep(0.1)
            if others.exists() and put(folder)[0] >= COUNT // 2:
                others.unlink()
        before, taken = put(folder)
        kept = [number for _, number in gateway.kept(folder)]
        late = sum(number >= COUNT * 3 // 4 for number in kept)
        counted = dropped(folder / gateway.file)
    assert len(set(kept)) == len(kept)
    lost = before - len(kept)
    refused = before - taken
    silent = max(0, lost - refused - counted)
    return (
        f"{lost} of {before}: {refused} refused, {counted} counted as dropped, {silent} untold; "
        f"of the last quarter {late} are kept"
    )


def dropped(file: Path) -> int:
    """What the agent's spool has counted; the other gateway counts nothing."""
    with closing(sqlite3.connect(file)) as db, suppress(sqlite3.OperationalError):
        (found,) = db.execute(
            "SELECT coalesce(sum(value), 0) FROM counter WHERE name LIKE 'dropped%'"
            " AND name <> 'dropped_queue_full'"  # refused, which the input was told
        ).fetchone()
        return int(found)
    return 0


def resident(command: list[str | Path], folder: Path, **environment: str) -> str:
    """Memory of a gateway that has nothing to do and no platform."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **environment}
        )
    time.sleep(IDLE_SECONDS)
    try:
        text = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", text)
        assert found is not None, (folder / "log").read_text(encoding="utf-8")[-2000:]
        return f"{int(found[1]) / 1024:.1f} MiB"
    finally:
        process.kill()
        process.wait()


def agent_at_rest(folder: Path, python: Path) -> str:
    """The agent with one input and both ways, of which none answers."""
    folder.mkdir()
    (folder / "agent.toml").write_text(AGENT_CONFIG)
    (folder / "credentials").write_text("bench:bench")
    (folder / "credentials").chmod(0o600)
    return resident([python, "-m", "gateway_agent", "run", "--config", "agent.toml"], folder)


def other_at_rest(folder: Path, python: Path) -> str:
    """The other gateway as it ships, but for SQLite, and a platform that does not answer."""
    shipped = next(python.parents[1].glob("lib/python3*/site-packages/thingsboard_gateway/config"))
    shutil.copytree(shipped, folder / "config")
    (folder / "logs").mkdir()
    file = folder / "config" / "tb_gateway.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings["thingsboard"] |= {"host": "127.0.0.1", "port": 9}
    settings["storage"] = {"type": "sqlite", "data_file_path": f"{folder}/data/"}
    settings["connectors"] = []
    file.write_text(json.dumps(settings))
    command: list[str | Path] = [python.with_name("thingsboard-gateway")]
    return resident(command, folder, TB_GW_CONFIG_DIR=f"{folder}/config/")


def environments(folder: Path) -> tuple[Path, Path, str, str]:
    """Install both; where their Python is, and what each takes beyond a bare environment."""
    places = [folder / name for name in ("bare", "agent", "other")]
    for place in places:
        venv.create(place, with_pip=True)
    bare, agent, other = places
    install(agent, f"{copied(folder / 'sources')}[gateway,gateway-mqtt]")
    install(other, OTHER)
    base = sum(sizes(bare).values())
    taken = [f"{(sum(sizes(place).values()) - base) / MEGABYTE:.1f} MB" for place in (agent, other)]
    return agent / "bin" / "python", other / "bin" / "python", taken[0], taken[1]


def main() -> None:
    """Measure and print tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="agent-comparison-") as name:
        folder = Path(name)
        for title, value in machine.describe(folder, "agent-comparison").items():
            print(f"- {title}: {value}")
        python, other, size, other_size = environments(folder)
        print(f"\n| | gateway-agent | {OTHER} |\n|---|---|---|")
        print(f"| installed, beyond a bare environment | {size} | {other_size} |")
        found = agent_at_rest(folder / "agent-rest", python)
        beside = other_at_rest(folder / "other-rest", other)
        print(f"| resident, nothing to do | {found} | {beside} |")
        print("\n| | lost by kill -9 | lost on a full disk |\n|---|---|---|", flush=True)
        for number, gateway in enumerate(gateways(python, other)):
            lost = killed(gateway, folder / f"killed-{number}")
            full = "needs root"
            if os.geteuid() == 0:
                full = disk_full(gateway, folder / f"disk-{number}")
            print(f"| {gateway.name} | {lost} | {full} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
