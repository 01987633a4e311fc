"""Programs as actuators: the value is one of their arguments, and no shell comes between."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from gateway_agent.actuators.base import Actuator, ActuatorConfig, Kind, Value, plain_text
from gateway_agent.inputs.process import run
from gateway_agent.settings import Setting, duration, path, texts

_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConfig(ActuatorConfig):
    """`type = "command"`: a program that is run for each command."""

    command: Annotated[
        tuple[str, ...],
        Setting(texts, "program and arguments; {value} in an argument is the value asked for"),
    ]
    folder: Annotated[Path | None, Setting(path, "folder in which it runs")] = None
    timeout: Annotated[float, Setting(duration(0.1, 600), "longest time that it may take")] = 10.0

    def accept(self, raw: object) -> Value:
        return plain_text(raw)


class CommandActuator(Actuator):
    """Runs the program; exit code 0 is success."""

    def __init__(self, config: CommandConfig) -> None:
        self._config = config
        self._interrupted = threading.Event()

    def apply(self, value: Value) -> str:
        self._interrupted.clear()
        command = [argument.replace("{value}", str(value)) for argument in self._config.command]
        config = self._config
        output = run(command, config.folder, config.timeout, self._interrupted.is_set)
        return " ".join(output.split())[:_SHOWN]

    def interrupt(self) -> None:
        self._interrupted.set()


KIND: Final = Kind(CommandConfig, CommandActuator)
