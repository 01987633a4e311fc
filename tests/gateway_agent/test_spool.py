import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway_agent.clock import Stamp
from gateway_agent.config import SpoolConfig
from gateway_agent.reading import Reading
from gateway_agent.spool import JournalEntry, Refusal, Spool, UnsuitableSpoolError
from gateway_agent.spool.aside import set_aside

MakeSpool = Callable[..., Spool]


def reading(number: int, size: int = 0) -> Reading:
    stamp = Stamp(1_700_000_000_000_000 + number, number, "boot-1", synced=True)
    return Reading("boiler", f'{{"number":{number},"pad":"{"x" * size}"}}', stamp)


@pytest.fixture
def make_spool(tmp_path: Path) -> Iterator[MakeSpool]:
    spools: list[Spool] = []

    def make(**settings: object) -> Spool:
        defaults = {"path": tmp_path / "spool.db", "commit_interval": 0.01}
        spool = Spool(SpoolConfig(**(defaults | settings)), "m1")
        spool.start()
        spools.append(spool)
        return spool

    yield make
    for spool in spools:
        spool.close()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def take_all(spool: Spool) -> list[int]:
    batch = spool.take(10**6, 10**9)
    return [row.seq for row in batch.rows] if batch else []


def test_reading_can_be_taken_only_after_its_commit(make_spool: MakeSpool) -> None:
    spool = make_spool(commit_interval=60)
    spool.put(reading(0), 0)
    assert spool.take(10, 1000) is None
    assert spool.figures().queued == 1
    assert spool.flush(10)
    assert take_all(spool) == [1]
    assert spool.figures().queued == 0


