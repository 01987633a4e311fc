"""Programs: what they print when they are run, or line by line while they run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from gateway_agent.inputs.base import Context, Failure, Input, Kind, sensor_name
from gateway_agent.inputs.lines import LineSplitter
from gateway_agent.inputs.points import Points
from gateway_agent.inputs.process import Program, run
from gateway_agent.inputs.record_config import RecordConfig
from gateway_agent.inputs.records import Novelty, RecordParser, declared
from gateway_agent.inputs.stream import StreamInput
from gateway_agent.reading import Sample, SensorSpec
from gateway_agent.settings import Setting, WrongSetting, choice, duration, path, texts

_DESCRIPTION: Final = "Read by a program on the gateway"
_SHORTEST_POLL: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConfig(RecordConfig):
    """`type = "command"`: runs a program and reads its output. No shell is involved."""

    command: Annotated[
        tuple[str, ...], Setting(texts, "the program and its arguments, as a list of texts")
    ]
    mode: Annotated[
        Literal["poll", "stream"],
        Setting(
            choice("poll", "stream"),
            '"poll": run it at every interval, all that it prints is one text; "stream": keep it '
            "running, every line is a text, and interval is the shortest time between readings",
        ),
    ] = "poll"
    timeout: Annotated[
        float,
        Setting(duration(0.05, 3600), "poll: after this long it is ended, with all it started"),
    ] = 10.0
    folder: Annotated[Path | None, Setting(path, "folder in which it runs")] = None
    interval: Annotated[
        float, Setting(duration(0, 31 * 86_400), "time from one reading to the next")
    ] = 10.0

    def __post_init__(self) -> None:
        """Raises WrongSetting as RecordConfig does, and for polls that never pause."""
        RecordConfig.__post_init__(self)
        if self.mode == "poll" and self.interval < _SHORTEST_POLL:
            raise WrongSetting("interval", f"expected at least {_SHORTEST_POLL:g} s")


class PolledCommand(Input):
    """Runs the program once for each reading."""

    def __init__(self, config: CommandConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._sensor = sensor_name(context.gateway_id, config, None)
        self._parser = RecordParser(config)
        self._novelty = Novelty()

    def sensors(self) -> Sequence[SensorSpec]:
        points = Points(self._context.gateway_id, self._config, self._config.point)
        return declared(self._config, points, _DESCRIPTION)

    def read(self) -> Iterator[Sample | Failure]:
        config = self._config
        try:
            text = run(config.command, config.folder, config.timeout, self._context.stopping.is_set)
            records = self._parser.parse(text)
        except InterruptedError:
            return
        except (OSError, ValueError) as error:
            yield Failure(str(error))
            return
        stamp = self._context.clock.stamp()
        for record in filter(self._novelty.is_new, records):
            yield from record.samples(self._sensor, self._context.clock, stamp)


class StreamedCommand(StreamInput):
    """Keeps the program running; when it ends, the input is opened again after a delay."""

    def __init__(self, config: CommandConfig, context: Context) -> None:
        super().__init__(context, config.interval)
        self._config = config
        self._sensor = sensor_name(context.gateway_id, config, None)
        self._parser = RecordParser(config)
        self._program: Program | None = None
        self._lines = LineSplitter()

    def open(self) -> None:
        """Raises OSError when the program cannot be started."""
        self._lines = LineSplitter()
        self._program = Program(self._config.command, self._config.folder)

    def sensors(self) -> Sequence[SensorSpec]:
        points = Points(self._context.gateway_id, self._config, self._config.point)
        return declared(self._config, points, _DESCRIPTION)

    def receive(self, timeout: float) -> Iterable[Sample | Failure]:
        assert self._program is not None
        data = self._program.read(timeout)
        for line in self._lines.end() if data is None else self._lines.feed(data):
            try:
                records = self._parser.parse(line)
            except ValueError as error:
                yield Failure(str(error))
                continue
            for record in records:
                yield from record.samples(self._sensor, self._context.clock)
        if data is None:
            raise EOFError(f"the program ended: {self._program.complaint}".rstrip(": "))

    def close(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.end()


def create(config: CommandConfig, context: Context) -> Input:
    """The input for the configured mode."""
    return (PolledCommand if config.mode == "poll" else StreamedCommand)(config, context)


KIND: Final = Kind(CommandConfig, create)
