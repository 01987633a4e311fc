"""One spool file: schema, the one transaction that changes it, and what to give up when full.

Everything here is called by one thread at a time. Invariants are in DESIGN.md.
"""

import logging
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway_agent.reading import Reading
from gateway_agent.spool import journal, rows
from gateway_agent.spool.ballast import Ballast
from gateway_agent.spool.failures import SpoolFullError, UnsuitableSpoolError, is_disk_full
from gateway_agent.spool.place import PAGE_SIZE, Place, finish
from gateway_agent.spool.records import Work

APPLICATION_ID: Final = 0x47574147
SCHEMA_VERSION: Final = 1
_MIB: Final = 1024 * 1024
_WAL_BYTES: Final = _MIB
_BALLAST_BYTES: Final = _MIB
_RESERVE_PAGES: Final = 32
_GROWTH_ON_FULL_DISK: Final = 64
_SHRINK_PAGES: Final = 64
_ROW_OVERHEAD: Final = 48
_CHECKED_WHOLE: Final = 32 * _MIB
_BOOKMARK: Final = "bookmark:"
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
CREATE TABLE reading (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sensor TEXT NOT NULL,
    wall_us INTEGER NOT NULL,
    boot_us INTEGER NOT NULL,
    boot INTEGER NOT NULL REFERENCES boot (id),
    synced INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    fields TEXT NOT NULL
);
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL,
    sensor TEXT NOT NULL,
    wall_us INTEGER NOT NULL,
    boot_us INTEGER NOT NULL,
    boot INTEGER NOT NULL REFERENCES boot (id),
    synced INTEGER NOT NULL,
    fields TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL
);
"""


class SpoolFile:
    """The SQLite file of the spool."""

    def __init__(
        self, path: Path, *, max_mb: int, drop_oldest: bool, dead_letters: int, machine: str
    ) -> None:
        """Open the file, or make it.

        Raises sqlite3.DatabaseError (see failures.py for which kind), UnsuitableSpoolError when
        the file belongs to another program or a newer version, OSError.
        """
        self._path = path
        self._drop_oldest = drop_oldest
        self._most_dead_letters = dead_letters
        self._machine = machine
        self._ballast = Ballast(path, _BALLAST_BYTES)
        self._max_pages = (max_mb * _MIB - _WAL_BYTES - _BALLAST_BYTES) // PAGE_SIZE
        self._page_limit = self._max_pages
        self._log = logging.getLogger(__name__)
        self.stream = ""
        """The name under which the platform knows this spool's readings."""
        self.last_seq = 0
        """The newest `seq` ever given."""
        self.depth = 0
        """Readings that wait."""
        self.dead_letters = 0
        """Refused readings that are kept."""
        self.bookmarks: dict[str, str] = {}
        """How far inputs have come, by their names."""
        self.journal: dict[str, journal.JournalEntry] = {}
        """What became of commands, by their keys."""
        self.counters: Counter[str] = Counter()
        """Totals since the file was made: committed, acknowledged, dead, `dropped_{reason}`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        finish(path)
        try:
            self._open()
        except (sqlite3.OperationalError, OSError) as error:
            if not (self._ballast.is_held and is_disk_full(error, path)):
                raise
            self._ballast.release()  # the log needs room even where nothing is written
            self._open()
        self._ballast.take()
        self._place = Place(path)

    @property
    def is_in_place(self) -> bool:
        """Whether the file that is open is still the one that has its name."""
        return self._place.is_kept()

    def put_back(self) -> Path | None:
        """Give the content its name again; this object is then only good for `close`.

        Returns where the file is now that has taken the place, if any. Raises sqlite3.Error or
        OSError; then this object is as good as before.
        """
        return self._place.put_back(self._db)

    @property
    def is_constrained(self) -> bool:
        """Whether the disk is full, so that the file must not grow now."""
        return self._page_limit < self._max_pages

    def commit(self, work: Work) -> None:
        """Write it all in one transaction that is on disk when this returns, or change nothing.

        When there is no room, readings are dropped and counted as configured. Raises
        SpoolFullError when even that is impossible, and sqlite3.DatabaseError.
        """
        if self.is_constrained:
            self._relax()
        try:
            self._transact(work)
        except (sqlite3.OperationalError, OSError) as error:
            if not is_disk_full(error, self._path):
                raise
            self._commit_on_full_disk(work)
        if self.is_constrained:
            self._checkpoint("RESTART")

    def oldest_us(self) -> int | None:
        """Wall time of the oldest reading that waits, in microseconds since 1970."""
        row = self._db.execute("SELECT wall_us FROM reading ORDER BY seq LIMIT 1").fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Close the file; its log is folded into it when there is room."""
        try:
            self._checkpoint("TRUNCATE")
        finally:
            self._db.close()

    def _open(self) -> None:
        path = self._path
        self._db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self._boots = rows.Boots(self._db)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        application, version, tables = (
            db.execute("PRAGMA application_id").fetchone()[0],
            db.execute("PRAGMA user_version").fetchone()[0],
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0],
        )
        if tables and application != APPLICATION_ID:
            raise UnsuitableSpoolError(f"{self._path} is another program's database")
        if version > SCHEMA_VERSION:
            raise UnsuitableSpoolError(f"{self._path} was made by a newer version of the agent")
        db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_BYTES // PAGE_SIZE}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        db.execute("PRAGMA cache_size = -512")
        db.execute("PRAGMA temp_store = MEMORY")
        if version == 0:
            self._create()
        elif self._path.stat().st_size <= _CHECKED_WHOLE:
            self._check_whole()
        self._limit_pages(self._max_pages)
        journal.prepare(db)
        rows.prepare(db)
        self._load()

    def _create(self) -> None:
        with self._transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            self._renew_stream()
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check_whole(self) -> None:
        verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            error = sqlite3.DatabaseError(f"quick_check: {verdict}")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

    def _load(self) -> None:
        db = self._db
        token = db.execute("SELECT value FROM meta WHERE name = 'stream'").fetchone()[0]
        self.stream = f"{token}-{self._machine}"
        self.last_seq = self._highest_seq()
        self.depth = db.execute("SELECT count(*) FROM reading").fetchone()[0]
        self.dead_letters = db.execute("SELECT count(*) FROM dead_letter").fetchone()[0]
        self.counters = Counter(dict(db.execute("SELECT name, value FROM counter")))
        marks = db.execute("SELECT name, value FROM meta WHERE name LIKE ?", (_BOOKMARK + "%",))
        self.journal = journal.load(db)
        self.bookmarks = {name.removeprefix(_BOOKMARK): value for name, value in marks}

    def _highest_seq(self) -> int:
        sql = "SELECT seq FROM sqlite_sequence WHERE name = 'reading'"
        row = self._db.execute(sql).fetchone()
        return 0 if row is None else int(row[0])

    def _renew_stream(self) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO meta VALUES ('stream', ?)", (secrets.token_hex(16),)
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            self._boots.forget()
            raise

    def _transact(self, work: Work, *, shed: int = 0) -> None:
        tally = Counter(work.counts)
        with self._transaction():
            for settlement in work.settlements:
                rows.settle(self._db, settlement, tally)
            if work.renew_stream:
                self._renew_stream()
            self._drop_rows(shed, tally)
            kept = self._make_room(work.readings, tally)
            self._boots.insert(kept, tally)
            self._boots.save_offsets(work.offsets)
            self._trim_dead_letters(tally)
            self._save_counters(tally)
            marks = self._save_bookmarks(work)
            journal.write(self._db, work.commands)
            last_seq = self._highest_seq()
        self.last_seq = last_seq
        self.depth += tally["added"] - tally["removed"]
        self.dead_letters += tally["dead"] - tally["dropped_dead_letters"]
        self.counters.update(_lasting(tally))
        self.bookmarks |= marks
        journal.merge(self.journal, work.commands)
        if work.renew_stream:
            self._load()

    def _save_bookmarks(self, work: Work) -> dict[str, str]:
        """Those that came alone, then those of the readings: dropped or not, they were read."""
        marks = dict(work.bookmarks)
        marks.update(reading.bookmark for reading in work.readings if reading.bookmark)
        pairs = [(_BOOKMARK + name, value) for name, value in marks.items()]
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", pairs)
        return marks

    def _save_counters(self, tally: Counter[str]) -> None:
        self._db.executemany(
            "INSERT INTO counter VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            _lasting(tally).items(),
        )

    def _make_room(self, readings: Sequence[Reading], tally: Counter[str]) -> Sequence[Reading]:
        """Drop what must be dropped; the readings that can be kept come back."""
        while not self._fits(readings):
            if self._drop_oldest and self._drop_rows(max(100, len(readings)), tally):
                continue
            keep = len(readings) // 2
            tally[self._full_reason] += len(readings) - keep
            readings = readings[len(readings) - keep :] if self._drop_oldest else readings[:keep]
        return readings

    def _fits(self, readings: Sequence[Reading]) -> bool:
        if not readings:
            return True
        size = sum(len(r.fields) + len(r.sensor) + _ROW_OVERHEAD for r in readings)
        return self._free_pages() >= size * 5 // 4 // PAGE_SIZE + _RESERVE_PAGES

    def _free_pages(self) -> int:
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        unused = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        return int(self._page_limit - pages + unused)

    @property
    def _full_reason(self) -> str:
        return "dropped_disk_full" if self.is_constrained else "dropped_spool_full"

    def _drop_rows(self, count: int, tally: Counter[str]) -> int:
        """Drop the oldest dead letters, or else the oldest readings; how many went."""
        if count == 0:
            return 0
        dropped = rows.drop_dead_letters(self._db, count)
        tally["dropped_dead_letters"] += dropped
        if dropped:
            return dropped
        dropped = rows.drop_readings(self._db, count)
        tally[self._full_reason] += dropped
        tally["removed"] += dropped
        return dropped

    def _trim_dead_letters(self, tally: Counter[str]) -> None:
        if tally["dead"]:
            tally["dropped_dead_letters"] += self._db.execute(
                "DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?",
                (self._most_dead_letters,),
            ).rowcount

    def _commit_on_full_disk(self, work: Work) -> None:
        """Try again with the ballast given up, then by shedding readings."""
        self._ballast.release()
        self._checkpoint("RESTART")
        if not self.is_constrained:
            self._log.warning("disk full, the spool stops growing file=%s", self._path)
        self._limit_pages(self._pages_on_disk() + _GROWTH_ON_FULL_DISK)
        try:
            self._transact(work)
        except (sqlite3.OperationalError, OSError) as error:
            if not is_disk_full(error, self._path):
                raise
        else:
            return
        self._limit_pages(self._pages_on_disk())
        try:
            self._transact(work, shed=max(100, self.depth // 10) if self._drop_oldest else 0)
        except (sqlite3.OperationalError, OSError) as error:
            if not is_disk_full(error, self._path):
                raise
            raise SpoolFullError("the disk is full, and nothing can be given up") from error

    def _relax(self) -> None:
        """Let the file grow again once there is room for it and for the ballast."""
        if not self._ballast.is_held:
            self._give_back(self._ballast.shortage())
        if self._ballast.take():
            self._limit_pages(self._max_pages)
            self._log.info("disk has room again file=%s", self._path)

    def _give_back(self, size: int) -> None:
        """Begin to make the file smaller by so many bytes, if it has them unused.

        A slice at a time, since moving pages takes room in the log.
        """
        pages = -(-size // PAGE_SIZE)
        unused = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        if not 0 < pages <= unused - _RESERVE_PAGES:
            return
        try:
            self._db.execute(f"PRAGMA incremental_vacuum({min(pages, _SHRINK_PAGES)})").fetchall()
        except sqlite3.OperationalError as error:
            self._log.debug("spool cannot be made smaller now error=%s", error)
        self._checkpoint("TRUNCATE")

    def _pages_on_disk(self) -> int:
        return int(self._db.execute("PRAGMA page_count").fetchone()[0])

    def _limit_pages(self, pages: int) -> None:
        self._page_limit = min(pages, self._max_pages)
        self._db.execute(f"PRAGMA max_page_count = {max(pages, 1)}")

    def _checkpoint(self, mode: str) -> None:
        """Fold the log into the file; a failure only means that this comes later."""
        try:
            self._db.execute(f"PRAGMA wal_checkpoint({mode})")
        except sqlite3.OperationalError as error:
            self._log.debug("checkpoint not possible now error=%s", error)


def _lasting(tally: Counter[str]) -> dict[str, int]:
    """What counts beyond its transaction."""
    return {
        name: count for name, count in tally.items() if count and name not in {"added", "removed"}
    }
