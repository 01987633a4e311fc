"""Inputs that users write: a class in a file beside the configuration."""

import dataclasses
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Final

from gateway_agent.inputs.base import SENSOR_EXPECTED, Context, Failure, Input, InputConfig, Kind
from gateway_agent.reading import SENSOR_NAME, Sample, SensorSpec
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


class UsersInput(Input):
    """Makes the user's input each time it is opened, so that whatever fails there is its own."""

    def __init__(self, config: PythonConfig, context: Context) -> None:
        assert config.input_class is not None
        self._class: Any = config.input_class
        self._config = config
        self._context = context
        self._made: Input | None = None
        self.is_stream = bool(self._class.is_stream)
        self.waits_for_room = bool(self._class.waits_for_room)

    def open(self) -> None:
        """Raises whatever the class does."""
        self._made = self._class(self._config, self._context)
        self._made.open()

    def sensors(self) -> Sequence[SensorSpec]:
        assert self._made is not None
        return self._made.sensors()

    def read(self) -> Iterable[Sample | Failure]:
        """Raises whatever the class does."""
        assert self._made is not None
        return self._made.read()

    def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            made.close()


def specialize(table: Mapping[str, Any], folder: Path) -> Kind[Any]:
    """The kind for one user's class, with its options as settings.

    Raises WrongSetting when the file cannot be loaded or has no such class. What is missing in
    the table is left for the ordinary check to find.
    """
    file, name = table.get("path"), table.get("class")
    if not isinstance(file, str) or not isinstance(name, str) or not file:
        return Kind(PythonConfig, UsersInput)
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
    return Kind(config, UsersInput)


def _is_input(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Input) and value is not Input


class _AnewLoader(SourceFileLoader):
    """Never takes compiled code of before: a file may change twice within a second."""

    def path_stats(self, path: Any) -> Mapping[str, Any]:
        """Say that the age of the file is not known, so that no cache is read or written."""
        raise OSError(f"{path} is compiled each time")


def _load(file: Path) -> ModuleType:
    """Run the file, anew each time, so that a changed one counts after a reload."""
    name = _MODULE_PREFIX + "".join(c if c.isalnum() else "_" for c in str(file))
    loader = _AnewLoader(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None or spec.loader is None or file.suffix != ".py":
        raise WrongSetting("path", "must be a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where the types of its dataclasses are looked up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise WrongSetting("path", f"cannot be loaded: {type(error).__name__}: {error}") from error
    return module


KIND: Final = Kind(PythonConfig, UsersInput, specialize)
