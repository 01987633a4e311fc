"""A gateway from its key to its page: the agent runs, is seen, is killed, and is gone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.pages.visiting import OPTIONS, visiting
from tests.system.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.pages.visiting import Visitor


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", *OPTIONS, "--mqtt-port", "0") as found:
        found.add_user("alice")
        yield found


def configured(folder: Path, server: ServerProcess, page: Visitor) -> Path:
    """Make a key on the pages and a configuration of what they show."""
    page.open("/account/gateways")
    page.sees("No gateways yet")
    page.page.get_by_role("link", name="New key").click()
    page.fill("Name", "Greenhouse 1")
    page.press("Make the key")
    text = page.page.locator("#agent").inner_text()
    key_id = page.page.locator("#key-id").inner_text().strip()
    password = page.page.locator("#key-password").inner_text().strip()
    mqtt = re.search(r"\bmqtt://[^:]+:(\d+)", server.said)
    assert mqtt is not None, server.said
    line = f'mqtt = "mqtt://127.0.0.1:{mqtt[1]}"\nreport_interval = "1s"\n'
    text = text.replace("[platform]\n", f"[platform]\n{line}").replace('"30s"', '"200ms"')
    (folder / "credentials").write_text(f"{key_id}:{password}\n")
    (folder / "credentials").chmod(0o600)
    file = folder / "agent.toml"
    file.write_text(text)
    return file


def test_gateway_appears_online_and_is_offline_when_killed(
    chromium: Browser, server: ServerProcess, tmp_path: Path
) -> None:
    with visiting(chromium, server.url) as alice:
        alice.log_in("alice")
        file = configured(tmp_path, server, alice)
        command = [sys.executable, "-m", "gateway_agent", "run", "--config", str(file)]
        with (tmp_path / "agent.log").open("wb") as log:
            agent = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
        main = alice.page.locator("#main")
        try:
            reload_until(alice, "/account/gateways", "greenhouse-1")
            expect(main).to_contain_text("online")
            reload_until(alice, "/account/gateways/greenhouse-1", r"system\s+system\s+ok")
            expect(main).to_contain_text("online")
            assert agent.poll() is None, (tmp_path / "agent.log").read_text()
        finally:
            agent.kill()
            agent.wait()
        reload_until(alice, "/account/gateways/greenhouse-1", "Offline since")
        alice.page.get_by_text("Delete this gateway…").click()
        alice.press("Delete greenhouse-1")
        alice.sees("greenhouse-1 is deleted.")
        alice.sees("No gateways yet")


def reload_until(visitor: Visitor, path: str, pattern: str, tries: int = 100) -> None:
    """Look at a page again and again until something is to be read on it."""
    for _ in range(tries):
        visitor.open(path)
        shown = " ".join(visitor.page.inner_text("#main").split())
        if re.search(pattern, shown):
            return
        visitor.page.wait_for_timeout(200)
    raise AssertionError(shown)
