"""Whatever is sent, the server refuses it in order: never a 500, never a closed connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.access.parties import CALLBACK, ENDPOINTS
from tests.system.wire import raw

if TYPE_CHECKING:
    from tests.access.parties import OAuthApp, Server
    from tests.web_user import WebUser

FORM = b"application/x-www-form-urlencoded"
BODIES = [
    b"",
    b"{}",
    b'{"grant_type": "password", "username": "alice"}',
    b"[" * 5000,
    b"grant_type=refresh_token&grant_type=password&client_id=x",
    b"client_id=a&client_id=b&token=x",
    b"token=x&token=x",
    b"client_id=%zz&token=%zz",
    b"client_id=%&token=%f",
    b"client_id=%ff%fe&token=%ed%a0%80",
    b"\xff\xfe\x00=\xed\xa0\x80",
    b"client_id=%00&token=%00&code=%00&grant_type=authorization_code",
    "client_id=\u00e4\u202e\U0001f511&token=\u0000".encode(),
    b"client_id=x&grant_type=" + b"a" * 60_000,
    b"grant_type=authorization_code&client_id=x&code=" + b"%F0%9F%92%A9" * 500,
    b"&".join(b"a%d=b" % number for number in range(2000)),
    b"&&&===&=&a&=b",
    b"redirect_uri=http://[::1&client_id=x&code=x&grant_type=authorization_code",
    b"scope=%00+%ff&client_id=x&grant_type=client_credentials",
    b"a" * 100_000,
]
MEDIA = [FORM, b"application/json", b"text/plain", b"", FORM + b"; charset=\xff", b"multipart/x"]
HEADERS = [
    b"Basic",
    b"Basic \xff\xfe",
    b"Basic " + b"A" * 5000,
    b"Basic Og==",
    b"Basic //8=",
    b"Basic YTpi, Basic YTpi",
    b"Bearer \xff",
    b"\xf0\x9f\x94\x91",
    b"Digest a=b",
]
QUERIES = [
    b"",
    b"%",
    b"%zz=%zz",
    b"\xff=\xfe",
    b"client_id=%ff&state=%ff",
    b"client_id=a&client_id=b",
    b"state=a&state=b",
    b"redirect_uri=http://[::1",
    b"redirect_uri=http://[v1.x]:99999/&client_id=CLIENT",
    b"redirect_uri=http://%5b::1&client_id=CLIENT&response_type=code",
    b"response_type=code&response_type=token&client_id=CLIENT",
    b"client_id=CLIENT&response_type=%00",
    b"client_id=CLIENT&response_type=code&scope=%ed%a0%80",
    b"client_id=CLIENT&response_type=code&redirect_uri=%00",
    b"client_id=CLIENT&response_type=code&prompt=%ff&prompt=none",
    b"client_id=CLIENT&response_type=code&code_challenge=%ff&code_challenge_method=S256",
    b"client_id=CLIENT&request=x&request_uri=http://127.0.0.1/",
    b"a" * 7000,
    b"&".join(b"a%d=b" % number for number in range(1000)),
]
PAGES = ["/login", "/device", "/apps", "/register", "/password/x", "/welcome/x", "/apps/authorize"]


def send(
    server: Server,
    method: bytes,
    target: bytes,
    body: bytes = b"",
    media: bytes = FORM,
    more: bytes = b"",
) -> int:
    """Send a request of raw bytes and return the status of its answer."""
    head = [method + b" " + target + b" HTTP/1.1", b"Host: x", b"Connection: close"]
    head += [b"Content-Type: " + media] if media else []
    head += [b"Content-Length: %d" % len(body)] if method == b"POST" else []
    head += [more] if more else []
    answer = raw(server.port, b"\r\n".join(head) + b"\r\n\r\n" + body)
    location = answer.headers["location"]
    assert location is None or location.startswith(f"{CALLBACK}&error="), location
    return answer.status


@pytest.mark.parametrize("where", ENDPOINTS)
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_junk_in_the_body_is_refused(server: Server, where: str, body: bytes) -> None:
    for media in MEDIA:
        status = send(server, b"POST", f"/api/oauth/{where}".encode(), body, media)
        assert status in {400, 401, 413, 415}, (media, status)


@pytest.mark.parametrize("where", ENDPOINTS)
@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_junk_in_the_header_is_refused(server: Server, where: str, header: bytes) -> None:
    body = b"token=x&grant_type=client_credentials&client_id=x"
    more = b"Authorization: " + header
    for headers in (more, more + b"\r\n" + more):
        path = f"/api/oauth/{where}".encode()
        assert send(server, b"POST", path, body, more=headers) in {400, 401}
        assert send(server, b"GET", b"/api/v2/sensors", more=headers) in {400, 401}


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
@pytest.mark.parametrize("path", ["/api/oauth/authorize", "/api/oauthv2/authorize"])
def test_junk_at_the_authorize_page_leads_to_the_registered_address_or_nowhere(
    server: Server, web: OAuthApp, path: str, query: bytes
) -> None:
    target = path.encode() + b"?" + query.replace(b"CLIENT", web.client_id.encode())
    assert send(server, b"GET", target, media=b"") in {303, 400}


@pytest.mark.parametrize("query", [b"%zz", b"user_code=%ff", b"next=%ff", b"q=%00", b"a=1&a=1"])
def test_junk_in_the_address_of_a_page_is_no_fault_of_the_server(
    server: Server, query: bytes
) -> None:
    for page in PAGES:
        answer = raw(
            server.port,
            b"GET %b?%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (page.encode(), query),
        )
        assert answer.status in {200, 303, 400, 403, 404}, page
        assert (answer.headers["location"] or "/login").startswith("/login")


@pytest.mark.parametrize(
    "cookie",
    [
        b"\xff",
        b"wotkit_session=\xff",
        b"wotkit_session=" + b"a" * 4000,
        b"wotkit_session=x; wotkit_session=y",
        b"wotkit_notice=x.y",
    ],
)
def test_junk_in_a_cookie_is_nobody(server: Server, cookie: bytes) -> None:
    request = b"GET /account HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: %b\r\n\r\n"
    answer = raw(server.port, request % cookie)
    assert (answer.status, answer.headers["location"]) == (303, "/login?next=%2Faccount")


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_junk_in_a_form_of_a_page_is_refused(server: Server, body: bytes) -> None:
    for page in ("/login", "/register", "/forgotten", "/api/oauth/authorize"):
        for media in MEDIA:
            if page == "/api/oauth/authorize" and media.startswith(FORM):
                continue  # who is not signed in is led to the login page
            assert send(server, b"POST", page.encode(), body, media) in {400, 403, 413}


def test_what_was_sealed_for_one_purpose_opens_nothing_else(web: OAuthApp, bobby: WebUser) -> None:
    page = bobby.http.get(web.asking(prompt="consent"))
    for query in ("", "x", "x.y", "." * 5000, "\u00e4.\u00e4"):
        answer = bobby.submit(page, decision="allow", query=query)
        assert answer.status_code == 400
        assert CALLBACK not in answer.headers.get("location", "")
