"""The JSON of readings, put together by SQLite."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from tests.readings.model import new
from tests.readings.render_contract import HOUR, LABEL, NOW, RenderContract, rendered
from wotkit.readings import form, sqlite_form
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Append, Range

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class TestSqliteRender(RenderContract):
    def open(self, folder: Path) -> SqliteStore:
        return SqliteStore(folder / FILE_NAME)


def test_common_readings_need_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> None:
        raise AssertionError("Python put the list together")

    monkeypatch.setattr(form, "render", slow)
    with closing(SqliteStore(tmp_path / FILE_NAME)) as store:
        readings = [new(1, 500_000 * HOUR + n * 1_000_001, n=n) for n in range(3000)]
        store.apply([Append(readings)], NOW)
        body, more = store.render(Range(sensor_id=1, limit=2000), LABEL)
        assert more
        assert len(json.loads(body)) == 2000


def test_hours_beyond_what_a_connection_remembers_are_rendered_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_form, "HOURS", 3)
    with closing(SqliteStore(tmp_path / FILE_NAME)) as store:
        store.apply([Append([new(1, n * HOUR, n=n) for n in range(50)])], NOW)
        for start in (0, 10, 20, 30, 5):
            what = Range(sensor_id=1, offset=start, limit=10)
            assert store.render(what, LABEL) == rendered(store, what, turned=False)
        (known,) = store._reader().execute("SELECT count(*) FROM temp.hour_text").fetchone()
        assert known <= 20


def test_connection_for_reading_writes_nothing_after_it_learned_hours(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / FILE_NAME)) as store:
        store.apply([Append([new(1, HOUR, n=1)])], NOW)
        store.render(Range(sensor_id=1, limit=1), LABEL)
        assert store._reader().execute("PRAGMA query_only").fetchone() == (1,)


MEMORY = """
import ctypes, sqlite3, sys
from importlib import import_module
from wotkit.readings.sqlite_library import stop_counting_memory
used = ctypes.CDLL(import_module("_sqlite3").__file__).sqlite3_memory_used
used.restype = ctypes.c_int64
def connect():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE a (b)")
    return connection
if sys.argv[1] == "open":
    kept = connect()
stop_counting_memory()
fresh = connect()
print(used() > 0, fresh.execute("SELECT count(*) FROM a").fetchone())
"""


def test_library_stops_counting_memory_only_where_nothing_is_open() -> None:
    for state, counts in (("fresh", False), ("open", True)):
        command = [sys.executable, "-c", MEMORY, state]
        found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        assert found.stdout.strip() == f"{counts} (0,)"
