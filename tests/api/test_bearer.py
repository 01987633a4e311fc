"""Access tokens: where they may stand, what they allow, and when they are refused."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from wotkit import times
from wotkit.auth import passwords
from wotkit.catalog import apps, grants, users
from wotkit.catalog.apps import AppChange
from wotkit.catalog.audit import Actor
from wotkit.catalog.models import AccessToken, Grant, GrantUse, changed, rows

if TYPE_CHECKING:
    import httpx
    from conftest import Client, People

    from wotkit.catalog import Catalog
    from wotkit.catalog.identity import Identity

HERE = Actor("tests", "127.0.0.1")
HOUR = 3600 * times.MICROSECONDS
DATA = "/api/v1/sensors/alice.boiler/data"


class MakeToken(Protocol):
    def __call__(self, user: Identity, scopes: str = ..., *, lives: int = ...) -> str: ...


@pytest.fixture
def make_token(catalog: Catalog, people: People) -> MakeToken:
    """Let one application of Charlie's act for users; the answer is an access token."""
    change = AppChange(name="Plotter", website="https://plot.example")
    row = catalog.write(apps.create, people.charlie, "web", change, None, HERE)

    def make(user: Identity, scopes: str = "all", *, lives: int = HOUR) -> str:
        token = secrets.token_urlsafe(32)

        def work() -> None:
            app = apps.by_client_id(row.client_id)
            assert app is not None
            grant = grants.open_grant(user.user_id, app.id, kind="consent", scopes=scopes)
            AccessToken.insert(
                hash=passwords.hash_secret(token),
                grant=grant.id,
                scopes=scopes,
                issued=times.now(),
                expires=times.now() + lives,
            ).execute()

        catalog.write(work)
        return token

    return make


@pytest.fixture
def boiler(client: Client) -> Client:
    client.make_sensor("boiler")
    return client


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


def post(client: Client, token: str, value: float = 1, **request: Any) -> httpx.Response:
    return client.call("POST", DATA, headers=bearer(token), json={"value": value}, **request)


def stored(client: Client) -> list[Any]:
    found = client.get("/api/v1/sensors/alice.boiler/data", "alice").json()
    return [
        {k: v for k, v in each.items() if not k.startswith(("id", "sensor_", "timestamp"))}
        for each in found
    ]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "OAuth"])
def test_token_in_the_header_acts_for_its_user(
    boiler: Client, people: People, make_token: MakeToken, scheme: str
) -> None:
    token = make_token(people.alice)
    for value in (1, 2):  # the second goes by what is remembered
        answer = boiler.call("POST", DATA, headers=bearer(token, scheme), json={"value": value})
        assert answer.status_code == 201, answer.text
    assert stored(boiler) == [{"value": 1}, {"value": 2}]
    assert boiler.call("GET", DATA, headers=bearer(token, scheme)).status_code == 200


@pytest.mark.parametrize("name", ["access_token", "oauth_token"])
def test_token_in_query_or_form_acts_for_its_user_and_is_no_field(
    boiler: Client, people: People, make_token: MakeToken, name: str
) -> None:
    token = make_token(people.alice)
    by_query = boiler.call("POST", DATA, params={name: token}, json={"value": 1})
    by_form = boiler.call("POST", DATA, data={name: token, "value": "2"})
    assert (by_query.status_code, by_form.status_code) == (201, 201)
    assert stored(boiler) == [{"value": 1}, {"value": 2}]


def test_token_in_the_query_gets_into_no_link(
    boiler: Client, people: People, make_token: MakeToken
) -> None:
    token = make_token(people.alice)
    for value in (1, 2):
        post(boiler, token, value)
    for path in (DATA, DATA.replace("v1", "v2"), "/api/v1/data", "/api/v1/sensors"):
        answer = boiler.call("GET", f"{path}?limit=1&access_token={token}")
        assert answer.status_code == 200, answer.text
        assert token not in str(answer.headers)
        assert token not in answer.text


def test_token_gets_into_no_message_to_an_actuator(
    boiler: Client, people: People, make_token: MakeToken
) -> None:
    token = make_token(people.alice)
    answer = boiler.call(
        "POST",
        "/api/v1/sensors/alice.boiler/message",
        data={"button": "on", "access_token": token},
    )
    assert answer.status_code < 300, answer.text


@pytest.mark.parametrize(
    "request_",
    [
        {"params": {"access_token": "TOKEN"}, "headers": {"Authorization": "Bearer TOKEN"}},
        {"params": {"access_token": "TOKEN", "oauth_token": "TOKEN"}},
        {"params": [("access_token", "TOKEN"), ("access_token", "TOKEN")]},
        {"params": {"access_token": "TOKEN"}, "data": {"access_token": "TOKEN", "value": "1"}},
        {"headers": {"Authorization": "Bearer TOKEN"}, "data": {"oauth_token": "x"}},
        {"headers": [("Authorization", "Bearer TOKEN"), ("Authorization", "Bearer TOKEN")]},
        {"headers": {"Authorization": "Basic x"}, "params": {"oauth_token": "TOKEN"}},
    ],
)
def test_credentials_in_two_places_are_refused(
    boiler: Client, people: People, make_token: MakeToken, request_: dict[str, Any]
) -> None:
    token = make_token(people.alice)
    post(boiler, token)
    filled = json.loads(json.dumps(request_).replace("TOKEN", token))
    if "data" not in filled:
        filled["json"] = {"value": 2}
    refused = boiler.error(boiler.call("POST", DATA, **filled), 400)
    assert refused["code"] == 1210
    assert stored(boiler) == [{"value": 1}]


