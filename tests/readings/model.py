"""A readings store in memory, as simple as can be: what every real one must agree with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from wotkit import strict_json
from wotkit.readings import store
from wotkit.readings.store import Kind, StoredReading

if TYPE_CHECKING:
    from collections.abc import Sequence

Stored = tuple[int, int, dict[str, Any]]


def new(sensor_id: int, ts: int, **values: Any) -> store.NewReading:
    return store.NewReading(sensor_id, ts, strict_json.encode(values), values)


class Model:
    """Says what a store holds; the ids are those that the real one gave."""

    def __init__(self) -> None:
        self.readings: dict[int, list[Stored]] = {}
        self.updated: dict[int, int] = {}
        self.resends: dict[tuple[str, str], tuple[bytes, bytes, int]] = {}
        self.streams: dict[tuple[int, str], tuple[int, set[int]]] = {}
        self.last_id = 0

    def apply(self, operation: store.Operation, now: int, first_id: int) -> store.Outcome:
        """Do one operation whose first reading got ``first_id``."""
        if isinstance(operation, store.Append | store.Replace) and operation.resend:
            known = self._resend(operation.resend, operation.answer, now)
            if known is not None:
                return known
        match operation:
            case store.Append():
                return self._append(operation, now, first_id)
            case store.Replace():
                for first, last in _replaced(operation):
                    self._delete(operation.sensor_id, first, last)
                return self._store(operation.readings, now, first_id, operation.answer)
            case store.Delete():
                return store.Outcome(Kind.STORED, deleted=self._delete_part(operation))
            case store.DropSensor():
                self.readings.pop(operation.sensor_id, None)
                self.updated.pop(operation.sensor_id, None)
            case store.CastField():
                self._cast(operation)
            case store.ForgetResends():
                kept = {k: v for k, v in self.resends.items() if v[2] >= operation.before}
                self.resends = kept
        return store.Outcome(Kind.STORED)

    def _resend(self, resend: store.Resend, answer: bytes, now: int) -> store.Outcome | None:
        key = (resend.caller, resend.key)
        if key not in self.resends:
            self.resends[key] = (resend.fingerprint, answer, now)
            return None
        fingerprint, first_answer, _ = self.resends[key]
        if fingerprint != resend.fingerprint:
            return store.Outcome(Kind.MISMATCH)
        return store.Outcome(Kind.REPLAYED, answer=first_answer)

    def _append(self, operation: store.Append, now: int, first_id: int) -> store.Outcome:
        readings, through = list(operation.readings), 0
        if operation.stream is not None:
            batch = operation.stream
            done, open_numbers = self.streams.get((batch.owner_id, batch.stream), (0, set()))
            pairs = list(zip(batch.sequence, readings, strict=True))
            readings = [r for number, r in pairs if number > done or number in open_numbers]
            through = max(done, batch.through)
            still = {n for n in batch.refused if n > done or n in open_numbers}
            if through == done:
                still |= open_numbers - set(batch.sequence)
            self.streams[batch.owner_id, batch.stream] = (through, still)
        outcome = self._store(readings, now, first_id, operation.answer, through)
        added = None if operation.stream is None else readings
        return msgspec.structs.replace(outcome, added=added)

    def _store(
        self,
        readings: Sequence[store.NewReading],
        now: int,
        first_id: int,
        answer: bytes,
        through: int = 0,
    ) -> store.Outcome:
        for place, reading in enumerate(readings):
            reading_id = first_id + place
            assert reading_id > self.last_id, "an id was given twice, or does not rise"
            self.last_id = reading_id
            values = json.loads(reading.data)
            self.readings.setdefault(reading.sensor_id, []).append((reading.ts, reading_id, values))
            self.updated[reading.sensor_id] = now
        return store.Outcome(Kind.STORED, len(readings), first_id, answer, through)

    def _delete(self, sensor_id: int, first: int, last: int) -> None:
        kept = [r for r in self.readings.get(sensor_id, []) if not first <= r[0] <= last]
        self.readings[sensor_id] = kept
        if not kept:
            self.updated.pop(sensor_id, None)

    def _delete_part(self, operation: store.Delete) -> int:
        first, last = (operation.first, operation.first_id), (operation.last, operation.last_id)
        before = self.readings.get(operation.sensor_id, [])
        kept = [r for r in before if not first <= r[:2] <= last]
        self.readings[operation.sensor_id] = kept
        if not kept:
            self.updated.pop(operation.sensor_id, None)
        return len(before) - len(kept)

    def _cast(self, operation: store.CastField) -> None:
        for _, _, values in self.readings.get(operation.sensor_id, []):
            if values.get(operation.field) is not None:
                new_value = store.cast(values[operation.field], number=operation.number)
                if new_value is not None:
                    values[operation.field] = new_value

    def read(self, what: store.Range) -> list[StoredReading]:
        found = sorted(self.readings.get(what.sensor_id, []), key=lambda r: r[:2])
        found = [
            r
            for r in found
            if (what.after is None or r[:2] > what.after)
            and (what.through is None or r[:2] <= what.through)
        ]
        if what.newest is not None:
            found = found[max(0, len(found) - what.newest) :]
        if what.oldest is not None:
            found = found[: what.oldest]
        if what.reverse:
            found.reverse()
        end = None if what.limit is None else what.offset + what.limit
        return [
            StoredReading(ts, i, strict_json.encode(values))
            for ts, i, values in found[what.offset : end]
        ]

    def latest(self, sensor_id: int) -> store.Latest | None:
        """Scan everything for what a store is to know at once."""
        fields: dict[str, tuple[Any, int]] = {}
        newest: Stored | None = None
        for newest in sorted(self.readings.get(sensor_id, []), key=lambda r: r[:2]):
            for name, value in newest[2].items():
                if value is not None:
                    fields[name] = (value, newest[0])
        if newest is None:
            return None
        ts, reading_id, values = newest
        return store.Latest(
            ts, reading_id, strict_json.encode(values), self.updated[sensor_id], fields
        )


def _replaced(operation: store.Replace) -> list[tuple[int, int]]:
    if operation.first is not None and operation.last is not None:
        return [(operation.first, operation.last)]
    return [(reading.ts, reading.ts) for reading in operation.readings]
