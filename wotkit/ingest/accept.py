"""The one door for readings: whoever brings them, they are checked and stored here.

``accept`` is: may the caller write there, are the values right, is the time not in the future;
then the writer stores them, and only then does the caller hear that they were accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit import strict_json, times
from wotkit.errors import (
    NotFound,
    ResendMismatch,
    TooLarge,
    ValidationFailed,
    WotkitError,
)
from wotkit.ingest.formats.readings import Parsed, Wrong, of_item
from wotkit.readings.store import (
    LAST_ID,
    Append,
    Delete,
    ForgetResend,
    Kind,
    NewReading,
    Replace,
    Resend,
    StreamBatch,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from wotkit.catalog.identity import Identity
    from wotkit.ingest.directory import SensorDirectory, Target
    from wotkit.ingest.door import Door
    from wotkit.ingest.rates import RateLimiter
    from wotkit.metrics import IngestMetrics
    from wotkit.readings.store import Outcome
    from wotkit.settings import IngestSettings

OVERHEAD: Final = 64
"""Bytes a waiting reading takes beside its data, roughly."""


class Rejected(NamedTuple):
    """An item of a batch that was refused, and why."""

    position: int
    """Its place in the batch, from 0."""
    error: WotkitError


class Accepted(NamedTuple):
    """What became of a batch whose items are answered one by one."""

    outcome: Outcome
    rejected: list[Rejected]


class Ingest:
    """Checks readings and has them stored."""

    def __init__(
        self,
        directory: SensorDirectory,
        door: Door,
        limiter: RateLimiter,
        settings: IngestSettings,
        metrics: IngestMetrics,
        clock: Callable[[], int] = times.now,
    ) -> None:
        self._directory = directory
        self._door = door
        self._limiter = limiter
        self._settings = settings
        self._skew = int(settings.clock_skew_seconds * times.MICROSECONDS)
        self._metrics = metrics
        self._clock = clock

    async def append(
        self, identity: Identity, reference: str, parsed: Parsed, resend: Resend | None = None
    ) -> Outcome:
        """Store one reading.

        Raises:
            NotFound: the caller may not write to such a sensor.
            ValidationFailed: the reading is not as the sensor's fields say.
            RateLimited, Overloaded, StoreUnavailable: try again later.
            ResendMismatch: the resend key was used with something else.
        """
        target = await self._directory.writable(identity, reference)
        return await self.append_to(target, identity, parsed, resend)

    async def append_to(
        self, target: Target, identity: Identity, parsed: Parsed, resend: Resend | None = None
    ) -> Outcome:
        """Store one reading of a sensor the caller may write to; otherwise as :meth:`append`."""
        self._limiter.take(identity)
        ts, values = parsed.ts, parsed.values
        now = self._clock()
        problems = target.checks.check(values)
        if ts is None:
            ts = now
        elif ts > now + self._skew:
            problems = {**(problems or {}), "timestamp": _future(ts)}
        if problems:
            self._metrics.refuse("invalid")
            raise _invalid(problems)
        data = strict_json.encode(values)
        return _checked(
            await self._door.submit(
                Append([NewReading(target.id, ts, data, values)], resend),
                1,
                len(data) + OVERHEAD,
            )
        )

    def take(self, identity: Identity) -> None:
        """Take a token of the caller's rate, for readings that are then checked and submitted.

        Raises:
            RateLimited: there is none left.
        """
        self._limiter.take(identity)

    def check_one(self, target: Target, parsed: Parsed | Wrong) -> NewReading:
        """Return a reading of a sensor the caller may write to, ready to be submitted.

        Raises:
            ValidationFailed: it is not as the sensor's fields say.
        """
        found = self._check_item(target, parsed, self._clock())
        if isinstance(found, NewReading):
            return found
        self._metrics.refuse("invalid")
        raise _invalid(found)

    async def check_all(
        self, identity: Identity, items: Sequence[Any], reference: str | None = None
    ) -> list[NewReading]:
        """Return readings that are stored all or not at all, ready to be submitted.

        Args:
            identity: who is asking.
            items: decoded JSON objects, used up.
            reference: the sensor of all; None means that each names its own.

        Raises:
            NotFound: the caller may not write to the sensor.
            ValidationFailed: ``more`` names ``index.field``.
            TooLarge: there are too many.
            Overloaded, StoreUnavailable: the catalog cannot tell now.
        """
        if reference is not None:
            target = await self._directory.writable(identity, reference)
            return self._check_all(target, items, needs_time=False)
        if len(items) > self._settings.max_readings:
            raise TooLarge(f"{len(items)} readings are more than {self._settings.max_readings}")
        readings, rejected, _ = await self._check_each(identity, items)
        if rejected:
            raise _of_items(rejected)
        return readings

    def submit(
        self, readings: Sequence[NewReading], resend: Resend | None = None
    ) -> asyncio.Future[Outcome]:
        """Have checked readings stored; the future ends when they are durable.

        Raises:
            Overloaded: too much waits already.
        """
        return self._door.submit(Append(readings, resend), len(readings), _size(readings))

    async def forget(self, caller: str, key: str) -> None:
        """Forget a resend key.

        Raises:
            Overloaded, StoreUnavailable: try again later.
        """
        await self._door.apply(ForgetResend(caller, key))

    async def replace(
        self,
        identity: Identity,
        reference: str,
        items: Sequence[Any],
        *,
        exactly: bool,
        resend: Resend | None = None,
    ) -> Outcome:
        """Put readings in the place of those from the earliest to the latest of them.

        Args:
            identity: who is asking.
            reference: the sensor.
            items: decoded JSON objects, used up.
            exactly: replace only readings of exactly the times in the list; then each item needs
                a timestamp.
            resend: vouches that this happens once.

        Raises:
            ValidationFailed: ``more`` names ``index.field``; nothing was changed.
            NotFound, RateLimited, Overloaded, StoreUnavailable, ResendMismatch: as in append.
        """
        self._limiter.take(identity)
        target = await self._directory.writable(identity, reference)
        readings = self._check_all(target, items, needs_time=exactly)
        operation = Replace(target.id, readings, resend=resend)
        if not exactly:
            operation.first = min(reading.ts for reading in readings)
            operation.last = max(reading.ts for reading in readings)
        return _checked(await self._door.submit(operation, len(readings), _size(readings)))

    async def delete(
        self,
        identity: Identity,
        reference: str,
        first: int,
        last: int,
        first_id: int = 0,
        last_id: int = LAST_ID,
    ) -> bool:
        """Delete the readings of ``first <= ts <= last`` (microseconds), also when there are none.

        The ids bound the instants at the ends, as in :class:`~wotkit.readings.store.Delete`.
        Returns whether there were any.

        Raises:
            NotFound, RateLimited, Overloaded, StoreUnavailable: as in append.
        """
        self._limiter.take(identity)
        target = await self._directory.writable(identity, reference)
        outcome = await self._door.apply(Delete(target.id, first, last, first_id, last_id))
        return outcome.deleted > 0

    async def append_many(
        self,
        identity: Identity,
        items: Sequence[Any],
        describe: Callable[[Sequence[Rejected]], bytes],
        resend: Resend | None = None,
    ) -> Outcome:
        """Store readings of many sensors; each item names its ``sensor``, and fails alone.

        Args:
            identity: who is asking.
            items: decoded JSON objects, used up.
            describe: makes the answer; it is kept with the resend key and is the outcome's
                ``answer``, of the first time when this is a replay.
            resend: vouches that this happens once.

        Raises:
            RateLimited, Overloaded, StoreUnavailable, ResendMismatch: as in append.
        """
        self._limiter.take(identity)
        readings, rejected, _ = await self._check_each(identity, items)
        operation = Append(readings, resend, answer=describe(rejected))
        return _checked(await self._door.submit(operation, len(readings), _size(readings)))

    async def append_stream(
        self, identity: Identity, stream: str, sequence: Sequence[int], items: Sequence[Any]
    ) -> Accepted:
        """Store a gateway's batch; what the stream already holds is passed over.

        Args:
            identity: who is asking; a stream belongs to the user.
            stream: the name the gateway gave it.
            sequence: the number of each item, rising.
            items: decoded JSON objects, each with its ``sensor``; used up.

        Raises:
            RateLimited, Overloaded, StoreUnavailable: as in append.
        """
        self._limiter.take(identity)
        readings, rejected, kept = await self._check_each(identity, items)
        position = StreamBatch(
            identity.user_id,
            stream,
            [sequence[index] for index in kept],
            sequence[-1] if sequence else 0,
            [sequence[rejection.position] for rejection in rejected],
        )
        operation = Append(readings, stream=position)
        outcome = await self._door.submit(operation, len(readings), _size(readings))
        return Accepted(outcome, rejected)

    def _check_all(
        self, target: Target, items: Sequence[Any], *, needs_time: bool
    ) -> list[NewReading]:
        """Check a list that is stored whole or not at all."""
        if len(items) > self._settings.max_readings:
            raise TooLarge(f"{len(items)} readings are more than {self._settings.max_readings}")
        readings: list[NewReading] = []
        problems: dict[str, str] = {}
        now = self._clock()
        for index, item in enumerate(items):
            found = self._check_item(target, of_item(item), now, needs_time=needs_time)
            if isinstance(found, NewReading):
                readings.append(found)
            else:
                problems.update({f"{index}.{name}": wrong for name, wrong in found.items()})
        if problems:
            self._metrics.refuse("invalid", len(items))
            raise _invalid(problems)
        return readings

    def _check_item(
        self, target: Target, parsed: Parsed | Wrong, now: int, *, needs_time: bool = False
    ) -> NewReading | dict[str, str]:
        if isinstance(parsed, Wrong):
            return parsed.problems
        ts, values = parsed.ts, parsed.values
        problems = target.checks.check(values)
        if ts is None:
            ts = now
            if needs_time:
                problems = {**(problems or {}), "timestamp": "is required"}
        elif ts > now + self._skew:
            problems = {**(problems or {}), "timestamp": _future(ts)}
        return problems or NewReading(target.id, ts, strict_json.encode(values), values)

    async def _check_each(
        self, identity: Identity, items: Sequence[Any]
    ) -> tuple[list[NewReading], list[Rejected], list[int]]:
        """Check items that fail alone: readings, refused items, and the indexes of the readings."""
        readings: list[NewReading] = []
        rejected: list[Rejected] = []
        kept: list[int] = []
        now = self._clock()
        for index, item in enumerate(items):
            try:
                found = await self._check_addressed(identity, item, now)
            except (NotFound, ValidationFailed) as error:
                # of the item; what else is raised says that none can be checked now
                rejected.append(Rejected(index, error))
                continue
            readings.append(found)
            kept.append(index)
        if rejected:
            self._metrics.refuse("invalid", len(rejected))
        return readings, rejected, kept

    async def _check_addressed(self, identity: Identity, item: Any, now: int) -> NewReading:
        reference = item.pop("sensor", None) if isinstance(item, dict) else None
        if isinstance(reference, int) and not isinstance(reference, bool):
            reference = str(reference)
        if not isinstance(reference, str) or not reference:
            raise _invalid({"sensor": "is required: the id or name of the sensor"})
        try:
            target = await self._directory.writable(identity, reference)
        except NotFound:
            raise NotFound(reference[:100]) from None
        found = self._check_item(target, of_item(item), now)
        if isinstance(found, NewReading):
            return found
        raise _invalid(found)


def _of_items(rejected: Sequence[Rejected]) -> WotkitError:
    """Return one error for items of which none is stored."""
    if len(rejected) == 1 and rejected[0].position == 0 and isinstance(rejected[0].error, NotFound):
        return rejected[0].error
    problems: dict[str, str] = {}
    for position, error in rejected:
        more = error.more or {"sensor": "; ".join(error.developer) or error.code.message}
        problems |= {f"{position}.{name}": wrong for name, wrong in more.items()}
    return _invalid(problems)


def _future(ts: int) -> str:
    return f"lies in the future: {times.to_iso(ts)}"


def _invalid(problems: dict[str, str]) -> ValidationFailed:
    return ValidationFailed(*(f"{name} {wrong}" for name, wrong in problems.items()), more=problems)


def _size(readings: Sequence[NewReading]) -> int:
    return sum(len(reading.data) + OVERHEAD for reading in readings)


def _checked(outcome: Outcome) -> Outcome:
    if outcome.kind is Kind.MISMATCH:
        raise ResendMismatch("this Idempotency-Key came with another request before")
    return outcome