@pytest.mark.parametrize("where", ["header", "query", "form"])
@pytest.mark.parametrize("token", ["", "wrong", "a" * 10_000, "%zz", "\ud83d\ude00", "ä"])
def test_wrong_token_is_401_and_never_the_public(boiler: Client, where: str, token: str) -> None:
    path = "/api/v1/sensors"
    if where == "header":
        text = token.encode("utf-8", "replace")
        answer = boiler.call("GET", path, headers={"Authorization": b"Bearer " + text})
    elif where == "query":
        answer = boiler.call("GET", path, params={"access_token": token.encode("utf-8", "replace")})
    else:
        answer = boiler.call("POST", DATA, data={"access_token": token.encode("utf-8", "replace")})
    boiler.error(answer, 401)
    assert answer.headers["www-authenticate"] == 'Bearer realm="WoTKit", error="invalid_token"'


def test_wrong_tokens_do_not_count_as_failed_logins(
    boiler: Client, people: People, make_token: MakeToken
) -> None:
    for _ in range(60):
        boiler.error(boiler.call("GET", "sensors", headers=bearer("old")), 401)
    assert boiler.get("sensors", "alice").status_code == 200


def test_missing_scope_is_named(boiler: Client, people: People, make_token: MakeToken) -> None:
    token = make_token(people.alice, "read")
    for _ in range(2):
        answer = post(boiler, token)
        boiler.error(answer, 403)
        said = answer.headers["www-authenticate"]
        assert said == 'Bearer realm="WoTKit", error="insufficient_scope", scope="write"'
    nothing = make_token(people.alice, "")
    boiler.error(boiler.call("GET", "sensors", headers=bearer(nothing)), 403)


def test_key_without_scope_gets_no_bearer_challenge(
    boiler: Client, people: People, make_key: Any
) -> None:
    key = make_key(people.alice, scopes=["read"])
    answer = boiler.post("sensors/alice.boiler/data", key, {"value": 1})
    boiler.error(answer, 403)
    assert "www-authenticate" not in answer.headers


def test_admin_scope_works_for_administrators_only(
    boiler: Client, people: People, make_token: MakeToken
) -> None:
    for user, scopes, status in (
        (people.admin, "admin", 200),
        (people.admin, "all", 403),
        (people.alice, "admin", 403),
    ):
        answer = boiler.call("GET", "users", headers=bearer(make_token(user, scopes)))
        assert answer.status_code == status, (user.username, scopes)


@pytest.mark.parametrize("scopes", ["all", "admin"])
def test_token_never_manages_keys(
    boiler: Client, people: People, make_token: MakeToken, scopes: str
) -> None:
    token = make_token(people.admin, scopes)
    answer = boiler.call("GET", "/api/v2/keys", headers=bearer(token))
    boiler.error(answer, 403)
    answer = boiler.call("POST", "/api/v2/keys", headers=bearer(token), json={"name": "mine"})
    boiler.error(answer, 403)


def end_grant(token: str) -> None:
    hashed = passwords.hash_secret(token)
    ((grant_id,),) = rows(AccessToken.select(AccessToken.grant).where(AccessToken.hash == hashed))
    grants.end(grant_id, HERE, "revoked")


def end_token(token: str) -> None:
    hashed = passwords.hash_secret(token)
    ((grant_id,),) = rows(AccessToken.select(AccessToken.grant).where(AccessToken.hash == hashed))
    changed(AccessToken.delete().where(AccessToken.hash == hashed))
    grants.touched(grant_id)


def delete_app(_: str) -> None:
    ((app_id,),) = rows(Grant.select(Grant.app).limit(1))
    grants.end_all_of_app(app_id, HERE, "deleted")


def disable(_: str) -> None:
    users.set_enabled("alice", False, HERE)


def new_password(_: str) -> None:
    users.set_password("alice", passwords.hash_password("another battery", 4), HERE)


@pytest.mark.parametrize("ending", [end_grant, end_token, delete_app, disable, new_password])
def test_ended_token_is_refused_at_the_next_request(
    boiler: Client, catalog: Catalog, people: People, make_token: MakeToken, ending: Any
) -> None:
    token = make_token(people.alice)
    for _ in range(2):
        assert post(boiler, token).status_code == 201
    catalog.write(ending, token)  # as another process does
    boiler.error(post(boiler, token), 401)


def test_expired_token_is_refused_also_when_it_is_remembered(
    boiler: Client, people: People, make_token: MakeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make_token(people.alice, lives=HOUR)
    for _ in range(2):
        assert post(boiler, token).status_code == 201
    later = times.now() + HOUR
    monkeypatch.setattr(times, "now", lambda: later)
    boiler.error(post(boiler, token), 401)


def test_token_changes_roles_with_its_user(
    boiler: Client, catalog: Catalog, people: People, make_token: MakeToken
) -> None:
    token = make_token(people.bobby)
    boiler.error(post(boiler, token), 404)
    other = make_token(people.charlie)
    boiler.error(boiler.call("GET", DATA, headers=bearer(other)), 404)


def test_use_is_noted_about_once_a_minute(
    boiler: Client, catalog: Catalog, people: People, make_token: MakeToken
) -> None:
    token = make_token(people.alice)
    for _ in range(3):
        post(boiler, token)
    assert catalog.read(lambda: GrantUse.select().count()) == 0
    shortcut = boiler._http._transport.app._app
    boiler.run(shortcut._authenticator.flush_uses())
    (row,) = catalog.read(grants.list_for, people.alice.user_id)
    assert row.last_address == "192.0.2.7"
    assert row.last_used is not None


def test_form_that_is_sent_again_with_another_token_is_known_again(
    boiler: Client, people: People, make_token: MakeToken
) -> None:
    answers = [
        boiler.call(
            "POST",
            DATA,
            headers={"Idempotency-Key": "once"},
            data={"value": "1", "access_token": make_token(people.alice)},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert len(stored(boiler)) == 1
