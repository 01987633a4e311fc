import os
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from input_bench import Workbench

Bench = Callable[..., Workbench]


class Device:
    """The far end of a serial cable, plugged in at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master = -1
        self._slave = -1
        self.plug()

    def plug(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        if self._master >= 0:
            self.path.unlink()
            os.close(self._slave)
            os.close(self._master)
            self._master = -1

    def write(self, text: str | bytes) -> None:
        os.write(self._master, text.encode() if isinstance(text, str) else text)

    def answer(self, answers: dict[bytes, bytes]) -> threading.Thread:
        """Answer requests until unplugged."""

        def serve() -> None:
            waiting = b""
            while True:
                try:
                    waiting += os.read(self._master, 100)
                except OSError:
                    return
                while b"\r" in waiting:
                    request, _, waiting = waiting.partition(b"\r")
                    if request in answers:
                        self.write(answers[request])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "ttyUSB0")
    yield device
    device.unplug()


def section(device: Device, *lines: str) -> str:
    return "\n".join(["[[input]]", 'type = "serial"', f'port = "{device.path}"', *lines, ""])


@pytest.mark.parametrize(
    ("settings", "line", "expected"),
    [
        ("format = 'json'", '{"t": 21.5, "s": "on"}', {"t": 21.5, "s": "on"}),
        ("format = 'csv'\ncolumns = ['t', 'h']", "21.5, 40", {"t": 21.5, "h": 40}),
        (r"format = 'regex'" + "\n" + r"pattern = 'T=(?P<t>-?\d+)'", "# T=-4 ok", {"t": -4}),
        ("format = 'number'", "+1.5e2", {"value": 150.0}),
        (
            "format = 'nmea'",
            "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47",
            {
                "latitude": 48.1173,
                "longitude": 11.5166667,
                "altitude": 545.4,
                "satellites": 8,
                "hdop": 0.9,
            },
        ),
        (
            "format = 'nmea'",
            "$GPRMC,123519,A,4807.038,N,01131.000,W,022.4,084.4,230394,003.1,W*78",
            {"latitude": 48.1173, "longitude": -11.5166667, "speed": 11.524, "course": 84.4},
        ),
    ],
)
def test_lines_are_read_in_every_format(
    bench: Bench, device: Device, settings: str, line: str, expected: dict[str, object]
) -> None:
    with bench(section(device, settings)) as running:
        running.wait_for(lambda: running.figures.open)
        device.write("cut off\r\n" + line + "\r\n")
        assert running.wait_for_values(1) == [expected]
        assert running.figures.errors == 0


def test_first_line_is_dropped_because_its_beginning_may_be_lost(
    bench: Bench, device: Device
) -> None:
    with bench(section(device, "format = 'number'")) as running:
        running.wait_for(lambda: running.figures.open)
        device.write("1.5\n21.")
        time.sleep(0.05)
        device.write("5\n22.5\n")
        assert running.wait_for_values(2) == [{"value": 21.5}, {"value": 22.5}]


def test_device_that_is_unplugged_is_found_when_it_is_back(bench: Bench, device: Device) -> None:
    with bench(section(device, "format = 'number'", "skip_first = false")) as running:
        running.wait_for(lambda: running.figures.open)
        device.write("1\n")
        running.wait_for_values(1)
        device.unplug()
        running.wait_for(lambda: not running.figures.open and running.figures.errors >= 2)
        device.plug()
        running.wait_for(lambda: running.figures.open)
        device.write("2\n")
        assert running.wait_for_values(2) == [{"value": 1}, {"value": 2}]


def test_noise_is_told_and_what_follows_is_read(bench: Bench, device: Device) -> None:
    with bench(section(device, "format = 'nmea'", "skip_first = false")) as running:
        running.wait_for(lambda: running.figures.open)
        device.write(bytes(range(128, 250)) + b"\n")
        device.write("$GPGLL,4807.038,N,01131.000,E,123519,A*00\n")
        device.write("$GPGLL,4807.038,N,01131.000,E,123519,A*25\n")
        device.write("$GPGGA,123519,,,,,0,00,,,M,,M,,*6B\n")
        running.wait_for(lambda: running.figures.errors >= 2)
        values = running.wait_for_values(1)
        time.sleep(0.05)
        assert running.values() == values == [{"latitude": 48.1173, "longitude": 11.5166667}]
        assert "checksum" in (running.figures.last_error or "").lower()


def test_endless_line_is_told(bench: Bench, device: Device) -> None:
    with bench(section(device, "format = 'number'")) as running:
        running.wait_for(lambda: running.figures.open)
        for _ in range(10):
            device.write(b"\x55" * 2000)
            time.sleep(0.01)
        running.wait_for(lambda: "wrong baud rate" in (running.figures.last_error or ""))
        device.write("\n7\n")
        assert running.wait_for_values(1) == [{"value": 7}]


def test_fast_lines_are_thinned_out_to_the_newest(bench: Bench, device: Device) -> None:
    with bench(
        section(device, "format = 'number'", "skip_first = false", "interval = '200ms'")
    ) as running:
        running.wait_for(lambda: running.figures.open)
        for number in range(100):
            device.write(f"{number}\n")
        values = running.wait_for_values(2)
        assert values == [{"value": 0}, {"value": 99}]


def test_silent_line_is_opened_again_when_configured(bench: Bench, device: Device) -> None:
    with bench(section(device, "format = 'number'", "silence = '50ms'")) as running:
        running.wait_for(lambda: "no line for 0.05 s" in (running.figures.last_error or ""))


def test_device_is_asked_at_every_interval(bench: Bench, device: Device) -> None:
    thread = device.answer({b"T?": b"T?\r\n21.5\r\n"})
    text = section(device, "format = 'number'", r"request = 'T?\r'", "interval = '50ms'")
    with bench(text) as running:
        assert running.wait_for_values(3)[:3] == [{"value": 21.5}] * 3
    device.unplug()
    thread.join(5)


def test_device_that_does_not_answer_is_told(bench: Bench, device: Device) -> None:
    text = section(
        device, "format = 'number'", r"request = 'T?\r'", "interval = '50ms'", "timeout = '50ms'"
    )
    with bench(text) as running:
        running.wait_for(lambda: running.figures.last_error == "no answer within 0.05 s")
        assert running.figures.open


def test_port_of_another_program_is_not_shared(bench: Bench, device: Device) -> None:
    with bench(section(device)) as first:
        first.wait_for(lambda: first.figures.open)
        with bench(section(device)) as second:
            second.wait_for(lambda: second.figures.errors >= 1)
            assert not second.figures.open


def test_request_without_a_pause_is_refused(mistakes: Callable[[str], list[str]]) -> None:
    text = '[[input]]\ntype = "serial"\nport = "/dev/ttyS0"\nrequest = "?"\n'
    assert mistakes(text) == ["1: input.interval: a request needs an interval of 0.05 s"]
