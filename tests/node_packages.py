"""Node.js with the packages that tests use, installed once for all processes of tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "clients" / "node"
"""Has ``package.json`` and, once installed, ``node_modules``."""


def node() -> str:
    """Return where Node.js is, with the packages installed; without it, skip the test."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        assert "CI" not in os.environ, "continuous integration needs node and npm"
        pytest.skip("node and npm are not installed")
    with (FOLDER / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several processes of tests installs
        if not _installed():
            command = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
            subprocess.run(command, cwd=FOLDER, check=True, timeout=180)
    return found


def _installed() -> bool:
    """Return whether what is installed is what is wanted now."""
    done = FOLDER / "node_modules" / ".package-lock.json"
    return done.exists() and done.stat().st_mtime >= (FOLDER / "package-lock.json").stat().st_mtime
