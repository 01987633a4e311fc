"""Delivery over a real mosquitto, and the change to HTTP and back."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_broker import KEY_ID, BehindBroker, Broker
from agent_platform import KEY, StandInPlatform
from agent_process import AgentProcess

from gateway_agent.backoff import Backoff
from gateway_agent.clock import Stamp
from gateway_agent.config import PlatformConfig, SpoolConfig
from gateway_agent.credentials import CredentialSource
from gateway_agent.outputs.base import Denied, Later, Stored, TooLarge
from gateway_agent.outputs.batch_size import BatchSize
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.http import HttpOutput
from gateway_agent.outputs.mqtt import MqttOutput
from gateway_agent.outputs.mqtt_link import MqttLink
from gateway_agent.outputs.sender import Sender
from gateway_agent.outputs.switch import SwitchingOutput
from gateway_agent.reading import Reading
from gateway_agent.settings import broker_url
from gateway_agent.spool import Batch, Row, Spool

BATCH = Batch("s1", 1, tuple(Row(n, "boiler", n, f'{{"value":{n}}}', 0) for n in (1, 2)))


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.stop()


@pytest.fixture
def behind(broker: Broker, platform: StandInPlatform) -> Iterator[BehindBroker]:
    with BehindBroker(broker, platform) as behind:
        yield behind


class Uplink:
    """A link with its output, and the credentials it reads."""

    def __init__(self, folder: Path, url: str) -> None:
        self.file = folder / "credentials"
        self.file.write_text(KEY)
        self.source = CredentialSource({}, self.file)
        self.link = MqttLink(
            broker_url(url),
            "greenhouse-agent",
            self.source,
            ca_file=None,
            retry=Backoff(0.05, 0.2),
            denied_retry=Backoff(30, 30),
        )
        self.output = MqttOutput(self.link, 1.0)

    def connect(self) -> "Uplink":
        self.link.start()
        wait_for(lambda: self.link.is_connected)
        return self


@pytest.fixture
def uplink(tmp_path: Path, broker: Broker) -> Iterator[Uplink]:
    uplink = Uplink(tmp_path, broker.url)
    yield uplink
    uplink.output.close()


def test_platforms_answer_is_what_counts(uplink: Uplink, behind: BehindBroker) -> None:
    behind.platform.is_rejected = lambda reading: reading["value"] == 2
    answer = uplink.connect().output.send(BATCH)
    assert isinstance(answer, Stored)
    assert answer.through == 2
    assert [item.seq for item in answer.rejected] == [2]


def test_acknowledgement_of_the_broker_counts_for_nothing(uplink: Uplink, broker: Broker) -> None:
    answer = uplink.connect().output.send(BATCH)
    assert isinstance(answer, Later)
    assert "platform does not answer" in answer.reason


def test_refused_publish_is_told(uplink: Uplink, broker: Broker, behind: BehindBroker) -> None:
    broker.stop()
    broker.may_publish = False
    broker.start()
    answer = uplink.connect().output.send(BATCH)
    assert isinstance(answer, Denied)
    assert "Not authorized" in answer.reason


def test_after_a_restart_of_the_broker_it_subscribes_again(
    uplink: Uplink, broker: Broker, behind: BehindBroker
) -> None:
    uplink.connect()
    assert isinstance(uplink.output.send(BATCH), Stored)
    broker.stop()
    wait_for(lambda: not uplink.link.is_connected)
    assert isinstance(uplink.output.send(BATCH), Later)
    behind._ready.clear()
    broker.start()
    assert behind._ready.wait(20)
    wait_for(lambda: uplink.link.is_connected)
    assert isinstance(uplink.output.send(BATCH), Stored)
    assert behind.platform.seqs() == [1, 2]


def test_two_agents_of_one_name_do_not_take_turns_at_full_speed(
    tmp_path: Path, broker: Broker, uplink: Uplink
) -> None:
    uplink.connect()
    (tmp_path / "other").mkdir()
    other = Uplink(tmp_path / "other", broker.url)
    other.link.start()
    wait_for(lambda: min(uplink.link._retry.failures, other.link._retry.failures) >= 3)
    other.output.close()


def test_connection_that_lasts_ends_the_long_delays(
    uplink: Uplink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_agent.outputs.mqtt_link._STEADY", 0.1)
    for _ in range(5):
        uplink.link._retry.next()
    uplink.connect()
    wait_for(lambda: uplink.link._retry.failures == 0)


def test_batch_beyond_the_largest_packet_is_too_large(uplink: Uplink, behind: BehindBroker) -> None:
    text = "x" * 300_000
    batch = Batch("s1", 1, (Row(1, "boiler", 1, f'{{"message":"{text}"}}', 0),))
    uplink.connect().link.largest_packet = 256 * 1024
    assert isinstance(uplink.output.send(batch), TooLarge)


def test_refused_key_is_told_and_a_replaced_one_counts_at_once(
    uplink: Uplink, behind: BehindBroker
) -> None:
    uplink.file.write_text(f"{KEY_ID}:wrong")
    uplink.link.start()
    wait_for(lambda: uplink.link.is_denied)
    assert isinstance(uplink.output.send(BATCH), Denied)
    uplink.file.write_text(KEY)
    wait_for(lambda: uplink.link.is_connected, 10)


def test_status_says_online_and_offline(uplink: Uplink, behind: BehindBroker) -> None:
    uplink.connect()
    wait_for(lambda: behind.statuses == ["online"])
    uplink.output.close()
    wait_for(lambda: behind.statuses == ["online", "offline"])


class TestChange:
    """A spool, a sender, both ways."""

    @pytest.fixture
    def gateway(self, tmp_path: Path, uplink: Uplink, platform: StandInPlatform) -> Iterator[Spool]:
        spool = Spool(SpoolConfig(path=tmp_path / "spool.db", commit_interval=0.01), "m1")
        spool.start()
        client = PlatformClient(PlatformConfig(http=platform.url, timeout=5), uplink.source)
        http = HttpOutput(client, compress=True)
        sender = Sender(
            spool,
            SwitchingOutput(uplink.output, http, Backoff(0.2, 0.5)),
            None,
            size=BatchSize(50),
            retry=Backoff(0.01, 0.05),
            denied_retry=Backoff(0.1, 0.2),
            credentials_changed=uplink.source.changed,
        )
        uplink.connect()
        sender.start()
        yield spool
        sender.stop(5)
        spool.close()

    @staticmethod
    def deliver(spool: Spool, count: int) -> None:
        for number in range(count):
            stamp = Stamp(1_700_000_000_000_000 + number, number, "boot", synced=True)
            spool.put(Reading("boiler", f'{{"value":{number}}}', stamp), 20)
        assert spool.flush(20)
        wait_for(lambda: spool.flush(5) and spool.figures().depth == 0)

    def test_broker_gone_and_back_is_bridged_by_http(
        self, gateway: Spool, broker: Broker, behind: BehindBroker
    ) -> None:
        self.deliver(gateway, 100)
        assert not behind.platform.ingests()
        broker.stop()
        self.deliver(gateway, 100)
        assert behind.platform.ingests()
        behind._ready.clear()
        broker.start()
        assert behind._ready.wait(20)
        before = behind.batches
        for _ in range(100):
            self.deliver(gateway, 5)
            if behind.batches > before:
                break
            time.sleep(0.1)
        assert behind.batches > before
        seqs = behind.platform.seqs()
        assert seqs == [*range(1, len(seqs) + 1)]

    def test_platform_that_is_deaf_on_mqtt_gets_the_readings_over_http(
        self, gateway: Spool, behind: BehindBroker
    ) -> None:
        behind.is_silent = True
        self.deliver(gateway, 20)
        assert behind.platform.seqs() == [*range(1, 21)]

    def test_nothing_is_deleted_while_the_platform_is_deaf_on_both(
        self, gateway: Spool, behind: BehindBroker
    ) -> None:
        behind.is_silent = True
        behind.platform.misbehave = lambda: "503"
        for number in range(20):
            stamp = Stamp(number, number, "boot", synced=True)
            gateway.put(Reading("boiler", f'{{"value":{number}}}', stamp), 20)
        wait_for(lambda: len(behind.platform.ingests()) >= 3)
        assert gateway.figures().depth == 20
        behind.is_silent = False
        wait_for(lambda: gateway.flush(5) and gateway.figures().depth == 0)
        assert behind.platform.seqs() == [*range(1, 21)]


def test_reload_with_a_platform_that_hangs_leaves_one_connection(
    write_config: Callable[..., Path], behind: BehindBroker, broker: Broker
) -> None:
    behind.is_silent = True
    sim = '[[input]]\ntype = "sim"\ninterval = "20ms"\n'
    config = write_config(sim, platform_lines=f'mqtt = "{broker.url}"\ntimeout = "15s"')
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: any('"online"' in status for status in behind.statuses))
        time.sleep(0.5)
        config.write_text(config.read_text().replace('timeout = "15s"', 'timeout = "14s"'))
        agent.signal(signal.SIGHUP)
        agent.wait_until(lambda: agent.says("platform_changed=True"))
        assert agent.says("sender is still waiting for an answer")
        time.sleep(3)
        assert agent.log.read_text().count("connected broker=") == 2
        agent.kill()
