"""The consent page of real processes: what only the whole server does, from raw bytes on."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.system.server_process import PASSWORD

if TYPE_CHECKING:
    from tests.system.server_process import ServerProcess

CALLBACK = "https://app.example/callback"


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


def test_user_logs_in_allows_and_is_sent_back(shared_server: ServerProcess) -> None:
    made = shared_server.json(
        "app", "create", "--name", "Plotter", "--user", "alice", "--website", "https://app.example",
        "--redirect-uri", CALLBACK,
    )  # fmt: skip
    query = {
        "response_type": "code",
        "client_id": made["client_id"],
        "redirect_uri": CALLBACK,
        "state": "x y",
    }
    with httpx.Client(base_url=shared_server.url) as browser:
        login = browser.get(f"/api/oauth/authorize?{urlencode(query)}", follow_redirects=True)
        onward = parse_qs(urlsplit(str(login.url)).query)["next"][0]
        fields = {"csrf": token_in(login), "username": "alice", "password": PASSWORD}
        consent = browser.post("/login", data=fields | {"next": onward}, follow_redirects=True)
        assert consent.headers["referrer-policy"] == "no-referrer"
        assert consent.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in consent.headers["content-security-policy"]
        sealed = re.search(r'name="query" value="([^"]+)"', consent.text)
        assert sealed is not None
        decision = {"csrf": token_in(consent), "query": sealed[1], "decision": "allow"}
        answer = browser.post("/api/oauth/authorize", data=decision)
    assert answer.status_code == 303
    told = parse_qs(urlsplit(answer.headers["location"]).query)
    assert answer.headers["location"].startswith(f"{CALLBACK}?code=")
    assert told["state"] == ["x y"]
    assert told["iss"] == [shared_server.url]


@pytest.mark.parametrize(
    "target",
    [
        b"/api/oauth/authorize?state=\xff\xfe",
        b"/api/oauth/authorize?client_id=\xc3\xbc&%zz",
        b"/api/oauth/authorize?redirect_uri=http://[::1&client_id=%00",
        b"/device?user_code=\xff",
    ],
)
def test_raw_junk_is_never_a_fault_of_the_server(
    shared_server: ServerProcess, target: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", shared_server.port), timeout=10) as wire:
        wire.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        status = wire.makefile("rb").readline().split()[1]
    assert status in {b"400", b"303"}
