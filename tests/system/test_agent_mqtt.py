"""The real agent over the MQTT that the real server speaks: readings, commands, a replaced key."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.certificates import make_certificate
from tests.gateway_agent.agent_process import AgentProcess
from tests.mqtt.conftest import OPTIONS, MqttServer, tls_options
from tests.system.rough_proxy import RoughProxy
from tests.system.server_process import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.server_process import Key

DENIED_SECONDS = 30
CONFIG = """
[gateway]
id = "greenhouse-1"
[platform]
http = "{http}/api"
{platform}
credentials_file = "credentials"
timeout = "5s"
retry_min = "50ms"
retry_max = "200ms"
denied_retry_min = "{denied}s"
denied_retry_max = "{denied}s"
[spool]
path = "spool.db"
commit_interval = "50ms"
[clock]
wait = "0s"
[[input]]
type = "sim"
name = "counter"
mode = "counter"
interval = "50ms"
"""
PUMP = """
[[actuator]]
type = "command"
sensor = "pump"
command = {command}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttServer]:
    with MqttServer(tmp_path_factory.mktemp("mqtt") / "data", *OPTIONS) as found:
        yield found


@pytest.fixture
def alice(server: MqttServer) -> tuple[str, str]:
    """A user of this test alone, since sensors are named by gateway."""
    name = f"alice{time.time_ns() % 10**9}"
    server.add_user(name)
    return name, PASSWORD


class Gateway:
    """A folder with a configuration and credentials, for one user."""

    def __init__(self, server: MqttServer, folder: Path, alice: tuple[str, str]) -> None:
        self.server = server
        self.alice = alice
        self.key: Key = server.add_key(alice[0])
        self.config = folder / "agent.toml"
        self.give_key(self.key)
        self.counter = f"{alice[0]}.greenhouse-1-counter"
        self.pumped = folder / "pumped"

    def give_key(self, key: Key) -> None:
        fresh = self.config.with_name("fresh")
        fresh.write_text(":".join(key) + "\n", encoding="utf-8")
        fresh.chmod(0o600)
        fresh.rename(self.config.with_name("credentials"))

    def configure(self, platform: str, *, pump: bool = False) -> None:
        text = CONFIG.format(http=self.server.url, platform=platform, denied=DENIED_SECONDS)
        if pump:
            self.server.command("sensor", "create", "pump", "--user", self.alice[0])
            append = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"
            command = [sys.executable, "-c", append, str(self.pumped), "{value}"]
            text += PUMP.format(command=json.dumps(command))
        self.config.write_text(text, encoding="utf-8")

    def readings(self) -> list[dict[str, Any]]:
        with self.server.wire(self.alice) as wire:
            answer = wire.get(f"/api/sensors/{self.counter}")
            return wire.readings(self.counter) if answer.status == 200 else []

    def more(self, agent: AgentProcess, count: int = 10) -> None:
        before = len(self.readings())
        agent.wait_until(lambda: len(self.readings()) >= before + count)

    def check_each_stored_once(self, runs: int = 1) -> None:
        numbers: dict[str, list[int]] = {}
        for reading in self.readings():
            numbers.setdefault(reading["run"], []).append(reading["number"])
        assert len(numbers) == runs
        for found in numbers.values():
            assert sorted(found) == [*range(len(found))]

    def waiting(self) -> int:
        """Readings in the spool, as a reader beside the agent sees it."""
        path = f"file:{self.config.with_name('spool.db')}?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True)) as spool:
            return int(spool.execute("SELECT count(*) FROM reading").fetchone()[0])

    def send(self, **message: Any) -> int:
        with self.server.wire(self.alice) as wire:
            answer = wire.post(f"/api/v1/sensors/{self.alice[0]}.pump/message", message)
        assert answer.status in {200, 201}, answer.body
        return int(answer.headers["location"].rpartition("/")[2])

    def asked(self, command: int) -> dict[str, Any]:
        with self.server.wire(self.alice) as wire:
            path = f"/api/v1/sensors/{self.alice[0]}.pump/message/{command}"
            found: dict[str, Any] = wire.get(path).json()
        return found

    def pumps(self) -> list[str]:
        return self.pumped.read_text().split() if self.pumped.exists() else []


@pytest.fixture
def gateway(server: MqttServer, tmp_path: Path, alice: tuple[str, str]) -> Gateway:
    return Gateway(server, tmp_path, alice)


def said(agent: AgentProcess, text: str, times: int) -> None:
    agent.wait_until(lambda: agent.log.read_text(encoding="utf-8").count(text) >= times)


def test_readings_arrive_over_mqtt_in_a_sensor_that_was_not_there(
    server: MqttServer, gateway: Gateway
) -> None:
    gateway.configure(f'mqtt = "mqtt://127.0.0.1:{server.mqtt_port}"')
    posts = server.log.count("path=/api/v2/ingest")
    with AgentProcess(gateway.config) as agent:
        gateway.more(agent, 20)
        assert agent.stop() == 0
        assert agent.status()["spool"]["depth"] == 0
    gateway.check_each_stored_once()
    assert server.log.count("path=/api/v2/ingest") <= posts + 1  # before MQTT was there
    with server.wire(gateway.alice) as wire:
        sensor = wire.get(f"/api/sensors/{gateway.counter}").json()
    assert {field["name"] for field in sensor["fields"]} >= {"run", "number"}


