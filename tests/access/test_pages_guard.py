"""Every page and every form of the site, found by following its links."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest

from tests.access.parties import CALLBACK, OAuthApp, text_of, told
from tests.web_user import PASSWORD, WebUser

if TYPE_CHECKING:
    from tests.access.parties import Server

STRANGE = "<script>alert(1)</script>'\"&{{7*7}}"
LEAVE_OUT = ("/docs", "/api/reference", "/logout", "/admin/audit/export", "/api/openapi.json")
MOST = 150
"""Pages looked at; there are fewer, unless a page makes up new links for ever."""


class Look(HTMLParser):
    """What a page contains."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.forms: list[tuple[str, str, dict[str, str]]] = []
        self.inline: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on")]
        self.inline += [f"{tag} style" for name in given if name == "style"]
        self._script = tag in {"script", "style"}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in {"script", "img", "link", "iframe", "object", "embed", "source"}:
            self.assets.append(given.get("src") or given.get("href", "inline"))
        if tag == "form":
            method = given.get("method", "get").lower()
            self.forms.append((method, given.get("action", ""), {}))
        if tag in {"input", "button", "select", "textarea"} and self.forms and given.get("name"):
            self.forms[-1][2][given["name"]] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._script = False


@pytest.fixture(scope="module")
def site(server: Server, admin: WebUser) -> list[httpx.Response]:
    """Every page that an administrator with a key and an application finds."""
    owner = ("admin", PASSWORD)
    made = server.http.post("/api/v2/keys", json={"name": STRANGE}, auth=owner)
    assert made.status_code == 201, made.text
    server.http.post("/api/v1/orgs", json={"name": "garden", "longName": STRANGE}, auth=owner)
    app = OAuthApp.register(server, "--description", STRANGE, owner="admin")
    app.tokens(admin)
    waiting, seen, pages = ["/", "/login", "/register", "/forgotten", "/device"], set(), []
    waiting += [app.asking(prompt="consent"), "/account/nothing", "/nothing"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.startswith(LEAVE_OUT) or len(seen) > MOST:
            continue
        seen.add(path)
        page = admin.http.get(path, headers={"Accept": "text/html"})
        pages.append(page)
        if page.headers.get("content-type", "").startswith("text/html"):
            found = [urljoin(path, link) for link in Look(page.text).links]
            waiting += [link.partition("#")[0] for link in found if link.startswith("/")]
    with httpx.Client(base_url=server.url, headers={"Accept": "text/html"}) as nobody:
        pages += [nobody.get(path) for path in ("/", "/login", "/apps", "/forgotten", "/welcome/x")]
    return [page for page in pages if page.status_code != 303]


def name_of(page: httpx.Response) -> str:
    return page.url.raw_path.decode()


def test_every_page_is_guarded_by_its_headers(site: list[httpx.Response]) -> None:
    assert len(site) > 25
    for page in site:
        headers, where = page.headers, name_of(page)
        policy = headers["content-security-policy"]
        rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
        assert rules["default-src"] == "'none'", where
        assert rules["script-src"] == "'self'", where
        assert rules["style-src"] == "'self'", where
        assert rules["frame-ancestors"] == "'none'", where
        assert rules["base-uri"] == "'none'", where
        assert rules["form-action"].startswith("'self'"), where
        assert "unsafe" not in policy, where
        assert headers["referrer-policy"] == "no-referrer", where
        assert headers["x-content-type-options"] == "nosniff", where
        assert headers["cache-control"] == "no-store", where


def test_no_page_has_anything_inline_or_from_elsewhere(site: list[httpx.Response]) -> None:
    for page in site:
        look = Look(page.text)
        assert look.inline == [], name_of(page)
        for asset in look.assets:
            assert asset.startswith(("/static/", "data:")), (name_of(page), asset)


def test_every_form_that_changes_something_has_its_token_and_is_refused_without(
    admin: WebUser, site: list[httpx.Response]
) -> None:
    tried = set()
    for page in site:
        for method, action, fields in Look(page.text).forms:
            if method == "get":
                continue
            assert re.fullmatch(r"[0-9a-f]{64}", fields.get("csrf", "")), name_of(page)
            target = urljoin(name_of(page), action or name_of(page))
            if (target, tuple(sorted(fields))) in tried:
                continue
            tried.add((target, tuple(sorted(fields))))
            for token in ("", "0" * 64, "\u00e4"):
                answer = admin.http.post(target, data=fields | {"csrf": token})
                assert answer.status_code == 403, (target, fields)
                assert answer.headers["cache-control"] == "no-store"
    assert len(tried) > 20


def test_names_are_escaped_wherever_they_are_shown(site: list[httpx.Response]) -> None:
    shown = 0
    for page in site:
        assert "<script>alert" not in page.text, name_of(page)
        assert "49" not in re.findall(r"alert\(1\)</script>'\"&(\w+)", unescape(page.text))
        shown += STRANGE in unescape(page.text)
    assert shown >= 4


def test_token_of_somebody_else_is_no_token(alice: WebUser, bobby: WebUser) -> None:
    page = bobby.open("/account")
    answer = alice.submit(page, first_name="Eve")
    assert answer.status_code == 403
    with httpx.Client(base_url=alice.url) as nobody:
        anybody = Look(nobody.get("/login").text).forms[0][2]["csrf"]
    fields = {"csrf": anybody, "first_name": "Eve", "time_zone": "UTC"}
    assert alice.http.post("/account", data=fields).status_code == 403


@pytest.mark.parametrize("target", ["'self'", "https://app.example", "https:"])
def test_consent_page_lets_the_redirect_through(web: OAuthApp, bobby: WebUser, target: str) -> None:
    policy = bobby.http.get(web.asking(prompt="consent")).headers["content-security-policy"]
    (form_action,) = re.findall(r"form-action ([^;]+)", policy)
    assert target in form_action.split()


def test_consent_page_names_application_website_owner_and_scopes(
    web: OAuthApp, bobby: WebUser
) -> None:
    page = bobby.http.get(web.asking(prompt="consent", scope="read control"))
    said = text_of(page)
    for word in ("web plotter", "alice", "bobby", "See your sensors", "Send messages to your"):
        assert word in said
    assert 'href="https://app.example"' in page.text
    assert "Post readings" not in said


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "evil.example",
        "http:///evil.example",
        "/%0d%0aLocation: https://evil.example",
        "",
    ],
)
def test_login_and_logout_lead_on_within_this_server_only(server: Server, path: str) -> None:
    with WebUser(server.url, "charlie") as charlie:
        login = charlie.http.get(f"/login?{urlencode({'next': path})}")
        asked = charlie.submit(login, username="charlie", password=PASSWORD, next=path)
        again = charlie.http.get(f"/login?{urlencode({'next': path})}")
        form = Look(charlie.http.get("/logout").text).forms[0][2]
        out = charlie.http.post("/logout", data=form | {"next": path})
        for answer in (asked, again, out):
            assert answer.status_code == 303
            parts = urlsplit(urljoin(server.url, answer.headers["location"]))
            assert f"{parts.scheme}://{parts.netloc}" == server.url
            assert "\n" not in answer.headers["location"]


def test_whoever_logs_in_is_led_on_with_303(server: Server, web: OAuthApp) -> None:
    with WebUser(server.url, "charlie") as charlie:
        first = charlie.http.get(web.asking(scope="write"))
        assert first.status_code == 303
        login = charlie.http.get(first.headers["location"])
        done = charlie.submit(login, username="charlie", password=PASSWORD)
        assert done.status_code == 303
        consent = charlie.http.get(done.headers["location"])
        decided = charlie.submit(consent, decision="deny")
        assert decided.status_code == 303
        assert decided.headers["location"].startswith(CALLBACK)
        assert told(decided.headers["location"])["error"] == "access_denied"
        assert decided.headers["referrer-policy"] == "no-referrer"
