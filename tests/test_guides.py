"""What the guides say works: their commands run, their links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.system.server_process import PASSWORD, ServerProcess
from wotkit.config import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "wotkit" / "web" / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md"))]
GUIDES = [
    DOCS / f"{name}.md"
    for name in ("quickstart", "concepts", "api", "ingest", "live", "mqtt", "access", "operations")
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Server(NamedTuple):
    url: str
    key: str
    data: Path


def wotkit(*arguments: str, data: Path, stdin: str = "") -> str:
    found = subprocess.run(
        [sys.executable, "-m", "wotkit.cli", *arguments, "--data", str(data)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server with the user, the key and the sensors that the guides speak of."""
    with ServerProcess(tmp_path_factory.mktemp("guides") / "data") as process:
        process.add_user("alice")
        yield Server(process.url, ":".join(process.add_key("alice")), process.data)
        assert process.stop() == 0


def shell_blocks(page: Path) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language == "sh"]


def run(script: str, server: Server) -> subprocess.CompletedProcess[str]:
    """Run commands as a reader would paste them; curl fails on an error's status."""
    environment = {
        "PATH": os.environ["PATH"],
        "WOTKIT": server.url,
        "KEY": server.key,
        "PASSWORD": PASSWORD,
    }
    strict = 'set -eu\ncurl() { command curl --silent --show-error --fail-with-body "$@"; }\n'
    return subprocess.run(
        ["bash", "-c", strict + script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_calls_of_the_guides_work_in_the_order_they_are_read(server: Server) -> None:
    ran = 0
    for name in ("quickstart", "api", "ingest", "live"):
        for block in shell_blocks(DOCS / f"{name}.md"):
            if "curl" not in block:
                continue
            found = run(block, server)
            assert found.returncode == 0, f"{name}.md:\n{block}\n{found.stdout}\n{found.stderr}"
            ran += 1
    assert ran >= 15


def test_answers_are_as_the_guide_to_sending_says(server: Server) -> None:
    blocks = shell_blocks(DOCS / "ingest.md")
    stream = next(block for block in blocks if '"stream"' in block)
    assert json.loads(run(stream, server).stdout) == {"acked_through": 2, "rejected": []}
    resend = next(block for block in blocks if "Idempotency-Key" in block)
    run(resend, server)
    assert "idempotent-replayed: true" in run(resend, server).stdout.lower()


def test_python_example_of_live_readings_prints_what_is_posted(server: Server) -> None:
    (example,) = [
        text
        for language, text in BLOCK.findall((DOCS / "live.md").read_text())
        if language == "python"
    ]
    command = [sys.executable, "-u", "-c", example]
    environment = {"PATH": os.environ["PATH"], "WOTKIT": server.url, "KEY": server.key}
    post = 'curl -u "$KEY" "$WOTKIT/api/v2/sensors/greenhouse/data" --json '
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert run(post + """'{"temperature": 17.25}'""", server).returncode == 0
            while "17.25" not in (line := process.stdout.readline()):
                assert line, "the example ended"
        finally:
            process.kill()


def test_backup_while_the_server_runs_can_be_served(server: Server, tmp_path: Path) -> None:
    backup = next(block for block in shell_blocks(DOCS / "operations.md") if "VACUUM" in block)
    script = backup.replace("/var/lib/wotkit", str(server.data)).replace("/backup", str(tmp_path))
    statements = re.findall(r'sqlite3 (\S+) "([^"]+)"', script)
    assert len(statements) == 2
    for file, statement in statements:
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])"
        subprocess.run([sys.executable, "-c", code, file, statement], check=True, timeout=60)
    shown = json.loads(wotkit("user", "list", "--json", data=tmp_path))
    assert "alice" in json.dumps(shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text())
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def anchors(page: Path) -> set[str]:
    headings = HEADING.findall(BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_settings_that_guides_name_exist(page: Path) -> None:
    sections = {setting.section for setting in SETTINGS}
    known = {setting.name for setting in SETTINGS}
    for named in re.findall(r"`([a-z]+\.[a-z_]+)`", page.read_text()):
        if named.partition(".")[0] in sections and not named.endswith((".db", ".key", ".lock")):
            assert named in known, named


def test_metrics_that_the_guide_names_are_served(server: Server) -> None:
    named = set(re.findall(r"`(wotkit_[a-z_]+)[`{]", (DOCS / "operations.md").read_text()))
    assert len(named) >= 6
    served = run('curl "$WOTKIT/healthz" && curl "$WOTKIT/metrics"', server).stdout
    for name in named:
        assert name in served, name
