"""Devices without a browser: they wait, are confirmed by their user, and get tokens once."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.access.parties import DEVICE, OAuthApp, granted, refused, text_of
from tests.web_user import WebUser

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.access.parties import Server


class Device:
    """A device that shows its code."""

    def __init__(self, app: OAuthApp, scope: str = "read") -> None:
        answer = app.call("device_authorization", scope=scope)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        self.app = app
        self.codes: dict[str, Any] = answer.json()
        self.user_code = str(self.codes["user_code"])

    def ask(self) -> httpx.Response:
        return self.app.call("token", grant_type=DEVICE, device_code=self.codes["device_code"])


@pytest.fixture(scope="module")
def desktop(server: Server) -> OAuthApp:
    return OAuthApp.register(server, kind="desktop", redirects=())


@pytest.fixture
def device(desktop: OAuthApp) -> Device:
    return Device(desktop)


def test_device_waits_then_gets_its_tokens_once(device: Device, bobby: WebUser) -> None:
    refused(device.ask(), "authorization_pending")
    bobby.enter_device_code(device.user_code)
    tokens = granted(device.ask())
    assert device.app.status(tokens["access_token"]) == 200
    assert tokens["scope"] == "read"
    refused(device.ask(), "invalid_grant")
    granted(device.app.refresh(tokens["refresh_token"]))


def test_device_that_asks_too_often_is_slowed_down(device: Device, bobby: WebUser) -> None:
    refused(device.ask(), "authorization_pending")
    for _ in range(2):
        refused(device.ask(), "slow_down")
    time.sleep(1.1)  # the pace it was told at first is not enough any more
    refused(device.ask(), "slow_down")
    bobby.enter_device_code(device.user_code)
    granted(device.ask())


def test_device_that_was_denied_is_told_and_stays_denied(device: Device, bobby: WebUser) -> None:
    bobby.enter_device_code(device.user_code, "deny")
    for _ in range(2):
        refused(device.ask(), "access_denied")


def test_device_code_expires_for_the_device_and_its_user(
    device: Device, bobby: WebUser, time_passes: Callable[..., None]
) -> None:
    assert device.codes["expires_in"] == 600
    time_passes("device_code", 600)
    refused(device.ask(), "expired_token")
    page = bobby.submit(bobby.open("/device"), user_code=device.user_code)
    assert page.status_code == 400
    assert "No device waits with this code" in text_of(page)


@pytest.mark.parametrize("form", ["{0}", "{1}", "{2}", " {3} ", "{4}"])
def test_code_is_typed_in_any_case_with_or_without_dashes(
    device: Device, bobby: WebUser, form: str
) -> None:
    code = device.user_code
    plain = code.replace("-", "")
    typed = form.format(code.lower(), plain, plain.lower(), code.replace("-", " "), "-".join(plain))
    page = bobby.submit(bobby.open("/device"), user_code=typed)
    assert code in text_of(page)
    bobby.submit(page, decision="allow")
    granted(device.ask())


def test_address_with_the_code_in_it_asks_for_confirmation_too(
    device: Device, bobby: WebUser
) -> None:
    complete = str(device.codes["verification_uri_complete"])
    assert complete.startswith(str(device.codes["verification_uri"]))
    page = bobby.open(complete)
    assert page.status_code == 200
    assert sorted(re.findall(r'name="decision" value="(\w+)"', page.text)) == ["allow", "deny"]
    refused(device.ask(), "authorization_pending")
    bobby.submit(page, decision="allow")
    granted(device.ask())


def test_device_code_is_good_for_its_client_only(
    server: Server, device: Device, bobby: WebUser
) -> None:
    other = OAuthApp.register(server, kind="desktop", redirects=())
    bobby.enter_device_code(device.user_code)
    stolen = {"grant_type": DEVICE, "device_code": str(device.codes["device_code"])}
    refused(other.call("token", **stolen), "invalid_grant")
    granted(device.ask())


def test_code_that_was_decided_is_decided(device: Device, bobby: WebUser, charlie: WebUser) -> None:
    theirs = charlie.submit(charlie.open("/device"), user_code=device.user_code)
    bobby.enter_device_code(device.user_code)
    late = charlie.submit(theirs, decision="allow")
    assert late.status_code == 400
    # of its user, not of who came late
    tokens = granted(device.ask())
    listed = device.app.http.get(
        "/api/v2/grants", auth=(charlie.name, "correct horse battery")
    ).json()
    assert device.app.client_id not in str(listed)
    assert device.app.status(tokens["access_token"]) == 200


def test_guesses_of_codes_are_limited_and_do_not_lock_the_account(
    server: Server, device: Device
) -> None:
    server.add_user("guesser")
    with WebUser(server.url, "guesser") as guesser:
        form = guesser.open("/device")
        pages = [guesser.submit(form, user_code="BCDF-GHJK") for _ in range(11)]
        assert [page.status_code for page in pages] == [400] * 10 + [429]
        assert int(pages[-1].headers["retry-after"]) > 0
        right = guesser.submit(form, user_code=device.user_code)
        assert right.status_code == 429
        assert guesser.http.get(f"/device?user_code={device.user_code}").status_code == 429
    with WebUser(server.url, "guesser") as again:
        assert again.open("/account").status_code == 200
    refused(device.ask(), "authorization_pending")


def test_confidential_device_shows_its_secret_by_basic_alone(web: OAuthApp, bobby: WebUser) -> None:
    assert web.secret is not None
    basic = (web.client_id, web.secret)
    begun = web.http.post("/api/oauth/device_authorization", data={"scope": "read"}, auth=basic)
    assert begun.status_code == 200, begun.text
    bobby.enter_device_code(begun.json()["user_code"])
    form = {"grant_type": DEVICE, "device_code": begun.json()["device_code"]}
    granted(web.http.post("/api/oauth/token", data=form, auth=basic))


def test_scope_that_a_device_may_not_have_is_refused(desktop: OAuthApp) -> None:
    refused(desktop.call("device_authorization", scope="fly"), "invalid_scope")


def test_device_administers_for_administrators_only(
    desktop: OAuthApp, bobby: WebUser, admin: WebUser
) -> None:
    device = Device(desktop, scope="admin")
    assert bobby.enter_device_code(device.user_code).status_code == 403
    refused(device.ask(), "authorization_pending")
    admin.enter_device_code(device.user_code)
    assert granted(device.ask())["scope"] == "admin"
