from __future__ import annotations

import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from wotkit.auth.secret import secret_key
from wotkit.config import ConfigError, load
from wotkit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

_SHOW = """
import sys
from pathlib import Path
from wotkit.auth.secret import secret_key
from wotkit.settings import Settings
sys.stdin.readline()
print(secret_key(Settings(), Path(sys.argv[1])))
"""


def test_key_is_made_once_and_only_its_owner_can_read_it(data: Path) -> None:
    key = secret_key(Settings(), data)
    assert len(key) == 64
    assert secret_key(Settings(), data) == key
    assert stat.S_IMODE((data / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in data.iterdir()] == ["secret.key"]


def test_key_of_the_settings_leaves_no_file(data: Path) -> None:
    settings = load(environment={"WOTKIT_AUTH_SECRET_KEY": "given"}).settings
    assert secret_key(settings, data) == "given"
    assert not data.exists()


def test_empty_file_is_no_key(data: Path) -> None:
    data.mkdir()
    (data / "secret.key").touch()
    with pytest.raises(ConfigError, match=r"secret\.key is empty"):
        secret_key(Settings(), data)


def test_threads_and_processes_that_start_at_once_agree(data: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _SHOW, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    found: set[str] = set()
    threads = [
        threading.Thread(target=lambda p=p: found.add(p.communicate("\n", timeout=30)[0].strip()))
        for p in processes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {(data / "secret.key").read_text().strip()}
