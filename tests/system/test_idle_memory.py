"""How much memory a server takes that nobody uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.system.server_process import ServerProcess, children

if TYPE_CHECKING:
    import pytest

MOST_MIB = 90
WATCHING_MIB = 40


def resident_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def test_idle_server_stays_under_its_limit_with_both_processes(
    tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    with ServerProcess(tmp_path / "data") as server:
        worker = server.worker()
        assert server.process is not None
        watching = resident_mib(server.process.pid)
        whole = watching + sum(map(resident_mib, children(server.process.pid)))
        assert worker in children(server.process.pid)
        record_property("idle_mib", round(whole, 1))
        assert watching < WATCHING_MIB, "what only preparing needs stays in the main process"
        assert whole < MOST_MIB
        assert server.stop() == 0
