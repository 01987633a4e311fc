"""A disk that is really full: a small tmpfs as the data folder, which takes root to mount."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.system.conftest import add_alice
from tests.system.server_process import (
    PASSWORD,
    STOP_SECONDS,
    ServerProcess,
    run_wotkit,
    wait_until,
)
from tests.system.storm import Careful, Storm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.wire import Answer

STORE_UNAVAILABLE = 1602


class Disk:
    """A small file system, and the program that takes all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._others = folder / "others"

    def fill(self, leave: int = 0) -> None:
        """Take all but so many kB."""
        with contextlib.suppress(OSError), self._others.open("ab", buffering=0) as stream:
            while stream.write(bytes(4096)):
                pass
        if leave:
            os.truncate(self._others, self._others.stat().st_size - leave * 1024)

    def free(self) -> None:
        self._others.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def server(disk: Disk) -> Iterator[ServerProcess]:
    """A server whose whole data folder is on that disk; its log is, too."""
    with ServerProcess(disk.folder / "data", log_folder=disk.folder.parent) as found:
        add_alice(found)
        yield found


def post_until_refused(server: ServerProcess, disk: Disk) -> Answer:
    """Fill the disk and post until a reading is refused."""
    with server.wire(server.add_key("alice")) as alice:
        for _ in range(1000):
            disk.fill()
            answer = alice.post("/api/sensors/alice.roof/data", {"message": "x" * 1000})
            if answer.status != 201:
                return answer
    pytest.fail("a full disk takes readings")


def is_ready(server: ServerProcess) -> bool:
    with server.wire() as wire:
        return wire.get("/readyz").status == 200


def test_full_disk_is_said_where_readings_are_sent_and_where_it_is_asked(
    server: ServerProcess, disk: Disk
) -> None:
    answer = post_until_refused(server, disk)
    error = answer.error(503, STORE_UNAVAILABLE)
    assert error["developerMessage"] == ["the disk is full"]
    assert answer.retry_after() <= 10
    with server.wire(("alice", PASSWORD)) as alice:
        ready = alice.get("/readyz")
        assert ready.status == 503
        assert ready.json() == {"ready": False, "reasons": ["readings: the disk is full"]}
        assert ready.retry_after() <= 10
        assert alice.get("/healthz").status == 200
        assert alice.get("/metrics").status == 200
        assert alice.get("/api/sensors/alice.roof").json()["name"] == "roof"
        assert alice.get("/api/sensors/alice.roof/data").status == 200
    assert 'message="readings cannot be stored: the disk is full"' in server.log


def test_every_other_write_on_a_full_disk_is_refused_with_the_reason(
    server: ServerProcess, disk: Disk
) -> None:
    key = server.add_key("alice")
    post_until_refused(server, disk)
    sensor = {"name": "cellar", "longName": "x" * 200, "description": "x" * 5000}
    batch = [{"sensor": "alice.roof", "value": 1}] * 50
    stream = [{"seq": seq, **item} for seq, item in enumerate(batch, 1)]
    with server.wire(("alice", PASSWORD)) as alice, server.wire(("alice", "wrong")) as nobody:
        answers = [
            alice.post("/api/sensors", sensor),
            alice.put("/api/sensors/alice.roof", {"description": "x" * 5000}),
            alice.call("DELETE", "/api/sensors/alice.roof"),
            alice.post("/api/v2/keys", {"name": "another"}),
            alice.call("DELETE", f"/api/v2/keys/{key.key_id}"),
            alice.put("/api/sensors/alice.roof/data", [{"value": 1, "timestamp": 1}]),
            alice.post("/api/v2/data", batch),
            alice.post("/api/v2/ingest", {"stream": "gw", "readings": stream}),
            nobody.get("/api/v2/keys"),  # a failed login is counted
        ]
    for answer in answers:
        error = answer.error(503, STORE_UNAVAILABLE)
        assert "full" in error["developerMessage"][0]
        assert answer.retry_after() <= 10
    said = run_wotkit("sensor", "create", "cellar", "--user", "alice", "--data", str(server.data))
    assert said.returncode == 1
    assert "full" in said.stderr
    assert said.stderr.count("\n") == 1


def test_server_recovers_by_itself_and_has_all_it_acknowledged(
    server: ServerProcess, disk: Disk
) -> None:
    server.command("sensor", "create", "careful", "--user", "alice")
    with Storm(server, [Careful(number) for number in range(16)], server.add_key("alice")) as storm:
        for _ in range(2):
            before = storm.acknowledged()
            wait_until(lambda: storm.acknowledged() > before + 200, 20, "readings stored")  # noqa: B023  # used at once
            unclear = sum(client.unclear for client in storm.clients)
            post_until_refused(server, disk)
            wait_until(
                lambda: sum(client.unclear for client in storm.clients) > unclear + 50,  # noqa: B023  # used at once
                20,
                "readings refused",
            )
            disk.free()
            wait_until(lambda: is_ready(server), 10, "ready again")
    storm.check()
    assert 'message="readings are stored again"' in server.log
    server.kill_all()
    server.start()
    storm.check()


@pytest.mark.parametrize("leave", [0, 40], ids=lambda leave: f"{leave}k")
def test_start_without_room_says_so_and_succeeds_once_there_is_some(
    server: ServerProcess, disk: Disk, leave: int
) -> None:
    """With 40 kB there is room to open the catalog, and none for the readings."""
    key = server.add_key("alice")
    with server.wire(key) as alice:
        assert alice.post("/api/sensors/alice.roof/data", {"value": 21.5}).status == 201
    assert server.stop() == 0
    before = len(server.log)
    disk.fill(leave)
    assert server.launch().wait(STOP_SECONDS) != 0
    said = server.log[before:]
    assert "the disk is full" in said
    assert "Traceback" not in said
    disk.free()
    server.start()
    with server.wire(key) as alice:
        assert alice.get("/api/sensors/alice.roof/data").json()[0]["value"] == 21.5
    assert is_ready(server)


def test_first_start_on_a_full_disk_says_so_and_leaves_nothing_in_the_way(disk: Disk) -> None:
    disk.fill()
    server = ServerProcess(disk.folder / "data", log_folder=disk.folder.parent)
    process = server.launch()
    assert process.wait(STOP_SECONDS) == 1
    said = server.log.splitlines()
    assert len(said) == 1
    assert "full" in said[0] or "No space left" in said[0]
    disk.free()
    with server:
        assert is_ready(server)
