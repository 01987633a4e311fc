"""The real agent through a long outage, on a full disk, with a damaged spool."""

import contextlib
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_platform import StandInPlatform
from agent_process import AgentProcess

from tests.ports import free_port

WriteConfig = Callable[..., Path]


def counter(burst: int) -> str:
    return (
        '[[input]]\ntype = "sim"\nname = "counter"\nmode = "counter"\n'
        f'interval = "20ms"\nburst = {burst}\n'
    )


class Watched:
    """An agent with its health port, which answers when the disk takes no status file."""

    def __init__(self, config: Path) -> None:
        self._port = free_port()
        head, _, rest = config.read_text().partition("[clock]")
        config.write_text(f"{head}[health]\nport = {self._port}\n[clock]{rest}")
        self.config = config

    def ask(self, path: str) -> str:
        try:
            address = f"http://127.0.0.1:{self._port}{path}"
            with urllib.request.urlopen(address, timeout=30) as answer:
                return str(answer.read().decode())
        except OSError as error:
            return str(error.read().decode()) if isinstance(error, urllib.error.HTTPError) else ""

    def health(self) -> dict[str, Any]:
        text = self.ask("/healthz")
        return dict(json.loads(text)) if text else {}

    def waiting(self) -> int:
        return int(self.health().get("waiting", 0))

    def dropped(self, reason: str) -> int:
        name = f'gateway_agent_readings_dropped_total{{reason="{reason}"}} '
        found = [line for line in self.ask("/metrics").splitlines() if line.startswith(name)]
        return int(float(found[0].rpartition(" ")[2])) if found else 0


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


# 144 000 are ten inputs that measured once a second for four hours.
@pytest.mark.parametrize(
    ("count", "burst"), [(15_000, 40), pytest.param(144_000, 100, marks=pytest.mark.slow)]
)
@pytest.mark.timeout(600)
def test_hours_of_outage_cost_no_memory_and_no_reading(
    write_config: WriteConfig, platform: StandInPlatform, count: int, burst: int
) -> None:
    platform.misbehave = lambda: "503"
    watched = Watched(write_config(counter(burst), spool_lines="max_mb = 256"))
    with AgentProcess(watched.config) as agent:
        agent.wait_until(lambda: watched.waiting() > count // 5)
        before = agent.resident_mib()
        while watched.waiting() < count:  # longer than `wait_until` has patience for
            agent.wait_until(lambda: len(platform.ingests()) > 1)
        after = agent.resident_mib()
        platform.misbehave = None
        agent.wait_until(lambda: len(platform.stored) > count)
        sending = agent.resident_mib()
        assert agent.stop() == 0
        status = agent.status()
    print(f"{before:.1f} MiB, {after:.1f} MiB after the outage, {sending:.1f} MiB while sending")
    assert after - before < 3
    assert sending < 40
    assert status["spool"]["dropped"] == {}
    assert platform.seqs() == [*range(1, len(platform.stored) + 1)]
    numbers = [reading["number"] for reading in platform.stored]
    assert numbers == [*range(len(numbers))]


@pytest.mark.timeout(300)
def test_agent_lives_on_a_full_disk_counts_what_it_drops_and_recovers(
    write_config: WriteConfig, platform: StandInPlatform, small_disk: Path
) -> None:
    platform.misbehave = lambda: "503"
    config = write_config(counter(100))
    config.write_text(config.read_text().replace('"spool.db"', f'"{small_disk}/spool.db"'))
    (small_disk / "system").write_bytes(b"x" * 1024 * 1024)
    watched = Watched(config)
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: watched.dropped("disk_full") > 1000)
        assert watched.health()["status"] == "degraded"
        assert "the disk is full" in watched.health()["problems"]
        with (small_disk / "others").open("wb", buffering=0) as others:
            with contextlib.suppress(OSError):
                while others.write(b"x" * 4096):
                    pass
            dropped = watched.dropped("disk_full")
            agent.wait_until(lambda: watched.dropped("disk_full") > dropped)
        (small_disk / "others").unlink()
        platform.misbehave = None
        agent.wait_until(lambda: watched.health().get("status") == "ok")
        assert agent.stop() == 0
        status = agent.status()
    assert not status["spool"]["disk_full"]
    dropped = sum(status["spool"]["dropped"].values())
    numbers = [reading["number"] for reading in platform.stored]
    assert numbers == sorted(set(numbers))
    measured = status["inputs"][0]["readings"]
    assert numbers[-1] == measured - 1
    # What was on its way when it had to go may have arrived all the same: one batch at a time.
    assert measured <= len(numbers) + dropped
    assert len(platform.streams) == 1


def test_spool_that_is_damaged_while_the_agent_runs_is_replaced(
    write_config: WriteConfig, platform: StandInPlatform
) -> None:
    config = write_config(counter(1))
    with AgentProcess(config) as agent:
        agent.wait_until(lambda: len(platform.stored) > 50)
        for suffix in ("", "-wal"):
            with config.with_name(f"spool.db{suffix}").open("r+b") as file:
                size = os.fstat(file.fileno()).st_size
                file.write(b"damaged!" * (size // 8))
        agent.wait_until(lambda: len(platform.streams) == 2)
        count = len(platform.stored)
        agent.wait_until(lambda: len(platform.stored) > count + 50)
        assert agent.stop() == 0
        assert agent.status()["spool"]["corrupt_files"] == 1
    assert list(config.parent.glob("spool.db.corrupt-*"))
    numbers = [reading["number"] for reading in platform.stored]
    assert numbers == sorted(numbers)
