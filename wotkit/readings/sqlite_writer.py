"""The one writer of a readings file: runs operations, many in one transaction."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from wotkit import strict_json
from wotkit.readings import store
from wotkit.readings.latest import LatestValues
from wotkit.readings.store import Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wotkit.readings.store import NewReading

ROWS: Final = 64
"""Rows of one INSERT; each row binds four values."""
DROP_ROWS: Final = 20_000
"""Readings of a dropped sensor deleted in one transaction."""
KNOWN_SENSORS: Final = 100_000
KNOWN_STREAMS: Final = 100_000
PROBE_BYTES: Final = 65_536

_INSERT: Final = tuple(
    "INSERT INTO reading (sensor_id, ts, id, data) VALUES (?,?,?,?)" + ",(?,?,?,?)" * (count - 1)
    for count in range(1, ROWS + 1)
)
_UPSERT_LATEST: Final = (
    "INSERT INTO latest (sensor_id, ts, id, data, older, updated) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (sensor_id) DO UPDATE SET ts = excluded.ts, id = excluded.id, "
    "data = excluded.data, older = excluded.older, updated = excluded.updated"
)


class SqliteWriter:
    """Runs operations on the writing connection; used by one thread at a time.

    What it remembers of the file (next id, latest values, stream positions) is dropped when
    another process has written to it and when a transaction failed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._data_version = -1
        self._next_id = 0
        self._latest: dict[int, LatestValues] = {}
        self._streams: dict[tuple[int, str], int] = {}
        self._touched: set[int] = set()
        self._rows: list[Any] = []
        self._now = 0
        self._run: dict[type, Callable[[Any], Outcome]] = {
            store.Append: self._append,
            store.Replace: self._replace,
            store.Delete: self._delete,
            store.CastField: self._cast,
            store.DropSensor: self._drop,
            store.ForgetResends: self._forget_resends,
            store.Probe: self._probe,
        }

    def apply(self, operations: Sequence[store.Operation], now: int) -> list[Outcome]:
        """Run ``operations`` in one transaction; all of them or, on an error, none."""
        self._now = now
        self._execute("BEGIN IMMEDIATE")
        try:
            self._remember()
            first_id = self._next_id
            outcomes = [self._run[type(operation)](operation) for operation in operations]
            self._flush_rows()
            self._flush_latest()
            if self._next_id != first_id:
                self._execute(
                    "UPDATE counter SET value = ? WHERE name = 'next_id'", (self._next_id,)
                )
            self._execute("COMMIT")
        except BaseException:
            self._undo()
            raise
        return outcomes

    def close(self) -> None:
        """Write the log back into the file and close."""
        with suppress(sqlite3.Error):
            self._execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _remember(self) -> None:
        """Start from what is remembered, unless another process has changed the file."""
        (version,) = self._execute("PRAGMA data_version").fetchone()
        if version != self._data_version or self._next_id == 0:
            self._forget()
            self._data_version = version
            (self._next_id,) = self._execute(
                "SELECT value FROM counter WHERE name = 'next_id'"
            ).fetchone()
        if len(self._latest) > KNOWN_SENSORS:
            self._latest.clear()
        if len(self._streams) > KNOWN_STREAMS:
            self._streams.clear()

    def _forget(self) -> None:
        self._next_id = 0
        self._latest.clear()
        self._streams.clear()
        self._touched.clear()
        self._rows.clear()

    def _undo(self) -> None:
        self._forget()
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._execute("ROLLBACK")

    def _append(self, operation: store.Append) -> Outcome:
        replay = self._replayed(operation.resend)
        if replay is not None:
            return replay
        readings: Iterable[NewReading] = operation.readings
        through = 0
        batch = operation.stream
        if batch is not None:
            done = self._through(batch.owner_id, batch.stream)
            readings = [
                reading
                for number, reading in zip(batch.sequence, readings, strict=True)
                if number > done
            ]
            through = max(done, batch.through)
            self._set_through(batch, done, through)
        first_id = self._next_id
        self._store(readings)
        self._record(operation.resend, operation.answer)
        return Outcome(
            Kind.STORED, self._next_id - first_id, first_id, operation.answer, acked_through=through
        )

    def _store(self, readings: Iterable[NewReading]) -> None:
        next_id = self._next_id
        rows, latest, touched, now = self._rows, self._latest, self._touched, self._now
        for reading in readings:
            sensor_id, ts, data, values = reading
            rows += (sensor_id, ts, next_id, data)
            known = latest.get(sensor_id)
            if known is None:
                known = self._load_latest(sensor_id)
            if known is None:
                latest[sensor_id] = LatestValues(ts, next_id, data, values, {}, now)
            else:
                known.add(reading, next_id, now)
            touched.add(sensor_id)
            next_id += 1
        self._next_id = next_id
        if len(rows) >= 4 * ROWS:
            self._flush_rows()

    def _load_latest(self, sensor_id: int) -> LatestValues | None:
        row = self._execute(
            "SELECT ts, id, data, older, updated FROM latest WHERE sensor_id = ?", (sensor_id,)
        ).fetchone()
        if row is None:
            return None
        known = self._latest[sensor_id] = LatestValues.load(*row)
        return known

    def _flush_rows(self) -> None:
        rows = self._rows
        for start in range(0, len(rows), 4 * ROWS):
            part = rows[start : start + 4 * ROWS]
            self._execute(_INSERT[len(part) // 4 - 1], part)
        rows.clear()

    def _flush_latest(self) -> None:
        for sensor_id in self._touched:
            known = self._latest[sensor_id]
            self._execute(
                _UPSERT_LATEST,
                (sensor_id, known.ts, known.id, known.data, known.encoded_older(), known.updated),
            )
        self._touched.clear()

    def _replayed(self, resend: store.Resend | None) -> Outcome | None:
        """Return what to answer when this was already done; None when it is new."""
        if resend is None:
            return None
        row = self._execute(
            "SELECT fingerprint, answer FROM resend WHERE caller = ? AND key = ?",
            (resend.caller, resend.key),
        ).fetchone()
        if row is None:
            return None
        if row[0] != resend.fingerprint:
            return Outcome(Kind.MISMATCH)
        return Outcome(Kind.REPLAYED, answer=row[1])

    def _record(self, resend: store.Resend | None, answer: bytes) -> None:
        if resend is not None:
            self._execute(
                "INSERT INTO resend (caller, key, fingerprint, answer, at) VALUES (?, ?, ?, ?, ?)",
                (resend.caller, resend.key, resend.fingerprint, answer, self._now),
            )

    def _through(self, owner_id: int, stream: str) -> int:
        known = self._streams.get((owner_id, stream))
        if known is None:
            row = self._execute(
                "SELECT through FROM stream WHERE owner_id = ? AND stream = ?", (owner_id, stream)
            ).fetchone()
            known = self._streams[owner_id, stream] = row[0] if row else 0
        return known

    def _set_through(self, batch: store.StreamBatch, done: int, through: int) -> None:
        if through > done:
            self._execute(
                "INSERT INTO stream (owner_id, stream, through) VALUES (?, ?, ?) "
                "ON CONFLICT (owner_id, stream) DO UPDATE SET through = excluded.through",
                (batch.owner_id, batch.stream, through),
            )
            self._streams[batch.owner_id, batch.stream] = through

    def _replace(self, operation: store.Replace) -> Outcome:
        replay = self._replayed(operation.resend)
        if replay is not None:
            return replay
        sensor_id = operation.sensor_id
        if operation.first is not None and operation.last is not None:
            self._delete_between(sensor_id, operation.first, operation.last)
        else:
            for ts in sorted({reading.ts for reading in operation.readings}):
                self._delete_between(sensor_id, ts, ts)
        first_id = self._next_id
        self._store(operation.readings)
        self._record(operation.resend, operation.answer)
        return Outcome(Kind.STORED, self._next_id - first_id, first_id, operation.answer)

    def _delete(self, operation: store.Delete) -> Outcome:
        self._delete_between(operation.sensor_id, operation.first, operation.last)
        return Outcome(Kind.STORED)

    def _delete_between(self, sensor_id: int, first: int, last: int) -> None:
        self._flush_rows()
        deleted = self._execute(
            "DELETE FROM reading WHERE sensor_id = ? AND ts BETWEEN ? AND ?",
            (sensor_id, first, last),
        ).rowcount
        if deleted:
            self._find_latest_again(sensor_id, first, last)

    def _find_latest_again(self, sensor_id: int, first: int, last: int) -> None:
        """Find the latest values anew after readings of ``first <= ts <= last`` are gone."""
        known = self._latest.get(sensor_id) or self._load_latest(sensor_id)
        if known is None:
            return
        newest = self._execute(
            "SELECT ts, id, data FROM reading WHERE sensor_id = ? "
            "ORDER BY ts DESC, id DESC LIMIT 1",
            (sensor_id,),
        ).fetchone()
        if newest is None:
            self._forget_latest(sensor_id)
            return
        before = known.public().fields
        ts, reading_id, data = newest
        fresh = LatestValues.load(ts, reading_id, data, None, known.updated)
        for name, (value, at) in before.items():
            if fresh.values.get(name) is not None:
                continue
            source = self._last_value(sensor_id, name) if first <= at <= last else (value, at)
            if source is not None:
                fresh.older[name] = source
        self._latest[sensor_id] = fresh
        self._touched.add(sensor_id)

    def _last_value(self, sensor_id: int, name: str) -> tuple[Any, int] | None:
        for ts, _, values in self._carrying(sensor_id, name, newest_first=True):
            if values.get(name) is not None:
                return values[name], ts
        return None

    def _carrying(
        self, sensor_id: int, name: str, *, newest_first: bool
    ) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield time, id and values of the readings that seem to carry a field."""
        order = "DESC" if newest_first else "ASC"
        rows = self._connection.cursor().execute(
            "SELECT ts, id, data FROM reading WHERE sensor_id = ? AND instr(data, ?) "  # noqa: S608
            f"ORDER BY ts {order}, id {order}",  # one of two words
            (sensor_id, strict_json.encode(name) + b":"),
        )
        for ts, reading_id, data in rows:
            yield ts, reading_id, strict_json.decode(data)

    def _forget_latest(self, sensor_id: int) -> None:
        self._latest.pop(sensor_id, None)
        self._touched.discard(sensor_id)
        self._execute("DELETE FROM latest WHERE sensor_id = ?", (sensor_id,))

    def _cast(self, operation: store.CastField) -> Outcome:
        self._flush_rows()
        name = operation.field
        changes: list[tuple[bytes, int, int, int]] = []
        for ts, reading_id, values in self._carrying(operation.sensor_id, name, newest_first=False):
            if name not in values:
                continue
            value = store.cast(values[name], number=operation.number)
            if value is not None and (
                type(value) is not type(values[name]) or value != values[name]
            ):
                values[name] = value
                changes.append((strict_json.encode(values), operation.sensor_id, ts, reading_id))
        if changes:
            self._connection.executemany(
                "UPDATE reading SET data = ? WHERE sensor_id = ? AND ts = ? AND id = ?", changes
            )
            self._cast_latest(operation)
        return Outcome(Kind.STORED)

    def _cast_latest(self, operation: store.CastField) -> None:
        sensor_id, name = operation.sensor_id, operation.field
        known = self._latest.get(sensor_id) or self._load_latest(sensor_id)
        if known is None:
            return
        if known.values.get(name) is not None:
            value = store.cast(known.values[name], number=operation.number)
            if value is not None:
                known.values = {**known.values, name: value}
                known.data = strict_json.encode(known.values)
        elif name in known.older:
            old, at = known.older[name]
            value = store.cast(old, number=operation.number)
            if value is not None:
                known.older[name] = (value, at)
        self._touched.add(sensor_id)

    def _drop(self, operation: store.DropSensor) -> Outcome:
        self._flush_rows()
        sensor_id = operation.sensor_id
        beyond = self._execute(
            "SELECT ts, id FROM reading WHERE sensor_id = ? ORDER BY ts, id LIMIT 1 OFFSET ?",
            (sensor_id, DROP_ROWS),
        ).fetchone()
        if beyond is not None:
            self._execute(
                "DELETE FROM reading WHERE sensor_id = ? AND (ts, id) < (?, ?)",
                (sensor_id, *beyond),
            )
            return Outcome(Kind.STORED, more=True)
        self._execute("DELETE FROM reading WHERE sensor_id = ?", (sensor_id,))
        self._forget_latest(sensor_id)
        return Outcome(Kind.STORED)

    def _forget_resends(self, operation: store.ForgetResends) -> Outcome:
        self._execute("DELETE FROM resend WHERE at < ?", (operation.before,))
        return Outcome(Kind.STORED)

    def _probe(self, _: store.Probe) -> Outcome:
        self._execute("INSERT INTO probe (filler) VALUES (zeroblob(?))", (PROBE_BYTES,))
        self._execute("DELETE FROM probe")
        return Outcome(Kind.STORED)
