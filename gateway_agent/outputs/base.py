"""What an output says about a batch it tried to deliver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway_agent.spool import Batch


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """A reading that the platform looked at and will not store."""

    seq: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The platform's own acknowledgement: it has decided about all up to `through`."""

    through: int
    rejected: Sequence[RejectedItem] = ()


@dataclass(frozen=True, slots=True)
class Later:
    """Not delivered; try again, not before `retry_after` seconds when the platform named a time."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The batch is larger than the platform takes in one piece."""

    message: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The platform calls the whole batch invalid without saying which reading is to blame."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Denied:
    """The key is not accepted, or may not do this."""

    reason: str


Answer = Stored | Later | TooLarge | Refused | Denied


class Output(Protocol):
    """A way to the platform: HTTP, and others later."""

    def send(self, batch: Batch) -> Answer:
        """Try to deliver a batch. Every failure is an answer; nothing is raised."""

    def close(self) -> None:
        """Let go of connections."""
