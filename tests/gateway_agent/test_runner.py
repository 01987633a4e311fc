import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from gateway_agent.clock import Clock
from gateway_agent.inputs.base import Failure, Input
from gateway_agent.inputs.runner import InputRunner
from gateway_agent.reading import FieldSpec, Reading, Sample, SensorSpec


class Shelf:
    """A spool of a list, with as much room as it is told."""

    def __init__(self, room: int = 10**9) -> None:
        self.readings: list[Reading] = []
        self.drops: dict[str, int] = {}
        self.room = room

    def put(self, reading: Reading, patience: float) -> bool:
        if len(self.readings) >= self.room:
            return False
        self.readings.append(reading)
        return True

    def wait_for_room(self, timeout: float) -> bool:
        return len(self.readings) < self.room or threading.Event().wait(0.001)

    def count_drop(self, reason: str, count: int = 1) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + count


class Device(Input):
    """Does what it is told at each read."""

    def __init__(
        self, read: Callable[[], Iterator[Sample | Failure]], open_failures: int = 0
    ) -> None:
        self._read = read
        self._open_failures = open_failures
        self.opened = 0
        self.closed = 0

    def open(self) -> None:
        self.opened += 1
        if self.opened <= self._open_failures:
            raise OSError("no such device")

    def sensors(self) -> Sequence[SensorSpec]:
        return [SensorSpec("boiler", "Boiler", "", (FieldSpec("value", "Value"),))]

    def read(self) -> Iterator[Sample | Failure]:
        return self._read()

    def close(self) -> None:
        self.closed += 1


def good() -> Iterator[Sample]:
    yield Sample("boiler", {"value": 1})


