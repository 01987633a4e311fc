"""Devices on serial lines that are told what to do by a line of text."""

import re
import time
from dataclasses import dataclass
from typing import Annotated, Final

import serial  # type: ignore[import-untyped]  # its types are a package of their own

from gateway_agent.actuators.base import Actuator, ActuatorConfig, Kind, Value, plain_text
from gateway_agent.settings import Setting, duration, regex, text, whole

_LONGEST_ANSWER: Final = 8192
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialConfig(ActuatorConfig):
    """`type = "serial"`: a line of text written to a serial port."""

    port: Annotated[str, Setting(text(), "the device, or a URL such as socket://host:port")]
    baud: Annotated[int, Setting(whole(50, 4_000_000), "bits per second")] = 9600
    send: Annotated[
        str, Setting(text(r"(?s).+"), "what is written; {value} in it is the value asked for")
    ] = "{value}\n"
    answer: Annotated[
        re.Pattern[str] | None,
        Setting(regex, "what a line of the device's answer must match; no wait if left out"),
    ] = None
    timeout: Annotated[float, Setting(duration(0.05, 60), "longest wait for the answer")] = 2.0

    def accept(self, raw: object) -> Value:
        return plain_text(raw)


class SerialActuator(Actuator):
    """Writes the line, and waits for the answer if one is expected."""

    def __init__(self, config: SerialConfig) -> None:
        self._config = config
        self._port: serial.SerialBase | None = None

    def open(self) -> None:
        """Raises serial.SerialException when there is no such port."""
        config = self._config
        self._port = serial.serial_for_url(
            config.port, config.baud, timeout=0.1, write_timeout=config.timeout
        )

    def apply(self, value: Value) -> str:
        assert self._port is not None
        if self._config.answer is not None:
            self._port.reset_input_buffer()
        self._port.write(self._config.send.replace("{value}", str(value)).encode())
        self._port.flush()
        return "sent" if self._config.answer is None else self._await(self._config.answer)

    def close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def _await(self, expected: re.Pattern[str]) -> str:
        assert self._port is not None
        deadline = time.monotonic() + self._config.timeout
        received = b""
        while time.monotonic() < deadline and len(received) < _LONGEST_ANSWER:
            received += self._port.read(1)
            if not received.endswith(b"\n"):
                continue
            for line in received.decode("utf-8", "replace").splitlines():
                if expected.search(line):
                    return str(line).strip()[:_SHOWN]
        told = received.decode("utf-8", "replace").strip()[:_SHOWN]
        raise TimeoutError(f"the device did not answer as expected: {told!r}")


KIND: Final = Kind(SerialConfig, SerialActuator)
