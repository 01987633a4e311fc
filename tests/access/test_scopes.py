"""A token does what its scopes say, at every address of the API, and is told what it lacks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.access.parties import OAuthApp
from tests.web_user import PASSWORD

if TYPE_CHECKING:
    import httpx

    from tests.access.parties import Server

EVERYDAY = ("read", "write", "manage", "control")
DATA = "/api/v2/sensors/alice.roof/data"
OWN = [
    ("GET", "/api/v2/keys"),
    ("POST", "/api/v2/keys"),
    ("PUT", "/api/v2/keys/x"),
    ("POST", "/api/v2/keys/x/rotate"),
    ("POST", "/api/v2/apps"),
    ("GET", "/api/v2/apps/x"),
    ("DELETE", "/api/v2/apps/x"),
    ("POST", "/api/v2/apps/x/rotate"),
    ("POST", "/api/v2/apps/x/developer-token"),
    ("GET", "/api/v2/grants"),
    ("DELETE", "/api/v2/grants/1"),
]
"""What neither a key nor an application does, whatever its scopes."""


class Operation(NamedTuple):
    method: str
    path: str
    scope: str | None
    privacy: str


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    """Alice's tokens, one for each scope, and the administrator's."""
    found = {}
    for scope in (*EVERYDAY, "all"):
        app = OAuthApp.register(server)
        made = server.json("token", "developer", app.client_id, "--scope", scope)
        found[scope] = str(made["access_token"])
    for scope in ("all", "admin"):
        app = OAuthApp.register(server, owner="admin")
        made = server.json("token", "developer", app.client_id, "--scope", scope)
        found["admin" if scope == "admin" else "all of an administrator"] = made["access_token"]
    return found


@pytest.fixture(scope="module")
def operations(server: Server) -> list[Operation]:
    """What the server says that it does."""
    document = server.http.get("/api/openapi.json").json()
    return [
        Operation(
            method.upper(),
            path_of(path),
            about.get("x-scope"),
            about["x-privacy"],
        )
        for path, item in document["paths"].items()
        for method, about in item.items()
        if method in {"get", "post", "put", "delete"} and "x-privacy" in about
        if "stream" not in path
    ]


def path_of(template: str) -> str:
    """Return an address where there is nothing, and where nobody waits for messages."""
    path = re.sub(r"\{\w+\}", "1", template.replace("{sensor}", "alice.nothing"))
    return f"{path}?wait=0" if "/control/sub/" in path else path


def ask(server: Server, operation: Operation, token: str) -> httpx.Response:
    body = {} if operation.method in {"GET", "DELETE"} else {"json": {}}
    headers = {"Authorization": f"Bearer {token}"}
    return server.http.request(operation.method, operation.path, headers=headers, **body)


def test_scope_that_is_missing_is_named_wherever_it_is_needed(
    server: Server, tokens: dict[str, str], operations: list[Operation]
) -> None:
    scoped = [operation for operation in operations if operation.scope in EVERYDAY]
    assert {operation.scope for operation in scoped} == set(EVERYDAY)
    for operation in scoped:
        for scope in (*EVERYDAY, "admin"):
            if scope == operation.scope:
                continue
            answer = ask(server, operation, tokens[scope])
            assert answer.status_code == 403, (operation, scope, answer.text)
            said = answer.headers["www-authenticate"]
            assert said.startswith("Bearer ")
            assert 'error="insufficient_scope"' in said
            assert f'scope="{operation.scope}"' in said
            assert answer.json()["error"]["status"] == 403


def test_scope_that_is_there_is_enough_and_all_is_each_of_the_four(
    server: Server, tokens: dict[str, str], operations: list[Operation]
) -> None:
    for operation in operations:
        if operation.scope in EVERYDAY:
            for scope in (operation.scope, "all"):
                answer = ask(server, operation, tokens[scope])
                assert "insufficient_scope" not in answer.headers.get("www-authenticate", "")
                assert answer.status_code not in {401, 500}, (operation, answer.text)


def test_methods_of_administrators_want_the_scope_by_name(
    server: Server, tokens: dict[str, str], operations: list[Operation]
) -> None:
    found = [operation for operation in operations if operation.privacy == "admin"]
    assert len(found) > 10
    for operation in found:
        for scope in ("all", "all of an administrator"):
            answer = ask(server, operation, tokens[scope])
            assert answer.status_code == 403, (operation, scope)
            assert 'scope="admin"' in answer.headers["www-authenticate"]
        answer = ask(server, operation, tokens["admin"])
        assert answer.status_code not in {401, 500}, (operation, answer.text)
        assert "www-authenticate" not in answer.headers


def test_neither_token_nor_key_manages_the_account_whatever_its_scopes(
    server: Server, tokens: dict[str, str]
) -> None:
    key = server.add_key("admin", "--scope", "all", "--scope", "admin")
    for method, path in OWN:
        by_key = server.http.request(method, path, auth=tuple(key), json={})
        assert by_key.status_code == 403, (method, path)
        assert "www-authenticate" not in by_key.headers
        for scope in ("all", "admin"):
            headers = {"Authorization": f"Bearer {tokens[scope]}"}
            answer = server.http.request(method, path, headers=headers, json={})
            assert answer.status_code == 403, (method, path, scope)
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_each_scope_does_its_part_of_a_days_work(server: Server, tokens: dict[str, str]) -> None:
    def status(scope: str, method: str, path: str, body: Any = None) -> int:
        headers = {"Authorization": f"Bearer {tokens[scope]}"}
        answer = server.http.request(method, path, headers=headers, json=body)
        return int(answer.status_code)

    shed = {"name": "shed", "longName": "Shed", "description": "In the garden"}
    assert status("manage", "POST", "/api/v2/sensors", shed) == 201
    data = "/api/v2/sensors/alice.shed/data"
    assert status("write", "POST", data, {"value": 1}) == 201
    assert status("write", "GET", data) == 403
    assert status("read", "GET", data) == 200
    assert status("read", "POST", data, {"value": 1}) == 403
    assert status("control", "POST", "/api/v1/sensors/alice.shed/message", {"on": 1}) in {200, 201}
    assert status("manage", "POST", data, {"value": 1}) == 403
    assert status("manage", "DELETE", "/api/v2/sensors/alice.shed") == 204


def test_private_sensor_is_read_by_who_may_see_it_only(
    server: Server, tokens: dict[str, str]
) -> None:
    made = {"name": "safe", "longName": "Safe", "description": "x", "visibility": "PRIVATE"}
    owner = ("alice", PASSWORD)
    assert server.http.post("/api/v2/sensors", json=made, auth=owner).status_code == 201
    app = OAuthApp.register(server, owner="charlie")
    theirs = server.json("token", "developer", app.client_id, "--scope", "read")["access_token"]
    for token, status in ((tokens["read"], 200), (theirs, 404)):
        headers = {"Authorization": f"Bearer {token}"}
        path = "/api/v2/sensors/alice.safe"
        assert server.http.get(path, headers=headers).status_code == status


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "OAuth", "oauth"])
def test_token_is_presented_in_the_header(
    server: Server, tokens: dict[str, str], scheme: str
) -> None:
    headers = {"Authorization": f"{scheme} {tokens['read']}"}
    assert server.http.get(DATA, headers=headers).status_code == 200


@pytest.mark.parametrize("name", ["access_token", "oauth_token"])
def test_token_is_presented_in_query_or_form(
    server: Server, tokens: dict[str, str], name: str
) -> None:
    assert server.http.get(DATA, params={name: tokens["read"]}).status_code == 200
    v1 = DATA.replace("v2", "v1")
    form = {name: tokens["write"], "value": "21.5"}
    assert server.http.post(v1, data=form).status_code == 201


@pytest.mark.parametrize("valid", [True, False])
def test_token_is_presented_exactly_once(
    server: Server, tokens: dict[str, str], valid: bool
) -> None:
    token = tokens["all"]
    other = token if valid else "x"
    header = {"Authorization": f"Bearer {token}"}
    asked = [
        server.http.get(DATA, params={"access_token": other}, headers=header),
        server.http.get(DATA, params={"access_token": token, "oauth_token": other}),
        server.http.get(f"{DATA}?access_token={token}&access_token={other}"),
        server.http.get(DATA, params={"access_token": token}, auth=("alice", PASSWORD)),
        server.http.post(
            DATA.replace("v2", "v1"),
            data={"access_token": token, "value": "1"},
            params={"access_token": other},
        ),
    ]
    assert [answer.status_code for answer in asked] == [400] * 5


def test_wrong_token_is_never_the_public(server: Server) -> None:
    for headers, params in (({"Authorization": "Bearer x"}, {}), ({}, {"access_token": ""})):
        answer = server.http.get("/api/v2/sensors", headers=headers, params=params)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
