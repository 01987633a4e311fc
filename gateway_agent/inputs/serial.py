"""Serial lines: what a device writes line by line, or answers when it is asked."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import serial  # type: ignore[import-untyped]  # its types are a package of their own

from gateway_agent.inputs.base import Context, Failure, Input, Kind, sensor_name
from gateway_agent.inputs.lines import LineSplitter
from gateway_agent.inputs.points import Points
from gateway_agent.inputs.record_config import RecordConfig
from gateway_agent.inputs.records import RecordParser, declared
from gateway_agent.inputs.stream import StreamInput
from gateway_agent.reading import Sample, SensorSpec
from gateway_agent.settings import Setting, WrongSetting, choice, duration, flag, text, whole

_DESCRIPTION: Final = "Read from a serial line"
_LONGEST_LINE: Final = 8192
_WRITE_TIMEOUT: Final = 2.0
_SLICE: Final = 0.2
_ESCAPES: Final = {"\\r": "\r", "\\n": "\n"}
_SHORTEST_POLL: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialConfig(RecordConfig):
    """`type = "serial"`: lines of text from a serial port."""

    port: Annotated[
        str,
        Setting(
            text(), "the device, best by /dev/serial/by-id, or a URL such as socket://host:port"
        ),
    ]
    baud: Annotated[int, Setting(whole(50, 4_000_000), "bits per second")] = 9600
    bits: Annotated[int, Setting(whole(5, 8), "bits of a character")] = 8
    parity: Annotated[
        Literal["none", "even", "odd"], Setting(choice("none", "even", "odd"), "parity")
    ] = "none"
    stop_bits: Annotated[int, Setting(whole(1, 2), "stop bits")] = 1
    flow_control: Annotated[
        Literal["none", "rtscts", "xonxoff"],
        Setting(choice("none", "rtscts", "xonxoff"), '"none", "rtscts" or "xonxoff"'),
    ] = "none"
    request: Annotated[
        str | None,
        Setting(
            text(),
            r"written at every interval, \r and \n included, to a device that answers with a line; "
            "without it interval is the shortest time between two readings, 0s for all",
        ),
    ] = None
    timeout: Annotated[
        float,
        Setting(duration(0.05, 3600), "longest wait for an answer to request"),
    ] = 2.0
    silence: Annotated[
        float,
        Setting(duration(0, 86_400), "open the port again after so long without a line; 0s: never"),
    ] = 0.0
    skip_first: Annotated[
        bool,
        Setting(flag, "drop the first line after opening, which may have lost its beginning"),
    ] = True
    interval: Annotated[
        float, Setting(duration(0, 31 * 86_400), "time from one reading to the next")
    ] = 0.0

    def __post_init__(self) -> None:
        """Raises WrongSetting as RecordConfig does, and for requests that never pause."""
        RecordConfig.__post_init__(self)
        if self.request is not None and self.interval < _SHORTEST_POLL:
            raise WrongSetting("interval", f"a request needs an interval of {_SHORTEST_POLL:g} s")


def open_port(config: SerialConfig) -> serial.SerialBase:
    """Open the port. Raises serial.SerialException, an OSError."""
    parity = {"none": "N", "even": "E", "odd": "O"}[config.parity]
    port = serial.serial_for_url(
        config.port,
        do_not_open=True,
        baudrate=config.baud,
        bytesize=config.bits,
        parity=parity,
        stopbits=config.stop_bits,
        rtscts=config.flow_control == "rtscts",
        xonxoff=config.flow_control == "xonxoff",
        timeout=_SLICE,
        write_timeout=_WRITE_TIMEOUT,
    )
    if "://" not in config.port:
        port.exclusive = True
    port.open()
    return port


class _Line:
    """An open port and the lines that come from it."""

    def __init__(self, config: SerialConfig, *, skip_first: bool) -> None:
        self._port = open_port(config)
        self._splitter = LineSplitter(skip_first=skip_first, longest=_LONGEST_LINE)

    def receive(self, timeout: float) -> Iterator[str]:
        """The lines that have come, waiting at most `timeout` seconds. Raises SerialException."""
        self._port.timeout = timeout
        data = self._port.read(1)
        if data:
            data += self._port.read(self._port.in_waiting)
        return self._splitter.feed(data)

    def ask(self, request: str) -> None:
        """Write a request, after dropping what was not asked for. Raises SerialException."""
        self._port.reset_input_buffer()
        self._splitter = LineSplitter(longest=_LONGEST_LINE)
        self._port.write(request.encode())

    def too_long(self) -> int:
        """Lines that were given up since the last time."""
        count, self._splitter.too_long = self._splitter.too_long, 0
        return count

    def close(self) -> None:
        self._port.close()


class SerialLines(StreamInput):
    """Reads what the device writes by itself."""

    def __init__(self, config: SerialConfig, context: Context) -> None:
        super().__init__(context, config.interval)
        self._config = config
        self._sensor = sensor_name(context.gateway_id, config, None)
        self._parser = RecordParser(config)
        self._line: _Line | None = None
        self._heard_at = 0.0

    def open(self) -> None:
        """Raises serial.SerialException when there is no such port or another program has it."""
        self._line = _Line(self._config, skip_first=self._config.skip_first)
        self._heard_at = time.monotonic()

    def sensors(self) -> Sequence[SensorSpec]:
        points = Points(self._context.gateway_id, self._config, self._config.point)
        return declared(self._config, points, _DESCRIPTION)

    def receive(self, timeout: float) -> Iterable[Sample | Failure]:
        """Raises serial.SerialException when the device was unplugged, TimeoutError in silence."""
        assert self._line is not None
        stamp = None
        for line in self._line.receive(timeout):
            self._heard_at = time.monotonic()
            stamp = stamp or self._context.clock.stamp()
            try:
                records = self._parser.parse(line)
            except ValueError as error:
                yield Failure(str(error))
                continue
            for record in records:
                yield from record.samples(self._sensor, self._context.clock, stamp)
        if self._line.too_long():
            yield Failure(
                f"more than {_LONGEST_LINE} bytes without an end of line: wrong baud rate?"
            )
        silence = self._config.silence
        if silence and time.monotonic() - self._heard_at > silence:
            raise TimeoutError(f"no line for {silence:g} s")

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


class SerialRequests(Input):
    """Asks the device at every interval."""

    def __init__(self, config: SerialConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._sensor = sensor_name(context.gateway_id, config, None)
        self._parser = RecordParser(config)
        self._line: _Line | None = None
        self._request = config.request or ""
        for written, meant in _ESCAPES.items():
            self._request = self._request.replace(written, meant)

    def open(self) -> None:
        """Raises serial.SerialException when there is no such port or another program has it."""
        self._line = _Line(self._config, skip_first=False)

    def sensors(self) -> Sequence[SensorSpec]:
        points = Points(self._context.gateway_id, self._config, self._config.point)
        return declared(self._config, points, _DESCRIPTION)

    def read(self) -> Iterator[Sample | Failure]:
        """Raises serial.SerialException when the device was unplugged."""
        assert self._line is not None
        self._line.ask(self._request)
        deadline = time.monotonic() + self._config.timeout
        while (left := deadline - time.monotonic()) > 0 and not self._context.stopping.is_set():
            for line in self._line.receive(min(_SLICE, left)):
                if line == self._request.strip():
                    continue  # the echo of a device that repeats what it is told
                try:
                    records = self._parser.parse(line)
                except ValueError as error:
                    yield Failure(str(error))
                    return
                for record in records:
                    yield from record.samples(self._sensor, self._context.clock)
                return
        if not self._context.stopping.is_set():
            yield Failure(f"no answer within {self._config.timeout:g} s")

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


def create(config: SerialConfig, context: Context) -> Input:
    """The input for a device that talks, or for one that answers."""
    return (SerialLines if config.request is None else SerialRequests)(config, context)


KIND: Final = Kind(SerialConfig, create)
