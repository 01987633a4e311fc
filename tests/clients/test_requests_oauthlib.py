"""requests-oauthlib, which most Python programs use, completes its flows."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests
from oauthlib.oauth2 import (
    BackendApplicationClient,
    DeviceClient,
    InvalidGrantError,
    LegacyApplicationClient,
    MobileApplicationClient,
    TokenExpiredError,
)
from requests_oauthlib import OAuth2Session

from tests.clients.conftest import CALLBACK
from tests.web_user import PASSWORD

if TYPE_CHECKING:
    from tests.clients.conftest import Platform
    from tests.web_user import WebUser

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"


def reads(session: OAuth2Session, platform: Platform) -> int:
    """Read what only Alice may."""
    answer = session.get(f"{platform.url}/api/v2/sensors/alice.greenhouse/data")
    status: int = answer.status_code
    return status


def token_url(platform: Platform) -> str:
    return f"{platform.url}/api/oauth/token"


def authorized(platform: Platform, alice: WebUser, app: dict[str, Any]) -> OAuth2Session:
    session = OAuth2Session(app["client_id"], redirect_uri=CALLBACK, scope=["read"], pkce="S256")
    address, _ = session.authorization_url(f"{platform.url}/api/oauth/authorize")
    session.fetch_token(
        token_url(platform),
        authorization_response=alice.decide(address),
        client_secret=app["client_secret"],
    )
    return session


def test_web_application_reads_after_consent(platform: Platform, alice: WebUser) -> None:
    session = authorized(platform, alice, platform.register("reader"))
    assert session.token["scope"] == ["read"]
    assert session.token["expires_in"] == 43_200
    assert reads(session, platform) == 200


def test_second_round_does_not_ask_again(platform: Platform, alice: WebUser) -> None:
    app = platform.register("again")
    authorized(platform, alice, app)
    session = OAuth2Session(app["client_id"], redirect_uri=CALLBACK, scope=["read"], pkce="S256")
    address, _ = session.authorization_url(f"{platform.url}/api/oauth/authorize")
    assert alice.left(alice.open(address)) is not None


def test_denied_application_is_told(platform: Platform, alice: WebUser) -> None:
    app = platform.register("denied")
    session = OAuth2Session(app["client_id"], redirect_uri=CALLBACK, scope=["read"], pkce="S256")
    address, state = session.authorization_url(f"{platform.url}/api/oauth/authorize")
    back = httpx.URL(alice.decide(address, "deny"))
    assert back.params["error"] == "access_denied"
    assert back.params["state"] == state
    assert back.params["iss"] == platform.url


def test_refreshed_token_works_and_a_used_one_ends_all(platform: Platform, alice: WebUser) -> None:
    app = platform.register("refresher")
    session = authorized(platform, alice, app)
    old = session.token["refresh_token"]
    auth = (app["client_id"], app["client_secret"])
    session.refresh_token(token_url(platform), refresh_token=old, auth=auth)
    assert session.token["refresh_token"] != old
    assert reads(session, platform) == 200
    with pytest.raises(InvalidGrantError):
        session.refresh_token(token_url(platform), refresh_token=old, auth=auth)
    assert reads(session, platform) == 401


def test_revoked_token_is_refused_at_the_next_request(platform: Platform, alice: WebUser) -> None:
    app = platform.register("revoker")
    session = authorized(platform, alice, app)
    auth = (app["client_id"], app["client_secret"])
    token = session.token["access_token"]
    known = requests.post(
        f"{platform.url}/api/oauth/introspect", data={"token": token}, auth=auth, timeout=10
    ).json()
    assert known["active"] is True
    assert known["username"] == "alice"
    revoked = requests.post(
        f"{platform.url}/api/oauth/revoke", data={"token": token}, auth=auth, timeout=10
    )
    assert (revoked.status_code, revoked.json()) == (200, {})
    assert reads(session, platform) == 401


def test_desktop_program_copies_the_code(platform: Platform, alice: WebUser) -> None:
    app = platform.register("copier", "--redirect-uri", OUT_OF_BAND, kind="desktop")
    session = OAuth2Session(app["client_id"], redirect_uri=OUT_OF_BAND, scope=["read"], pkce="S256")
    address, _ = session.authorization_url(f"{platform.url}/api/oauth/authorize")
    session.fetch_token(
        token_url(platform), code=alice.copied_code(address), include_client_id=True
    )
    assert reads(session, platform) == 200


def test_browser_application_gets_its_token_in_the_fragment(
    platform: Platform, alice: WebUser
) -> None:
    app = platform.register("implicit", "--allow", "implicit", kind="browser")
    client = MobileApplicationClient(app["client_id"])
    session = OAuth2Session(client=client, redirect_uri=CALLBACK, scope=["read"])
    address, _ = session.authorization_url(f"{platform.url}/api/oauth/authorize")
    back = alice.decide(address)
    assert "access_token" not in back.partition("#")[0]
    session.token_from_fragment(back.replace("http://", "https://", 1))
    assert "refresh_token" not in session.token
    assert reads(session, platform) == 200


def test_machine_acts_for_its_owner(platform: Platform) -> None:
    app = platform.register("machine", "--allow", "client-credentials")
    session = OAuth2Session(client=BackendApplicationClient(app["client_id"], scope=["read"]))
    session.fetch_token(token_url(platform), auth=(app["client_id"], app["client_secret"]))
    assert reads(session, platform) == 200


def test_trusted_program_asks_for_the_password(platform: Platform) -> None:
    app = platform.register("trusted", "--allow", "password")
    session = OAuth2Session(client=LegacyApplicationClient(app["client_id"]), scope=["read"])
    auth = (app["client_id"], app["client_secret"])
    session.fetch_token(
        token_url(platform), username="alice", password=PASSWORD, auth=auth, scope=["read"]
    )
    assert reads(session, platform) == 200
    with pytest.raises(InvalidGrantError):
        session.fetch_token(
            token_url(platform), username="alice", password="wrong", auth=auth, scope=["read"]
        )


def test_device_waits_until_its_user_allows(platform: Platform, alice: WebUser) -> None:
    app = platform.register("device", kind="desktop")
    asked = requests.post(
        f"{platform.url}/api/oauth/device_authorization",
        data={"client_id": app["client_id"], "scope": "read"},
        timeout=10,
    ).json()
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-Z]{4}-[B-DF-HJ-NP-TV-Z]{4}", asked["user_code"])
    client = DeviceClient(app["client_id"])
    body = client.prepare_request_body(asked["device_code"], scope=["read"], include_client_id=True)
    kind = {"content-type": "application/x-www-form-urlencoded"}

    def poll() -> requests.Response:
        return requests.post(token_url(platform), data=body, headers=kind, timeout=10)

    assert poll().json()["error"] == "authorization_pending"
    assert poll().json()["error"] == "slow_down"
    page = alice.enter_device_code(asked["user_code"].replace("-", "").lower())
    assert page.status_code in {200, 303}
    time.sleep(asked["interval"] + 5)
    token = poll().json()
    session = OAuth2Session(app["client_id"], token=token)
    assert reads(session, platform) == 200
    time.sleep(asked["interval"])
    assert poll().json()["error"] in {"invalid_grant", "slow_down"}


def test_expiry_is_one_that_the_client_understands(platform: Platform, alice: WebUser) -> None:
    session = authorized(platform, alice, platform.register("expiring"))
    session.token = session.token | {"expires_at": time.time() - 1}
    with pytest.raises(TokenExpiredError):
        reads(session, platform)
