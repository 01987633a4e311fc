import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway_agent.clock import Stamp
from gateway_agent.reading import Reading
from gateway_agent.spool import (
    JournalEntry,
    Refusal,
    Settlement,
    SpoolFile,
    SpoolLock,
    SpoolLockedError,
    UnsuitableSpoolError,
    Work,
    machine_hash,
)
from gateway_agent.spool.reader import SpoolReader

Open = Callable[..., SpoolFile]


def reading(number: int, size: int = 0) -> Reading:
    stamp = Stamp(1_700_000_000_000_000 + number, number, "boot-1", synced=True)
    return Reading("boiler", f'{{"number":{number},"pad":"{"x" * size}"}}', stamp)


@pytest.fixture
def open_file(tmp_path: Path) -> Iterator[Open]:
    files: list[SpoolFile] = []

    def open_one(**settings: object) -> SpoolFile:
        defaults = {"max_mb": 64, "drop_oldest": True, "dead_letters": 100, "machine": "m1"}
        file = SpoolFile(tmp_path / "spool.db", **(defaults | settings))
        files.append(file)
        return file

    yield open_one
    for file in files:
        file._db.close()


def seqs(folder: Path) -> list[int]:
    reader = SpoolReader(folder / "spool.db")
    try:
        return [row.seq for row in reader.rows_after(0, 10**6, 10**12)]
    finally:
        reader.close()


def test_seq_counts_from_one_and_goes_on_after_all_is_settled(
    open_file: Open, tmp_path: Path
) -> None:
    file = open_file()
    file.commit(Work(readings=[reading(0), reading(1)]))
    assert seqs(tmp_path) == [1, 2]
    file.commit(Work(settlements=[Settlement(2)]))
    assert (file.depth, file.last_seq) == (0, 2)
    file.close()
    file = open_file()
    file.commit(Work(readings=[reading(2)]))
    assert seqs(tmp_path) == [3]


def test_stamp_and_boot_are_kept(open_file: Open, tmp_path: Path) -> None:
    file = open_file()
    file.commit(Work(readings=[reading(5)]))
    row = file._db.execute(
        "SELECT wall_us, boot_us, boot_id, synced, tries FROM reading JOIN boot ON boot = boot.id"
    ).fetchone()
    assert row == (1_700_000_000_000_005, 5, "boot-1", 1, 0)


def test_settings_that_survive_a_power_cut_are_on(open_file: Open) -> None:
    database = open_file()._db
    assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert database.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_refused_reading_becomes_a_dead_letter_and_the_rest_leaves(open_file: Open) -> None:
    file = open_file()
    file.commit(Work(readings=[reading(n) for n in range(4)]))
    file.commit(Work(settlements=[Settlement(3, {2: Refusal("1201", "expected NUMBER")})]))
    assert file.depth == 1
    dead = file._db.execute("SELECT seq, sensor, fields, code, message FROM dead_letter").fetchall()
    assert dead == [(2, "boiler", reading(1).fields, "1201", "expected NUMBER")]
    assert file.counters == Counter(committed=4, acknowledged=2, dead=1)


def test_reading_put_back_gets_a_new_seq_at_the_end(open_file: Open, tmp_path: Path) -> None:
    file = open_file()
    file.commit(Work(readings=[reading(n) for n in range(3)]))
    file.commit(Work(settlements=[Settlement(2, respool=frozenset({1}))]))
    reader = SpoolReader(tmp_path / "spool.db")
    rows = reader.rows_after(0, 10, 10**6)
    reader.close()
    assert [(row.seq, row.tries) for row in rows] == [(3, 0), (4, 1)]
    assert rows[1].fields == reading(0).fields
    assert (file.depth, file.last_seq) == (2, 4)
    assert file.counters == Counter(committed=3, acknowledged=1, respooled=1)


def test_settlement_done_twice_changes_nothing_more(open_file: Open) -> None:
    file = open_file()
    file.commit(Work(readings=[reading(n) for n in range(3)]))
    settlement = Settlement(2, {1: Refusal("400", "no")}, frozenset({2}))
    file.commit(Work(settlements=[settlement]))
    file.commit(Work(settlements=[settlement]))
    assert file.depth == 2
    assert file.counters == Counter(committed=3, dead=1, respooled=1)


def test_failed_transaction_changes_nothing(open_file: Open) -> None:
    file = open_file()
    file.commit(Work(readings=[reading(0)]))
    broken = Reading("boiler", "{}", Stamp(None, 1, "boot-1", synced=True))  # type: ignore[arg-type]  # breaks NOT NULL
    with pytest.raises(sqlite3.IntegrityError):
        file.commit(Work(readings=[reading(1), broken], settlements=[Settlement(1)]))
    assert (file.depth, file.last_seq) == (1, 1)
    assert file._db.execute("SELECT count(*) FROM reading").fetchone()[0] == 1


def test_stream_is_the_same_after_restart_and_another_on_another_machine(open_file: Open) -> None:
    first = open_file()
    stream = first.stream
    first.close()
    assert open_file().stream == stream
    assert open_file(machine="m2").stream != stream
    assert open_file(machine="m2").stream.startswith(stream.split("-")[0])


def test_new_files_have_streams_of_their_own(tmp_path: Path) -> None:
    streams = set()
    for name in ("a.db", "b.db"):
        file = SpoolFile(tmp_path / name, max_mb=4, drop_oldest=True, dead_letters=0, machine="m")
        streams.add(file.stream)
        file.close()
    assert len(streams) == 2


def test_renewed_stream_is_kept(open_file: Open) -> None:
    file = open_file()
    before = file.stream
    file.commit(Work(renew_stream=True, readings=[reading(0)]))
    assert file.stream != before
    assert file.depth == 1
    after = file.stream
    file.close()
    assert open_file().stream == after


