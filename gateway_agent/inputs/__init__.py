"""Inputs: where readings come from. Each kind is a module that is imported only when configured.

A new kind is a module with a `KIND`, and its line in `_MODULES`.
"""

from importlib import import_module
from typing import Any, Final

from gateway_agent.inputs.base import Context, Input, InputConfig, Kind

__all__ = [
    "Context",
    "Input",
    "InputConfig",
    "Kind",
    "MissingLibraryError",
    "create_input",
    "find_kind",
    "kind_names",
]

_MODULES: Final = {
    "sim": "gateway_agent.inputs.sim",
    "system": "gateway_agent.inputs.system",
}


class MissingLibraryError(Exception):
    """The kind exists, but the library it reads its devices with is not installed."""


def kind_names() -> tuple[str, ...]:
    """The values that `type` of an input can have."""
    return tuple(_MODULES)


def find_kind(name: str) -> Kind[Any]:
    """Import one kind. Raises MissingLibraryError when its library is not installed."""
    try:
        module = import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"input {name!r} needs the Python library {error.name}; install wotkit[gateway]"
        ) from error
    kind = module.KIND
    assert isinstance(kind, Kind)
    return kind


def create_input(config: InputConfig, context: Context) -> Input:
    """Make the input that a configuration describes; nothing is opened yet."""
    return find_kind(config.type).create(config, context)
