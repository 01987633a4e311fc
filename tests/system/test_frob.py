"""The older handshake with real processes: the guide's program, and many that come at once."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.signed import SigningApp
from tests.system.wire import raw
from tests.web_user import WebUser
from wotkit.catalog import Catalog, apps, frobs, grants
from wotkit.errors import FrobSpent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier

    from tests.system.server_process import ServerProcess

GUIDE = Path(__file__).parents[2] / "wotkit" / "web" / "docs" / "access.md"
AT_ONCE = 20
PROCESSES = 3
SECONDS = 60


@pytest.fixture
def program(shared_server: ServerProcess) -> SigningApp:
    """A program of Alice's, registered on the command line."""
    client_id = shared_server.json(
        "app", "create", "--user", "alice", "--name", "Loader", "--website", "https://a.example",
        "--kind", "desktop", "--allow", "frob",
    )["client_id"]  # fmt: skip
    made = shared_server.json("app", "signing-secret", client_id)
    return SigningApp(client_id, made["signing_secret"])


@pytest.fixture
def alice(shared_server: ServerProcess) -> Iterator[WebUser]:
    with WebUser(shared_server.url) as found:
        yield found


def get_frob(server: ServerProcess, program: SigningApp) -> str:
    answer = httpx.get(f"{server.url}/api/auth.getFrob", params=program.md5("auth.getFrob"))
    found: str = answer.json()["auth"]["frob"]
    return found


def test_program_of_the_guide_connects(
    shared_server: ServerProcess, program: SigningApp, alice: WebUser
) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "WOTKIT": shared_server.url,
            "API_KEY": program.client_id,
            "SIGNING_SECRET": program.secret,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("Open ").strip()
        page = alice.submit(alice.open(address), decision="allow")
        assert "Go back to the program" in page.text
        said, _ = process.communicate("\n", timeout=SECONDS)
    assert process.returncode == 0
    assert said.split() == ["alice", "roof"]


def test_of_many_that_bring_a_frob_at_once_one_gets_a_token(
    shared_server: ServerProcess, program: SigningApp, alice: WebUser
) -> None:
    frob = get_frob(shared_server, program)
    alice.submit(alice.open(shared_server.url + program.page(frob)), decision="allow")
    params = program.md5("auth.getToken", frob=frob)

    def redeem(_: int) -> int:
        url = f"{shared_server.url}/api/auth.getToken"
        return httpx.get(url, params=params, timeout=SECONDS).status_code

    with ThreadPoolExecutor(AT_ONCE) as threads:
        statuses = sorted(threads.map(redeem, range(AT_ONCE)))
    assert statuses == [200] + [403] * (AT_ONCE - 1)


def test_of_many_decisions_at_once_one_counts(
    shared_server: ServerProcess, program: SigningApp, alice: WebUser
) -> None:
    frob = get_frob(shared_server, program)
    page = alice.open(shared_server.url + program.page(frob))

    def decide(number: int) -> int:
        decision = "allow" if number % 2 else "deny"
        return alice.submit(page, decision=decision).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(decide, range(8)))
    assert statuses == [200] + [400] * 7


def redeem_together(data: Path, client_id: str, frob: str, start: Barrier) -> bool:
    """Open the catalog as another process does, and bring the frob with the others."""
    with closing(Catalog(data, busy_seconds=SECONDS)) as catalog:
        app = catalog.read(apps.by_client_id, client_id)
        assert app is not None
        start.wait(SECONDS)
        try:
            catalog.write(frobs.redeem, frob, app)
        except FrobSpent:
            return False
    return True


def test_of_several_processes_that_bring_a_frob_one_gets_a_token(
    shared_server: ServerProcess, program: SigningApp, alice: WebUser
) -> None:
    frob = get_frob(shared_server, program)
    alice.submit(alice.open(shared_server.url + program.page(frob)), decision="allow")
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(PROCESSES) as pool:
        start = manager.Barrier(PROCESSES)
        given = (shared_server.data, program.client_id, frob, start)
        won = pool.starmap(redeem_together, [given] * PROCESSES, 1)
    assert sorted(won) == [False] * (PROCESSES - 1) + [True]
    with closing(Catalog(shared_server.data)) as catalog:
        assert catalog.read(grants.list_all)


@pytest.mark.parametrize("query", [b"a=%ff", b"\xff=\xfe", b"api_key=\xc3\x28", b"auth_token=\xff"])
@pytest.mark.parametrize(
    "path", [b"/api/auth.getFrob", b"/api/auth.getToken/xml", b"/api/v2/sensors"]
)
def test_raw_bytes_are_no_error_of_the_server(
    shared_server: ServerProcess, path: bytes, query: bytes
) -> None:
    head = b"GET " + path + b"?" + query + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert raw(shared_server.port, head).status in {200, 400, 401, 403}


def test_neither_frob_nor_secret_nor_token_is_in_the_log(
    shared_server: ServerProcess, program: SigningApp, alice: WebUser
) -> None:
    frob = get_frob(shared_server, program)
    alice.submit(alice.open(shared_server.url + program.page(frob)), decision="allow")
    params = program.md5("auth.getToken", frob=frob)
    got = httpx.get(f"{shared_server.url}/api/auth.getToken/json", params=params).json()
    token = got["auth"]["token"]
    for secret in (program.secret, "0" * 32):
        params = SigningApp(program.client_id, secret).md5("v2/sensors", auth_token=token)
        httpx.get(f"{shared_server.url}/api/v2/sensors", params=params)
    log = shared_server.log + shared_server.said
    assert "auth.getToken" in log or "sensors" in log
    for each in (frob, token, program.secret, params["api_sig"]):
        assert each not in log
