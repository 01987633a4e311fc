"""What passes between the spool, its writer and the sender."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway_agent.reading import Reading
from gateway_agent.spool.journal import JournalEntry


def storable(text: str) -> str:
    """A text as it can be stored: half a surrogate pair, which JSON may bring, becomes `?`."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Row:
    """A reading in the spool; `tries` counts how often it was put back under a new `seq`.

    `wall_us` and `boot_us` are microseconds since 1970 and since the boot `boot_id`. `synced` tells
    whether the wall time can be trusted, `offset_us` what makes one of the other, once it is known.
    """

    seq: int
    sensor: str
    wall_us: int
    fields: str
    tries: int
    synced: bool = True
    boot_us: int = 0
    boot_id: str = ""
    offset_us: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings to send in this order. `generation` tells this stream from its successors."""

    stream: str
    generation: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the platform will never take a reading."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """The platform has decided about every reading up to `through`.

    Those in `refused` become dead letters, those in `respool` go to the end under a new `seq`,
    the others are stored there and leave the spool.
    """

    through: int
    refused: Mapping[int, Refusal] = field(default_factory=dict)
    respool: frozenset[int] = frozenset()


@dataclass(slots=True)
class Work:
    """What one transaction does."""

    readings: list[Reading] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    bookmarks: dict[str, str] = field(default_factory=dict)
    commands: list[JournalEntry] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    """By boot: microseconds between the time since that boot and the wall time."""
    renew_stream: bool = False
    replace_file: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.readings
            or self.settlements
            or self.counts
            or self.bookmarks
            or self.commands
            or self.offsets
            or self.renew_stream
            or self.replace_file
        )

    def forget_stream(self) -> None:
        """What was to be done about one stream's readings is void: it is another stream now."""
        self.settlements.clear()
        self.renew_stream = False
        self.replace_file = False


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """How the spool is doing; `oldest_us` is the wall time of the oldest reading that waits."""

    stream: str = ""
    depth: int = 0
    queued: int = 0
    oldest_us: int | None = None
    last_seq: int = 0
    dead_letters: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)
    disk_full: bool = False
    trouble: str | None = None
    held: bool = False
    """Whether readings wait for the clock to be synchronized."""
