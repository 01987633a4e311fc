"""The one writer of a readings file: runs operations, many in one transaction."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit import strict_json, times
from wotkit.readings import store
from wotkit.readings.latest import LatestValues
from wotkit.readings.sqlite_batch import MOST_ROWS, READING, Batch
from wotkit.readings.sqlite_cast import cast_part
from wotkit.readings.store import Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from wotkit.readings.store import NewReading

DROP_ROWS: Final = 20_000
"""Readings deleted in one transaction at most, of a dropped sensor or a range."""
KNOWN_SENSORS: Final = 100_000
KNOWN_STREAMS: Final = 100_000
PROBE_BYTES: Final = 65_536
ID_BLOCK: Final = 10_000


class _Position(NamedTuple):
    """How far a stream is."""

    through: int
    refused: frozenset[int]
    """Numbers of its last batch that were refused, and so are not stored."""


_START: Final = _Position(0, frozenset())


class SqliteWriter:
    """Runs operations on the writing connection; used by one thread at a time.

    What it remembers of the file (next id, latest values, stream positions) is dropped when
    another process has written to it and when a transaction failed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._batch = Batch(connection)
        self._now = 0
        self._data_version = -1
        self._epoch = 0
        """Raised by whoever begins to write after another process has."""
        self._next_id = 0
        self._reserved = 0
        """Ids below this are taken in the file; what is left of them at an end is not used."""
        self._counter_due = False
        self._latest: dict[int, LatestValues] = {}
        self._touched: set[int] = set()
        self._streams: dict[tuple[int, str], _Position] = {}
        self._moved: set[tuple[int, str]] = set()
        self._resends: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        """Of this batch: caller and key to fingerprint and answer."""
        self._run: dict[type, Callable[[Any], Outcome]] = {
            store.Append: self._append,
            store.Replace: self._replace,
            store.Delete: self._delete,
            store.CastField: self._cast,
            store.DropSensor: self._drop,
            store.ForgetResends: self._forget_resends,
            store.ForgetResend: self._forget_resend,
            store.Probe: self._probe,
        }

    def apply(self, operations: Sequence[store.Operation], now: int) -> list[Outcome]:
        """Run ``operations`` in one transaction; all of them or, on an error, none."""
        self._now = now
        if len(self._latest) > KNOWN_SENSORS:
            self._latest.clear()
        if len(self._streams) > KNOWN_STREAMS:
            self._streams.clear()
        appends = _few_appends(operations)
        if self._next_id and appends is not None:
            with suppress(sqlite3.IntegrityError):
                return self._append_at_once(appends)
        return self._apply_in_transaction(operations)

    def _append_at_once(self, operations: Sequence[store.Append]) -> list[Outcome]:
        """Append with a single statement, going by what is remembered.

        It fails, without effect, when another process has written meanwhile or a resend key comes
        twice; then a transaction looks at the file itself.

        Raises:
            sqlite3.IntegrityError: what is remembered is not true any more.
        """
        try:
            outcomes = [self._append(operation) for operation in operations]
            self._complete_batch()
            self._batch.add_epoch(self._epoch)
            if len(self._batch) > MOST_ROWS:
                raise sqlite3.IntegrityError("too much for one statement")
            self._batch.write()
        except BaseException:
            self._forget()
            raise
        self._batch.begin(self._next_id)
        return outcomes

    def _apply_in_transaction(self, operations: Sequence[store.Operation]) -> list[Outcome]:
        self._execute("BEGIN IMMEDIATE")
        try:
            self._remember()
            outcomes = [self._run[type(operation)](operation) for operation in operations]
            self._complete_batch()
            self._write_batch()
            self._execute("COMMIT")
        except BaseException:
            self._forget()
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._execute("ROLLBACK")
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
            (self._epoch,) = self._execute(
                "UPDATE counter SET value = value + 1 WHERE name = 'epoch' RETURNING value"
            ).fetchone()
            (self._next_id,) = self._execute(
                "SELECT value FROM counter WHERE name = 'next_id'"
            ).fetchone()
            self._reserved = self._next_id
            self._batch.begin(self._next_id)

    def _forget(self) -> None:
        """Remember nothing, so that the next transaction begins with what the file says."""
        self._next_id = self._reserved = 0
        self._counter_due = False
        self._latest.clear()
        self._touched.clear()
        self._streams.clear()
        self._moved.clear()
        self._resends.clear()
        self._batch.begin(0)

    def _append(self, operation: store.Append) -> Outcome:
        replay = self._replayed(operation.resend)
        if replay is not None:
            return replay
        readings: Sequence[NewReading] = operation.readings
        added: Sequence[NewReading] | None = None
        through = 0
        if operation.stream is not None:
            added, through = self._new_of_stream(operation.stream, operation.readings)
            readings = added
        first_id = self._next_id
        self._store(readings)
        self._record(operation.resend, operation.answer)
        return Outcome(
            Kind.STORED,
            self._next_id - first_id,
            first_id,
            operation.answer,
            through,
            added=added,
        )

    def _store(self, readings: Iterable[NewReading]) -> None:
        next_id = self._next_id
        rows, latest, touched, now = self._batch.values, self._latest, self._touched, self._now
        for reading in readings:
            sensor_id, ts, data = reading.sensor_id, reading.ts, reading.data
            rows += (READING, sensor_id, ts, next_id, data, None, None)
            known = latest.get(sensor_id)
            if known is None:
                known = self._load_latest(sensor_id)
            if known is None:
                latest[sensor_id] = LatestValues(ts, next_id, data, reading.values, {}, now)
            else:
                known.add(reading, next_id, now)
            touched.add(sensor_id)
            next_id += 1
        self._next_id = next_id
        if next_id > self._reserved:
            # ids are taken in blocks, so that not every transaction writes the counter
            self._reserved = next_id + ID_BLOCK
            self._counter_due = True

    def _load_latest(self, sensor_id: int) -> LatestValues | None:
        row = self._execute(
            "SELECT ts, id, data, older, updated FROM latest WHERE sensor_id = ?", (sensor_id,)
        ).fetchone()
        if row is None:
            return None
        known = self._latest[sensor_id] = LatestValues.load(*row)
        return known

    def _complete_batch(self) -> None:
        """Add what changes beside the readings, all of it behind them."""
        batch = self._batch
        for sensor_id in self._touched:
            known = self._latest[sensor_id]
            batch.add_latest(
                sensor_id, known.ts, known.id, known.data, known.encoded_older(), known.updated
            )
        self._touched.clear()
        for owner_id, stream in self._moved:
            through, refused = self._streams[owner_id, stream]
            batch.add_stream(owner_id, stream, through, strict_json.encode(sorted(refused)))
        self._moved.clear()
        for (caller, key), (fingerprint, answer) in self._resends.items():
            batch.add_resend(caller, key, fingerprint, answer, self._now)
        self._resends.clear()
        if self._counter_due:
            self._counter_due = False
            batch.add_next_id(self._reserved)

    def _write_batch(self) -> None:
        """Write what is gathered, so that statements that follow see it."""
        self._batch.write()
        self._batch.begin(self._next_id)

    def _replayed(self, resend: store.Resend | None) -> Outcome | None:
        """Return what to answer when this was already done; None when it is new."""
        if resend is None:
            return None
        known = self._resends.get((resend.caller, resend.key))
        if known is None:
            known = self._execute(
                "SELECT fingerprint, answer FROM resend WHERE caller = ? AND key = ?",
                (resend.caller, resend.key),
            ).fetchone()
        if known is None:
            return None
        fingerprint, answer = known
        if fingerprint != resend.fingerprint:
            return Outcome(Kind.MISMATCH)
        return Outcome(Kind.REPLAYED, answer=answer)

    def _record(self, resend: store.Resend | None, answer: bytes) -> None:
        if resend is not None:
            self._resends[resend.caller, resend.key] = (resend.fingerprint, answer)

    def _new_of_stream(
        self, batch: store.StreamBatch, readings: Sequence[NewReading]
    ) -> tuple[list[NewReading], int]:
        """Return the readings that the stream does not hold yet, and its new position.

        A reading that was refused when the stream moved past it may be right when the batch comes
        again, for its sensor exists now: it was not stored, so it is new.
        """
        done, refused_before = self._position(batch.owner_id, batch.stream)
        new: list[NewReading] = []
        for number, reading in zip(batch.sequence, readings, strict=True):
            if number > done or number in refused_before:
                new.append(reading)
        through = max(done, batch.through)
        refused = {number for number in batch.refused if number > done or number in refused_before}
        if through == done:
            # nothing new: what this batch does not carry may still come again
            refused |= refused_before.difference(batch.sequence)
        if through > done or refused != refused_before:
            self._streams[batch.owner_id, batch.stream] = _Position(through, frozenset(refused))
            self._moved.add((batch.owner_id, batch.stream))
        return new, through

    def _position(self, owner_id: int, stream: str) -> _Position:
        known = self._streams.get((owner_id, stream))
        if known is None:
            row = self._execute(
                "SELECT through, refused FROM stream WHERE owner_id = ? AND stream = ?",
                (owner_id, stream),
            ).fetchone()
            known = _Position(row[0], frozenset(strict_json.decode(row[1]))) if row else _START
            self._streams[owner_id, stream] = known
        return known

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
        self._write_batch()
        sensor_id = operation.sensor_id
        first, last = (operation.first, operation.first_id), (operation.last, operation.last_id)
        within = "sensor_id = ? AND (ts, id) >= (?, ?) AND (ts, id) <= (?, ?)"
        beyond = self._execute(
            f"SELECT ts, id FROM reading WHERE {within} ORDER BY ts, id LIMIT 1 OFFSET ?",  # noqa: S608  # a text of this function
            (sensor_id, *first, *last, DROP_ROWS),
        ).fetchone()
        rest: store.Delete | None = None
        if beyond is not None:
            rest = store.Delete(sensor_id, beyond[0], operation.last, beyond[1], operation.last_id)
            last = (beyond[0], beyond[1] - 1)
        deleted = self._execute(
            f"DELETE FROM reading WHERE {within}",  # noqa: S608  # a text of this function
            (sensor_id, *first, *last),
        ).rowcount
        if deleted:
            self._find_latest_again(sensor_id, first[0], last[0])
        return Outcome(Kind.STORED, deleted=deleted, rest=rest)

    def _delete_between(self, sensor_id: int, first: int, last: int) -> None:
        self._write_batch()
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

    def _last_value(
        self, sensor_id: int, name: str, *, through: int = times.LATEST
    ) -> tuple[Any, int] | None:
        """Return the value of the last reading up to a time that has one, and its time."""
        rows = self._connection.cursor().execute(
            "SELECT ts, data FROM reading WHERE sensor_id = ? AND ts <= ? AND instr(data, ?) "
            "ORDER BY ts DESC, id DESC",
            (sensor_id, through, strict_json.encode(name) + b":"),
        )
        for ts, data in rows:
            value = strict_json.decode(data).get(name)
            if value is not None:
                return value, ts
        return None

    def _forget_latest(self, sensor_id: int) -> None:
        self._latest.pop(sensor_id, None)
        self._touched.discard(sensor_id)
        self._execute("DELETE FROM latest WHERE sensor_id = ?", (sensor_id,))

    def _cast(self, operation: store.CastField) -> Outcome:
        self._write_batch()
        changes, rest = cast_part(self._connection, operation)
        if changes:
            self._read_latest_again(operation.sensor_id, operation.field)
        return Outcome(Kind.STORED, rest=rest)

    def _read_latest_again(self, sensor_id: int, name: str) -> None:
        """Take over what a cast made of a field's last value, wherever that stands."""
        known = self._latest.get(sensor_id) or self._load_latest(sensor_id)
        if known is None:
            return
        if name in known.values:
            (known.data,) = self._execute(
                "SELECT data FROM reading WHERE sensor_id = ? AND ts = ? AND id = ?",
                (sensor_id, known.ts, known.id),
            ).fetchone()
            known.values = strict_json.decode(known.data)
        if name in known.older:
            _, at = known.older[name]
            newest = self._last_value(sensor_id, name, through=at)
            assert newest is not None
            known.older[name] = newest
        self._touched.add(sensor_id)

    def _drop(self, operation: store.DropSensor) -> Outcome:
        self._write_batch()
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
            return Outcome(Kind.STORED, rest=operation)
        self._execute("DELETE FROM reading WHERE sensor_id = ?", (sensor_id,))
        self._forget_latest(sensor_id)
        return Outcome(Kind.STORED)

    def _forget_resends(self, operation: store.ForgetResends) -> Outcome:
        self._execute("DELETE FROM resend WHERE at < ?", (operation.before,))
        return Outcome(Kind.STORED)

    def _forget_resend(self, operation: store.ForgetResend) -> Outcome:
        self._write_batch()
        self._resends.pop((operation.caller, operation.key), None)
        given = (operation.caller, operation.key)
        self._execute("DELETE FROM resend WHERE caller = ? AND key = ?", given)
        return Outcome(Kind.STORED)

    def _probe(self, _: store.Probe) -> Outcome:
        self._execute("INSERT INTO probe (filler) VALUES (zeroblob(?))", (PROBE_BYTES,))
        self._execute("DELETE FROM probe")
        return Outcome(Kind.STORED)


def _few_appends(operations: Sequence[store.Operation]) -> list[store.Append] | None:
    """Return the operations if they only append, and little enough for one statement."""
    appends: list[store.Append] = []
    readings = 0
    for operation in operations:
        if not isinstance(operation, store.Append):
            return None
        readings += len(operation.readings)
        appends.append(operation)
    return appends if readings <= MOST_ROWS // 2 else None