def test_oldest_are_dropped_when_the_spool_is_full(open_file: Open, tmp_path: Path) -> None:
    file = open_file(max_mb=4)
    for start in range(0, 6000, 500):
        file.commit(Work(readings=[reading(n, 900) for n in range(start, start + 500)]))
    kept = seqs(tmp_path)
    assert kept == list(range(kept[0], 6001))
    assert file.counters["dropped_spool_full"] == kept[0] - 1 > 0
    assert file.depth == len(kept)
    assert (tmp_path / "spool.db").stat().st_size <= 2 * 1024 * 1024


def test_new_are_rejected_when_so_configured(open_file: Open, tmp_path: Path) -> None:
    file = open_file(max_mb=4, drop_oldest=False)
    for start in range(0, 6000, 500):
        file.commit(Work(readings=[reading(n, 900) for n in range(start, start + 500)]))
    kept = seqs(tmp_path)
    assert kept == list(range(1, len(kept) + 1))
    assert file.counters["dropped_spool_full"] == 6000 - len(kept)
    file.commit(Work(settlements=[Settlement(1000)]))
    file.commit(Work(readings=[reading(0, 900) for _ in range(100)]))
    assert seqs(tmp_path)[-1] == len(kept) + 100


def test_batch_larger_than_the_spool_keeps_its_newest(open_file: Open, tmp_path: Path) -> None:
    file = open_file(max_mb=4)
    file.commit(Work(readings=[reading(n, 9000) for n in range(1000)]))
    reader = SpoolReader(tmp_path / "spool.db")
    rows = reader.rows_after(0, 10**6, 10**12)
    reader.close()
    assert rows[-1].fields == reading(999, 9000).fields
    assert len(rows) + file.counters["dropped_spool_full"] == 1000


def test_only_the_newest_dead_letters_are_kept(open_file: Open) -> None:
    file = open_file(dead_letters=5)
    file.commit(Work(readings=[reading(n) for n in range(12)]))
    refused = {seq: Refusal("400", "no") for seq in range(1, 13)}
    file.commit(Work(settlements=[Settlement(12, refused)]))
    assert file.dead_letters == 5
    assert file.counters["dropped_dead_letters"] == 7


def test_dead_letters_go_before_readings_when_full(open_file: Open) -> None:
    file = open_file(max_mb=4, dead_letters=10**6)
    file.commit(Work(readings=[reading(n, 900) for n in range(1000)]))
    refused = {seq: Refusal("400", "no") for seq in range(1, 1001)}
    file.commit(Work(settlements=[Settlement(1000, refused)]))
    file.commit(Work(readings=[reading(n, 900) for n in range(800)]))
    assert file.depth == 800
    assert file.counters["dropped_dead_letters"] > 0
    assert "dropped_spool_full" not in file.counters


def test_database_of_another_program_is_left_alone(open_file: Open, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "spool.db") as other:
        other.execute("CREATE TABLE precious (x)")
    other.close()
    with pytest.raises(UnsuitableSpoolError, match="another program"):
        open_file()


def test_spool_of_a_newer_version_is_left_alone(open_file: Open) -> None:
    file = open_file()
    file._db.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(UnsuitableSpoolError, match="newer version"):
        open_file()


def test_reader_takes_as_much_as_fits_but_at_least_one(open_file: Open, tmp_path: Path) -> None:
    open_file().commit(Work(readings=[reading(n, 5000) for n in range(4)]))
    reader = SpoolReader(tmp_path / "spool.db")
    assert [row.seq for row in reader.rows_after(0, 10, 11_000)] == [1, 2]
    assert [row.seq for row in reader.rows_after(2, 10, 100)] == [3]
    assert [row.seq for row in reader.rows_after(0, 3, 10**9)] == [1, 2, 3]
    reader.close()


def test_machine_hash_differs_between_machines_and_needs_no_files(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("abc\n")
    known, unknown = machine_hash([tmp_path / "id"]), machine_hash([tmp_path / "none"])
    assert known != unknown
    assert len(known) == len(unknown) == 16
    assert "abc" not in known


def test_second_agent_is_told_who_has_the_spool(tmp_path: Path) -> None:
    lock = SpoolLock(tmp_path / "deep" / "spool.db")
    assert not lock.is_held()
    lock.acquire()
    assert lock.is_held()
    with pytest.raises(SpoolLockedError, match=r"process [0-9]+"):
        SpoolLock(tmp_path / "deep" / "spool.db").acquire()
    lock.release()
    assert not lock.is_held()


def test_killed_agent_leaves_no_lock_behind(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from gateway_agent.spool import SpoolLock;"
        "SpoolLock(pathlib.Path(sys.argv[1])).acquire(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "spool.db"], check=False)
    SpoolLock(tmp_path / "spool.db").acquire()


def test_memory_holds_no_more_commands_than_the_file(open_file: Open) -> None:
    file = open_file()
    for start in range(0, 2600, 100):
        file.commit(
            Work(commands=[JournalEntry(f"c{n}", "done") for n in range(start, start + 100)])
        )
    file.commit(Work(commands=[JournalEntry("c700", "done", reported=True)]))
    assert list(file.journal) == [f"c{n}" for n in range(600, 2600)]
    file.close()
    assert open_file().journal == file.journal


def test_journal_keeps_as_many_commands_however_often_each_is_noted(open_file: Open) -> None:
    file = open_file()
    for number in range(1000):
        for state in ("accepted", "done", "failed"):
            file.commit(Work(commands=[JournalEntry(f"c{number}", state)]))
    file.close()
    assert len(open_file().journal) == 1000
