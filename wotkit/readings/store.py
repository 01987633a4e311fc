"""The contract of a readings store: what may be asked of it, whatever engine keeps it.

Times are integer microseconds since 1970 UTC. ``data`` is a reading's fields as a compact JSON
object in bytes, without the timestamp. The store knows nothing of users, and of sensors only
their ids.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from msgspec import Struct

from wotkit import strict_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence


LAST_ID: Final = (1 << 63) - 1
"""No reading has a higher id: the end of an instant."""


class NewReading(Struct, frozen=True):
    """A reading that was checked and is to be stored."""

    sensor_id: int
    ts: int
    data: bytes
    values: dict[str, Any]
    """What ``data`` encodes, for the latest values."""


class StoredReading(NamedTuple):
    """A reading as it is stored."""

    ts: int
    id: int
    data: bytes


class Arrival(NamedTuple):
    """A reading as it is stored, with its sensor."""

    sensor_id: int
    ts: int
    id: int
    data: bytes


class Arrivals(NamedTuple):
    """Readings in the order in which they were stored."""

    readings: Sequence[Arrival]
    through: int
    """Up to this id all were looked at; go on behind it."""
    more: bool
    """Whether as many were looked at as were to be, so that there may be more."""


class Latest(NamedTuple):
    """The newest reading of a sensor, and the last value of each field."""

    ts: int
    id: int
    data: bytes
    updated: int
    """When the sensor last received a reading, by the server's clock."""
    fields: dict[str, tuple[Any, int]]
    """Field name to its last value and that value's time."""


class Resend(NamedTuple):
    """Vouches that a write happens once, however often it is sent."""

    caller: str
    key: str
    fingerprint: bytes
    """A hash of the request: the same key with another one is a mistake."""


class StreamBatch(NamedTuple):
    """The position of a gateway's batch in its stream."""

    owner_id: int
    stream: str
    sequence: Sequence[int]
    """The number of each reading of the operation, rising."""
    through: int
    """The highest number of the batch, refused readings included."""
    refused: Sequence[int] = ()
    """Numbers of the batch that were refused."""


class Append(Struct):
    """Add readings."""

    readings: Sequence[NewReading]
    resend: Resend | None = None
    stream: StreamBatch | None = None
    answer: bytes = b""
    """What the first answer said, given again when the same is sent again."""


class Replace(Struct):
    """Put readings of one sensor in the place of others, as one atomic change."""

    sensor_id: int
    readings: Sequence[NewReading]
    first: int | None = None
    """With ``last``: every reading of ``first <= ts <= last`` goes; else those of the same ts."""
    last: int | None = None
    resend: Resend | None = None
    answer: bytes = b""


class Delete(Struct):
    """Delete the readings of one sensor in ``first <= ts <= last``, a bounded part at a time.

    The ids bound the two instants at the ends: of ``first`` only those from ``first_id`` on go,
    of ``last`` only those up to ``last_id``.
    """

    sensor_id: int
    first: int
    last: int
    first_id: int = 0
    last_id: int = LAST_ID


class CastField(Struct):
    """Cast the values of a field that was declared after readings carried it, where they can be.

    A bounded part at a time.
    """

    sensor_id: int
    field: str
    number: bool
    """Whether to cast to NUMBER; else to STRING."""
    after: tuple[int, int] | None = None
    """Time and id of the last reading that is done already."""


class DropSensor(Struct):
    """Forget everything about a sensor that was deleted, a bounded part at a time."""

    sensor_id: int


class ForgetResends(Struct):
    """Forget the resend keys that were used before a time."""

    before: int


class ForgetResend(Struct):
    """Forget one resend key: what it vouched for will not be sent again."""

    caller: str
    key: str


class Probe(Struct):
    """Change nothing, and find out whether a change would succeed."""


Operation = (
    Append | Replace | Delete | CastField | DropSensor | ForgetResends | ForgetResend | Probe
)


class Kind(Enum):
    """How an operation ended."""

    STORED = "stored"
    REPLAYED = "replayed"
    MISMATCH = "mismatch"


class Outcome(Struct, frozen=True):
    """What became of an operation that was committed."""

    kind: Kind
    stored: int = 0
    """How many readings were added."""
    first_id: int = 0
    """The id of the first of them; the others follow without a gap."""
    answer: bytes = b""
    """For a replay: what the first answer said."""
    acked_through: int = 0
    """For a stream: the highest number that is stored or was refused for good."""
    deleted: int = 0
    """How many readings this part of a Delete removed."""
    rest: Operation | None = None
    """What is left to do of an operation that does a bounded part; apply it then."""
    added: Sequence[NewReading] | None = None
    """The readings that were added, where these are not all of the operation's: a stream holds
    some already."""


class Range(Struct, frozen=True, kw_only=True):
    """Which readings of one sensor to read, and how.

    The bounds are pairs of time and id, so that paging has no gaps where many readings share an
    instant: ``after < (ts, id) <= through``.
    """

    sensor_id: int
    after: tuple[int, int] | None = None
    through: tuple[int, int] | None = None
    newest: int | None = None
    """Only so many, counted from the newest."""
    oldest: int | None = None
    """Only so many, counted from the oldest; not together with ``newest``."""
    reverse: bool = False
    """Newest first."""
    offset: int = 0
    limit: int | None = None


