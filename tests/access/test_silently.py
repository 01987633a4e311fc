"""What an application may ask about asking: ``prompt``; and pages that are asked for by HEAD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.access.parties import OUT_OF_BAND, OAuthApp, granted, told

if TYPE_CHECKING:
    from tests.access.parties import Server
    from tests.web_user import WebUser


@pytest.fixture
def fresh(server: Server) -> OAuthApp:
    """An application that nobody has allowed yet."""
    return OAuthApp.register(server)


def error_told(app: OAuthApp, user: WebUser | None, **params: str) -> str:
    http = app.http if user is None else user.http
    answer = http.get(app.asking(prompt="none", **params))
    assert answer.status_code == 303, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = told(answer.headers["location"])
    assert (found["state"], found["iss"]) == ("s t", app.server.url)
    return found["error"]


def test_application_that_wants_no_page_is_told_why_it_needs_one(
    fresh: OAuthApp, public: OAuthApp, bobby: WebUser
) -> None:
    assert error_told(fresh, None) == "login_required"
    assert error_told(fresh, bobby) == "consent_required"
    public.tokens(bobby)
    assert error_told(public, bobby) == "consent_required"


def test_application_that_was_allowed_gets_its_code_without_a_page(
    fresh: OAuthApp, bobby: WebUser, charlie: WebUser
) -> None:
    fresh.tokens(bobby, scope="read")
    location = bobby.http.get(fresh.asking(prompt="none", scope="read")).headers["location"]
    granted(fresh.redeem(told(location)["code"]))
    assert error_told(fresh, bobby, scope="read write") == "consent_required"
    assert error_told(fresh, charlie, scope="read") == "consent_required"


def test_no_page_and_a_page_at_once_is_refused(fresh: OAuthApp, bobby: WebUser) -> None:
    answer = bobby.http.get(fresh.asking(prompt="none consent"))
    assert told(answer.headers["location"])["error"] == "invalid_request"


def test_copied_answer_to_no_page_is_an_error_to_copy(server: Server, bobby: WebUser) -> None:
    app = OAuthApp.register(server, kind="desktop", redirects=(OUT_OF_BAND,))
    page = bobby.http.get(app.asking(redirect_uri=OUT_OF_BAND, prompt="none"))
    assert page.status_code == 200
    assert "consent_required" in page.text


def test_application_may_want_the_user_asked_again(fresh: OAuthApp, bobby: WebUser) -> None:
    fresh.tokens(bobby)
    assert "location" in bobby.http.get(fresh.asking()).headers
    page = bobby.http.get(fresh.asking(prompt="consent"))
    assert page.status_code == 200
    assert 'value="deny"' in page.text


def test_bad_address_is_an_error_page_also_when_no_page_is_wanted(
    fresh: OAuthApp, bobby: WebUser
) -> None:
    page = bobby.http.get(fresh.asking(prompt="none", redirect_uri="https://evil.example/"))
    assert page.status_code == 400
    assert "location" not in page.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/login", 200),
        ("/apps", 200),
        ("/static/site.css", 200),
        ("/account", 303),
        ("/api/oauth/authorize", 400),
        ("/account/nothing", 404),
    ],
)
def test_head_of_a_page_is_answered_as_get_without_the_text(
    server: Server, path: str, status: int
) -> None:
    head, get = server.http.head(path), server.http.get(path)
    assert (head.status_code, get.status_code) == (status, status)
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
