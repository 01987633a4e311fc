"""A spool file that is deleted or replaced while the agent has it open."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway_agent.clock import Stamp
from gateway_agent.config import SpoolConfig
from gateway_agent.reading import Reading
from gateway_agent.spool import Refusal, Spool


def put(spool: Spool, *numbers: int) -> None:
    for number in numbers:
        stamp = Stamp(1_700_000_000_000_000 + number, number, "boot-1", synced=True)
        assert spool.put(Reading("boiler", f'{{"number":{number}}}', stamp), 1)
    assert spool.flush(10)


def on_disk(file: Path) -> list[int]:
    """What a start after a power cut would find under the spool's name."""
    copy = file.with_name("copy.db")
    for suffix in ("", "-wal"):
        if file.with_name(file.name + suffix).exists():
            shutil.copy(file.with_name(file.name + suffix), copy.with_name(copy.name + suffix))
    with closing(sqlite3.connect(copy)) as database:
        return [row[0] for row in database.execute("SELECT seq FROM reading ORDER BY seq")]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def spool(file: Path) -> Iterator[Spool]:
    spool = Spool(SpoolConfig(path=file, commit_interval=0.01), "m1")
    spool.start()
    yield spool
    spool.close()


def delete(file: Path) -> None:
    for each in file.parent.glob("spool.db*"):
        each.unlink()


def delete_log_only(file: Path) -> None:
    file.with_name("spool.db-wal").unlink()


def delete_folder(file: Path) -> None:
    shutil.rmtree(file.parent)


def replace(file: Path) -> None:
    other = file.with_name("other")
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE reading (seq INTEGER)")
        database.execute("INSERT INTO reading VALUES (99)")
        database.commit()
    other.replace(file)


@pytest.mark.parametrize("harm", [delete, delete_log_only, delete_folder, replace])
def test_spool_that_lost_its_name_gets_it_back_with_everything(
    spool: Spool, file: Path, harm: Callable[[Path], None]
) -> None:
    put(spool, 1, 2, 3)
    before = spool.take(1, 10**6)
    assert before is not None
    harm(file)
    put(spool, 4)
    assert on_disk(file) == [1, 2, 3, 4]
    after = spool.take(10, 10**6)
    assert after is not None
    assert (after.stream, [row.seq for row in after.rows]) == (before.stream, [1, 2, 3, 4])
    spool.settle(after, 3, {2: Refusal("400", "no")})
    wait_for(lambda: spool.figures().depth == 1)
    put(spool, 5)
    assert on_disk(file) == [4, 5]


def test_what_took_the_place_of_the_spool_is_kept_as_it_was(spool: Spool, file: Path) -> None:
    put(spool, 1)
    replace(file)
    put(spool, 2)
    kept = [each for each in file.parent.glob("spool.db.replaced-*") if each.suffix != ".lock"]
    assert len(kept) == 1
    assert on_disk(kept[0]) == [99]


def test_spool_deleted_before_the_end_is_there_for_the_next_start(spool: Spool, file: Path) -> None:
    put(spool, 1, 2)
    delete(file)
    spool.close()
    assert on_disk(file) == [1, 2]


def test_spool_that_cannot_be_put_back_goes_on_without_its_name(spool: Spool, file: Path) -> None:
    put(spool, 1)
    assert spool.take(1, 10**6) is not None
    delete(file)
    (file.parent / "spool.db.fresh").mkdir()
    put(spool, 2)
    batch = spool.take(10, 10**6)
    assert batch is not None
    assert [row.seq for row in batch.rows] == [1, 2]
    (file.parent / "spool.db.fresh").rmdir()


def test_power_cut_while_it_is_put_back_loses_nothing(spool: Spool, file: Path) -> None:
    """The copy is whole, what took the place is away, and the copy has not got its name yet."""
    put(spool, 1, 2)
    spool.close()
    file.rename(file.with_name("spool.db.fresh"))
    again = Spool(SpoolConfig(path=file, commit_interval=0.01), "m1")
    again.start()
    batch = again.take(10, 10**6)
    again.close()
    assert batch is not None
    assert [row.seq for row in batch.rows] == [1, 2]


@pytest.mark.parametrize("unfinished", [True, False])
def test_rest_of_a_copy_that_was_cut_off_goes(spool: Spool, file: Path, unfinished: bool) -> None:
    put(spool, 1)
    spool.close()
    file.with_name("spool.db.fresh").write_bytes(b"x" * 5000)
    if unfinished:
        file.with_name("spool.db.fresh-journal").write_bytes(b"x")
    again = Spool(SpoolConfig(path=file, commit_interval=0.01), "m1")
    again.start()
    assert again.figures().depth == 1
    again.close()
    assert list(file.parent.glob("spool.db.fresh*")) == []
