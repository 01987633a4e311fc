"""What benchmarks compare with goes on working while the server changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from tests.ports import free_port

BENCH = Path(__file__).parents[2] / "scripts" / "bench"


def test_bare_server_takes_readings_and_stops(tmp_path: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, BENCH / "bare.py", str(port)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("bare at ")
        address = f"http://127.0.0.1:{port}/api/v1/sensors/alice.roof/data"
        answer = httpx.post(address, json={"value": 21.5}, timeout=20)
        process.terminate()
        assert process.wait(20) == 0
    assert answer.status_code == 201
