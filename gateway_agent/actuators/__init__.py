"""Actuators: what carries commands out. Each kind is imported only when it is configured."""

from importlib import import_module
from typing import Any, Final

from gateway_agent.actuators.base import Actuator, ActuatorConfig, Kind
from gateway_agent.inputs import MissingLibraryError

__all__ = ["Actuator", "ActuatorConfig", "create_actuator", "find_kind", "kind_names"]

_MODULES: Final = {
    "command": ("gateway_agent.actuators.command", "gateway"),
    "gpio": ("gateway_agent.actuators.gpio", "gateway-gpio"),
    "modbus": ("gateway_agent.actuators.modbus", "gateway-modbus"),
    "mqtt": ("gateway_agent.actuators.mqtt", "gateway-mqtt"),
    "serial": ("gateway_agent.actuators.serial", "gateway-serial"),
}
"""By the value of `type`: the module, and the extra that installs its library."""


def kind_names() -> tuple[str, ...]:
    """The values that `type` of an actuator can have."""
    return tuple(_MODULES)


def find_kind(name: str) -> Kind[Any]:
    """Import one kind. Raises MissingLibraryError when its library is not installed."""
    module, extra = _MODULES[name]
    try:
        kind: Kind[Any] = import_module(module).KIND
    except ImportError as error:
        if (error.name or "").startswith("gateway_agent"):
            raise
        raise MissingLibraryError(
            f"{name} needs a library, pip install 'wotkit[{extra}]'"
        ) from error
    return kind


def create_actuator(config: ActuatorConfig) -> Actuator:
    """The actuator for its settings."""
    return find_kind(config.type).create(config)
