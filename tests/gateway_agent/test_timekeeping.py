"""Readings from before the clock was synchronized, with a clock that the test sets."""

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess

from gateway_agent.clock import Clock, iso_time
from gateway_agent.config import SpoolConfig
from gateway_agent.inputs import Context
from gateway_agent.inputs.runner import InputRunner
from gateway_agent.inputs.sim import KIND as SIM
from gateway_agent.outputs.encoding import encode_batch
from gateway_agent.reading import Reading, Sample, make_reading
from gateway_agent.spool import Spool, Timekeeper

TRUE_BOOT_TIME = 1_795_000_000
"""When the machine was really booted, in seconds since 1970."""
YEAR = 365 * 86_400


@dataclass
class Machine:
    """A machine whose clock starts in 1970, as one without a battery does."""

    folder: Path
    boot: str = "boot-1"
    uptime: float = 10.0
    wall: float = 10.0
    synced: bool = False
    wait: float = 600.0

    def __post_init__(self) -> None:
        self._spool: Spool | None = None
        self.clock = self._make_clock()

    def _make_clock(self) -> Clock:
        (self.folder / "boot_id").write_text(self.boot)
        return Clock(
            lambda: self.synced,
            self.folder / "boot_id",
            wall_ns=lambda: round(self.wall * 1e9),
            boot_ns=lambda: round(self.uptime * 1e9),
        )

    @property
    def spool(self) -> Spool:
        """The agent's, which is started when it is needed."""
        if self._spool is None:
            self._spool = Spool(
                SpoolConfig(path=self.folder / "spool.db", commit_interval=0.01),
                "m1",
                Timekeeper(self.clock, self.wait),
            )
            self._spool.start()
        return self._spool

    def stop(self) -> None:
        if self._spool is not None:
            self._spool.close()
        self._spool = None

    def reboot(self) -> None:
        self.stop()
        self.boot, self.uptime, self.wall, self.synced = self.boot + "1", 10.0, 10.0, False
        self.clock = self._make_clock()

    def passes(self, seconds: float) -> None:
        self.uptime += seconds
        self.wall += seconds

    def synchronize(self) -> None:
        """Of the first boot."""
        self.wall, self.synced = TRUE_BOOT_TIME + self.uptime, True

    def measure(self, count: int = 1) -> None:
        for _ in range(count):
            reading = make_reading(Sample("boiler", {"value": self.uptime}), self.clock.stamp())
            self.spool.put(reading, 1)
        assert self.spool.flush(10)

    def sent(self) -> list[dict[str, Any]]:
        """What the sender gets now, as it goes out; it leaves the spool."""
        batch = self.spool.take(1000, 10**6)
        assert self.spool.flush(10)  # what was noted of the clock
        if batch is None:
            return []
        self.spool.settle(batch, batch.rows[-1].seq)
        assert self.spool.flush(10)
        found: list[dict[str, Any]] = json.loads(encode_batch(batch))["readings"]
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def true_time(uptime: float) -> str:
    return iso_time(round((TRUE_BOOT_TIME + uptime) * 1e6))


def test_readings_wait_for_the_clock_and_get_the_time_at_which_they_were_measured(
    machine: Machine,
) -> None:
    for _ in range(3):
        machine.measure()
        machine.passes(5)
    assert machine.sent() == []
    assert machine.spool.figures().held
    machine.synchronize()
    machine.measure()
    sent = machine.sent()
    assert [reading["timestamp"] for reading in sent] == [true_time(t) for t in (10, 15, 20, 25)]
    assert [reading["seq"] for reading in sent] == [1, 2, 3, 4]
    assert not any("time_quality" in reading for reading in sent)
    assert not machine.spool.figures().held


def test_nobody_is_woken_for_readings_that_wait(machine: Machine) -> None:
    machine.measure()
    assert machine.sent() == []
    began = time.monotonic()
    assert not machine.spool.wait_for_readings(0.2)
    assert time.monotonic() - began >= 0.2


def test_after_ten_minutes_readings_go_as_they_are_and_say_so(machine: Machine) -> None:
    machine.measure()
    machine.passes(589)
    assert machine.sent() == []
    machine.passes(2)
    machine.measure()
    sent = machine.sent()
    assert [reading["time_quality"] for reading in sent] == ["unsynced", "unsynced"]
    assert [reading["timestamp"][:19] for reading in sent] == [
        "1970-01-01T00:00:10",
        "1970-01-01T00:10:01",
    ]


def test_machine_without_time_service_does_not_wait_at_each_start(machine: Machine) -> None:
    machine.uptime = 5 * 86_400
    machine.measure()
    assert machine.sent()[0]["time_quality"] == "unsynced"


def test_no_wait_can_be_configured(tmp_path: Path) -> None:
    machine = Machine(tmp_path, wait=0)
    machine.measure()
    assert machine.sent()[0]["time_quality"] == "unsynced"
    machine.stop()


