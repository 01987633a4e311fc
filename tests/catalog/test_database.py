from __future__ import annotations

import asyncio
import contextvars
import multiprocessing
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from peewee import IntegrityError, InterfaceError, OperationalError, SqliteDatabase
from playhouse.schema_diff import diff_models

from wotkit.catalog import Catalog, CatalogTooNew, accounts, database
from wotkit.catalog.models import CACHED, CURRENT, MODELS, Account, Counter, DroppedSensor, rows
from wotkit.errors import Overloaded, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.catalog.engine import ChangeWatch


def add(name: str) -> int:
    return int(accounts.create(name, "user").id)


def names() -> list[str]:
    return [name for (name,) in rows(Account.select(Account.name).order_by(Account.id))]


def schema(path: Path) -> dict[str, Any]:
    """Return columns, foreign keys and indexes of every table."""
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            if table.startswith(("sqlite_", "schema_migration", "sensor_text")):
                continue
            columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            keys = connection.execute(f'PRAGMA foreign_key_list("{table}")').fetchall()
            indexes = connection.execute(f'PRAGMA index_list("{table}")').fetchall()
            found[table] = {
                "columns": [
                    (name, kind, required, key) for _, name, kind, required, _, key in columns
                ],
                "keys": sorted(key[2:] for key in keys),
                "indexes": sorted(
                    (
                        unique,
                        tuple(r[2] for r in connection.execute(f'PRAGMA index_info("{name}")')),
                    )
                    for _, name, unique, *_ in indexes
                ),
            }
    return found


# The file and its schema


def test_empty_folder_becomes_a_catalog_only_its_owner_can_read(data: Path) -> None:
    catalog = Catalog(data)
    catalog.close()
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "catalog.db").stat().st_mode) == 0o600
    assert not list(data.glob("*-before-*"))


def test_migrated_schema_is_the_models_schema(catalog: Catalog, tmp_path: Path) -> None:
    assert not diff_models(catalog._database, MODELS)
    plain = SqliteDatabase(str(tmp_path / "models.db"))
    with plain, plain.bind_ctx(MODELS):
        plain.create_tables(MODELS)
    plain.close()
    migrated, modelled = schema(catalog.path), schema(tmp_path / "models.db")
    assert set(migrated) == set(modelled)
    for table, expected in modelled.items():
        assert migrated[table] == expected, table


def test_catalog_survives_a_restart_and_leaves_no_log_behind(data: Path) -> None:
    catalog = Catalog(data)
    catalog.write(add, "alice")
    catalog.close()
    assert {path.name for path in data.iterdir()} == {"catalog.db", "migrate.lock"}
    again = Catalog(data)
    assert again.read(names) == ["alice"]
    again.close()
    assert not list(data.glob("*-before-*"))


