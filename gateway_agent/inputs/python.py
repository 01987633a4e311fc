"""Inputs that users write: a class in a file beside the configuration."""

import dataclasses
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Final

from gateway_agent.inputs.base import SENSOR_EXPECTED, Context, Input, InputConfig, Kind
from gateway_agent.reading import SENSOR_NAME
from gateway_agent.settings import Setting, Table, WrongSetting, anything, nearest, path, text

_MODULE_PREFIX: Final = "gateway_agent_user_"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonConfig(InputConfig):
    """`type = "python"`: a class of your own that extends `gateway_agent.inputs.Input`."""

    input_class: ClassVar[type[Input] | None] = None

    path: Annotated[Path, Setting(path, "Python file with the class")]
    class_name: Annotated[str, Setting(text(), "name of the class in it", key="class")]
    sensor: Annotated[
        str | None,
        Setting(
            text(SENSOR_NAME.pattern, SENSOR_EXPECTED),
            "sensor that gets the readings; {gateway id}-{name} if left out",
        ),
    ] = None
    options: Annotated[
        Any,
        Setting(anything, "settings of the class, checked by its Options if it has such a class"),
    ] = field(default_factory=dict)


def create(config: PythonConfig, context: Context) -> Input:
    """Make an input of the user's class, which takes the configuration and the context."""
    assert config.input_class is not None
    return config.input_class(config, context)  # type: ignore[call-arg]  # the contract of its constructor


def specialize(table: Mapping[str, Any], folder: Path) -> Kind[Any]:
    """The kind for one user's class, with its options as settings.

    Raises WrongSetting when the file cannot be loaded or has no such class. What is missing in
    the table is left for the ordinary check to find.
    """
    file, name = table.get("path"), table.get("class")
    if not isinstance(file, str) or not isinstance(name, str) or not file:
        return Kind(PythonConfig, create)
    module = _load(folder / Path(file).expanduser())
    found = getattr(module, name, None)
    classes = [name for name, value in vars(module).items() if _is_input(value)]
    if not _is_input(found):
        wrong = "there is no such class" if found is None else "is not a class that extends Input"
        raise WrongSetting("class", f"{wrong} in {file}{nearest(name, classes)}")
    options = getattr(found, "Options", None)
    fields: list[Any] = []
    if dataclasses.is_dataclass(options) and isinstance(options, type):
        fields = [("options", Annotated[options, Setting(Table(options), "settings of the class")])]
    config = dataclasses.make_dataclass(
        f"{name}Config",
        fields,
        bases=(PythonConfig,),
        namespace={"input_class": found},
        frozen=True,
        kw_only=True,
    )
    return Kind(config, create)


def _is_input(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Input) and value is not Input


def _load(file: Path) -> ModuleType:
    """Run the file, anew each time, so that a changed one counts after a reload."""
    name = _MODULE_PREFIX + "".join(c if c.isalnum() else "_" for c in str(file))
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise WrongSetting("path", "must be a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where the types of its dataclasses are looked up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise WrongSetting("path", f"cannot be loaded: {type(error).__name__}: {error}") from error
    return module


KIND: Final = Kind(PythonConfig, create, specialize)
