"""The agent and the server are killed while the network between them does its worst.

Its inputs number their readings: each number that the agent ever committed to its spool is stored
exactly once. What a killed agent had not committed is a tail of its run, so no run has a gap.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.gateway_agent.agent_process import AgentProcess
from tests.mqtt.conftest import MqttServer
from tests.ports import free_port
from tests.system.rough_proxy import TROUBLES, RoughProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.server_process import Key

SENSORS = tuple(f"greenhouse-1-counter{number}" for number in range(3))
CHANCE = 0.25
"""Of trouble at each request."""
CONFIG = """
[gateway]
id = "greenhouse-1"
[platform]
http = "http://127.0.0.1:{http}/api"
mqtt = "mqtt://127.0.0.1:{mqtt}"
prefer = "{prefer}"
credentials_file = "credentials"
batch = 100
timeout = "1s"
retry_min = "20ms"
retry_max = "100ms"
denied_retry_min = "20ms"
denied_retry_max = "100ms"
report_interval = "500ms"
[spool]
path = "spool.db"
commit_interval = "20ms"
[clock]
wait = "0s"
"""
INPUT = """
[[input]]
type = "sim"
name = "counter{number}"
mode = "counter"
interval = "10ms"
"""


class Scene:
    """Server, proxies, and an agent that dies again and again."""

    def __init__(self, server: MqttServer, folder: Path, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.folder = folder
        self.config = folder / "agent.toml"
        self.held: set[tuple[str, int, int]] = set()
        """What was in the spool of a killed agent: sensor, run and number."""
        self.http = RoughProxy(server.port, http=True)
        self.mqtt = RoughProxy(server.mqtt_port, http=False)

    @contextlib.contextmanager
    def proxies(self, key: Key) -> Iterator[None]:
        self.folder.mkdir()
        credentials = self.folder / "credentials"
        credentials.write_text(":".join(key), encoding="utf-8")
        credentials.chmod(0o600)
        self.configure("mqtt")
        with self.http, self.mqtt:
            yield

    def configure(self, prefer: str) -> None:
        inputs = "".join(INPUT.format(number=number) for number in range(len(SENSORS)))
        head = CONFIG.format(http=self.http.port, mqtt=self.mqtt.port, prefer=prefer)
        self.config.write_text(head + inputs, encoding="utf-8")

    def trouble(self) -> str | None:
        return self.chance.choice(TROUBLES) if self.chance.random() < CHANCE else None

    def stir(self) -> None:
        self.http.trouble = self.mqtt.trouble = self.trouble

    def calm(self) -> None:
        self.http.trouble = self.mqtt.trouble = lambda: None
        for proxy in (self.http, self.mqtt):
            proxy.mend()

    def stored(self) -> int:
        """Readings in the server's file, whether it runs or not."""
        path = f"file:{self.server.data}/readings.db?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True)) as readings:
            return int(readings.execute("SELECT count(*) FROM reading").fetchone()[0])

    def progress(self, agent: AgentProcess, count: int) -> None:
        before = self.stored()
        agent.wait_until(lambda: self.stored() >= before + count)

    def pause(self, most: float) -> None:
        time.sleep(self.chance.uniform(0, most))

    def life(self, *, kill_server: bool) -> None:
        """One run of the agent, to its end by ``kill -9``."""
        self.configure(self.chance.choice(("mqtt", "mqtt", "http")))
        with AgentProcess(self.config) as agent:
            self.progress(agent, 30)
            cut = self.chance.choice(((), (self.http,), (self.mqtt,), (self.http, self.mqtt)))
            for proxy in cut:
                proxy.cut()
            self.pause(0.4)
            if kill_server:
                self.server.kill_all()
                self.pause(0.3)
                if self.chance.random() < 0.5:
                    agent.kill()
                self.server.start()
                self.pause(0.3)
            for proxy in cut:
                proxy.mend()
            self.pause(0.3)
            agent.kill()
        self.look_into_spool()

    def look_into_spool(self) -> None:
        with contextlib.closing(sqlite3.connect(self.config.with_name("spool.db"))) as spool:
            for sensor, fields in spool.execute("SELECT sensor, fields FROM reading"):
                values = json.loads(fields)
                self.held.add((sensor, values["run"], values["number"]))

    def taken(self) -> int:
        """How many readings the spool has ever committed."""
        with contextlib.closing(sqlite3.connect(self.config.with_name("spool.db"))) as spool:
            (dead,) = spool.execute("SELECT count(*) FROM dead_letter").fetchone()
            assert dead == 0
            (seq,) = spool.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'reading'"
            ).fetchone()
        return int(seq)


@pytest.mark.parametrize(
    ("kills", "server_kills"), [(5, 2), pytest.param(50, 10, marks=pytest.mark.slow)]
)
@pytest.mark.timeout(900)
def test_every_committed_reading_is_stored_exactly_once(
    tmp_path: Path, kills: int, server_kills: int
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    options = ("--set", "auth.bcrypt_cost=4", "--mqtt-port", str(free_port()))
    with MqttServer(tmp_path / "data", *options) as server:
        server.add_user("alice")
        key = server.add_key("alice")
        scene = Scene(server, tmp_path / "agent", seed)
        with scene.proxies(key):
            with AgentProcess(scene.config) as agent:
                scene.progress(agent, 100)
                assert agent.stop() == 0
            began = time.monotonic()
            scene.stir()
            for number in range(kills):
                kill_server = (number + 1) * server_kills // kills > number * server_kills // kills
                scene.life(kill_server=kill_server)
            scene.calm()
            took = time.monotonic() - began
            with AgentProcess(scene.config) as agent:
                scene.progress(agent, 100)
                assert agent.stop() == 0
                assert agent.status()["spool"]["depth"] == 0
            caused = scene.http.caused + scene.mqtt.caused
            tell(scene, caused, took)
        check(scene, server, key)
        if kills > 20:  # few kills may miss a kind of trouble by chance
            assert set(caused) == set(TROUBLES)


def tell(scene: Scene, caused: Counter[str], took: float) -> None:
    troubles = ", ".join(f"{count} x {name}" for name, count in sorted(caused.items()))
    print(
        f"{scene.taken()} readings in {took:.0f} s, {len(scene.held)} found in spools: {troubles}"
    )


def check(scene: Scene, server: MqttServer, key: Key) -> None:
    runs: dict[tuple[str, int], list[int]] = defaultdict(list)
    with server.wire(key) as wire:
        for sensor in SENSORS:
            for reading in wire.readings(f"alice.{sensor}"):
                runs[sensor, reading["run"]].append(reading["number"])
    for numbers in runs.values():
        assert sorted(numbers) == [*range(len(numbers))]
    stored = {(*run, number) for run, numbers in runs.items() for number in numbers}
    assert scene.held <= stored
    assert len(stored) == scene.taken()
