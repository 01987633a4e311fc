"""A real Chromium at real server processes.

Whatever a page writes to the console as an error, whatever its security policy stops, and whatever
of its parts cannot be loaded fails the test that saw it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import node_packages
from tests.pages.looking import Looking
from tests.pages.third_party import Application
from tests.pages.visiting import OPTIONS, Visitor, visiting
from tests.system.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser, for the tests of a module: its driver keeps an event loop of its own running."""
    program = shutil.which("chromium")
    if program is None:
        assert "CI" not in os.environ, "continuous integration needs chromium"
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with Alice, who is an administrator, Bob, and Alice's sensor ``roof``."""
    with ServerProcess(tmp_path_factory.mktemp("site") / "data", *OPTIONS) as server:
        server.add_user("alice", "--admin")
        server.add_user("bob-the-builder")
        server.command("sensor", "create", "roof", "--user", "alice")
        yield server


@pytest.fixture
def visitor(chromium: Browser, site: ServerProcess) -> Iterator[Visitor]:
    """Somebody who is not logged in."""
    with visiting(chromium, site.url) as found:
        yield found


@pytest.fixture
def alice(visitor: Visitor) -> Visitor:
    """Alice, logged in."""
    visitor.log_in("alice")
    return visitor


@pytest.fixture
def plotter(site: ServerProcess) -> Iterator[Application]:
    """A third party's web application, which Bob has registered."""
    with Application(site) as application:
        yield application


@pytest.fixture(scope="session")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Looking:
    """Looks at pages; pictures go to the folder ``SCREENSHOTS`` names, or to a temporary one."""
    node_packages.node()
    script = node_packages.FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    wanted = os.environ.get("SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return Looking(folder, script.read_text(encoding="utf-8"))