class FieldColumn(Struct, frozen=True):
    """A declared field: NUMBER, or STRING. Only values of its type count, any other is none."""

    name: str
    number: bool

    @property
    def plain(self) -> bool:
        """Whether a store can find it by its name; a name JSON would escape is too much to ask."""
        return self.name.isprintable() and not set(self.name) & {'"', "\\"}


class FieldTest(Struct, frozen=True):
    """``field operator value``: one of = != < <= > >=, or for STRING ``contains``.

    A reading without a value in the field does not pass.
    """

    field: FieldColumn
    operator: str
    value: str | int | float


class TimePart(Enum):
    """What readings are grouped by of their time, in UTC; months count from 0."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    DATE = "date"
    """Days since 1970."""


class FieldSummary(NamedTuple):
    """Of the values of a field: how many, their sum (NUMBER only), the least and the greatest."""

    values: int
    total: float
    least: Any
    greatest: Any


class Summary(NamedTuple):
    """Of the readings that have these keys in common."""

    keys: tuple[Any, ...]
    readings: int
    first: int | None
    last: int | None
    fields: tuple[FieldSummary, ...]


_NUMBER: Final = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")


def cast(value: Any, *, number: bool) -> Any:
    """Return ``value`` as a NUMBER or as a STRING; None where it cannot be one.

    A text that reads as a finite number is one; a number or truth value has its JSON text.
    """
    if number:
        return _number(value)
    if isinstance(value, bool | int | float):
        return strict_json.encode(value).decode()
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        with suppress(ValueError):
            return int(value)
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= sys.float_info.max else None


class StoreError(Exception):
    """The store cannot do this now, for example because the disk is full.

    Nothing of what was asked has happened. The text says why, without paths or SQL.
    """


class Store(Protocol):
    """A readings store."""

    def apply(self, operations: Sequence[Operation], now: int) -> list[Outcome]:
        """Do all of this in one transaction, durable when it returns.

        To be called from one thread, the writer's.

        Raises:
            StoreError: nothing was done.
        """
        ...

    def read(self, what: Range) -> list[StoredReading]:
        """Return readings, ordered by ``(ts, id)``.

        Raises:
            StoreError: the store cannot be read.
        """
        ...

    def render(self, what: Range, label: str, *, turned: bool = False) -> tuple[bytes, bool]:
        """Return readings as a JSON list, and whether more follow behind ``what.limit``.

        Each is an object of its id, then ``label``, which is members that all of them have
        (``,"sensor_id":1``), then its timestamp and its fields.

        Args:
            what: a limit of 0 is followed by none.
            label: as it is put into the JSON.
            turned: the list has the opposite order of the one in which ``what`` counts; not
                together with its ``newest`` or ``oldest``.

        Raises:
            StoreError: the store cannot be read.
        """
        ...

    def read_where(self, what: Range, tests: Sequence[FieldTest]) -> list[StoredReading]:
        """Return readings that pass all tests; of ``what`` only bounds, order and limit count."""
        ...

    def summarize(
        self,
        what: Range,
        tests: Sequence[FieldTest],
        keys: Sequence[FieldColumn | TimePart],
        fields: Sequence[FieldColumn],
        most: int,
    ) -> list[Summary]:
        """Return summaries of the readings that pass all tests, ``most`` of them at most.

        One for each combination of keys, in no order; without keys exactly one. Of ``what`` only
        the bounds count. The names of all fields are :attr:`FieldColumn.plain`.
        """
        ...

    def stream(self, what: Range) -> Iterator[StoredReading]:
        """Yield what :meth:`read` returns, in constant memory."""
        ...

    def find(self, sensor_id: int, reading_id: int) -> StoredReading | None:
        """Return the reading of a sensor that has this id; None when there is none."""
        ...

    def since(self, after: int, most: int, sensor_ids: Collection[int] | None = None) -> Arrivals:
        """Return the readings that were stored after the one with the id ``after``, by their ids.

        Whatever times they have. At most ``most`` are looked at, and those of other sensors than
        ``sensor_ids`` are left out; without it, none are.
        """
        ...

    def last_id(self) -> int:
        """Return the highest id there is, 0 without any; deleted readings do not count."""
        ...

    def count(self, what: Range, most: int) -> int:
        """Return how many readings lie between the bounds; ``most`` for so many or more.

        How many of them are wanted, and in which order, does not matter here.
        """
        ...

    def newest(self, sensor_ids: Collection[int]) -> dict[int, tuple[int, int]]:
        """Return time and id of the newest reading of these sensors, without those that have none.

        Cheaper than :meth:`latest`.
        """
        ...

    def latest(self, sensor_ids: Collection[int]) -> dict[int, Latest]:
        """Return the latest of these sensors, without those that never had a reading."""
        ...

    def active(self, since: int) -> set[int]:
        """Return the ids of sensors that received a reading at or after ``since``."""
        ...

    def acked_through(self, owner_id: int, stream: str) -> int:
        """Return the position of a gateway's stream; 0 when it is unknown."""
        ...

    def size_bytes(self) -> int:
        """Return how much room the store takes."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
