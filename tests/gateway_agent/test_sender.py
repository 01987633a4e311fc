"""The sender with a real spool and the stand-in platform: what becomes of each reading."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_platform import KEY, StandInPlatform

from gateway_agent.backoff import Backoff
from gateway_agent.clock import Stamp
from gateway_agent.config import PlatformConfig, SpoolConfig
from gateway_agent.credentials import CredentialSource
from gateway_agent.outputs.batch_size import BatchSize
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.http import HttpOutput
from gateway_agent.outputs.registry import SensorRegistry, SpecBook
from gateway_agent.outputs.sender import Sender
from gateway_agent.reading import Reading
from gateway_agent.spool import Spool


class Gateway:
    """A spool and a sender without inputs."""

    def __init__(self, folder: Path, platform: StandInPlatform) -> None:
        self.platform = platform
        self.folder = folder
        self.credentials_file = folder / "credentials"
        self.credentials_file.write_text(KEY)
        self.spool = Spool(SpoolConfig(path=folder / "spool.db", commit_interval=0.01), "m1")
        self.delays: list[float] = []
        self.sender: Sender | None = None

    def put(self, count: int, sensor: str = "boiler") -> None:
        for number in range(count):
            stamp = Stamp(1_700_000_000_000_000 + number, number, "boot", synced=True)
            self.spool.put(Reading(sensor, f'{{"value":{number}}}', stamp), 20)
        assert self.spool.flush(20)

    def start(self, *, auto_create: bool = False, batch: int = 100) -> None:
        source = CredentialSource({}, self.credentials_file)
        client = PlatformClient(PlatformConfig(http=self.platform.url, timeout=5), source)
        self.sender = Sender(
            self.spool,
            HttpOutput(client, compress=True),
            SensorRegistry(client, SpecBook()) if auto_create else None,
            size=BatchSize(batch),
            retry=Backoff(0.01, 0.05, self._jitter),
            denied_retry=Backoff(60, 900, lambda low, _: low),
            credentials_changed=source.changed,
        )
        self.sender.start()

    def _jitter(self, low: float, high: float) -> float:
        self.delays.append(high)
        return low

    def drained(self) -> bool:
        return self.spool.flush(20) and self.spool.figures().depth == 0

    def counters(self) -> dict[str, int]:
        return dict(self.spool.figures().counters)

    def dead_letters(self) -> list[tuple[int, str, str]]:
        with sqlite3.connect(self.folder / "spool.db") as database:
            found = database.execute("SELECT seq, code, message FROM dead_letter").fetchall()
        database.close()
        return found


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def gateway(tmp_path: Path, platform: StandInPlatform) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path, platform)
    gateway.spool.start()
    yield gateway
    if gateway.sender:
        gateway.sender.stop(5)
    gateway.spool.close()


def test_backlog_arrives_in_order_and_leaves_the_spool(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    gateway.put(1050)
    gateway.start()
    wait_for(gateway.drained)
    assert platform.seqs() == list(range(1, 1051))
    assert gateway.counters() == {"committed": 1050, "acknowledged": 1050}
    assert gateway.sender.figures().sent == 1050


@pytest.mark.parametrize("misdeed", ["503", "500", "429", "drop", "captive portal", "404"])
def test_nothing_leaves_the_spool_before_the_acknowledgement(
    gateway: Gateway, platform: StandInPlatform, misdeed: str
) -> None:
    platform.misbehave = lambda: misdeed
    gateway.put(10)
    gateway.start()
    wait_for(lambda: len(platform.ingests()) >= 3)
    gateway.spool.flush(10)
    assert gateway.spool.figures().depth == 10
    assert gateway.sender.figures().state == "waiting"
    platform.misbehave = None
    wait_for(gateway.drained)
    assert platform.seqs() == list(range(1, 11))
    assert gateway.sender.figures().state == "ok"


def test_lost_answer_doubles_nothing(gateway: Gateway, platform: StandInPlatform) -> None:
    platform.script.extend(["lose the answer"] * 3)
    gateway.put(50)
    gateway.start(batch=10)
    wait_for(gateway.drained)
    assert platform.seqs() == list(range(1, 51))


def test_delays_grow_with_jitter(gateway: Gateway, platform: StandInPlatform) -> None:
    platform.script.extend(["503"] * 5)
    gateway.put(1)
    gateway.start()
    wait_for(gateway.drained)
    assert gateway.delays == [0.01, 0.02, 0.04, 0.05, 0.05]


def test_named_time_is_waited_for(gateway: Gateway, platform: StandInPlatform) -> None:
    platform.script.append("429 1")
    gateway.put(1)
    began = time.monotonic()
    gateway.start()
    wait_for(gateway.drained)
    assert time.monotonic() - began >= 1


def test_batch_that_is_too_large_is_halved(gateway: Gateway, platform: StandInPlatform) -> None:
    platform.largest_batch = 30
    gateway.put(200)
    gateway.start()
    wait_for(gateway.drained)
    assert platform.seqs() == list(range(1, 201))
    assert gateway.dead_letters() == []
    assert [request.readings for request in platform.ingests()][:3] == [100, 50, 25]


def test_reading_too_large_for_itself_becomes_a_dead_letter(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.largest_batch = 0
    gateway.put(1)
    gateway.start()
    wait_for(gateway.drained)
    assert gateway.dead_letters() == [(1, "413", "No")]


def test_only_the_offending_readings_of_a_refused_batch_become_dead_letters(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.is_poison = lambda reading: reading["value"] in {17, 18, 63}
    gateway.put(100)
    gateway.start()
    wait_for(gateway.drained)
    assert [seq for seq, _, _ in gateway.dead_letters()] == [18, 19, 64]
    assert gateway.dead_letters()[0][1:] == ("1200", "Object has validation errors")
    assert len(platform.stored) == 97
    assert len(platform.ingests()) < 60


def test_rejected_items_become_dead_letters_with_their_reason(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.is_rejected = lambda reading: reading["value"] % 10 == 3
    gateway.put(100)
    gateway.start()
    wait_for(gateway.drained)
    assert len(platform.stored) == 90
    assert gateway.dead_letters()[0] == (4, "1201", "expected NUMBER")
    assert gateway.counters() == {"committed": 100, "acknowledged": 90, "dead": 10}


def test_platform_that_refuses_everything_is_not_hurried(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.is_poison = lambda _: True
    gateway.put(30)
    gateway.start(batch=1)
    wait_for(gateway.drained)
    assert len(gateway.delays) == 10


def test_replaced_credentials_count_without_a_restart(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.key = "fedcba9876543210:newPassword"
    gateway.put(10)
    gateway.start()
    wait_for(lambda: gateway.sender.figures().state == "denied")
    assert gateway.spool.figures().depth == 10
    gateway.credentials_file.write_text(platform.key)
    wait_for(gateway.drained)
    assert platform.seqs() == list(range(1, 11))
    assert gateway.sender.figures().state == "ok"


def test_missing_sensors_exist_before_their_first_reading_is_sent(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.knows_sensors = True
    gateway.put(10, "boiler")
    gateway.put(10, "pump")
    gateway.start(auto_create=True)
    wait_for(gateway.drained)
    assert platform.sensors.keys() == {"boiler", "pump"}
    assert platform.seqs() == list(range(1, 21))


def test_readings_of_a_deleted_sensor_arrive_after_it_is_registered_again(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.knows_sensors = True
    gateway.put(10)
    gateway.start(auto_create=True)
    wait_for(gateway.drained)
    with platform.lock:
        platform.sensors.clear()
    gateway.put(10)
    wait_for(lambda: len(platform.stored) == 20)
    wait_for(gateway.drained)
    assert [reading["value"] for reading in platform.stored] == [*range(10)] * 2
    assert gateway.dead_letters() == []
    assert gateway.counters()["respooled"] == 10


def test_readings_of_a_sensor_that_cannot_be_registered_become_dead_letters(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.knows_sensors = True
    platform.may_manage = False
    platform.sensors["pump"] = {"name": "pump", "fields": [{"name": "value"}]}
    gateway.put(5, "boiler")
    gateway.put(5, "pump")
    gateway.start(auto_create=True)
    wait_for(gateway.drained)
    assert len(platform.stored) == 5
    assert {code for _, code, _ in gateway.dead_letters()} == {"1101"}


def test_sensor_that_never_accepts_ends_after_a_few_tries(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.knows_sensors = True
    platform.sensors = type("Forgetful", (dict,), {"__contains__": lambda *_: False})()
    gateway.put(3)
    gateway.start(auto_create=True)
    wait_for(lambda: gateway.drained() and len(gateway.dead_letters()) == 3)
    assert gateway.counters()["respooled"] == 9


def test_without_auto_create_an_unknown_sensor_is_a_dead_letter(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.knows_sensors = True
    gateway.put(2)
    gateway.start()
    wait_for(gateway.drained)
    assert len(gateway.dead_letters()) == 2
    assert platform.sensors == {}


def test_old_copy_of_the_spool_loses_nothing_new(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    gateway.put(5)
    stream = gateway.spool.figures().stream
    platform.streams[stream] = 1000
    gateway.start()
    wait_for(gateway.drained)
    assert len(platform.stored) == 5
    assert gateway.spool.figures().stream != stream


def test_old_copy_of_the_spool_loses_nothing_of_a_longer_outage(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    """What was measured in the outage has the numbers of what the platform has, and more."""
    stream = gateway.spool.figures().stream
    platform.streams[stream] = 150
    gateway.put(300)
    gateway.start()
    wait_for(gateway.drained)
    assert sorted(reading["value"] for reading in platform.stored) == [*range(300)]
    assert gateway.spool.figures().stream != stream


def test_rejections_behind_a_smaller_batch_are_not_taken_for_stored(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.is_rejected = lambda reading: reading["value"] in {3, 80}
    platform.script.extend(["lose the answer", "413"])
    gateway.put(100)
    gateway.start()
    wait_for(gateway.drained)
    assert [seq for seq, _, _ in gateway.dead_letters()] == [4, 81]
    assert gateway.counters() == {"committed": 100, "acknowledged": 98, "dead": 2}


def test_stop_sends_what_waits(gateway: Gateway, platform: StandInPlatform) -> None:
    gateway.start()
    gateway.put(500)
    assert gateway.sender.stop(10)
    assert gateway.drained()


def test_stop_leaves_the_rest_in_the_spool_when_there_is_trouble(
    gateway: Gateway, platform: StandInPlatform
) -> None:
    platform.misbehave = lambda: "503"
    gateway.put(5)
    gateway.start()
    assert gateway.sender.stop(10)
    assert gateway.spool.figures().depth == 5
