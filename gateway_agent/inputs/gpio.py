"""Pins: switches and contacts as events or polled, and pulses counted."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import gpiozero  # type: ignore[import-untyped]  # it has no types

from gateway_agent.clock import Stamp
from gateway_agent.inputs.base import Context, Failure, Input, InputConfig, Kind
from gateway_agent.inputs.points import PointConfig, Points, check_points
from gateway_agent.inputs.stream import StreamInput
from gateway_agent.reading import Sample, SensorSpec
from gateway_agent.settings import Setting, Tables, WrongSetting, choice, duration, flag

_MOST_EDGES: Final = 10_000
_LONG_AGO: Final = 1e9
_DESCRIPTION: Final = "Pins of the gateway"


def _pin_name(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isalnum():
        raise ValueError(f"expected a GPIO number or the name of a pin, not {value!r}")
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioPoint(PointConfig):
    """One pin. The value is 1 when it is active, else 0; or the number of pulses."""

    pin: Annotated[
        str,
        Setting(
            _pin_name,
            "GPIO number such as 17, or another name that gpiozero knows, such as BOARD11",
        ),
    ]
    pull: Annotated[
        Literal["up", "down", "none"],
        Setting(choice("up", "down", "none"), "built-in resistor; none needs one of your own"),
    ] = "up"
    active_low: Annotated[
        bool | None,
        Setting(flag, "active when the pin is low; if left out, with pull up, as for a contact"),
    ] = None
    debounce: Annotated[
        float,
        Setting(duration(0, 10), "events: a change counts when it has lasted so long"),
    ] = 0.02

    @property
    def is_inverted(self) -> bool:
        """Whether gpiozero's idea of active, low with pull up and else high, is the wrong one."""
        return self.active_low is not None and self.active_low != (self.pull == "up")

    @property
    def default_field(self) -> str:
        """`pin_` and its name."""
        return f"pin_{self.pin}".lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioConfig(InputConfig):
    """`type = "gpio"`: pins of the machine, as inputs."""

    mode: Annotated[
        Literal["events", "poll", "count"],
        Setting(
            choice("events", "poll", "count"),
            '"events": a reading at every change, and one at the start; "poll": one at every '
            'interval; "count": how often the pin became active in each interval',
        ),
    ] = "events"
    point: Annotated[tuple[GpioPoint, ...], Setting(Tables(GpioPoint), "the pins")] = ()

    def __post_init__(self) -> None:
        """Raises WrongSetting when a pin is missing or stands twice."""
        check_points(self.point)
        pins = [point.pin for point in self.point]
        for index, pin in enumerate(pins):
            if pin in pins[:index]:
                raise WrongSetting(("point", index, "pin"), f"pin {pin} stands twice")


@dataclass(frozen=True, slots=True)
class _Edge:
    """A change of a pin: which, to what, and when (monotonic time, and stamp)."""

    index: int
    active: bool
    at: float
    stamp: Stamp


class Debouncer:
    """Tells lasting changes of a contact from its bouncing."""

    def __init__(self, state: bool, hold: float) -> None:
        self._state = state
        self._hold = hold
        self._changed: tuple[float, Stamp, bool] | None = None

    def edge(self, state: bool, now: float, stamp: Stamp) -> None:
        """The pin changed to `state` at monotonic time `now`.

        The moment of the first of several quick changes is kept, since that is when it happened.
        """
        if state == self._state:
            self._changed = None
        elif self._changed is None:
            self._changed = (now, stamp, state)
        else:
            self._changed = (now, self._changed[1], state)

    def settled(self, now: float) -> tuple[bool, Stamp] | None:
        """The new state and when it began, once it has lasted long enough; None otherwise."""
        if self._changed is None or now - self._changed[0] < self._hold:
            return None
        _, stamp, self._state = self._changed
        self._changed = None
        return self._state, stamp

    def settles_at(self) -> float | None:
        """When a change may be settled, as monotonic time."""
        return None if self._changed is None else self._changed[0] + self._hold


class _Pins:
    """The configured pins, open."""

    def __init__(self, points: Sequence[GpioPoint]) -> None:
        """Raises gpiozero.GPIOZeroError when there is no such pin, or it is in use."""
        self._devices: list[tuple[GpioPoint, Any]] = []
        try:
            for point in points:
                self._devices.append((point, _device(point)))
        except BaseException:
            self.close()
            raise

    def states(self) -> list[bool]:
        """Whether each pin is active now."""
        return [bool(device.is_active) != point.is_inverted for point, device in self._devices]

    def notify(self, changed: Callable[[int, bool], None]) -> None:
        """Call `changed` with the index of a pin and whether it is active, whenever it changes.

        The calls come from a thread of gpiozero, and must not wait.
        """
        for index, (point, device) in enumerate(self._devices):
            device.when_activated = _calling(changed, index, not point.is_inverted)
            device.when_deactivated = _calling(changed, index, point.is_inverted)

    def close(self) -> None:
        """Let go of all pins."""
        for _, device in self._devices:
            device.close()


def _device(point: GpioPoint) -> Any:
    pin = int(point.pin) if point.pin.isdecimal() else point.pin
    if point.pull == "none":
        return gpiozero.DigitalInputDevice(pin, pull_up=None, active_state=True)
    return gpiozero.DigitalInputDevice(pin, pull_up=point.pull == "up")


