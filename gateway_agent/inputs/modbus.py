"""Modbus devices: over TCP, on a serial line (RTU), or RTU through a network converter."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, parse_qsl

from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse

from gateway_agent.backoff import Backoff
from gateway_agent.inputs.base import Context, Failure, Input, InputConfig, Kind
from gateway_agent.inputs.modbus_plan import Batch, ModbusPoint, plan
from gateway_agent.inputs.points import Points, check_points
from gateway_agent.reading import Sample, SensorSpec, Value
from gateway_agent.settings import Setting, Tables, WrongSetting, address, duration, whole

_DEFAULT_PORT: Final = 502
_LONGEST_REST: Final = 60.0
_NO_ANSWER: Final = 0x0B
_REFUSALS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}
"""Modbus Application Protocol V1.1b3, section 7."""
_SERIAL: Final = {"baud": "19200", "parity": "none", "bits": "8", "stop_bits": "1"}
_PARITIES: Final = {"none": "N", "even": "E", "odd": "O", "N": "N", "E": "E", "O": "O"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusConfig(InputConfig):
    """`type = "modbus"`: registers and coils of the devices on one connection or serial line."""

    url: Annotated[
        SplitResult,
        Setting(
            address("tcp", "rtu", "rtu+tcp"),
            "tcp://host:502, rtu:///dev/ttyUSB0?baud=19200&parity=even&stop_bits=1&bits=8, or "
            "rtu+tcp://host:port for a converter that passes serial frames through",
        ),
    ]
    unit: Annotated[
        int, Setting(whole(0, 255), "address of the device, where a point has no other")
    ] = 1
    timeout: Annotated[
        float, Setting(duration(0.02, 60), "longest wait for an answer of a device")
    ] = 1.0
    gap: Annotated[
        int, Setting(whole(0, 100), "registers nobody wants that may be read between two points")
    ] = 8
    point: Annotated[
        tuple[ModbusPoint, ...], Setting(Tables(ModbusPoint), "the values to read")
    ] = ()

    def __post_init__(self) -> None:
        """Raises WrongSetting for an address that lacks something, or points that collide."""
        check_points(self.point)
        if self.url.scheme != "rtu" and not self.url.hostname:
            raise WrongSetting("url", "has no host")
        if self.url.scheme == "rtu" and not self.url.path.strip("/"):
            raise WrongSetting("url", "has no device: rtu:///dev/ttyUSB0, with three slashes")
        try:
            line_settings(self.url)
        except ValueError as error:
            raise WrongSetting("url", str(error)) from error


def line_settings(url: SplitResult) -> dict[str, Any]:
    """The settings of the serial line in an address. Raises ValueError."""
    given = dict(parse_qsl(url.query))
    unknown = given.keys() - _SERIAL.keys()
    if unknown or (given and url.scheme != "rtu"):
        raise ValueError(f"known after ? of an rtu address are {', '.join(_SERIAL)}")
    settings = {**_SERIAL, **given}
    if settings["parity"] not in _PARITIES or settings["bits"] not in {"7", "8"}:
        raise ValueError("parity is none, even or odd, and bits 7 or 8")
    if settings["stop_bits"] not in {"1", "2"} or not settings["baud"].isdecimal():
        raise ValueError("stop_bits is 1 or 2, and baud a number")
    return {
        "baudrate": int(settings["baud"]),
        "parity": _PARITIES[settings["parity"]],
        "bytesize": int(settings["bits"]),
        "stopbits": int(settings["stop_bits"]),
    }


class NoAnswer(Exception):
    """A device did not answer in time, or with something else."""


class Refused(Exception):
    """A device answered that it will not give these registers."""


class _Device:
    """One device on the line: its requests, and whether it is worth asking."""

    def __init__(self, unit: int, batches: Sequence[Batch], rest: float) -> None:
        self.unit = unit
        self.batches = list(batches)
        self.rests_until = 0.0
        self._backoff = Backoff(rest, _LONGEST_REST)

    def answered(self) -> None:
        """It is there: ask it every time."""
        self._backoff.reset()
        self.rests_until = 0.0

    def kept_silent(self) -> None:
        """It cost a whole timeout: leave it alone for a while, longer each time."""
        self.rests_until = time.monotonic() + self._backoff.next_between()


class ModbusInput(Input):
    """Reads devices one after the other, those that answer first.

    A device that does not answer is left alone for a growing time, so that it does not take the
    line from the others.
    """

    def __init__(self, config: ModbusConfig, context: Context) -> None:
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)
        self._config = config
        self._context = context
        self._points = Points(context.gateway_id, config, config.point)
        self._client: ModbusSerialClient | ModbusTcpClient | None = None
        self._devices = self._plan()

    def open(self) -> None:
        """Raises ConnectionError when there is no such port, or nobody listens at the address."""
        self._devices = self._plan()
        self._client = make_client(self._config.url, self._config.timeout)
        if not self._client.connect():
            url = self._config.url
            raise ConnectionError(f"cannot open {url.path if url.scheme == 'rtu' else url.netloc}")

    def sensors(self) -> Sequence[SensorSpec]:
        return self._points.sensors("Registers of a Modbus device")

    def read(self) -> Iterator[Sample | Failure]:
        """Raises ConnectionError when the line is gone."""
        now = time.monotonic()
        for device in sorted(self._devices, key=lambda device: device.rests_until):
            if self._context.stopping.is_set():
                return
            if device.rests_until <= now:
                yield from self._read_device(device)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()  # type: ignore[no-untyped-call]  # the library's

    def _plan(self) -> list[_Device]:
        config = self._config
        rest = max(config.interval, 2 * config.timeout)
        batches = plan(config.point, config.unit, config.gap)
        return [_Device(unit, wanted, rest) for unit, wanted in batches.items()]

    def _read_device(self, device: _Device) -> Iterator[Sample | Failure]:
        values: list[tuple[ModbusPoint, Value]] = []
        waiting = list(device.batches)
        while waiting and not self._context.stopping.is_set():
            batch = waiting.pop(0)
            try:
                values += batch.values(self._ask(batch))
            except NoAnswer as error:
                device.kept_silent()
                yield Failure(f"unit {device.unit}: {error}")
                break
            except Refused as error:
                if len(batch.points) > 1:
                    device.batches.remove(batch)
                    device.batches += batch.alone()
                    waiting = batch.alone() + waiting
                else:
                    yield Failure(f"unit {device.unit} {batch.type} {batch.start}: {error}")
            else:
                device.answered()
        yield from self._points.samples(values)

    def _ask(self, batch: Batch) -> Sequence[int]:
        """The registers or bits of a batch. Raises NoAnswer, Refused, ConnectionError."""
        assert self._client is not None
        ask = {
            "holding": self._client.read_holding_registers,
            "input": self._client.read_input_registers,
            "coil": self._client.read_coils,
            "discrete": self._client.read_discrete_inputs,
        }[batch.type]
        try:
            answer = ask(batch.start, count=batch.count, device_id=batch.unit)
        except ConnectionException as error:
            raise ConnectionError(f"the connection is gone: {error}") from error
        except ModbusException as error:
            self._forget_late_answers()
            raise NoAnswer(f"no answer within {self._config.timeout:g} s") from error
        if isinstance(answer, ExceptionResponse):
            code = answer.exception_code
            told = _REFUSALS.get(code, f"exception {code}")
            raise (NoAnswer if code == _NO_ANSWER else Refused)(told)
        raw: Sequence[int] = answer.bits if batch.points[0].is_single_bit else answer.registers
        if answer.isError() or len(raw) < batch.count:
            self._forget_late_answers()
            raise NoAnswer("an answer of the wrong length")
        return raw

    def _forget_late_answers(self) -> None:
        """What comes after the timeout must not be taken for the answer to the next request."""
        if isinstance(self._client, ModbusTcpClient):
            self._client.close()  # type: ignore[no-untyped-call]  # the library's
        elif self._client is not None and self._client.socket is not None:
            with contextlib.suppress(OSError):
                self._client.socket.reset_input_buffer()


def make_client(url: SplitResult, timeout: float) -> ModbusSerialClient | ModbusTcpClient:
    """A client for an address, not connected; `timeout` in seconds. Raises ValueError."""
    if url.scheme == "rtu":
        return ModbusSerialClient(url.path, timeout=timeout, retries=0, **line_settings(url))
    return ModbusTcpClient(
        url.hostname or "",
        port=url.port or _DEFAULT_PORT,
        framer=FramerType.RTU if url.scheme == "rtu+tcp" else FramerType.SOCKET,
        timeout=timeout,
        retries=0,
    )


KIND: Final = Kind(ModbusConfig, ModbusInput)
