from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import text_of, wrong_in
from tests.web.test_apps import PLOTTER, token_status
from tests.web.test_authorize import logged_in
from wotkit.catalog.models import DeviceCode, changed

if TYPE_CHECKING:
    from tests.web.conftest import Browser, Server

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"


class Device:
    """A program without a browser, registered by Alice."""

    def __init__(self, alice: Browser, *, scope: str = "", **fields: str) -> None:
        form = PLOTTER | {"kind": "desktop", "redirect_uris": ""} | fields
        made = alice.submit("/account/apps/new", **form)
        self.client_id = made.headers["location"].rpartition("/")[2].partition("?")[0]
        self._browser = alice
        answer = alice.post(
            "/api/oauth/device_authorization", client_id=self.client_id, scope=scope
        )
        assert answer.status_code == 200, answer.text
        self.codes: dict[str, Any] = answer.json()

    @property
    def user_code(self) -> str:
        found: str = self.codes["user_code"]
        return found

    def ask(self) -> dict[str, Any]:
        """Ask for tokens, as soon as it likes to."""
        found: dict[str, Any] = self._browser.post(
            "/api/oauth/token",
            grant_type=GRANT_TYPE,
            client_id=self.client_id,
            device_code=self.codes["device_code"],
        ).json()
        return found


@pytest.fixture
def device(alice: Browser) -> Device:
    return Device(alice)


@pytest.fixture
def charlie(server: Server) -> Browser:
    return logged_in(server, "charlie")


def test_allowed_device_gets_a_token(device: Device, charlie: Browser) -> None:
    confirm = charlie.submit("/device", user_code=device.user_code)
    text = text_of(confirm)
    for said in ("Plotter", device.user_code, "charlie", "See your sensors and their readings"):
        assert said in text
    assert device.ask()["error"] == "authorization_pending"
    done = charlie.submit("/device", user_code=device.user_code, decision="allow")
    assert "Your device is connected" in text_of(done)
    assert "you can close this page" in text_of(done)
    assert token_status(charlie, device.ask()["access_token"]) == 200
    assert "You allowed it by a code" in text_of(charlie.get("/account/connected"))


def test_denied_device_is_told(device: Device, charlie: Browser) -> None:
    done = charlie.submit("/device", user_code=device.user_code, decision="deny")
    assert "You denied it" in text_of(done)
    assert device.ask()["error"] == "access_denied"


@pytest.mark.parametrize("typed", ["{0}", " {0} ", "{1}", "{2}"])
def test_case_and_dashes_of_a_code_do_not_matter(
    device: Device, charlie: Browser, typed: str
) -> None:
    code = device.user_code
    text = typed.format(code.lower(), code.replace("-", ""), code.replace("-", " - "))
    assert f"Does your device show this code? {code}" in text_of(
        charlie.submit("/device", user_code=text)
    )


def test_address_with_the_code_in_it_only_asks(device: Device, charlie: Browser) -> None:
    path = device.codes["verification_uri_complete"].removeprefix("http://testserver")
    page = charlie.get(path)
    assert page.status_code == 200
    assert re.findall(r'<button name="decision" value="(\w+)">', page.text) == ["deny", "allow"]
    assert device.ask()["error"] == "authorization_pending"


def test_nobody_logs_in_first_and_comes_back_with_the_code(server: Server, device: Device) -> None:
    led = server.browser().get(f"/device?user_code={device.user_code}")
    assert led.headers["location"] == f"/login?next=%2Fdevice%3Fuser_code%3D{device.user_code}"


def test_unknown_used_and_expired_codes_are_refused_alike(
    server: Server, alice: Browser, charlie: Browser
) -> None:
    used, expired = Device(alice), Device(alice, name="Other")
    charlie.submit("/device", user_code=used.user_code, decision="deny")
    server.catalog.write(_expire, expired.user_code.replace("-", ""))
    for code in ("BCDF-GHJK", used.user_code, expired.user_code):
        page = charlie.submit("/device", user_code=code)
        assert page.status_code == 400
        assert "No device waits with this code." in wrong_in(page)[0]


def _expire(user_code: str) -> None:
    assert changed(DeviceCode.update(expires=1).where(DeviceCode.user_code == user_code)) == 1


@pytest.mark.parametrize("decision", ["", "allow"])
def test_guesses_are_limited_with_and_without_a_decision(
    device: Device, charlie: Browser, decision: str
) -> None:
    for _ in range(5):
        page = charlie.submit("/device", user_code="BCDF-GHJK", decision=decision)
        assert page.status_code == 400
    page = charlie.submit("/device", user_code=device.user_code, decision=decision)
    assert page.status_code == 429
    assert int(page.headers["retry-after"]) > 0
    assert device.ask()["error"] == "authorization_pending"


def test_decision_needs_the_form_of_this_session(device: Device, charlie: Browser) -> None:
    answer = charlie.post("/device", user_code=device.user_code, decision="allow", csrf="0" * 64)
    assert answer.status_code == 403
    assert device.ask()["error"] == "authorization_pending"


def test_only_administrators_let_a_device_administer(alice: Browser, charlie: Browser) -> None:
    device = Device(alice, scope="admin")
    assert "the whole server" in text_of(charlie.submit("/device", user_code=device.user_code))
    answer = charlie.submit("/device", user_code=device.user_code, decision="allow")
    assert answer.status_code == 403
    assert device.ask()["error"] == "authorization_pending"
