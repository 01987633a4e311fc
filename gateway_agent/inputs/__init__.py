"""Inputs: where readings come from. Each kind is a module that is imported only when configured.

A new kind is a module with a `KIND`, and its line in `_MODULES`. What an input of a user's own
needs (`type = "python"`) can be imported from here.
"""

from importlib import import_module
from typing import Any, Final

from gateway_agent import settings
from gateway_agent.inputs.base import (
    Context,
    Failure,
    Input,
    InputConfig,
    Kind,
    sensor_name,
)
from gateway_agent.reading import FieldSpec, Sample, SensorSpec
from gateway_agent.settings import Setting

__all__ = [
    "Context",
    "Failure",
    "FieldSpec",
    "Input",
    "InputConfig",
    "Kind",
    "MissingLibraryError",
    "Sample",
    "SensorSpec",
    "Setting",
    "create_input",
    "find_kind",
    "kind_names",
    "sensor_name",
    "settings",
]

_MODULES: Final = {
    "can": ("gateway_agent.inputs.can", "gateway-can"),
    "command": ("gateway_agent.inputs.command", "gateway"),
    "file": ("gateway_agent.inputs.file", "gateway"),
    "gpio": ("gateway_agent.inputs.gpio", "gateway-gpio"),
    "http": ("gateway_agent.inputs.http", "gateway-http"),
    "i2c": ("gateway_agent.inputs.i2c", "gateway-i2c"),
    "modbus": ("gateway_agent.inputs.modbus", "gateway-modbus"),
    "mqtt": ("gateway_agent.inputs.mqtt", "gateway-mqtt"),
    "onewire": ("gateway_agent.inputs.onewire", "gateway"),
    "opcua": ("gateway_agent.inputs.opcua", "gateway-opcua"),
    "python": ("gateway_agent.inputs.python", "gateway"),
    "serial": ("gateway_agent.inputs.serial", "gateway-serial"),
    "sim": ("gateway_agent.inputs.sim", "gateway"),
    "system": ("gateway_agent.inputs.system", "gateway"),
}
"""By the value of `type`: the module, and the extra that installs its library."""
_STAND_IN: Final = {"simulated": ("gateway_agent.inputs.simulated", "gateway")}
"""What no configuration names: `gateway-agent simulate` does."""


class MissingLibraryError(Exception):
    """The kind exists, but the library it reads its devices with is not installed."""


def kind_names() -> tuple[str, ...]:
    """The values that `type` of an input can have."""
    return tuple(_MODULES)


def find_kind(name: str) -> Kind[Any]:
    """Import one kind. Raises MissingLibraryError when its library is not installed."""
    module_name, extra = (_MODULES | _STAND_IN)[name]
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"input {name!r} needs the Python library {error.name}; install wotkit[{extra}]"
        ) from error
    kind = module.KIND
    assert isinstance(kind, Kind)
    return kind


def create_input(config: InputConfig, context: Context) -> Input:
    """Make the input that a configuration describes; nothing is opened yet."""
    kind = find_kind(config.type)
    return kind.create(config, context)
