import time
from collections.abc import Callable, Iterator

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory
from input_bench import Workbench

from gateway_agent.clock import Clock
from gateway_agent.inputs.gpio import Debouncer

Bench = Callable[..., Workbench]


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory()
    Device.pin_factory = factory
    yield factory
    factory.reset()
    Device.pin_factory = None


def section(*points: str, mode: str = "events", interval: str = "20ms") -> str:
    lines = ["[[input]]", 'type = "gpio"', f'mode = "{mode}"', f'interval = "{interval}"']
    for point in points:
        lines += ["[[input.point]]", *point.split("; ")]
    return "\n".join(lines) + "\n"


def test_change_of_a_contact_is_a_reading_with_its_time(bench: Bench, pins: MockFactory) -> None:
    with bench(section("pin=17; debounce='50ms'; sensor='door'; field='open'")) as running:
        assert running.wait_for_values(1) == [{"open": 0}], "the state at the start"
        changed_at = time.time()
        pins.pin(17).drive_low()
        assert running.wait_for_values(2) == [{"open": 0}, {"open": 1}]
        assert running.shelf.readings[1].stamp.wall_us / 1e6 == pytest.approx(changed_at, abs=0.04)
        pins.pin(17).drive_high()
        assert running.wait_for_values(3)[2] == {"open": 0}
        assert running.shelf.readings[2].sensor == "door"


def test_bouncing_contact_is_one_change(bench: Bench, pins: MockFactory) -> None:
    with bench(section("pin=17; debounce='100ms'")) as running:
        running.wait_for_values(1)
        for _ in range(20):
            pins.pin(17).drive_low()
            pins.pin(17).drive_high()
        pins.pin(17).drive_low()
        assert running.wait_for_values(2) == [{"pin_17": 0}, {"pin_17": 1}]
        pins.pin(17).drive_high()
        pins.pin(17).drive_low()
        time.sleep(0.15)
        assert len(running.values()) == 2, "a spike that is over before it lasted is none"


def test_active_level_follows_the_configuration(bench: Bench, pins: MockFactory) -> None:
    text = section(
        "pin=4; pull='down'",
        "pin=5; pull='up'; active_low=false",
        "pin=6; pull='none'; active_low=true",
        "pin=7; pull='none'",
        mode="poll",
    )
    with bench(text) as running:
        running.wait_for(lambda: running.figures.open)
        for number in (4, 5, 6, 7):
            pins.pin(number).drive_high()
        high = {"pin_4": 1, "pin_5": 1, "pin_6": 0, "pin_7": 1}
        running.wait_for(lambda: high in running.values())
        for number in (4, 5, 6, 7):
            pins.pin(number).drive_low()
        low = {"pin_4": 0, "pin_5": 0, "pin_6": 1, "pin_7": 0}
        running.wait_for(lambda: low in running.values())


def test_inverted_contact_sends_events_the_right_way_round(bench: Bench, pins: MockFactory) -> None:
    with bench(section("pin=5; pull='up'; active_low=false; debounce='0s'")) as running:
        assert running.wait_for_values(1) == [{"pin_5": 1}]
        pins.pin(5).drive_low()
        assert running.wait_for_values(2)[1] == {"pin_5": 0}


def test_pulses_are_counted_between_readings(bench: Bench, pins: MockFactory) -> None:
    text = section("pin=22; debounce='0s'; scale=0.5; units='l'; field='water'", mode="count")
    with bench(text) as running:
        running.wait_for_values(1)
        for _ in range(7):
            pins.pin(22).drive_low()
            pins.pin(22).drive_high()
        running.wait_for(lambda: sum(v["water"] for v in running.values()) == 3.5)
        time.sleep(0.1)
        assert sum(v["water"] for v in running.values()) == 3.5


def test_pulse_of_a_bouncing_relay_counts_once(bench: Bench, pins: MockFactory) -> None:
    with bench(section("pin=22; debounce='200ms'", mode="count")) as running:
        running.wait_for_values(1)
        for _ in range(30):
            pins.pin(22).drive_low()
            pins.pin(22).drive_high()
        running.wait_for(lambda: sum(v["pin_22"] for v in running.values()) >= 1)
        time.sleep(0.1)
        assert sum(v["pin_22"] for v in running.values()) == 1


def test_pin_is_free_after_the_agent_has_stopped(bench: Bench, pins: MockFactory) -> None:
    for _ in range(2):
        with bench(section("pin=17")) as running:
            running.wait_for_values(1)


def test_missing_pin_is_told(bench: Bench, pins: MockFactory) -> None:
    with bench(section("pin=99")) as running:
        running.wait_for(lambda: "99" in str(running.figures.last_error))
        assert not running.figures.open


def test_debouncer_keeps_the_moment_of_the_first_change() -> None:
    clock = Clock(lambda: True)
    debouncer = Debouncer(False, 0.02)
    first = clock.stamp()
    debouncer.edge(True, 10.0, first)
    debouncer.edge(True, 10.01, clock.stamp())
    assert debouncer.settled(10.02) is None
    assert debouncer.settles_at() == pytest.approx(10.03)
    assert debouncer.settled(10.031) == (True, first)
    assert debouncer.settled(11) is None


def test_pin_that_stands_twice_is_refused(mistakes: Callable[[str], list[str]]) -> None:
    assert mistakes(section("pin=4; field='a'", "pin='4'; field='b'")) == [
        "9: input.point.pin: pin 4 stands twice"
    ]
    assert mistakes(section("pin=4.5"))[0].startswith("6: input.point.pin: expected a GPIO number")
