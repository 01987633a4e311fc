"""Opens the catalog, brings its schema up to date, and runs units of work on it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from peewee import OperationalError
from playhouse.migrations import Runner

from wotkit.catalog import engine
from wotkit.catalog.models import CACHED, CURRENT, Audit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peewee import Database

P = ParamSpec("P")
T = TypeVar("T")

FILE_NAME: Final = "catalog.db"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
THREADS: Final = 4


class CatalogTooNew(Exception):
    """The file was written by a newer program than this one."""


class Catalog:
    """The catalog of one data folder.

    A unit of work is a plain function of :mod:`wotkit.catalog`; it runs in one thread and one
    transaction: :meth:`read` and :meth:`write` for callers in a thread of their own (the command
    line), :meth:`reading` and :meth:`writing` for coroutines. Beside what ``work`` raises, all of
    them raise Overloaded or StoreUnavailable while the file is locked or cannot be written.
    """

    def __init__(self, folder: Path, *, busy_seconds: float = 5.0) -> None:
        self.path = folder / FILE_NAME
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _one_at_a_time(folder / "migrate.lock"):
            self._database = _up_to_date(self.path, busy_seconds)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="catalog")

    def watch(self) -> engine.ChangeWatch:
        """Return a watch that tells whether cached tables have changed."""
        return engine.ChangeWatch(self.path)

    def watch_messages(self) -> engine.ChangeWatch:
        """Return a watch whose number is the id of the last message to an actuator."""
        return engine.watch_messages(self.path)

    def read(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` on one consistent state of the catalog."""
        with self._unit():
            return work(*args, **kwargs)

    def write(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` in one writing transaction; an exception undoes all of it."""
        with self._unit(engine.WRITE_LOCK):
            return work(*args, **kwargs)

    async def reading(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """:meth:`read` in a thread of the catalog."""
        return await self._in_thread(partial(self.read, work, *args, **kwargs))

    async def writing(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """:meth:`write` in a thread of the catalog."""
        return await self._in_thread(partial(self.write, work, *args, **kwargs))

    def size_bytes(self) -> int:
        """Return how much room the catalog takes, its log included."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Finish the units of work under way and close all connections, for good."""
        self._threads.shutdown()
        engine.disconnect(self._database)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @contextmanager
    def _unit(self, *lock: str) -> Iterator[None]:
        if CURRENT.obj is self._database:
            # it would commit or be undone with the outer one, and a write inside a read fails
            raise RuntimeError("a unit of work cannot hold another of the same catalog")
        token = CURRENT.enter(self._database)
        try:
            with _as_refusals(), self._database.atomic(*lock):
                yield
        finally:
            CURRENT.leave(token)


@contextmanager
def _as_refusals() -> Iterator[None]:
    """Say it in our own words when the file is locked or cannot be used now."""
    try:
        yield
    except OperationalError as error:
        refusal = engine.unavailable(error)
        if refusal is None:
            raise
        raise refusal from error


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock between processes: of several that start at once, one migrates."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _up_to_date(path: Path, busy_seconds: float) -> Database:
    """Return the database with every migration applied, after a copy of the old file."""
    existed = path.exists()
    if not existed:
        path.touch(mode=0o600)
    database = engine.connect(path, busy_seconds=busy_seconds)
    try:
        with _as_refusals():
            _migrate(database, path, existed=existed)
            engine.count_changes(database, CACHED)
            engine.only_add(database, Audit, "at")
        engine.keep_derived(database)
    except BaseException:
        engine.disconnect(database)
        raise
    return database


def _migrate(database: Database, path: Path, *, existed: bool) -> None:
    runner = Runner(database, directory=str(MIGRATIONS))
    status = runner.status()
    unknown = [migration.name for migration in status if migration.path is None]
    if unknown:
        raise CatalogTooNew(
            f"{path} was written by a newer version of WoTKit (it has {', '.join(unknown)}). "
            "Install that version or a later one; nothing was changed."
        )
    pending = [migration.name for migration in status if migration.applied is None]
    if pending:
        if existed and len(pending) < len(status):
            engine.copy(path, _copy_name(path, pending[0]))
        runner.up()


def _copy_name(path: Path, migration: str) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return path.with_name(f"{path.stem}-before-{migration}-{stamp}-{os.getpid()}.db")
