"""People are only ever sent to an address that the application has registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.access.parties import CALLBACK, VERIFIER, OAuthApp, granted, refused, text_of, told

if TYPE_CHECKING:
    import httpx

    from tests.access.parties import Server
    from tests.web_user import WebUser

LOOPBACK = ("http://127.0.0.1:5005/cb", "http://[::1]:5005/cb", "http://localhost:5005/cb")
EVIL = [
    "https://evil.example/callback?shop=1",
    "https://app.example.evil.example/callback?shop=1",
    "https://APP.example/callback?shop=1",
    "https://app.example/Callback?shop=1",
    "https://app.example/callback/?shop=1",
    "https://app.example/callback",
    "https://app.example/callback?shop=1&",
    "https://app.example/callback?shop=2",
    "https://app.example/callback?shop=1#here",
    "https://app.example/callback?shop=1#",
    "https://app.example/a/../callback?shop=1",
    "https://app.example/./callback?shop=1",
    "https://app.example//callback?shop=1",
    "https://app.example/%63allback?shop=1",
    "https://app.example:443/callback?shop=1",
    "https://app.example@evil.example/callback?shop=1",
    "https://u:p@app.example/callback?shop=1",
    "https://app.example\\@evil.example/callback?shop=1",
    "http://app.example/callback?shop=1",
    "HTTPS://app.example/callback?shop=1",
    " https://app.example/callback?shop=1",
    "https://app.example/callback?shop=1\n",
    "//app.example/callback?shop=1",
    "/callback?shop=1",
    "javascript:alert(1)",
    "data:text/html,x",
    "http://[::1",
    "urn:ietf:wg:oauth:2.0:oob",
]
OTHER_LOOPBACK = [
    "http://localhost:5006/cb",
    "http://127.0.0.1:5006/cb/",
    "http://127.0.0.1:5006/CB",
    "http://127.0.0.1:5006/cb?x=1",
    "http://127.0.0.1:0/cb",
    "http://127.0.0.1:65536/cb",
    "http://127.0.0.1:/cb",
    "http://127.0.0.1:5005@evil.example/cb",
    "http://127.0.0.1.evil.example:5005/cb",
    "http://127.0.0.2:5005/cb",
    "https://127.0.0.1:5005/cb",
]


@pytest.fixture(scope="module")
def desktop(server: Server) -> OAuthApp:
    return OAuthApp.register(server, kind="desktop", redirects=LOOPBACK)


def is_error_page(page: httpx.Response) -> None:
    assert page.status_code == 400
    assert "location" not in page.headers
    assert page.headers["content-type"].startswith("text/html")
    assert "<h1>" in page.text
    assert "refresh" not in page.headers
    assert 'http-equiv="refresh"' not in page.text


@pytest.mark.parametrize("uri", EVIL)
def test_address_that_is_not_exactly_a_registered_one_is_an_error_page(
    server: Server, web: OAuthApp, bobby: WebUser, uri: str
) -> None:
    for browser in (bobby.http, server.http):
        page = browser.get(web.asking(redirect_uri=uri))
        is_error_page(page)
        assert "has not registered" in text_of(page) or "malformed" in text_of(page)
        assert 'href="https://evil' not in page.text


@pytest.mark.parametrize("uri", OTHER_LOOPBACK)
def test_of_a_loopback_address_no_more_than_the_port_may_differ(
    desktop: OAuthApp, bobby: WebUser, uri: str
) -> None:
    is_error_page(bobby.http.get(desktop.asking(redirect_uri=uri)))


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:49152/cb", "http://127.0.0.1/cb", "http://[::1]:1/cb", *LOOPBACK]
)
def test_port_of_a_loopback_address_may_differ_and_binds_the_code(
    desktop: OAuthApp, bobby: WebUser, uri: str
) -> None:
    location = bobby.decide(desktop.asking(redirect_uri=uri))
    assert location.startswith(f"{uri}?code=")
    code = told(location)["code"]
    other = "http://127.0.0.1:4711/cb"
    refused(desktop.redeem(code, redirect_uri=other), "invalid_grant")
    granted(desktop.redeem(code, redirect_uri=uri, code_verifier=VERIFIER))


@pytest.mark.parametrize("client_id", ["nobody", "", "0" * 32, "%00", "a b", "\u00fc" * 40])
def test_client_that_is_not_known_is_an_error_page(
    web: OAuthApp, bobby: WebUser, client_id: str
) -> None:
    page = bobby.http.get(web.asking(client_id=client_id))
    is_error_page(page)
    assert "app.example" not in page.text


def test_address_may_be_left_out_where_only_one_is_registered(
    web: OAuthApp, desktop: OAuthApp, bobby: WebUser
) -> None:
    location = bobby.decide(web.asking(redirect_uri=""))
    assert location.startswith(f"{CALLBACK}&code=")
    granted(web.call("token", grant_type="authorization_code", code=told(location)["code"]))
    is_error_page(bobby.http.get(desktop.asking(redirect_uri="")))


def test_wrong_request_to_a_good_address_is_told_to_the_application(
    web: OAuthApp, bobby: WebUser
) -> None:
    for params, error in (
        ({"response_type": ""}, "invalid_request"),
        ({"response_type": "fly"}, "unsupported_response_type"),
        ({"response_type": "token"}, "unauthorized_client"),
        ({"scope": "fly"}, "invalid_scope"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request"),
    ):
        answer = bobby.http.get(web.asking(**params))
        assert answer.status_code == 303, params
        location = answer.headers["location"]
        assert location.startswith("https://app.example/callback?shop=1")
        found = told(location, fragment="#" in location)
        assert found["error"] == error
        assert found["state"] == "s t"