class Bench:
    """Runs devices until the test is over."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.shelf = Shelf()
        self.declared: list[SensorSpec] = []
        self.runners: list[InputRunner] = []

    def run(self, device: Input, interval: float = 0.005) -> InputRunner:
        runner = InputRunner(
            "device",
            device,
            interval,
            clock=Clock(lambda: True),
            sink=self.shelf,
            declare=self.declared.append,
            stopping=self.stopping,
        )
        runner._backoff._jitter = lambda *_: 0.001
        runner.start()
        self.runners.append(runner)
        return runner

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.stopping.set()
    for runner in bench.runners:
        runner.join(5)


def test_device_that_does_not_answer_is_named_until_it_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_agent.inputs.runner._HANGS_AFTER", 0.1)
    answers = threading.Event()

    def slow() -> Iterator[Sample]:
        answers.wait(20)
        yield Sample("boiler", {"value": 1})

    runner = bench.run(Device(slow))
    bench.wait_for(lambda: runner.figures().hangs_for is not None)
    assert runner.figures().last_error == "the device does not answer"
    assert runner.is_alive
    answers.set()
    bench.wait_for(lambda: len(bench.shelf.readings) >= 3)
    assert runner.figures().hangs_for is None
    assert runner.figures().last_error is None


def test_input_that_listens_may_be_silent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_agent.inputs.runner._HANGS_AFTER", 0.05)

    def listen() -> Iterator[Sample]:
        bench.stopping.wait(0.3)
        yield Sample("boiler", {"value": 1})

    device = Device(listen)
    device.is_stream = True
    runner = bench.run(device)
    seen = set()
    while not bench.shelf.readings:
        seen.add(runner.figures().hangs_for)
        time.sleep(0.01)
    assert seen == {None}


def test_readings_are_stamped_and_sensors_declared(bench: Bench) -> None:
    device = Device(good)
    runner = bench.run(device)
    bench.wait_for(lambda: len(bench.shelf.readings) >= 3)
    stamps = [reading.stamp.boot_us for reading in bench.shelf.readings]
    assert stamps == sorted(stamps)
    assert bench.declared[0].name == "boiler"
    assert runner.figures().open
    bench.stopping.set()
    assert runner.join(5)
    assert device.closed == 1


def test_hung_device_does_not_delay_another(bench: Bench) -> None:
    release = threading.Event()

    def hang() -> Iterator[Sample]:
        release.wait(30)
        yield Sample("boiler", {"value": 0})

    hung = bench.run(Device(hang))
    bench.run(Device(good))
    bench.wait_for(lambda: len(bench.shelf.readings) >= 5)
    assert hung.figures().readings == 0
    bench.stopping.set()
    assert not hung.join(0.01)
    release.set()


def test_device_that_fails_is_closed_and_opened_again(bench: Bench) -> None:
    outcomes = iter([OSError("unplugged"), OSError("unplugged"), None])

    def flaky() -> Iterator[Sample]:
        failure = next(outcomes, None)
        if failure:
            raise failure
        yield Sample("boiler", {"value": 1})

    device = Device(flaky, open_failures=1)
    runner = bench.run(device)
    bench.wait_for(lambda: len(bench.shelf.readings) >= 2)
    assert device.opened == 4
    assert runner.figures().errors == 3
    assert runner.figures().last_error == "OSError: unplugged"


def test_invalid_reading_is_counted_and_the_others_go_on(bench: Bench) -> None:
    def mixed() -> Iterator[Sample]:
        yield Sample("boiler", {"value": float("nan")})
        yield Sample("boiler", {"value": 2})

    bench.run(Device(mixed))
    bench.wait_for(lambda: len(bench.shelf.readings) >= 2)
    assert bench.shelf.drops["invalid"] >= 1


def test_input_polls_less_often_while_there_is_no_room(bench: Bench) -> None:
    bench.shelf.room = 0
    reads = 0

    def counting() -> Iterator[Sample]:
        nonlocal reads
        reads += 1
        yield Sample("boiler", {"value": 1})

    runner = bench.run(Device(counting), interval=0.001)
    bench.wait_for(lambda: reads > 5)
    bench.shelf.room = 10**9
    bench.wait_for(lambda: len(bench.shelf.readings) > 5)
    assert runner.figures().errors == 0


def test_source_of_events_stops_between_two_events(bench: Bench) -> None:
    def endless() -> Iterator[Sample]:
        while True:
            time.sleep(0.001)
            yield Sample("boiler", {"value": 1})

    runner = bench.run(Device(endless))
    bench.wait_for(lambda: len(bench.shelf.readings) >= 3)
    bench.stopping.set()
    assert runner.join(5)


def test_failing_close_is_survived(bench: Bench) -> None:
    class Stuck(Device):
        def close(self) -> None:
            raise OSError("stuck")

    runner = bench.run(Stuck(good))
    bench.wait_for(lambda: len(bench.shelf.readings) >= 1)
    bench.stopping.set()
    assert runner.join(5)
    assert runner.figures().last_error == "OSError: stuck"


def test_what_cannot_be_read_is_counted_while_the_rest_goes_on(bench: Bench) -> None:
    def partly() -> Iterator[Sample | Failure]:
        yield Failure("unit 7: no answer from mqtt://joe:secret@host")
        yield Sample("boiler", {"value": 1})

    device = Device(partly)
    runner = bench.run(device)
    bench.wait_for(lambda: len(bench.shelf.readings) >= 3)
    assert device.opened == 1
    assert runner.figures().open
    assert runner.figures().errors >= 3
    assert runner.figures().last_error == "unit 7: no answer from mqtt://***@host"


def test_errors_that_alternate_are_logged_once_each(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def alternating() -> Iterator[Sample | Failure]:
        yield Failure("first")
        yield Failure("second")

    runner = bench.run(Device(alternating), interval=0.001)
    bench.wait_for(lambda: runner.figures().errors >= 20)
    assert caplog.text.count("'first'") == 1
    assert caplog.text.count("'second'") == 1


def test_device_that_hangs_in_closing_delays_nobody_and_can_be_stopped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_agent.inputs.runner._CLOSE_TIMEOUT", 0.05)
    release = threading.Event()

    class Stuck(Device):
        def close(self) -> None:
            super().close()
            release.wait(30)

    def fail() -> Iterator[Sample]:
        raise OSError("unplugged")
        yield

    device = Stuck(fail)
    runner = bench.run(device)
    bench.wait_for(lambda: runner.figures().last_error == "closing takes longer than 0 s")
    assert device.opened == 1, "it is not opened again before it is closed"
    bench.stopping.set()
    assert runner.join(5)
    release.set()


def test_device_that_hangs_in_a_read_is_closed_when_the_agent_stops(bench: Bench) -> None:
    closed = threading.Event()

    class Hung(Device):
        def close(self) -> None:
            super().close()
            closed.set()

    def hang() -> Iterator[Sample]:
        closed.wait(30)
        raise OSError("closed by another thread")
        yield

    device = Hung(hang)
    runner = bench.run(device)
    bench.wait_for(lambda: runner.figures().open)
    bench.stopping.set()
    assert not runner.join(0.05)
    runner.abandon()
    assert runner.join(5), "closing ends the call that hung"


def test_patient_input_waits_for_room_and_drops_nothing(bench: Bench) -> None:
    class Patient(Device):
        waits_for_room = True

    numbers = iter(range(50))

    def each() -> Iterator[Sample]:
        yield from (Sample("boiler", {"value": n}) for n in numbers)

    bench.shelf.room = 0
    runner = bench.run(Patient(each))
    time.sleep(0.05)
    for room in range(1, 51):
        bench.shelf.room = room
        bench.wait_for(lambda room=room: len(bench.shelf.readings) == room)
    assert [r.fields for r in bench.shelf.readings] == [f'{{"value":{n}}}' for n in range(50)]
    bench.stopping.set()
    assert runner.join(5)


def test_delay_starts_short_again_after_a_reading_of_a_stream(bench: Bench) -> None:
    def one_then_gone() -> Iterator[Sample]:
        yield Sample("boiler", {"value": 1})
        raise OSError("unplugged")

    runner = bench.run(Device(one_then_gone))
    bench.wait_for(lambda: len(bench.shelf.readings) >= 5)
    assert runner._backoff.failures <= 1
