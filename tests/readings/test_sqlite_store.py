"""The readings store on SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.readings.model import new
from tests.readings.store_contract import NOW, StoreContract, apply, stored
from wotkit.readings import sqlite_cast, sqlite_writer
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import (
    Append,
    Delete,
    Operation,
    Probe,
    Range,
    Replace,
    Store,
    StoreError,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a handful of readings be several parts of a cast or a drop."""
    monkeypatch.setattr(sqlite_cast, "CAST_ROWS", 3)
    monkeypatch.setattr(sqlite_writer, "DROP_ROWS", 3)


class TestSqliteStore(StoreContract):
    SCRIPT = f"""
from wotkit.readings.sqlite import SqliteStore
def open(folder):
    return SqliteStore(folder / {FILE_NAME!r})
"""

    def open(self, folder: Path) -> SqliteStore:
        return SqliteStore(folder / FILE_NAME)

    def make_newer(self, folder: Path) -> None:
        with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
            connection.execute("PRAGMA user_version = 99")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def test_commits_are_synced_to_the_disk(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        execute = store._writer._execute
        assert execute("PRAGMA synchronous").fetchone() == (2,)
        assert execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_full_disk_refuses_all_and_recovers_by_itself(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        apply(store, Append([new(1, 0, text="x" * 9000)]))
        pages = store._writer._execute("PRAGMA page_count").fetchone()[0]
        store._writer._execute(f"PRAGMA max_page_count = {pages}")
        for turn in range(3):  # small batches as one statement, large ones as a transaction
            size = 1 if turn < 2 else 400
            with pytest.raises(StoreError, match="the disk is full"):
                apply(store, *(Append([new(1, n, text="y" * 9000)]) for n in range(1, size + 1)))
            assert len(stored(store)) == 1
            assert store.latest([1])[1].ts == 0
        store._writer._execute("PRAGMA max_page_count = 1000000")
        (outcome,) = apply(store, Append([new(1, 1, text="y")]))
        assert outcome.first_id > store.read(Range(sensor_id=1))[0].id
        assert store.latest([1])[1].fields["text"] == ("y", 1)


def test_lock_of_another_process_refuses_all_and_recovers(path: Path) -> None:
    with (
        closing(SqliteStore(path, busy_seconds=0.05)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        apply(store, Append([new(1, 1)]))
        other.execute("BEGIN IMMEDIATE")
        for operations in ([Append([new(1, 2)])], [Delete(1, 0, 9)]):
            with pytest.raises(StoreError, match="another process keeps the readings locked"):
                store.apply(operations, NOW)
            assert [ts for ts, _ in stored(store)] == [1]  # reading goes on
        other.execute("ROLLBACK")
        apply(store, Append([new(1, 2)]))
        assert [ts for ts, _ in stored(store)] == [1, 2]


@pytest.mark.parametrize(
    ("table", "verb", "last"),
    [
        ("reading", "INSERT", Probe()),
        ("latest", "UPDATE", Delete(1, 9, 9)),
        ("latest", "UPDATE", Append([new(1, 9)])),
        ("reading", "DELETE", Delete(1, 1, 1)),
        ("latest", "DELETE", Replace(1, [], first=0, last=9)),
        ("probe", "DELETE", Probe()),
    ],
)
def test_statement_that_fails_at_any_place_undoes_the_batch(
    path: Path, table: str, verb: str, last: Operation
) -> None:
    with closing(SqliteStore(path)) as store:
        apply(store, Append([new(1, 1, a=1)]))
        before = (stored(store), store.latest([1]))
        execute = store._writer._execute
        execute(
            f"CREATE TEMP TRIGGER broken BEFORE {verb} ON main.{table} "
            "BEGIN SELECT RAISE(ROLLBACK, 'broken'); END"
        )
        with pytest.raises(StoreError):
            apply(store, Append([new(1, 2, a=2)]), Append([new(1, 3)] * 300), last)
        assert (stored(store), store.latest([1])) == before
        execute("DROP TRIGGER broken")
        apply(store, Append([new(1, 2, a=2)]))
        assert [ts for ts, _ in stored(store)] == [1, 2]
        assert store.latest([1])[1].fields == {"a": (2, 2)}


def test_two_writers_in_turns_lose_nothing_and_share_the_ids(path: Path) -> None:
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as two:
        ids = []
        for n in range(30):
            store: Store = (one, two)[n // 3 % 2]
            (outcome,) = apply(store, Append([new(1, 30 - n, n=n)]))
            ids.append(outcome.first_id)
        assert ids == sorted(set(ids))
        assert len(stored(one)) == 30
        assert one.latest([1]) == two.latest([1])
        assert one.latest([1])[1].fields == {"n": (0, 30)}


def test_damaged_file_is_said_to_be_damaged(path: Path) -> None:
    path.write_bytes(b"not a database at all, " * 400)
    with pytest.raises(StoreError, match="the readings file is damaged"):
        SqliteStore(path)


def test_damage_inside_the_file_is_told_when_it_is_met(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        apply(store, Append([new(1, n, text="x" * 500) for n in range(500)]))
    whole = path.read_bytes()
    path.write_bytes(whole[: 8 * 4096] + b"\xff" * (len(whole) - 8 * 4096))
    with (
        closing(SqliteStore(path)) as store,
        pytest.raises(StoreError, match="the readings file is damaged"),
    ):
        store.read(Range(sensor_id=1))


def test_folder_that_is_not_there_is_an_error_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        SqliteStore(tmp_path / "missing" / FILE_NAME)
    assert str(tmp_path) not in str(caught.value)


def test_memory_of_the_writer_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_writer, "KNOWN_SENSORS", 10)
    with closing(SqliteStore(path)) as store:
        for sensor_id in range(40):
            apply(store, Append([new(sensor_id, 1, n=1)]))
            apply(store, Append([new(sensor_id % 3, 2, n=sensor_id)]))
            assert len(store._writer._latest) <= 12
        assert store.latest([0, 1, 2])[1].fields == {"n": (37, 2)}


def test_file_is_only_its_owners_business_after_closing(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        apply(store, Append([new(1, 1)]))
    assert [file.name for file in path.parent.iterdir()] == [FILE_NAME]


def test_file_of_the_first_version_gets_the_index_of_ids(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        apply(store, Append([new(1, 1, a=1), new(1, 2, a=2)]))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX reading_id")
        connection.execute("PRAGMA user_version = 1")
    with closing(SqliteStore(path)) as store:
        found = store.find(1, 2)
        assert found is not None
        assert found.ts == 2
    with closing(sqlite3.connect(path)) as connection:
        (plan,) = connection.execute(
            "EXPLAIN QUERY PLAN SELECT data FROM reading WHERE id = 2 AND sensor_id = 1"
        )
        assert "USING INDEX reading_id" in plan[-1]
