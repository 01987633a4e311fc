"""What every kind of input is made of."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from gateway_agent.reading import SENSOR_NAME, Sample, SensorSpec
from gateway_agent.settings import Setting, duration, text

SENSOR_EXPECTED = "a sensor name: 4 to 50 of a-z, 0-9, _ and -, starting with a letter or _"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputConfig:
    """The settings that every `[[input]]` has; a kind adds its own in a subclass."""

    type: Annotated[str, Setting(text(), "kind of input")]
    name: Annotated[
        str,
        Setting(
            text(r"[a-z0-9_-]{1,40}", "1 to 40 of a-z, 0-9, _ and -"),
            "name of this input in logs and status; the type if left out",
        ),
    ]
    interval: Annotated[
        float, Setting(duration(0.001, 31 * 86_400), "time from one reading to the next")
    ] = 10.0


@dataclass(frozen=True, slots=True)
class Context:
    """What an input may know of the agent around it."""

    gateway_id: str
    stopping: threading.Event


class Input(ABC):
    """One source of readings, driven by a thread of its own.

    The thread calls `open`, then `sensors`, then `read` once every interval, and `close` at the
    end. Any exception from `open` or `read` is logged and counted; the input is closed and opened
    again after a delay. A call that hangs delays nobody else. Nothing here is called from two
    threads.
    """

    def open(self) -> None:  # noqa: B027 - many inputs have nothing to open
        """Get hold of the device. Raises whatever says best why that failed."""

    @abstractmethod
    def sensors(self) -> Sequence[SensorSpec]:
        """The sensors that `read` feeds, for `auto_create`; asked after `open`."""

    @abstractmethod
    def read(self) -> Iterable[Sample]:
        """Measure once.

        Each sample is stamped when it comes out of the iterable, so yield right after measuring.
        An input with events of its own may go on yielding until `Context.stopping` is set. Never
        yield a remembered value as if it were new: what could not be measured is left out.
        """

    def close(self) -> None:  # noqa: B027 - many inputs have nothing to close
        """Let go of the device; also called when `open` or `read` failed."""


Configured = TypeVar("Configured", bound=InputConfig)


@dataclass(frozen=True)
class Kind(Generic[Configured]):
    """A kind of input: its settings, and what makes one from them."""

    config: type[Configured]
    create: Callable[[Configured, Context], Input]


def sensor_name(gateway_id: str, config: InputConfig, configured: str | None) -> str:
    """The configured sensor, or `{gateway id}-{input name}` cut to what the platform takes."""
    name = configured or f"{gateway_id}-{config.name}"[:50].ljust(4, "_")
    assert SENSOR_NAME.fullmatch(name)
    return name
