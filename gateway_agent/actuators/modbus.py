"""Coils and holding registers of Modbus devices."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import SplitResult

from gateway_agent.actuators.base import Actuator, ActuatorConfig, Kind, Value, switched
from gateway_agent.inputs.modbus import line_settings, make_client
from gateway_agent.settings import Setting, WrongSetting, address, duration, number, whole

_WORD: Final = 0xFFFF
_SMALLEST: Final = -0x8000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusConfig(ActuatorConfig):
    """`type = "modbus"`: a coil that is on or off, or a holding register with a number."""

    url: Annotated[
        SplitResult,
        Setting(
            address("tcp", "rtu", "rtu+tcp"),
            "tcp://host:502, rtu:///dev/ttyUSB0?baud=19200, or rtu+tcp://host:port",
        ),
    ]
    unit: Annotated[int, Setting(whole(0, 255), "address of the device")] = 1
    coil: Annotated[int | None, Setting(whole(0, _WORD), "coil that is switched")] = None
    register: Annotated[
        int | None, Setting(whole(0, _WORD), "holding register that is written")
    ] = None
    scale: Annotated[
        float, Setting(number, "what one step of the register is worth: 0.1 for tenths")
    ] = 1.0
    timeout: Annotated[float, Setting(duration(0.02, 60), "longest wait for an answer")] = 1.0

    def __post_init__(self) -> None:
        """Raises WrongSetting as every actuator does, and unless it is one coil or register."""
        if (self.coil is None) == (self.register is None):
            raise WrongSetting("coil", "give either a coil or a register")
        if self.scale == 0:
            raise WrongSetting("scale", "must not be 0")
        try:
            line_settings(self.url)
        except ValueError as error:
            raise WrongSetting("url", str(error)) from error
        ActuatorConfig.__post_init__(self)

    def accept(self, raw: object) -> Value:
        if self.coil is not None:
            return switched(raw)
        value = float(str(raw))
        if not _SMALLEST <= self.steps(value) <= _WORD:
            raise ValueError(f"{value:g} does not fit into a register")
        return value

    def steps(self, value: float) -> int:
        """What is written for a value. Raises ValueError."""
        steps = value / self.scale
        if not math.isfinite(steps):
            raise ValueError(f"{value} is not a number that fits into a register")
        return round(steps)


class ModbusActuator(Actuator):
    """Writes a coil (function 5) or a register (function 6); the device's answer is the proof."""

    def __init__(self, config: ModbusConfig) -> None:
        self._config = config
        self._client: Any = None

    def open(self) -> None:
        """Raises ConnectionError when nobody is there."""
        self._client = make_client(self._config.url, self._config.timeout)
        if not self._client.connect():
            raise ConnectionError(f"nobody answers at {self._config.url.netloc}")

    def apply(self, value: Value) -> str:
        config = self._config
        if config.coil is not None:
            answer = self._client.write_coil(config.coil, value == "on", device_id=config.unit)
            told = f"coil {config.coil} is {value}"
        else:
            assert config.register is not None
            steps = config.steps(float(value)) & _WORD
            answer = self._client.write_register(config.register, steps, device_id=config.unit)
            told = f"register {config.register} is {steps}"
        if answer.isError():
            raise ConnectionError(f"the device refuses: {answer}")
        return told

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


KIND: Final = Kind(ModbusConfig, ModbusActuator)
