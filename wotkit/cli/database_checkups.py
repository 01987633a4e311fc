"""What ``wotkit doctor`` looks at inside the SQLite files, without changing or locking them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from wotkit.catalog.database import FILE_NAME as CATALOG
from wotkit.catalog.database import MIGRATIONS
from wotkit.cli.checkups import FAIL, OK, WARN, Finding
from wotkit.readings.sqlite import FILE_NAME as READINGS
from wotkit.readings.sqlite import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEPS: Final = 10_000
"""SQLite's instructions between two looks at the clock."""
RESTORE: Final = (
    "Stop the server, keep a copy of the data folder, and restore the last good backup."
)
UPDATE: Final = "Install the version of WoTKit that wrote it, or a later one."


def catalog(folder: Path, seconds: float) -> Iterator[Finding]:
    """Check schema, users and integrity of the catalog."""
    path = folder / CATALOG
    if not path.exists():
        yield Finding("catalog", OK, "none yet; the first start makes it")
        return
    try:
        with closing(_open(path)) as connection:
            yield _catalog_schema(connection)
            yield _users(connection)
            yield _integrity("catalog", connection, seconds)
    except sqlite3.Error as error:
        yield Finding("catalog", FAIL, f"{path}: {error}", RESTORE)


def readings(folder: Path, seconds: float) -> Iterator[Finding]:
    """Check schema and integrity of the readings."""
    path = folder / READINGS
    if not path.exists():
        yield Finding("readings", OK, "none yet; the first start makes the file")
        return
    try:
        with closing(_open(path)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            text = f"schema {version}; this program knows {SCHEMA_VERSION}"
            if version > SCHEMA_VERSION:
                yield Finding("readings", FAIL, text, UPDATE)
            else:
                yield Finding("readings", OK, text)
            yield _integrity("readings", connection, seconds)
    except sqlite3.Error as error:
        yield Finding("readings", FAIL, f"{path}: {error}", RESTORE)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2)


def _catalog_schema(connection: sqlite3.Connection) -> Finding:
    known = {file.stem for file in MIGRATIONS.glob("[0-9]*.py")}
    applied = {name for (name,) in connection.execute("SELECT name FROM schema_migration")}
    if applied - known:
        text = f"a newer program wrote it (it has {', '.join(sorted(applied - known))})"
        return Finding("catalog", FAIL, text, UPDATE)
    if known - applied:
        text = f"{len(known - applied)} migrations are to be applied"
        return Finding("catalog", WARN, text, "The next start does so, after a copy of the file.")
    return Finding("catalog", OK, f"schema {max(applied)}")


def _users(connection: sqlite3.Connection) -> Finding:
    ((count,),) = connection.execute("SELECT count(*) FROM user").fetchall()
    if not count:
        return Finding("users", WARN, "there are none", "wotkit user create NAME --admin")
    return Finding("users", OK, f"{count}")


def _integrity(name: str, connection: sqlite3.Connection, seconds: float) -> Finding:
    """Run SQLite's own check (https://sqlite.org/pragma.html#pragma_quick_check), for a while."""
    check = f"{name} integrity"
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        ((said,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
            raise
        text = f"not finished within {seconds:g} s; no damage up to there"
        return Finding(check, WARN, text, "Give it longer with --seconds.")
    finally:
        connection.set_progress_handler(None, STEPS)
    if said != "ok":
        return Finding(check, FAIL, str(said).splitlines()[0], RESTORE)
    return Finding(check, OK, "SQLite's quick check finds no damage")
