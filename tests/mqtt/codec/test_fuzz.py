"""The fuzz run of scripts/fuzz, short by default."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts/fuzz/mqtt_codec.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "seconds",
    ["2", pytest.param("60", marks=[pytest.mark.slow, pytest.mark.timeout(180)])],
)
def test_damaged_packets_find_nothing_wrong(seconds: str) -> None:
    run = fuzz("--seconds", seconds)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Nothing was wrong" in run.stdout


def test_one_input_can_be_tried_again() -> None:
    run = fuzz("--replay", "300400016131", "--start", "1")
    assert (run.returncode, run.stdout) == (0, "Publish | None\n")
