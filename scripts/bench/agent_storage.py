"""Puts numbered readings into the storage of a gateway, as its inputs do; to be killed.

    agent_storage.py agent|thingsboard FOLDER RUN COUNT RATE COMMIT_INTERVAL

Says on standard output how many it has put that the storage took, after each hundredth of a second.
Run by the Python that has the gateway.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 0.01
SETTLE_SECONDS = 4
PADDING = "x" * 60


def agent(folder: Path, commit_interval: float) -> Callable[[str], bool]:
    """Open the agent's spool with its defaults."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from gateway_agent.clock import Stamp
    from gateway_agent.config import SpoolConfig
    from gateway_agent.reading import Reading
    from gateway_agent.spool import Spool

    spool = Spool(SpoolConfig(path=folder / "spool.db", commit_interval=commit_interval), "machine")
    spool.start()

    def put(fields: str) -> bool:
        stamp = Stamp(time.time_ns() // 1000, time.monotonic_ns() // 1000, "boot", synced=True)
        return bool(spool.put(Reading("boiler", fields, stamp), 0))

    return put


def thingsboard(folder: Path, _commit_interval: float) -> Callable[[str], bool]:
    """Open the other gateway's SQLite storage with its defaults."""
    from threading import Event

    from thingsboard_gateway.storage.sqlite.sqlite_event_storage import SQLiteEventStorage

    class Logger(logging.Logger):
        def trace(self, *_: Any, **__: Any) -> None:
            """A level of its own that the gateway adds; it is off by default."""

    storage = SQLiteEventStorage({"data_file_path": f"{folder}/"}, Logger("storage"), Event())

    def put(fields: str) -> bool:
        return bool(storage.put(fields))

    return put


def main() -> None:
    """Put, and say how many."""
    kind, folder, run, count, rate, commit_interval = sys.argv[1:]
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    put = {"agent": agent, "thingsboard": thingsboard}[kind](Path(folder), float(commit_interval))
    number = taken = 0
    began = time.monotonic()
    print("ready", flush=True)
    while number < int(count):
        due = min(int(count), int((time.monotonic() - began) * float(rate)))
        while number < due:
            taken += put(json.dumps({"run": run, "number": number, "text": PADDING}))
            number += 1
        print(number, taken, flush=True)
        time.sleep(STEP)
    time.sleep(SETTLE_SECONDS)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    rss = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    print("rss", int(rss) / 1024, flush=True)


if __name__ == "__main__":
    main()
