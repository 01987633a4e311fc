"""No secret is anywhere in clear: not in the databases, nor their logs, nor what is logged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx

from tests.oauth.conftest import DEVICE, OOB, OPTIONS, SWITCHES, Platform
from tests.web_user import PASSWORD, WebUser

if TYPE_CHECKING:
    from pathlib import Path


def story(server: Platform) -> dict[str, str]:
    """Do all that makes or carries a secret, and return every one of them by name."""
    found = {"password": PASSWORD}
    welcome = re.search(r"/welcome/(\S+)", server.said)
    assert welcome is not None
    found["first-run link"] = welcome[1]
    for name in ("alice", "bob1"):
        server.command("user", "create", name, "--password-file", "-", stdin=PASSWORD)
    server.command("sensor", "create", "roof", "--user", "alice")
    key = server.add_key("alice")
    found["key password"] = key.key_password
    url = f"{server.url}/api/v1/sensors/alice.roof/data"
    assert httpx.post(url, json={"value": 1}, auth=key).status_code == 201
    assert (
        httpx.post(url, json={"value": 1}, auth=(key.key_id, "wr0ng-secret-x")).status_code == 401
    )
    found["wrong key password"] = "wr0ng-secret-x"
    app = server.register("Web", *SWITCHES)
    found["client secret"] = str(app.secret)
    copy = server.register("Copy", kind="desktop", redirect_uri=OOB)
    with WebUser(server.url) as alice:
        code = found["code"] = app.code(alice)
        tokens = app.redeem(code).json()
        found |= {"access token": tokens["access_token"], "refresh token": tokens["refresh_token"]}
        found["second refresh token"] = app.refresh(tokens["refresh_token"]).json()["refresh_token"]
        found["copied code"] = alice.copied_code(copy.asking())
        found["session"] = str(alice.http.cookies["wotkit_session"])
        asked = copy.call("device_authorization", scope="read").json()
        found |= {"device code": asked["device_code"], "user code": asked["user_code"]}
        alice.enter_device_code(asked["user_code"])
        copy.call(grant_type=DEVICE, device_code=asked["device_code"])
    bearer = httpx.get(
        f"{server.url}/api/v2/sensors", params={"access_token": tokens["access_token"]}
    )
    assert bearer.status_code in {200, 401}
    lost = httpx.get(f"{server.url}/no-such-path", params={"access_token": tokens["access_token"]})
    assert tokens["access_token"] not in lost.text
    refused = httpx.post(
        f"{server.url}/api/oauth/token",
        data={"grant_type": "refresh_token", "refresh_token": found["refresh token"]},
        auth=(app.client_id, "wr0ng-client-secret"),
    )
    assert found["refresh token"] not in refused.text
    found["wrong client secret"] = "wr0ng-client-secret"
    password = app.call(grant_type="password", username="alice", password=PASSWORD).json()
    found["token by password"] = password["access_token"]
    found["developer token"] = server.json("token", "developer", app.client_id)["access_token"]
    found["rotated key password"] = server.json("key", "rotate", key.key_id)["key_password"]
    found["rotated secret"] = server.json("app", "rotate", app.client_id)["client_secret"]
    link = re.search(r"/password/(\S+)", server.command("user", "link", "alice"))
    assert link is not None
    found["password link"] = link[1]
    return found


def places(folder: Path) -> dict[str, bytes]:
    """Return every file that the server wrote; the key it seals with is a secret itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "secret" not in path.name and path.name != "server.out"
    }


def test_no_secret_is_kept_or_logged_in_clear(tmp_path: Path) -> None:
    with Platform(tmp_path / "data", *OPTIONS) as server:
        secrets = story(server)
        running = places(tmp_path)  # with what is not yet moved from the log into the file
        server.stop()
        stopped = places(tmp_path)
    assert any(name.endswith("catalog.db-wal") for name in running)
    assert {"data/catalog.db", "server.log"} <= stopped.keys()
    assert all(len(secret) >= 8 for secret in secrets.values())
    for files in (running, stopped):
        leaks = [
            (name, place)
            for name, secret in secrets.items()
            for place, content in files.items()
            if secret.encode() in content
        ]
        assert leaks == []
