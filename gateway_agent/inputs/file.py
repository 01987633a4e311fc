"""Log files: their new lines, through rotation and truncation, each once across restarts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal

from gateway_agent.inputs.base import Context, Failure, Input, Kind, sensor_name
from gateway_agent.inputs.points import Points
from gateway_agent.inputs.record_config import RecordConfig
from gateway_agent.inputs.records import RecordParser, declared
from gateway_agent.inputs.tail import Line, Position, Tail
from gateway_agent.reading import Sample, SensorSpec
from gateway_agent.settings import Setting, choice, duration, path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig(RecordConfig):
    """`type = "file"`: the lines that are added to a file; the place is kept in the spool."""

    path: Annotated[Path, Setting(path, "the file; it need not be there yet")]
    start: Annotated[
        Literal["end", "beginning"],
        Setting(
            choice("end", "beginning"),
            "where to begin in a file that is there when the agent sees it for the first time ever",
        ),
    ] = "end"
    interval: Annotated[
        float, Setting(duration(0.01, 86_400), "time from one look for new lines to the next")
    ] = 1.0


class FileInput(Input):
    """Turns new lines into readings; the place in the file is committed with each of them."""

    waits_for_room = True

    def __init__(self, config: FileConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._sensor = sensor_name(context.gateway_id, config, None)
        self._parser = RecordParser(config)
        self._tail = Tail(config.path)
        self._done = 0

    def open(self) -> None:
        """Raises BookmarksUnavailable while the spool is not open, OSError."""
        stored = self._context.bookmarks.bookmark(self._config.name)
        if stored is not None:
            position = Position.decode(stored)
        else:
            position = self._tail.beginning(at_end=self._config.start == "end")
            self._context.bookmarks.set_bookmark(self._config.name, position.encode())
        self._done = position.done
        self._tail.resume(replace(position, done=0))

    def sensors(self) -> Sequence[SensorSpec]:
        points = Points(self._context.gateway_id, self._config, self._config.point)
        return declared(self._config, points, f"Lines of {self._config.path.name}")

    def read(self) -> Iterator[Sample | Failure]:
        for line in self._tail.lines():
            done, self._done = self._done, 0
            if line.text is None:
                yield Failure("a line is too long for a reading")
            elif line.text:
                yield from self._readings(line, done)

    def close(self) -> None:
        self._tail.close()

    def _readings(self, line: Line, done: int) -> Iterator[Sample | Failure]:
        """The readings of a line but the first `done`, each with the place after it."""
        assert line.text is not None
        try:
            records = self._parser.parse(line.text)
        except ValueError as error:
            yield Failure(str(error))
            return
        clock = self._context.clock
        stamp = clock.stamp()
        samples = [s for record in records for s in record.samples(self._sensor, clock, stamp)]
        for number, sample in enumerate(samples[done:], start=done + 1):
            is_last = number == len(samples)
            after = line.end if is_last else replace(line.start, done=number)
            yield replace(sample, bookmark=after.encode())


KIND: Final = Kind(FileConfig, FileInput)