def test_cut_mqtt_is_bridged_by_http_and_taken_up_again(
    server: MqttServer, gateway: Gateway
) -> None:
    with RoughProxy(server.mqtt_port, http=False) as proxy:
        gateway.configure(f'mqtt = "mqtt://127.0.0.1:{proxy.port}"')
        with AgentProcess(gateway.config) as agent:
            said(agent, " connected broker=", 1)
            gateway.more(agent)
            changes = agent.log.read_text(encoding="utf-8").count("output changed from=preferred")
            for turn in (1, 2):
                proxy.cut()
                said(agent, "output changed from=preferred", changes + turn)
                gateway.more(agent)
                proxy.mend()
                said(agent, "output changed to=preferred", changes + turn)
                gateway.more(agent)
            assert agent.stop() == 0
    gateway.check_each_stored_once()


def test_tls_is_used_and_another_certificate_than_that_of_the_platform_is_not_believed(
    tmp_path: Path,
) -> None:
    certificates = {}
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
        certificates[name] = make_certificate(tmp_path / name)
    options = (*OPTIONS, *tls_options(certificates["own"]))
    with MqttServer(tmp_path / "data", *options) as server:
        server.add_user("alice")
        gateway = Gateway(server, tmp_path, ("alice", PASSWORD))
        platform = f'mqtt = "mqtts://127.0.0.1:{server.tls_port}"\n'
        gateway.configure(platform + f"ca_file = '{certificates['other'].certificate}'")
        with AgentProcess(gateway.config) as agent:
            said(agent, "certificate verify failed", 1)
            gateway.more(agent)  # over HTTP, which is not asked for a certificate here
            assert agent.stop() == 0
            assert " connected broker=" not in agent.log.read_text(encoding="utf-8")
        posts = server.log.count("path=/api/v2/ingest")
        gateway.configure(platform + f"ca_file = '{certificates['own'].certificate}'")
        with AgentProcess(gateway.config) as agent:
            said(agent, " connected broker=", 1)
            gateway.more(agent, 20)
            assert agent.stop() == 0
        assert server.log.count("path=/api/v2/ingest") <= posts + 1  # before MQTT was there
        gateway.check_each_stored_once(runs=2)


def test_command_over_mqtt_is_done_once_and_its_sender_sees_that(
    server: MqttServer, gateway: Gateway
) -> None:
    gateway.configure(f'mqtt = "mqtt://127.0.0.1:{server.mqtt_port}"', pump=True)
    with AgentProcess(gateway.config) as agent:
        gateway.more(agent)
        command = gateway.send(value="42", expires=60)
        agent.wait_until(lambda: gateway.asked(command).get("state") == "done")
        assert gateway.asked(command)["status"] == "ACKNOWLEDGED"
        wrong = gateway.send(value="4 && 2", expires=60)
        agent.wait_until(lambda: gateway.asked(wrong).get("state") == "failed")
        assert "expected" in gateway.asked(wrong)["detail"]
        assert agent.stop() == 0
    assert gateway.pumps() == ["42"]


def test_command_sent_while_the_agent_is_away_is_done_later_unless_stale(
    server: MqttServer, gateway: Gateway
) -> None:
    gateway.configure(f'mqtt = "mqtt://127.0.0.1:{server.mqtt_port}"', pump=True)
    with AgentProcess(gateway.config) as agent:
        gateway.more(agent)
        agent.kill()
    stale = gateway.send(value="1", expires=1)
    fresh = gateway.send(value="2", expires=60)
    time.sleep(1.2)
    with AgentProcess(gateway.config) as agent:
        agent.wait_until(lambda: gateway.asked(fresh).get("state") == "done")
        assert agent.stop() == 0
    assert gateway.pumps() == ["2"]
    assert gateway.asked(stale).get("state") != "done"


@pytest.mark.parametrize("has_mqtt", [False, True], ids=["http alone", "mqtt cut"])
def test_command_over_long_poll_is_done_once(
    server: MqttServer, gateway: Gateway, has_mqtt: bool
) -> None:
    with RoughProxy(server.mqtt_port, http=False) as proxy:
        proxy.cut()
        mqtt = f'mqtt = "mqtt://127.0.0.1:{proxy.port}"\n' if has_mqtt else ""
        gateway.configure(mqtt + 'prefer = "http"', pump=True)
        with AgentProcess(gateway.config) as agent:
            gateway.more(agent)
            command = gateway.send(value="7", expires=60)
            agent.wait_until(lambda: gateway.asked(command)["status"] == "ACKNOWLEDGED")
            agent.wait_until(lambda: gateway.pumps() == ["7"])
            proxy.mend()
            gateway.more(agent)
            assert agent.stop() == 0
    assert gateway.pumps() == ["7"]


@pytest.mark.parametrize("prefer", ["mqtt", "http"])
def test_replaced_key_is_taken_up_without_a_restart(
    server: MqttServer, gateway: Gateway, prefer: str
) -> None:
    gateway.configure(f'mqtt = "mqtt://127.0.0.1:{server.mqtt_port}"\nprefer = "{prefer}"')
    with AgentProcess(gateway.config) as agent:
        said(agent, " connected broker=", 1)
        gateway.more(agent)
        server.command("key", "revoke", gateway.key.key_id)
        said(agent, "delivery failed state=denied", 1)
        stored = len(gateway.readings())
        agent.wait_until(lambda: gateway.waiting() >= 40)
        assert len(gateway.readings()) == stored
        gateway.give_key(server.add_key(gateway.alice[0]))
        replaced = time.monotonic()
        gateway.more(agent)
        assert time.monotonic() - replaced < DENIED_SECONDS / 2  # not only when it tries again
        assert agent.stop() == 0
        assert agent.status()["spool"]["depth"] == 0
    gateway.check_each_stored_once()
