"""Pins of the machine as outputs: relays, valves, lamps."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

import gpiozero  # type: ignore[import-untyped]  # it has no types

from gateway_agent.actuators.base import Actuator, ActuatorConfig, Kind, Value
from gateway_agent.settings import Setting, flag, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioConfig(ActuatorConfig):
    """`type = "gpio"`: a pin that is on or off."""

    pin: Annotated[int, Setting(whole(0, 1000), "number of the pin (BCM)")]
    active_low: Annotated[bool, Setting(flag, "on is a low level, as many relay boards want")] = (
        False
    )


class GpioActuator(Actuator):
    """Sets a pin."""

    def __init__(self, config: GpioConfig) -> None:
        self._config = config
        self._device: Any = None

    def open(self) -> None:
        """Raises gpiozero.GPIOZeroError when there is no such pin, or it is in use."""
        safe = self._config.safe_state
        initial = None if safe is None else self._config.accept(safe) == "on"
        self._device = gpiozero.DigitalOutputDevice(
            self._config.pin, active_high=not self._config.active_low, initial_value=initial
        )

    def apply(self, value: Value) -> str:
        if value == "on":
            self._device.on()
        else:
            self._device.off()
        return f"pin {self._config.pin} is {value}"

    def close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.close()


KIND: Final = Kind(GpioConfig, GpioActuator)