def test_readings_of_one_interval_share_one_commit(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool(commit_interval=0.2)
    commits: list[int] = []
    file = spool._state.file
    original = file.commit
    monkeypatch.setattr(
        file, "commit", lambda work: (commits.append(len(work.readings)), original(work))
    )
    for number in range(100):
        spool.put(reading(number), 0)
    wait_for(lambda: sum(commits) == 100)
    assert len(commits) <= 5


def test_what_is_not_settled_is_taken_again(make_spool: MakeSpool) -> None:
    spool = make_spool()
    for number in range(3):
        spool.put(reading(number), 0)
    spool.flush(10)
    batch = spool.take(2, 10**6)
    assert take_all(spool) == [1, 2, 3]
    spool.settle(batch, 2)
    assert take_all(spool) == [3]
    spool.flush(10)
    assert spool.figures().depth == 1
    assert spool.figures().counters["acknowledged"] == 2


def test_what_was_not_acknowledged_is_there_after_restart(make_spool: MakeSpool) -> None:
    spool = make_spool()
    for number in range(3):
        spool.put(reading(number), 0)
    spool.flush(10)
    batch = spool.take(10, 10**6)
    spool.close()
    again = make_spool()
    assert take_all(again) == [1, 2, 3]
    assert again.take(10, 10**6).stream == batch.stream


def test_queue_is_bounded_and_its_drops_are_counted(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool(queue=10, commit_interval=60)
    kept = [spool.put(reading(number), 0) for number in range(15)]
    assert kept == [True] * 10 + [False] * 5
    spool.flush(10)
    assert spool.figures().counters["dropped_queue_full"] == 5
    assert len(take_all(spool)) == 10


def test_input_waits_for_room_before_a_reading_is_dropped(make_spool: MakeSpool) -> None:
    spool = make_spool(queue=10, commit_interval=0.05)
    assert all(spool.put(reading(number), 20) for number in range(50))
    spool.flush(10)
    assert take_all(spool) == list(range(1, 51))


def test_drops_before_the_spool_are_counted_on_disk(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.count_drop("invalid", 3)
    spool.flush(10)
    spool.close()
    assert make_spool().figures().counters["dropped_invalid"] == 3


def test_refused_and_respooled_readings_are_settled_on_disk(make_spool: MakeSpool) -> None:
    spool = make_spool(commit_interval=60)
    for number in range(3):
        spool.put(reading(number), 0)
    spool.flush(10)
    batch = spool.take(10, 10**6)
    spool.settle(batch, 3, {1: Refusal("400", "no")}, frozenset({2}))
    wait_for(lambda: take_all(spool) == [4])
    assert spool.figures().dead_letters == 1


def test_settlement_of_an_older_stream_is_ignored(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.put(reading(0), 0)
    spool.flush(10)
    batch = spool.take(10, 10**6)
    spool.renew_stream(batch)
    wait_for(lambda: (again := spool.take(10, 10**6)) and again.stream != batch.stream)
    spool.settle(batch, 1)
    spool.flush(10)
    assert take_all(spool) == [1]


def test_sender_sleeps_until_there_is_something(make_spool: MakeSpool) -> None:
    spool = make_spool()
    assert not spool.wait_for_readings(0.01)
    threading.Timer(0.05, spool.put, (reading(0), 0)).start()
    assert spool.wait_for_readings(20)


def test_sender_sleeps_also_when_all_was_dropped(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.put(reading(0), 0)
    spool.flush(10)
    with sqlite3.connect(spool._config.path) as other:
        other.execute("DELETE FROM reading")
    other.close()
    assert spool.take(10, 1000) is None
    assert not spool.wait_for_readings(0.01)


def test_position_beyond_the_file_is_noticed(make_spool: MakeSpool) -> None:
    spool = make_spool()
    spool.put(reading(0), 0)
    spool.flush(10)
    batch = spool.take(10, 10**6)
    assert not spool.is_ahead_of_file(batch, 1)
    assert spool.is_ahead_of_file(batch, 2)


def test_batch_read_before_the_writer_noted_its_commit_is_not_ahead(make_spool: MakeSpool) -> None:
    spool = make_spool()
    for number in range(3):
        assert spool.put(reading(number), 1)
    assert spool.flush(5)
    batch = spool.take(10, 10_000)
    assert batch is not None
    assert spool._state.file is not None
    spool._state.file.last_seq = 2
    assert not spool.is_ahead_of_file(batch, 3)
    assert spool.is_ahead_of_file(batch, 4)


@pytest.mark.parametrize("damage", ["not a database", "damaged page", "truncated"])
def test_corrupt_spool_is_put_aside_and_a_new_one_started(
    make_spool: MakeSpool, tmp_path: Path, damage: str
) -> None:
    spool = make_spool()
    for number in range(2000):
        spool.put(reading(number, 50), 1)
    spool.flush(10)
    old = spool.take(1, 1000).stream
    spool.close()
    ruin(tmp_path / "spool.db", damage)
    spool = make_spool()
    spool.put(reading(0), 0)
    spool.flush(10)
    batch = spool.take(10, 10**6)
    assert [row.seq for row in batch.rows] == [1]
    assert batch.stream != old
    assert spool.figures().counters["corrupt_files"] == 1
    assert len(list(tmp_path.glob("spool.db.corrupt-*-1"))) == 1


def ruin(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "not a database":
        content[:100] = b"x" * 100
    elif damage == "damaged page":
        for start in range(8192, len(content), 4096):
            content[start : start + 200] = b"\xa5" * 200
    else:
        del content[len(content) // 2 :]
    path.write_bytes(content)


def test_corruption_while_running_is_noticed_by_the_sender(
    make_spool: MakeSpool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    spool = make_spool()
    for number in range(2000):
        spool.put(reading(number, 50), 1)
    spool.flush(10)
    spool._state.file._checkpoint("TRUNCATE")
    ruin(tmp_path / "spool.db", "damaged page")
    assert spool.take(1000, 10**6) is None
    wait_for(lambda: spool.figures().depth == 0)
    spool.put(reading(7), 0)
    spool.flush(10)
    assert take_all(spool) == [1]
    assert spool.figures().counters["corrupt_files"] == 1


def test_only_the_newest_two_corrupt_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    for number in range(4):
        path.write_text(str(number))
        path.with_name("spool.db-wal").write_text("log")
        set_aside(path)
        time.sleep(0.01)
    kept = [file for file in tmp_path.iterdir() if not file.name.endswith("-wal")]
    assert sorted(file.read_text() for file in kept) == ["2", "3"]
    assert len(list(tmp_path.iterdir())) == 4


def test_file_of_another_program_stops_the_start(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "spool.db") as other:
        other.execute("CREATE TABLE precious (x)")
    other.close()
    with pytest.raises(UnsuitableSpoolError):
        Spool(SpoolConfig(path=tmp_path / "spool.db"), "m1").start()


def test_spool_that_cannot_be_written_is_tried_again(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_agent.spool.writer._RETRY_AFTER", 0.02)
    spool = make_spool()
    failures = iter([sqlite3.OperationalError("disk I/O error"), OSError("gone")])
    original = spool._state.file.commit

    def flaky(work: object) -> None:
        if failure := next(failures, None):
            raise failure
        original(work)

    monkeypatch.setattr(spool._state.file, "commit", flaky)
    spool.put(reading(0), 0)
    wait_for(lambda: take_all(spool) == [1])
    wait_for(lambda: spool.figures().trouble is None)


def test_refusal_in_half_a_surrogate_pair_is_kept_and_the_spool_lives_on(
    make_spool: MakeSpool, tmp_path: Path
) -> None:
    spool = make_spool()
    spool.put(reading(0), 0)
    assert spool.flush(10)
    batch = spool.take(10, 10**6)
    assert batch is not None
    spool.settle(batch, 1, {1: Refusal("\ud800", "expected NUMBER, not '\ud83d'")})
    assert spool.flush(10)
    with sqlite3.connect(tmp_path / "spool.db") as db:
        found = db.execute("SELECT code, message FROM dead_letter").fetchall()
    db.close()
    assert found == [("?", "expected NUMBER, not '?'")]


def test_spool_that_could_not_be_opened_is_opened_later_though_nothing_new_comes(
    make_spool: MakeSpool, tmp_path: Path
) -> None:
    spool = make_spool()
    spool.put(reading(0), 0)
    spool.close()
    (tmp_path / "spool.db").rename(tmp_path / "away")
    (tmp_path / "spool.db").mkdir()
    spool = make_spool()
    assert spool.take(10, 10**6) is None
    (tmp_path / "spool.db").rmdir()
    (tmp_path / "away").rename(tmp_path / "spool.db")
    wait_for(lambda: spool.figures().depth == 1)
    assert take_all(spool) == [1]


def test_command_noted_while_the_file_turns_out_corrupt_keeps_its_newer_state(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool()
    assert spool.note_command(JournalEntry("7", "accepted"), 10)

    def fail(_: object) -> None:
        error = sqlite3.DatabaseError("malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    monkeypatch.setattr(spool._state.file, "commit", fail)
    assert spool.note_command(JournalEntry("7", "done"), 10)
    assert spool.journal() == {"7": JournalEntry("7", "done")}


def test_file_put_aside_now_is_kept_whatever_the_clock_says(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"spool.db.corrupt-2026-{number}").write_text("old")
    (tmp_path / "spool.db").write_text("of a machine that thinks it is 1970")
    os.utime(tmp_path / "spool.db", (0, 0))
    assert set_aside(tmp_path / "spool.db").exists()
    assert len(list(tmp_path.glob("spool.db.corrupt-*"))) == 2
