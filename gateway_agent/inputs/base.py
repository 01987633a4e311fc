"""What every kind of input is made of."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar

from gateway_agent.clock import Clock
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


class Bookmarks(Protocol):
    """Remembers how far inputs have come in sources that can be read again: the spool does."""

    def bookmark(self, name: str) -> str | None:
        """What was stored last with a reading. Raises BookmarksUnavailable while nobody knows."""

    def set_bookmark(self, name: str, value: str) -> None:
        """Store a bookmark without a reading, with the next commit."""


class BookmarksUnavailable(Exception):
    """The spool is not open yet, so nobody knows where an input stopped."""


class NoBookmarks:
    """Remembers nothing, for trials without a spool."""

    def bookmark(self, name: str) -> str | None:  # noqa: ARG002 - as the protocol says
        """Nothing was ever stored."""
        return None

    def set_bookmark(self, name: str, value: str) -> None:
        """Forget it at once."""


@dataclass(frozen=True, slots=True)
class Context:
    """What an input may know of the agent around it."""

    gateway_id: str
    stopping: threading.Event
    clock: Clock = field(default_factory=Clock)
    bookmarks: Bookmarks = field(default_factory=NoBookmarks)


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that an input could not read while the rest of it works; counted and logged."""

    message: str


class Input(ABC):
    """One source of readings, driven by a thread of its own.

    The thread calls `open`, then `sensors`, then `read` once every interval, and `close` at the
    end. Any exception from `open` or `read` is logged and counted; the input is closed and opened
    again after a delay. A call that hangs delays nobody else. No two of these calls overlap, but
    for `close` when the agent stops and another call hangs: it is what ends that one.
    """

    waits_for_room: bool = False
    """Whether readings wait for room in the spool, however long: the source keeps them."""

    is_stream: bool = False
    """Whether `read` goes on for ever, so that a long silence does not mean that it hangs."""

    def open(self) -> None:  # noqa: B027 - many inputs have nothing to open
        """Get hold of the device. Raises whatever says best why that failed."""

    @abstractmethod
    def sensors(self) -> Sequence[SensorSpec]:
        """The sensors that `read` feeds, for `auto_create`; asked after `open`."""

    @abstractmethod
    def read(self) -> Iterable[Sample | Failure]:
        """Measure once.

        A sample without a stamp is stamped when it comes out of the iterable, so yield right after
        measuring. A `Failure` says what could not be measured while the device is there. An input
        with events of its own may go on yielding until `Context.stopping` is set, and must look
        at that every second or so. Never yield a remembered value as if it were new: what could
        not be measured is left out.
        """

    def close(self) -> None:  # noqa: B027 - many inputs have nothing to close
        """Let go of the device; also called when `open` or `read` failed, and maybe twice.

        The agent waits for it a few seconds at most.
        """


Configured = TypeVar("Configured", bound=InputConfig)


@dataclass(frozen=True)
class Kind(Generic[Configured]):
    """A kind of input: its settings, and what makes one from them.

    `specialize`, if there is one, turns it into a kind with settings of its own, for the table
    and folder of one configuration. It raises WrongSetting.
    """

    config: type[Configured]
    create: Callable[[Configured, Context], Input]
    specialize: Callable[[Mapping[str, Any], Path], Any] | None = None


def sensor_name(gateway_id: str, config: InputConfig, configured: str | None) -> str:
    """The configured sensor, or `{gateway id}-{input name}` cut to what the platform takes."""
    name = configured or f"{gateway_id}-{config.name}"[:50].ljust(4, "_")
    assert SENSOR_NAME.fullmatch(name)
    return name