def _calling(changed: Callable[[int, bool], None], index: int, active: bool) -> Callable[[], None]:
    return lambda: changed(index, active)


class GpioEvents(StreamInput):
    """Sends a reading when a pin has changed, with the time of the change."""

    def __init__(self, config: GpioConfig, context: Context) -> None:
        super().__init__(context, 0)
        self._config = config
        self._points = Points(context.gateway_id, config, config.point)
        self._pins: _Pins | None = None
        self._edges: queue.Queue[_Edge] = queue.Queue(_MOST_EDGES)
        self._debouncers: list[Debouncer] = []
        self._missed = threading.Event()
        self._first: list[bool] = []

    def open(self) -> None:
        """Raises gpiozero.GPIOZeroError when there is no such pin, or it is in use."""
        self._edges = queue.Queue(_MOST_EDGES)
        self._pins = _Pins(self._config.point)
        self._pins.notify(self._notice)
        self._first = self._pins.states()
        self._debouncers = [
            Debouncer(state, point.debounce)
            for state, point in zip(self._first, self._config.point, strict=True)
        ]

    def sensors(self) -> Sequence[SensorSpec]:
        return self._points.sensors(_DESCRIPTION)

    def receive(self, timeout: float) -> Iterator[Sample | Failure]:
        first, self._first = self._first, []
        if first:
            values = [(p, int(s)) for p, s in zip(self._config.point, first, strict=True)]
            yield from self._points.samples(values)
        for edge in self._new_edges(timeout):
            yield from self._settled(edge.index, edge.at)
            self._debouncers[edge.index].edge(edge.active, edge.at, edge.stamp)
        for index in range(len(self._debouncers)):
            yield from self._settled(index, time.monotonic())
        if self._missed.is_set():
            self._missed.clear()
            yield Failure(f"more than {_MOST_EDGES} changes wait, some were missed")

    def close(self) -> None:
        pins, self._pins = self._pins, None
        if pins is not None:
            pins.close()

    def _settled(self, index: int, now: float) -> Iterator[Sample]:
        change = self._debouncers[index].settled(now)
        if change is not None:
            state, stamp = change
            yield from self._points.samples([(self._config.point[index], int(state))], stamp)

    def _notice(self, index: int, active: bool) -> None:
        edge = _Edge(index, active, time.monotonic(), self._context.clock.stamp())
        try:
            self._edges.put_nowait(edge)
        except queue.Full:
            self._missed.set()

    def _new_edges(self, timeout: float) -> Iterator["_Edge"]:
        """Those that wait; else the first that comes before the timeout or before one settles."""
        settling = [when for each in self._debouncers if (when := each.settles_at()) is not None]
        wait = min([time.monotonic() + timeout, *settling]) - time.monotonic()
        try:
            yield self._edges.get(timeout=max(0.001, wait))
            for _ in range(self._edges.qsize()):
                yield self._edges.get_nowait()
        except queue.Empty:
            return


class PolledPins(Input):
    """Reads the pins at every interval."""

    def __init__(self, config: GpioConfig, context: Context) -> None:
        self._config = config
        self._points = Points(context.gateway_id, config, config.point)
        self._pins: _Pins | None = None

    def open(self) -> None:
        """Raises gpiozero.GPIOZeroError when there is no such pin, or it is in use."""
        self._pins = _Pins(self._config.point)

    def sensors(self) -> Sequence[SensorSpec]:
        return self._points.sensors(_DESCRIPTION)

    def read(self) -> Iterable[Sample]:
        assert self._pins is not None
        states = zip(self._config.point, self._pins.states(), strict=True)
        return self._points.samples([(point, int(state)) for point, state in states])

    def close(self) -> None:
        pins, self._pins = self._pins, None
        if pins is not None:
            pins.close()


class CountedPulses(PolledPins):
    """Counts how often each pin became active since the last reading."""

    def __init__(self, config: GpioConfig, context: Context) -> None:
        super().__init__(config, context)
        self._lock = threading.Lock()
        self._counts = [0] * len(config.point)
        self._changed_at = [-_LONG_AGO] * len(config.point)
        self._is_first = True

    def open(self) -> None:
        """Raises gpiozero.GPIOZeroError when there is no such pin, or it is in use."""
        super().open()
        assert self._pins is not None
        self._counts = [0] * len(self._config.point)
        self._is_first = True
        self._pins.notify(self._notice)

    def read(self) -> Iterable[Sample]:
        """The pulses since the last time; nothing the first time, when no interval has passed."""
        with self._lock:
            counts, self._counts = self._counts, [0] * len(self._counts)
        is_first, self._is_first = self._is_first, False
        return (
            [] if is_first else self._points.samples(zip(self._config.point, counts, strict=True))
        )

    def _notice(self, index: int, active: bool) -> None:
        now = time.monotonic()
        with self._lock:
            lasted = now - self._changed_at[index]
            self._changed_at[index] = now
            if active and lasted >= self._config.point[index].debounce:
                self._counts[index] += 1


def create(config: GpioConfig, context: Context) -> Input:
    """The input for the configured mode."""
    if config.mode == "events":
        return GpioEvents(config, context)
    return (PolledPins if config.mode == "poll" else CountedPulses)(config, context)


KIND: Final = Kind(GpioConfig, create)