def test_committed_means_on_the_disk(catalog: Catalog) -> None:
    def pragmas() -> list[Any]:
        wanted = ("journal_mode", "synchronous", "foreign_keys")
        return [catalog._database.pragma(name) for name in wanted]

    full = 2
    assert catalog.read(pragmas) == ["wal", full, 1]
    assert asyncio.run(catalog.reading(pragmas)) == ["wal", full, 1]


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, for tests to add to."""
    folder = tmp_path / "migrations"
    shutil.copytree(database.MIGRATIONS, folder)
    monkeypatch.setattr(database, "MIGRATIONS", folder)
    return folder


def test_older_file_is_copied_then_migrated(
    data: Path, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(data)
    catalog.write(add, "alice")
    (migrations / "0099_more.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('CREATE TABLE more (id INTEGER PRIMARY KEY)')\n"
    )
    old_umask = os.umask(0o022)
    newer = Catalog(data)  # while the older one still runs: its log is part of the copy
    os.umask(old_umask)
    (copy,) = data.glob("catalog-before-0099_more-*.db")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert "more" in schema(data / "catalog.db")
    assert "more" not in schema(copy)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT name FROM account").fetchall() == [("alice",)]
    newer.close()
    catalog.close()
    Catalog(data).close()
    assert list(data.glob("*-before-*")) == [copy]


def test_failed_migration_changes_nothing_and_the_next_start_tries_again(
    data: Path, migrations: Path
) -> None:
    Catalog(data).close()
    before = schema(data / "catalog.db")
    script = migrations / "0099_more.py"
    script.write_text(
        "def up(migrator, db):\n    db.execute_sql('CREATE TABLE more (id)')\n    1 / 0\n"
    )
    with pytest.raises(ZeroDivisionError):
        Catalog(data)
    assert schema(data / "catalog.db") == before
    script.write_text(script.read_text().replace("1 / 0", "pass"))
    Catalog(data).close()
    assert "more" in schema(data / "catalog.db")


def test_newer_schema_is_refused_and_nothing_is_changed(data: Path) -> None:
    catalog = Catalog(data)
    catalog.write(add, "alice")
    catalog.close()
    with closing(sqlite3.connect(data / "catalog.db")) as connection:
        connection.execute(
            "INSERT INTO schema_migration (name, applied) VALUES ('0099_future', '2030-01-01')"
        )
        connection.commit()
    before = (data / "catalog.db").read_bytes()
    with pytest.raises(CatalogTooNew, match=r"0099_future.*nothing was changed"):
        Catalog(data)
    assert (data / "catalog.db").read_bytes() == before
    assert {path.name for path in data.iterdir()} == {"catalog.db", "migrate.lock"}


def test_changes_are_counted_again_after_a_migration_that_rebuilt_a_table(
    data: Path, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalog(data).close()
    (migrations / "0099_rebuild.py").write_text(
        "from peewee import IntegerField\n"
        "def up(migrator, db):\n"
        "    migrator.migrate(migrator.add_column('account', 'extra', IntegerField(null=True)),\n"
        "                     migrator.drop_column('account', 'extra', legacy=True))\n"
    )
    with monkeypatch.context() as patch:  # the program ends right after the migration
        patch.setattr(database.engine, "count_changes", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Catalog(data)
    with closing(sqlite3.connect(data / "catalog.db")) as connection:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'account'"
        assert connection.execute(triggers).fetchall() == []
    catalog = Catalog(data)
    watch = catalog.watch()
    before = watch.revision()
    catalog.write(add, "alice")
    assert watch.revision() > before
    watch.close()
    catalog.close()


_START = """
import sys
from pathlib import Path
from wotkit.catalog import Catalog, accounts
sys.stdin.readline()
catalog = Catalog(Path(sys.argv[1]))
print(catalog.write(accounts.create, sys.argv[2], "user").id)
catalog.close()
"""


def test_processes_that_start_at_once_share_one_new_catalog(data: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _START, str(data), f"user{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    time.sleep(0.5)  # let them import
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=30)[0].strip() for process in processes]
    assert sorted(answers) == ["1", "2", "3"]
    assert [process.returncode for process in processes] == [0, 0, 0]


# Units of work


def test_exception_undoes_all_of_a_write(catalog: Catalog) -> None:
    def work() -> None:
        add("alice")
        add("bobby")
        raise KeyError

    with pytest.raises(KeyError):
        catalog.write(work)
    assert catalog.read(names) == []
    assert catalog.write(add, "carol") == 1, "also the counters"


def test_failed_statement_undoes_all_of_a_write(catalog: Catalog) -> None:
    def work() -> None:
        add("alice")
        DroppedSensor.insert(sensor_id=1).execute()
        DroppedSensor.insert(sensor_id=1).execute()

    with pytest.raises(IntegrityError):
        catalog.write(work)
    assert catalog.read(names) == []


def test_cancelled_coroutine_leaves_its_write_whole(catalog: Catalog) -> None:
    started, go_on = threading.Event(), threading.Event()

    def work() -> None:
        add("alice")
        started.set()
        go_on.wait(5)
        add("bobby")

    async def main() -> None:
        task = asyncio.create_task(catalog.writing(work))
        await asyncio.to_thread(started.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(main())
    deadline = time.monotonic() + 5
    while catalog.read(names) != ["alice", "bobby"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_query_outside_a_unit_of_work_is_an_error(catalog: Catalog) -> None:
    with pytest.raises(AttributeError, match="uninitialized"):
        rows(Account.select())
    catalog.read(names)
    with pytest.raises(AttributeError, match="uninitialized"):
        rows(Account.select())
    with pytest.raises(KeyError):
        catalog.read({}.__getitem__, "x")
    with pytest.raises(AttributeError, match="uninitialized"):
        Account.create(id=1, name="alice", kind="user", created=0)


def test_unit_inside_a_unit_of_the_same_catalog_is_refused(catalog: Catalog) -> None:
    for outer in (catalog.read, catalog.write):
        for inner in (catalog.read, catalog.write):
            with pytest.raises(RuntimeError, match="cannot hold another"):
                outer(lambda inner=inner: inner(names))  # type: ignore[misc]  # a default binds it
    assert catalog.write(add, "alice") == 1


def test_two_catalogs_in_one_process_keep_apart(catalog: Catalog, tmp_path: Path) -> None:
    other = Catalog(tmp_path / "other")

    def both() -> list[str]:
        add("alice")
        assert other.write(add, "bobby") == 1
        assert other.read(names) == ["bobby"]
        return names()

    assert catalog.write(both) == ["alice"]

    async def at_once() -> list[list[str]]:
        work = [each.reading(names) for _ in range(20) for each in (catalog, other)]
        return await asyncio.gather(*work)

    assert asyncio.run(at_once()) == [["alice"], ["bobby"]] * 20
    other.close()
    assert catalog.read(names) == ["alice"]


def test_unit_of_work_is_bound_to_its_own_thread(catalog: Catalog) -> None:
    seen: list[Any] = []

    def work() -> None:
        thread = threading.Thread(target=lambda: seen.append(CURRENT.obj))
        thread.start()
        thread.join()
        contextvars.Context().run(lambda: seen.append(CURRENT.obj))

    catalog.read(work)
    assert seen == [None, None]


def test_reader_sees_one_state_while_another_writes(catalog: Catalog) -> None:
    def work() -> tuple[list[str], list[str]]:
        first = names()
        thread = threading.Thread(target=catalog.write, args=(add, "alice"))
        thread.start()
        thread.join()
        return first, names()

    assert catalog.read(work) == ([], [])
    assert catalog.read(names) == ["alice"]


def test_concurrent_writes_all_happen_and_hand_out_distinct_ids(catalog: Catalog) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(catalog.writing(add, f"user{n}") for n in range(60)))

    assert sorted(asyncio.run(main())) == list(range(1, 61))


def test_id_is_never_used_again_after_deletion(catalog: Catalog) -> None:
    first = catalog.write(add, "alice")
    last = catalog.write(add, "bobby")
    catalog.write(lambda: Account.delete().execute())
    assert catalog.write(add, "carol") == last + 1 == first + 2
    assert catalog.write(accounts.next_id, "sensor") == 1
    assert catalog.read(lambda: {c.name: c.value for c in Counter.select()}) == {
        "account": 3,
        "sensor": 1,
    }


def test_locked_catalog_asks_to_try_again(data: Path) -> None:
    catalog = Catalog(data, busy_seconds=0.05)
    with closing(sqlite3.connect(catalog.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Overloaded) as caught:
            catalog.write(add, "alice")
        assert caught.value.retry_after == 1
        assert catalog.read(names) == []
        other.execute("ROLLBACK")
    assert catalog.write(add, "alice") == 1
    catalog.close()


def test_full_disk_is_told_and_undoes_the_write(catalog: Catalog) -> None:
    pages = catalog.read(catalog._database.pragma, "page_count")

    def fill() -> None:
        catalog._database.pragma("max_page_count", pages)  # SQLite's own way to say full
        for number in range(2_000):
            add(f"user{number:05}")

    with pytest.raises(StoreUnavailable) as caught:
        catalog.write(fill)
    assert "full" in caught.value.developer[0]
    assert str(catalog.path) not in str(caught.value)
    catalog.read(catalog._database.pragma, "max_page_count", 1_000_000)
    assert catalog.read(names) == []
    assert catalog.write(add, "alice") == 1


def test_mistake_in_a_query_is_no_trouble_of_the_database(catalog: Catalog) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        catalog.read(catalog._database.execute_sql, "SELECT * FROM missing")


# Closing


def open_files(folder: Path) -> list[str]:
    links = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    return [link for link in links if link.startswith(str(folder))]


def test_close_leaves_no_connection_open_in_any_thread(data: Path) -> None:
    catalog = Catalog(data)

    async def spread() -> None:
        await asyncio.gather(*(catalog.reading(time.sleep, 0.01) for _ in range(20)))

    asyncio.run(spread())
    threads = [threading.Thread(target=catalog.read, args=(names,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert open_files(data)
    catalog.close()
    assert open_files(data) == []


def test_connections_of_ended_threads_do_not_pile_up(catalog: Catalog, data: Path) -> None:
    for _ in range(20):
        thread = threading.Thread(target=catalog.read, args=(names,))
        thread.start()
        thread.join()
    opened = [name for name in open_files(data) if name.endswith("catalog.db")]
    assert len(opened) <= 3


def test_closed_catalog_refuses_work(data: Path) -> None:
    catalog = Catalog(data)
    catalog.close()
    with pytest.raises(InterfaceError, match="closed"):
        catalog.read(names)
    with pytest.raises(RuntimeError):
        asyncio.run(catalog.reading(names))
    catalog.close()
    assert open_files(data) == []


def test_close_waits_for_work_under_way(data: Path) -> None:
    catalog = Catalog(data)

    def slow() -> None:
        add("alice")
        time.sleep(0.2)

    async def main() -> None:
        task = asyncio.create_task(catalog.writing(slow))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(catalog.close)
        await task

    asyncio.run(main())
    again = Catalog(data)
    assert again.read(names) == ["alice"]
    again.close()


# The watch


@pytest.fixture
def watch(catalog: Catalog) -> Any:
    found = catalog.watch()
    yield found
    found.close()


def test_watch_sees_changes_of_this_process_and_of_another_catalog(
    catalog: Catalog, watch: ChangeWatch, data: Path
) -> None:
    first = watch.revision()
    assert watch.revision() == first
    catalog.write(add, "alice")
    second = watch.revision()
    assert second > first
    other = Catalog(data)
    assert watch.revision() == second, "a start changes nothing"
    other.write(add, "bobby")
    assert watch.revision() > second
    other.close()


def _add_elsewhere(folder: str) -> None:
    catalog = Catalog(Path(folder))
    catalog.write(add, "alice")
    catalog.close()


def test_watch_sees_changes_of_another_process(watch: ChangeWatch, data: Path) -> None:
    before = watch.revision()
    process = multiprocessing.get_context("spawn").Process(target=_add_elsewhere, args=(str(data),))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert watch.revision() > before


def test_undone_write_does_not_raise_the_revision(catalog: Catalog, watch: ChangeWatch) -> None:
    before = watch.revision()

    def work() -> None:
        add("alice")
        raise KeyError

    with pytest.raises(KeyError):
        catalog.write(work)
    assert watch.revision() == before


def test_every_cached_table_and_no_other_is_counted(catalog: Catalog) -> None:
    def triggers() -> set[str]:
        found = catalog._database.execute_sql(
            "SELECT tbl_name || ' ' || name FROM sqlite_master WHERE type = 'trigger' "
            "AND name LIKE 'count%'"
        )
        return {name for (name,) in found}

    tables = [model._meta.table_name for model in CACHED]
    verbs = ("INSERT", "UPDATE", "DELETE")
    assert catalog.read(triggers) == {f"{t} count_{t}_{verb}" for t in tables for verb in verbs}


def test_watch_tells_in_a_few_microseconds(watch: ChangeWatch) -> None:
    started = time.process_time()
    for _ in range(10_000):
        watch.revision()
    assert time.process_time() - started < 1


def test_read_and_write_pass_arguments_and_answers(catalog: Catalog) -> None:
    def work(one: int, *, two: int) -> tuple[int, int]:
        return one, two

    calls: list[Callable[..., Any]] = [catalog.read, catalog.write]
    assert [call(work, 1, two=2) for call in calls] == [(1, 2), (1, 2)]

    async def main() -> list[tuple[int, int]]:
        return [await catalog.reading(work, 3, two=4), await catalog.writing(work, 3, two=4)]

    assert asyncio.run(main()) == [(3, 4), (3, 4)]
