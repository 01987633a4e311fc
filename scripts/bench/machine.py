"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES: Final = ("falcon", "gunicorn", "uvicorn", "uvloop", "httptools", "msgspec")
PROGRAMS: Final = (
    (("wrk", "-v"), "wrk"),
    (("influxd", "version"), "InfluxDB"),
    (("mosquitto", "-h"), "mosquitto"),
)
SYNCS: Final = 100


def describe(folder: Path, script: str = "ingest") -> dict[str, str]:
    """Return names and values, for people; of a run of this script."""
    load = os.getloadavg()[0]
    return {
        "machine": f"{len(os.sched_getaffinity(0))} cores, {_processor()}, {platform.release()}",
        "load before": f"{load:.2f}" + (" (not quiet: compare ratios only)" if load > 1 else ""),
        "disk": f"{_file_system(folder)}, {_sync_micros(folder):.0f} microseconds for 4 kB and "
        "fdatasync",
        "versions": f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "programs": ", ".join(_programs()),
        "command": " ".join([f"scripts/bench/{script}", *sys.argv[1:]]),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """Return the type of the file system: on tmpfs nothing is ever written to a disk."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, name, *_ = line.split()
        if folder.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, name
    return kind


def _sync_micros(folder: Path) -> float:
    """Return the median time of a small durable write."""
    spent: list[float] = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            started = perf_counter()
            os.fdatasync(file.fileno())
            spent.append(perf_counter() - started)
    (folder / "probe").unlink()
    return median(spent) * 1e6


def _programs() -> Iterator[str]:
    for command, name in PROGRAMS:
        if shutil.which(command[0]) is not None:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
            found = (done.stdout + done.stderr).split("\n", 1)[0].split("Copyright")[0]
            yield found.strip() or name
    if shutil.which("victoria-metrics") is not None:
        yield f"VictoriaMetrics {_debian_version('victoria-metrics')}"


def _debian_version(package: str) -> str:
    """Return the version of a Debian package; the program does not tell its own."""
    if shutil.which("dpkg-query") is None:
        return "of unknown version"
    return subprocess.run(
        ["dpkg-query", "--showformat=${Version}", "--show", package],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    ).stdout
