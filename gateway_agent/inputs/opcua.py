"""OPC UA servers: variables, polled or by subscription."""

import contextlib
import queue
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from asyncua import ua

from gateway_agent.clock import Stamp, device_stamp
from gateway_agent.inputs.base import Context, Failure, Input, Kind
from gateway_agent.inputs.opcua_session import (
    MOST_CHANGES,
    Changes,
    OpcuaConfig,
    OpcuaPoint,
    Session,
)
from gateway_agent.inputs.points import Points
from gateway_agent.inputs.stream import StreamInput
from gateway_agent.reading import Sample, SensorSpec, Value

_DESCRIPTION: Final = "Variables of an OPC UA server"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Reader:
    """Turns what the server says into samples."""

    def __init__(self, config: OpcuaConfig, context: Context) -> None:
        self._config = config
        self._points = Points(context.gateway_id, config, config.point)
        self._latest: dict[int, datetime] = {}

    def sensors(self) -> Sequence[SensorSpec]:
        return self._points.sensors(_DESCRIPTION)

    def samples(
        self, told: Iterable[tuple[int, ua.DataValue]], now: Stamp
    ) -> Iterator[Sample | Failure]:
        """Values with the same time make one sample for each sensor."""
        measured: dict[datetime | None, list[tuple[OpcuaPoint, Value]]] = {}
        for number, data in told:
            point = self._config.point[number]
            if data.StatusCode is not None and not data.StatusCode.is_good():
                yield Failure(f"{point.node}: {data.StatusCode.name}")
                continue
            when = self._time(data)
            if when is not None and self._latest.get(number) == when:
                continue
            try:
                value = point.decode(None if data.Value is None else data.Value.Value)
            except ValueError as error:
                yield Failure(f"{point.node}: {error}")
                continue
            if when is not None:
                self._latest[number] = when
            measured.setdefault(when, []).append((point, value))
        for when, values in measured.items():
            stamp = now if when is None else device_stamp(now, _microseconds(when))
            yield from self._points.samples(values, stamp)

    def _time(self, data: ua.DataValue) -> datetime | None:
        if self._config.timestamps == "gateway":
            return None
        source: datetime | None = data.SourceTimestamp
        server: datetime | None = data.ServerTimestamp
        return server if self._config.timestamps == "server" or source is None else source


def _microseconds(when: datetime) -> int:
    moment = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return (moment - _EPOCH) // timedelta(microseconds=1)


class PolledVariables(Input):
    """Reads all variables at every interval."""

    def __init__(self, config: OpcuaConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._reader = _Reader(config, context)
        self._session: Session | None = None

    def open(self) -> None:
        """Raises OSError, ua.UaError or TimeoutError when the server cannot be reached."""
        self._session = Session(self._config)

    def sensors(self) -> Sequence[SensorSpec]:
        return self._reader.sensors()

    def read(self) -> Iterable[Sample | Failure]:
        """Raises ua.UaError or ConnectionError when the server is gone."""
        assert self._session is not None
        told = self._session.read([point.node for point in self._config.point])
        return self._reader.samples(enumerate(told), self._context.clock.stamp())

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


class SubscribedVariables(StreamInput):
    """Listens to the changes of all variables."""

    def __init__(self, config: OpcuaConfig, context: Context) -> None:
        super().__init__(context, 0)
        self._config = config
        self._reader = _Reader(config, context)
        self._changes = Changes(context)
        self._session: Session | None = None
        self._refused: list[Failure] = []

    def open(self) -> None:
        """Raises OSError, ua.UaError or TimeoutError when the server cannot be reached."""
        self._changes = Changes(self._context)
        self._session = Session(self._config)
        nodes = [point.node for point in self._config.point]
        answers = self._session.subscribe(nodes, self._changes)
        self._refused = [
            Failure(f"{node}: {answer.name}")
            for node, answer in zip(nodes, answers, strict=True)
            if isinstance(answer, ua.StatusCode)
        ]

    def sensors(self) -> Sequence[SensorSpec]:
        return self._reader.sensors()

    def receive(self, timeout: float) -> Iterator[Sample | Failure]:
        """Raises ConnectionError when the server is gone."""
        assert self._session is not None
        refused, self._refused = self._refused, []
        yield from refused
        with contextlib.suppress(queue.Empty):
            waiting = [self._changes.waiting.get(timeout=timeout)]
            waiting += [
                self._changes.waiting.get_nowait() for _ in range(self._changes.waiting.qsize())
            ]
            for change in waiting:
                yield from self._reader.samples([(change.number, change.data)], change.stamp)
        if self._changes.missed:
            self._changes.missed = False
            yield Failure(f"more than {MOST_CHANGES} changes wait, some were missed")
        self._session.check()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def create(config: OpcuaConfig, context: Context) -> Input:
    """The input for the configured mode."""
    return (PolledVariables if config.mode == "poll" else SubscribedVariables)(config, context)


KIND: Final = Kind(OpcuaConfig, create)