def test_readings_that_wait_are_on_disk(machine: Machine) -> None:
    machine.measure(3)
    machine.stop()
    with sqlite3.connect(machine.folder / "spool.db") as database:
        assert database.execute("SELECT count(*) FROM reading").fetchone() == (3,)
    database.close()
    assert machine.sent() == []
    machine.synchronize()
    assert [reading["timestamp"] for reading in machine.sent()] == [true_time(10)] * 3


def test_readings_are_corrected_after_a_reboot_too(machine: Machine) -> None:
    machine.measure()
    machine.passes(60)
    machine.synchronize()
    assert machine.spool.take(1, 1000) is not None  # but the platform is away
    assert machine.spool.flush(10)
    machine.reboot()
    assert [reading["timestamp"] for reading in machine.sent()] == [true_time(10)]


def test_readings_of_a_boot_that_never_knew_the_time_do_not_wait(machine: Machine) -> None:
    machine.measure()
    machine.reboot()
    machine.wall, machine.synced = 1_800_000_000, True
    sent = machine.sent()
    assert sent[0]["time_quality"] == "unsynced"
    assert sent[0]["timestamp"].startswith("1970-01-01T00:00:10")


def test_boots_that_cannot_be_told_apart_are_not_mixed_up(machine: Machine) -> None:
    machine.clock = Clock(
        lambda: machine.synced,
        machine.folder / "missing",
        wall_ns=lambda: round(machine.wall * 1e9),
        boot_ns=lambda: round(machine.uptime * 1e9),
    )
    machine.measure()
    machine.synchronize()
    assert machine.sent()[0]["time_quality"] == "unsynced"


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_clock_that_is_set_wrong_by_a_year_does_not_move_readings(
    machine: Machine, jump: int
) -> None:
    machine.synchronize()
    machine.measure()
    assert machine.sent()[0]["timestamp"] == true_time(10)
    machine.passes(5)
    machine.wall += jump
    machine.synced = False  # what the kernel says of a clock that somebody has set
    machine.measure()
    sent = machine.sent()
    assert sent[0]["timestamp"] == true_time(15)
    assert "time_quality" not in sent[0]


def test_file_of_an_older_agent_is_taken(machine: Machine) -> None:
    machine.measure()
    machine.stop()
    with sqlite3.connect(machine.folder / "spool.db") as database:
        database.execute("ALTER TABLE boot DROP COLUMN offset_us")
    database.close()
    machine.synchronize()
    assert [reading["timestamp"] for reading in machine.sent()] == [true_time(10)]


class Shelf:
    """Where readings end; the clock jumps with the first of them."""

    def __init__(self, jump: Callable[[], None]) -> None:
        self.readings: list[Reading] = []
        self._jump = jump

    def put(self, reading: Reading, patience: float) -> bool:
        del patience
        self.readings.append(reading)
        if len(self.readings) == 3:
            self._jump()
        return True

    def wait_for_room(self, timeout: float) -> bool:
        del timeout
        return True

    def count_drop(self, reason: str, count: int = 1) -> None:
        raise AssertionError(reason)


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_clock_that_jumps_a_year_disturbs_no_interval(tmp_path: Path, jump: int) -> None:
    offset = [0.0]
    clock = Clock(lambda: True, wall_ns=lambda: time.time_ns() + round(offset[0] * 1e9))
    shelf = Shelf(lambda: offset.__setitem__(0, jump))
    stopping = threading.Event()
    config = SIM.config(type="sim", name="sim", interval=0.02, mode="counter")
    source = SIM.create(config, Context("gw", stopping, clock))
    runner = InputRunner(
        "sim", source, 0.02, clock=clock, sink=shelf, declare=print, stopping=stopping
    )
    runner.start()
    deadline = time.monotonic() + 20
    while len(shelf.readings) < 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    stopping.set()
    assert runner.join(5)
    boots = [reading.stamp.boot_us for reading in shelf.readings]
    gaps = [after - before for before, after in itertools.pairwise(boots)]
    assert len(boots) >= 12
    assert min(gaps) > 0
    assert max(gaps) < 5_000_000
    moved = shelf.readings[-1].stamp.wall_us - shelf.readings[0].stamp.wall_us
    assert abs(moved / 1e6 - jump) < 60


def test_agent_tells_the_platform_of_doubtful_time(
    write_config: Callable[..., Path], platform: StandInPlatform
) -> None:
    """Whatever the kernel of this machine says, the readings say the same."""
    synced = Clock().stamp().synced
    with AgentProcess(write_config('[[input]]\ntype = "sim"\ninterval = "10ms"')) as agent:
        agent.wait_until(lambda: platform.stored)
        assert agent.stop() == 0
    assert {reading.get("time_quality") for reading in platform.stored} == {
        None if synced else "unsynced"
    }
