"""What every kind of actuator is made of."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

from gateway_agent.reading import SENSOR_NAME
from gateway_agent.settings import Setting, WrongSetting, anything, duration, text

SENSOR_EXPECTED: Final = "a sensor name: 4 to 50 of a-z, 0-9, _ and -, starting with a letter or _"
Value = str | float
"""What an actuator is set to: `on`, `off`, a number or a text."""
_SWITCHED: Final = {"on": "on", "true": "on", "1": "on", "off": "off", "false": "off", "0": "off"}
_FIELDS: Final = ("state", "value")
_PLAIN_TEXT: Final = re.compile(r"[\w.,:+ -]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActuatorConfig:
    """The settings that every `[[actuator]]` has; a kind adds its own in a subclass."""

    type: Annotated[str, Setting(text(), "kind of actuator")]
    sensor: Annotated[
        str,
        Setting(
            text(SENSOR_NAME.pattern, SENSOR_EXPECTED),
            "the sensor on the platform whose messages it obeys",
        ),
    ]
    key: Annotated[
        str | None,
        Setting(text(), "name of the value in a message; else state, value or the only one"),
    ] = None
    safe_state: Annotated[
        Any,
        Setting(
            anything,
            "what it is set to at the start, at the end, after max_on, and with the platform away",
        ),
    ] = None
    max_on: Annotated[
        float | None,
        Setting(duration(0.05), "longest time in another state than the safe one"),
    ] = None
    away_limit: Annotated[
        float | None,
        Setting(duration(0.1), "how long the platform may be away before the safe state is taken"),
    ] = None

    def __post_init__(self) -> None:
        """Raises WrongSetting when a limit has no safe state, or that is none it can take."""
        if self.safe_state is not None:
            try:
                self.accept(self.safe_state)
            except ValueError as error:
                raise WrongSetting("safe_state", str(error)) from error
        for name in ("max_on", "away_limit"):
            if getattr(self, name) is not None and self.safe_state is None:
                raise WrongSetting(name, "needs a safe_state")

    def accept(self, raw: object) -> Value:
        """The value that a message asks for. Raises ValueError when it is none."""
        return switched(raw)


class Actuator(ABC):
    """One device that does something, driven by a thread of its own.

    The thread calls `open`, then `apply` for every command, and `close` at the end or after a
    failure; then it opens again before the next one.
    """

    def open(self) -> None:  # noqa: B027 - some have nothing to open
        """Get hold of the device. Raises whatever says best why that failed."""

    @abstractmethod
    def apply(self, value: Value) -> str:
        """Set it, and return what is worth telling. Raises whatever says why that failed."""

    def interrupt(self) -> None:  # noqa: B027 - as open
        """End the `apply` that goes on in another thread, if that can be: the agent stops."""

    def close(self) -> None:  # noqa: B027 - as open
        """Let go of the device."""


Configured = TypeVar("Configured", bound=ActuatorConfig)


@dataclass(frozen=True)
class Kind(Generic[Configured]):
    """A kind of actuator: its settings, and what makes one from them."""

    config: type[Configured]
    create: Callable[[Configured], Actuator]


def wanted(config: ActuatorConfig, message: Mapping[str, Any]) -> Value:
    """What a message asks an actuator for. Raises ValueError when that is not clear."""
    names = (config.key,) if config.key else _FIELDS
    found = [message[name] for name in names if name is not None and name in message]
    if not found and config.key is None and len(message) == 1:
        found = list(message.values())
    if not found:
        raise ValueError(f"the message has no {' or '.join(map(str, names))}")
    return config.accept(found[0])


def switched(raw: object) -> str:
    """`on` or `off`. Raises ValueError."""
    value = _SWITCHED.get(str(raw).strip().lower())
    if value is None:
        raise ValueError(f"expected on or off, not {str(raw)[:40]!r}")
    return value


def plain_text(raw: object) -> str:
    """A short text without anything that a line or a shell could take for more. Raises ValueError.

    Truth becomes `on` or `off`.
    """
    if isinstance(raw, bool):
        return "on" if raw else "off"
    found = str(raw).strip()
    if isinstance(raw, dict | list) or not _PLAIN_TEXT.fullmatch(found) or found[0] == "-":
        negative = isinstance(raw, int | float) or re.fullmatch(r"-\d+(\.\d+)?", found)
        if not negative:
            raise ValueError(f"expected a short plain text, not {found[:40]!r}")
    return found
