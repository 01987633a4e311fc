"""The latest values of a sensor, and how a new reading changes them.

The newest reading is kept as its bytes; beside it only those fields whose last value is older than
that reading. A sensor that sends the same fields every time has none, so keeping the latest costs
no encoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wotkit import strict_json
from wotkit.readings.store import Latest

if TYPE_CHECKING:
    from wotkit.readings.store import NewReading


class LatestValues:
    """The latest of one sensor while its writer is at work."""

    __slots__ = ("data", "id", "older", "ts", "updated", "values")

    def __init__(
        self,
        ts: int,
        reading_id: int,
        data: bytes,
        values: dict[str, Any],
        older: dict[str, tuple[Any, int]],
        updated: int,
    ) -> None:
        self.ts = ts
        self.id = reading_id
        self.data = data
        self.values = values
        self.older = older
        self.updated = updated

    @classmethod
    def load(
        cls, ts: int, reading_id: int, data: bytes, older: bytes | None, updated: int
    ) -> LatestValues:
        """Return what a store kept."""
        kept = strict_json.decode(older) if older else {}
        return cls(
            ts,
            reading_id,
            data,
            strict_json.decode(data),
            {name: (value, at) for name, (value, at) in kept.items()},
            updated,
        )

    def add(self, reading: NewReading, reading_id: int, now: int) -> None:
        """Take in a reading that was just stored; its id is the highest so far."""
        self.updated = now
        if reading.ts >= self.ts:
            values = reading.values
            if self.older or None in values.values() or values.keys() != self.values.keys():
                self._supersede(values)
            self.ts = reading.ts
            self.id = reading_id
            self.data = reading.data
            self.values = values
        else:
            self._add_late(reading)

    def encoded_older(self) -> bytes | None:
        """Return the older fields as a store keeps them."""
        return strict_json.encode(self.older) if self.older else None

    def public(self) -> Latest:
        """Return every field with its last value."""
        fields = dict(self.older)
        for name, value in self.values.items():
            if value is not None:
                fields[name] = (value, self.ts)
        return Latest(self.ts, self.id, self.data, self.updated, fields)

    def _supersede(self, values: dict[str, Any]) -> None:
        for name, value in self.values.items():
            if value is not None:
                self.older[name] = (value, self.ts)
        for name, value in values.items():
            if value is not None:
                self.older.pop(name, None)

    def _add_late(self, reading: NewReading) -> None:
        for name, value in reading.values.items():
            if value is None or self.values.get(name) is not None:
                continue
            known = self.older.get(name)
            if known is None or known[1] <= reading.ts:
                self.older[name] = (value, reading.ts)
