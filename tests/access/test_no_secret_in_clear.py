"""One long day with everything that has a secret; afterwards none is found in any file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.access.mailbox import mailbox
from tests.access.parties import DEVICE, OUT_OF_BAND, OAuthApp, Server, copied, granted, refused
from tests.system.server_process import wait_until
from tests.web_user import WebUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.access.mailbox import Mailbox

CHOSEN = "a password that Dora chose"
NEWER = "another one that Dora chose"
WRONG = "a-wrong-guess-of-a-secret"
ADMINS = "the administrator's own one"
DORA = "dora"
Found = dict[str, str]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Found, str]]:
    """The folder of a server that was used all day, the secrets seen, and all that was shown."""
    folder = tmp_path_factory.mktemp("day")
    with mailbox() as mails:
        options = (*mails.options, "--set", "web.registration=open", "--set", "log.requests=all")
        quick = ("--set", "oauth.device_interval_seconds=1", "--set", "log.level=debug")
        with Server(folder / "data", *options, *quick) as server:
            found: Found = {"wrong guess": WRONG}
            _people(server, found, mails)
            app = _tokens(server, found)
            errors = _errors(server, app, found)
            _keep_copies(server, folder)
            server.stop()
            yield folder, found, errors


def _people(server: Server, found: Found, mails: Mailbox) -> None:
    """The administrator by the first link; Dora registers, forgets her password and gets a link."""
    link = re.search(r"/welcome/(\S+)", server.said)
    assert link is not None
    found |= {"first link": link[1], "password": CHOSEN, "new password": NEWER, "admin": ADMINS}
    with WebUser(server.url, "boss") as boss:
        page = boss.http.get(f"/welcome/{link[1]}")
        assert boss.submit(page, username="boss", password=ADMINS).status_code == 303
    with WebUser(server.url, DORA) as dora:
        page = dora.http.get("/register")
        made = dora.submit(page, username=DORA, password=CHOSEN, email="dora@example.org")
        assert made.status_code == 303
        found["session"] = str(dora.http.cookies["wotkit_session"])
        asked = dora.submit(dora.http.get("/forgotten"), username=DORA)
        assert asked.status_code == 303
        wait_until(lambda: mails.mails, 10, "a mail")
        sent = re.search(rf"{server.url}/password/(\S+)", mails.mails[0])
        assert sent is not None
        found["password link"] = sent[1]
        page = dora.http.get(f"/password/{sent[1]}")
        assert dora.submit(page, password=NEWER).status_code == 303
        found["session after the link"] = str(dora.http.cookies["wotkit_session"])
        failed = dora.submit(dora.http.get("/logout"))
        assert failed.status_code == 303
        login = dora.http.get("/login")
        assert dora.submit(login, username=DORA, password=WRONG).status_code == 401


def _tokens(server: Server, found: Found) -> OAuthApp:
    with WebUser(server.url, DORA, NEWER) as dora:
        key = dora.submit(dora.open("/account/keys/new"), name="gateway", scopes="all")
        key_id, found["key password"] = copied(key, "key-id"), copied(key, "key-password")
        again = dora.submit(dora.open(f"/account/keys/{key_id}"), overlap="24")
        found["rotated key password"] = copied(again, "key-password")
        for password in (found["key password"], found["rotated key password"]):
            answer = server.http.get("/api/v2/alerts", auth=(key_id, password))
            assert answer.status_code == 200
        app = OAuthApp.register(server, "--allow", "password", "--allow", "implicit", owner=DORA)
        found["client secret"] = str(app.secret)
        page = dora.submit(dora.open(f"/account/apps/{app.client_id}"), overlap="24")
        found["rotated client secret"] = app.secret = copied(page, "secret")
        _flows(server, app, dora, found)
        page = dora.open(f"/account/apps/{app.client_id}")
        made = dora.submit(page, action="developer")
        found["developer token"] = copied(made, "secret")
    return app


def _flows(server: Server, app: OAuthApp, dora: WebUser, found: Found) -> None:
    found["code"] = app.code(dora)
    tokens = granted(app.redeem(found["code"]))
    found |= {"access token": tokens["access_token"], "refresh token": tokens["refresh_token"]}
    again = granted(app.refresh(tokens["refresh_token"]))
    found |= {"2nd access token": again["access_token"], "2nd refresh": again["refresh_token"]}
    assert server.http.get("/api/v2/alerts", params={"access_token": again["access_token"]})
    assert app.introspect(again["access_token"])["active"]
    implicit = dora.decide(app.asking(response_type="token", scope="read"))
    token = re.search(r"access_token=([^&]+)", implicit)
    assert token is not None
    found["implicit token"] = token[1]
    desktop = OAuthApp.register(server, kind="desktop", redirects=(OUT_OF_BAND,), owner=DORA)
    found["copied code"] = dora.copied_code(desktop.asking(redirect_uri=OUT_OF_BAND))
    device = desktop.call("device_authorization").json()
    dora.enter_device_code(device["user_code"])
    granted(desktop.call("token", grant_type=DEVICE, device_code=device["device_code"]))
    found["device code"] = device["device_code"]
    form = {"grant_type": "password", "username": DORA, "password": NEWER}
    found["token by password"] = granted(app.call("token", **form))["access_token"]


def _errors(server: Server, app: OAuthApp, found: Found) -> str:
    """Bring secrets where they are wrong, and return all that was answered."""
    secret, token = found["rotated client secret"], found["2nd access token"]
    answers: list[httpx.Response] = [
        server.http.get("/no/such/path", params={"access_token": token}),
        server.http.get("/nothing", params={"x": token}, headers={"Accept": "text/html"}),
        server.http.get("/api/v2/sensors", params={"access_token": token, "oauth_token": WRONG}),
        server.http.get("/api/v2/sensors", headers={"Authorization": token}),
        server.http.get("/api/v2/sensors", headers={"Authorization": f"Basic {secret}"}),
        server.http.get(app.asking(client_secret=secret, client_id="nobody")),
        server.http.post("/api/oauth/token", params={"client_secret": secret}),
        server.http.post("/api/oauth/token", content=f"client_secret={secret}&%zz"),
        app.call("token", grant_type=secret),
        app.call("revoke", token=WRONG, client_secret=WRONG),
        server.http.get("/api/v2/alerts", auth=(DORA, WRONG)),
        server.http.get("/api/v2/alerts", auth=("0" * 16, WRONG)),
        server.http.get(f"/password/{found['password link']}"),
        server.http.get(f"/password/{found['password link']}/more"),
        server.http.get(f"/welcome/{found['first link']}"),
        server.http.post("/login", data={"username": DORA, "password": NEWER}),
    ]
    refused(answers[7], "invalid_request")
    for answer in answers:
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["referrer-policy"] == "no-referrer"
    return "\n".join(f"{answer.headers}\n{answer.text}" for answer in answers)


def _keep_copies(server: Server, folder: Path) -> None:
    """Keep the files as they are before the end, when the log is still apart from the database."""
    kept = folder / "running"
    kept.mkdir()
    for file in server.data.iterdir():
        if file.is_file() and file.name != "secret.key":
            (kept / file.name).write_bytes(file.read_bytes())


def test_no_secret_is_in_any_file_of_the_server(day: tuple[Path, Found, str]) -> None:
    folder, found, _ = day
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"secret.key", "server.out"}
    }
    assert {"data/catalog.db", "running/catalog.db-wal", "server.log"} <= files.keys()
    assert len(found) > 18
    assert [
        (name, place)
        for name, secret in found.items()
        for place, content in files.items()
        if secret.encode() in content
    ] == []


def test_no_secret_is_said_back_by_an_error(day: tuple[Path, Found, str]) -> None:
    _, found, errors = day
    assert [name for name, secret in found.items() if secret in errors] == []


def test_log_says_that_links_were_opened_but_not_which(day: tuple[Path, Found, str]) -> None:
    log = (day[0] / "server.log").read_text(encoding="utf-8")
    assert re.findall(r"path=(/password/\S*) status=200", log) == ["/password/…"]
    assert "path=/welcome/…" in log
