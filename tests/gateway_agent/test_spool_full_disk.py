"""A disk that is really full: a small tmpfs, which takes root to mount."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_agent.clock import Stamp
from gateway_agent.config import SpoolConfig
from gateway_agent.reading import Reading
from gateway_agent.spool import Spool, SpoolFile, Work
from gateway_agent.spool.failures import SpoolFullError

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def readings(start: int, count: int = 200, size: int = 900) -> list[Reading]:
    return [
        Reading("boiler", f'{{"n":{n},"pad":"{"x" * size}"}}', Stamp(n, n, "boot", synced=True))
        for n in range(start, start + count)
    ]


def fill(disk: Path, leave: int = 0) -> Path:
    """Take all the space that is left, as another program would."""
    file = disk / "others"
    with file.open("wb", buffering=0) as stream:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - leave
        with contextlib.suppress(OSError):
            stream.write(b"x" * max(0, free))
    return file


def open_file(disk: Path, *, drop_oldest: bool = True) -> SpoolFile:
    return SpoolFile(
        disk / "spool.db", max_mb=256, drop_oldest=drop_oldest, dead_letters=100, machine="m"
    )


def test_oldest_give_way_on_a_disk_that_fills_up(small_disk: Path) -> None:
    file = open_file(small_disk)
    for start in range(0, 20_000, 200):
        file.commit(Work(readings=readings(start)))
    assert file.last_seq == 20_000
    assert file.is_constrained
    assert file.depth + file.counters["dropped_disk_full"] == 20_000
    assert file.depth > 2000
    newest = file._db.execute("SELECT max(seq) FROM reading").fetchone()[0]
    assert newest == 20_000
    file.close()


def test_new_are_rejected_on_a_full_disk_when_so_configured(small_disk: Path) -> None:
    file = open_file(small_disk, drop_oldest=False)
    for start in range(0, 10_000, 200):
        file.commit(Work(readings=readings(start)))
    kept = [seq for (seq,) in file._db.execute("SELECT seq FROM reading ORDER BY seq")]
    assert kept == list(range(1, len(kept) + 1))
    assert file.depth + file.counters["dropped_disk_full"] == 10_000
    file.close()


def test_spool_recovers_when_others_make_room(small_disk: Path) -> None:
    file = open_file(small_disk)
    file.commit(Work(readings=readings(0)))
    others = fill(small_disk)
    for start in range(200, 4000, 200):
        file.commit(Work(readings=readings(start)))
    assert file.is_constrained
    dropped = file.counters["dropped_disk_full"]
    assert file.depth + dropped == 4000
    others.unlink()
    file.commit(Work(readings=readings(4000, 1500)))
    assert not file.is_constrained
    assert file.counters["dropped_disk_full"] == dropped
    file.close()


def test_readings_can_leave_a_spool_on_a_full_disk(small_disk: Path) -> None:
    from gateway_agent.spool import Settlement

    file = open_file(small_disk)
    file.commit(Work(readings=readings(0, 2000)))
    fill(small_disk)
    for through in range(100, 2001, 100):
        file.commit(Work(settlements=[Settlement(through)]))
    assert file.depth == 0
    assert file.counters["acknowledged"] == 2000
    file.close()


def test_nothing_left_to_give_up_is_said_and_forgotten_later(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = open_file(small_disk)
    others = fill(small_disk)
    file._ballast.release()
    monkeypatch.setattr(file._ballast, "release", lambda: None)
    monkeypatch.setattr(file._ballast, "take", lambda: False)
    fill_more = small_disk / "more"
    with fill_more.open("wb", buffering=0) as stream:
        try:
            while stream.write(b"x" * 4096):
                pass
        except OSError:
            pass
    with pytest.raises(SpoolFullError):
        file.commit(Work(readings=readings(0)))
    monkeypatch.undo()
    others.unlink()
    fill_more.unlink()
    before = file.last_seq
    file.commit(Work(readings=readings(0, 10)))
    assert file.last_seq == before + 10
    file.close()


def test_agent_starts_on_a_full_disk_and_keeps_readings_once_there_is_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_agent.spool.writer._RETRY_AFTER", 0.02)
    others = fill(small_disk)
    spool = Spool(SpoolConfig(path=small_disk / "spool.db", commit_interval=0.01, queue=50), "m")
    spool.start()
    kept = [spool.put(reading, 0) for reading in readings(0, 80)]
    assert not all(kept)
    assert not spool.flush(0.2)
    assert spool.figures().trouble
    others.unlink()
    assert spool.flush(20)
    figures = spool.figures()
    assert figures.trouble is None
    assert figures.depth == sum(kept)
    assert figures.counters["dropped_queue_full"] == 80 - sum(kept)
    spool.close()


def test_spool_opens_on_a_disk_that_others_filled_meanwhile(small_disk: Path) -> None:
    file = open_file(small_disk)
    file.commit(Work(readings=readings(0)))
    file.close()
    fill(small_disk)
    again = open_file(small_disk)
    assert again.depth == 200
    again.commit(Work(readings=readings(200, 50)))
    assert again.last_seq == 250
    again.close()


def test_spool_is_not_put_back_where_that_would_fill_the_disk(small_disk: Path) -> None:
    file = open_file(small_disk)
    for start in range(0, 1600, 200):
        file.commit(Work(readings=readings(start)))
    (small_disk / "spool.db").unlink()
    with pytest.raises(OSError, match="No space left"):
        file.put_back()
    file.commit(Work(readings=readings(1600, 10)))
    assert file.depth == 1610
    file._db.close()
