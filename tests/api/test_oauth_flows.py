"""The flows of OAuth2 that programs go through, as applications see them."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.api.conftest import HERE, PASSWORD, settings_for
from wotkit import times
from wotkit.auth import passwords
from wotkit.auth.oauth2 import authorize
from wotkit.auth.oauth2.entry import DeviceEntry
from wotkit.catalog import apps, devices
from wotkit.catalog.apps import AppChange
from wotkit.catalog.models import (
    AccessToken,
    AuthorizationCode,
    DeviceCode,
    Grant,
    RefreshToken,
    rows,
)
from wotkit.errors import NotFound, TooManyLogins

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.api.conftest import Client, People
    from wotkit.catalog import Catalog

CALLBACK = "https://app.example/callback?shop=1"
ISSUER = "http://testserver"
VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Application:
    """An application of Alice's, and Bobby who uses it."""

    def __init__(self, client: Client, catalog: Catalog, people: People, data: Path) -> None:
        self.client, self.catalog, self.people = client, catalog, people
        self.settings = settings_for(data)
        self.client_id = self.secret = ""

    def register(self, kind: str = "web", **change: Any) -> None:
        self.secret = passwords.make_secret() if kind == "web" else ""
        change = {"redirect_uris": [CALLBACK]} | change
        wanted = AppChange(name="Plotter", website="https://app.example", **change)
        hashed = passwords.hash_secret(self.secret) if self.secret else None
        made = self.catalog.write(apps.create, self.people.alice, kind, wanted, hashed, HERE)
        self.client_id = made.client_id

    def ask(self, **params: str) -> str:
        wanted = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "state": "s t",
        }
        return urlencode({**wanted, **params})

    def examine(self, query: str) -> Any:
        return self.catalog.write(
            authorize.examine,
            query,
            issuer=ISSUER,
            settings=self.settings,
            user=self.people.bobby,
        )

    def allow(self, query: str | None = None, **params: str) -> Any:
        return self.catalog.write(
            authorize.allow,
            query or self.ask(**params),
            issuer=ISSUER,
            settings=self.settings,
            user=self.people.bobby,
            actor=HERE,
        )

    def code(self, **params: str) -> str:
        answer = self.allow(**params)
        assert answer.location is not None, answer
        return dict(parse_qsl(urlsplit(answer.location).query))["code"]

    def call(self, where: str, **form: str) -> httpx.Response:
        auth = {"client_id": self.client_id}
        if self.secret:
            auth["client_secret"] = self.secret
        return self.client.call("POST", f"/api/oauth/{where}", data=auth | form)

    def redeem(self, code: str, **form: str) -> httpx.Response:
        wanted = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return self.call("token", **wanted | form)

    def refresh(self, token: str, **form: str) -> httpx.Response:
        return self.call("token", grant_type="refresh_token", refresh_token=token, **form)

    def active(self, token: str) -> bool:
        found: bool = self.call("introspect", token=token).json()["active"]
        return found


@pytest.fixture
def app(client: Client, catalog: Catalog, people: People, data: Path) -> Application:
    return Application(client, catalog, people, data)


def refused(answer: httpx.Response, error: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


def test_code_is_exchanged_for_tokens_once(app: Application) -> None:
    app.register()
    answer = app.redeem(app.code(scope="read write"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 43_200
    assert tokens["scope"] == "read write"
    assert len(tokens["access_token"]) == 43
    told = app.call("introspect", token=tokens["access_token"]).json()
    assert (told["active"], told["username"], told["scope"]) == (True, "bobby", "read write")
    stored = app.catalog.read(lambda: rows(AccessToken.select(AccessToken.hash)))
    assert stored == [(hashlib.sha256(tokens["access_token"].encode()).hexdigest(),)]


def test_code_that_comes_back_ends_all_tokens_of_its_grant(app: Application) -> None:
    app.register()
    code = app.code()
    tokens = app.redeem(code).json()
    refused(app.redeem(code), "invalid_grant")
    assert not app.active(tokens["access_token"])
    refused(app.refresh(tokens["refresh_token"]), "invalid_grant")
    ended = app.catalog.read(lambda: rows(Grant.select(Grant.ended.is_null())))
    assert ended == [(False,)]


def test_code_is_bound_to_time_client_and_address(app: Application) -> None:
    app.register()
    old = app.code()
    app.catalog.write(lambda: AuthorizationCode.update(expires=times.now()).execute())
    refused(app.redeem(old), "invalid_grant")
    refused(app.redeem(app.code(), redirect_uri=CALLBACK + "&x"), "invalid_grant")
    code = app.code()
    first = app.client_id, app.secret
    app.register()
    refused(app.redeem(code), "invalid_grant")
    app.client_id, app.secret = first
    assert app.redeem(code).status_code == 200


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"code_challenge": CHALLENGE},
        {"code_challenge": CHALLENGE, "code_challenge_method": "plain"},
        {"code_challenge": "short", "code_challenge_method": "S256"},
        {"code_challenge_method": "S256"},
    ],
)
def test_public_client_without_good_challenge_is_told_so(
    app: Application, params: dict[str, str]
) -> None:
    app.register("browser")
    answer = app.allow(**params)
    told = dict(parse_qsl(urlsplit(answer.location).query))
    assert told["error"] == "invalid_request"
    assert (told["state"], told["iss"], told["shop"]) == ("s t", ISSUER, "1")


@pytest.mark.parametrize("verifier", ["", "w" * 43, "v" * 42, "v" * 129, "v" * 42 + "ä"])
def test_wrong_verifier_is_refused(app: Application, verifier: str) -> None:
    app.register("browser")
    code = app.code(code_challenge=CHALLENGE, code_challenge_method="S256")
    answer = app.redeem(code, code_verifier=verifier)
    refused(answer, "invalid_grant" if verifier else "invalid_request")
    assert app.redeem(code, code_verifier=VERIFIER).status_code == 200


def test_verifier_that_was_not_asked_for_is_refused(app: Application) -> None:
    app.register()
    refused(app.redeem(app.code(), code_verifier=VERIFIER), "invalid_grant")


def test_refresh_token_is_replaced_and_its_return_ends_the_family(app: Application) -> None:
    app.register()
    first = app.redeem(app.code(scope="read write")).json()
    narrowed = app.refresh(first["refresh_token"], scope="read").json()
    assert narrowed["scope"] == "read"
    refused(app.refresh(narrowed["refresh_token"], scope="read manage"), "invalid_scope")
    second = app.refresh(narrowed["refresh_token"]).json()
    assert second["scope"] == "read write"
    refused(app.refresh(first["refresh_token"]), "invalid_grant")
    assert not app.active(second["access_token"])
    refused(app.refresh(second["refresh_token"]), "invalid_grant")


def test_used_refresh_token_still_works_within_grace(app: Application) -> None:
    app.register(grace_seconds=60)
    first = app.redeem(app.code()).json()
    again = [app.refresh(first["refresh_token"]) for _ in range(2)]
    assert [answer.status_code for answer in again] == [200, 200]
    app.catalog.write(
        lambda: (
            RefreshToken.update(used=times.now() - 61_000_000)
            .where(RefreshToken.used.is_null(False))
            .execute()
        )
    )
    refused(app.refresh(first["refresh_token"]), "invalid_grant")
    assert not app.active(again[0].json()["access_token"])


@pytest.mark.parametrize("kind", ["token", "code token", "token code", "code_and_token"])
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_tokens_are_in_the_fragment_whatever_mode_is_asked_for(
    app: Application, kind: str, mode: str
) -> None:
    app.register(allow_implicit=True)
    answer = app.allow(response_type=kind, response_mode=mode)
    parts = urlsplit(answer.location)
    told = dict(parse_qsl(parts.fragment))
    assert parts.query == "shop=1"
    assert ("code" in told) == ("code" in kind)
    assert told["state"] == "s t"
    assert told["iss"] == ISSUER
    assert "refresh_token" not in told
    assert app.active(told["access_token"])


def test_implicit_flow_must_be_switched_on(app: Application) -> None:
    app.register()
    told = dict(parse_qsl(urlsplit(app.allow(response_type="token").location).fragment))
    assert told["error"] == "unauthorized_client"


@pytest.mark.parametrize("state", ["a%20b", "a+b", "%ff%fe", "%C3%A9%00", "%26%3d%23", "a;b=c"])
def test_state_comes_back_as_it_was(app: Application, state: str) -> None:
    app.register()
    query = urlencode(
        {"response_type": "code", "client_id": app.client_id, "redirect_uri": CALLBACK}
    )
    location = app.allow(f"{query}&state={state}").location
    back = parse_qsl(urlsplit(location).query, encoding="latin-1")
    assert dict(back)["state"] == parse_qsl(f"state={state}", encoding="latin-1")[0][1]


@pytest.mark.parametrize(
    "uri",
    [
        CALLBACK + "/",
        CALLBACK + "#f",
        CALLBACK.upper(),
        "https://app.example/callback",
        "https://app.example/x/../callback?shop=1",
        "https://u@app.example/callback?shop=1",
        "https://app.example:443/callback?shop=1",
        "http://[::1",
        "//app.example",
        "ä\0",
    ],
)
def test_other_address_is_an_error_page(app: Application, uri: str) -> None:
    app.register()
    assert isinstance(app.allow(redirect_uri=uri), authorize.Refused)
    assert isinstance(app.examine(app.ask(redirect_uri=uri)), authorize.Refused)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000/cb", "http://127.0.0.1/cb"])
def test_loopback_address_may_vary_its_port(app: Application, uri: str) -> None:
    app.register("desktop", redirect_uris=["http://127.0.0.1:1234/cb", "http://localhost:1/cb"])
    pkce = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    code = app.code(redirect_uri=uri, **pkce)
    good = app.redeem(code, redirect_uri=uri, code_verifier=VERIFIER)
    assert good.status_code == 200, good.text
    for other in ("http://localhost:2/cb", "http://127.0.0.1:1/cb/", "http://127.0.0.1:99999/cb"):
        assert isinstance(app.allow(redirect_uri=other, **pkce), authorize.Refused), other


def test_code_is_shown_where_the_application_has_no_address(app: Application) -> None:
    oob = "urn:ietf:wg:oauth:2.0:oob"
    app.register("desktop", redirect_uris=[oob])
    answer = app.allow(redirect_uri=oob, code_challenge=CHALLENGE, code_challenge_method="S256")
    assert answer.location is None
    good = app.redeem(answer.shown["code"], redirect_uri=oob, code_verifier=VERIFIER)
    assert good.status_code == 200, good.text


def test_consent_is_not_asked_again_by_a_confidential_application(app: Application) -> None:
    app.register()
    assert app.examine(app.ask(scope="read")).may_skip is False
    app.allow(scope="read")
    assert app.examine(app.ask(scope="read")).may_skip is True
    assert app.examine(app.ask(scope="read write")).may_skip is False


def test_scope_outside_what_is_registered_is_refused(app: Application) -> None:
    app.register(scopes=["read"])
    for scope in ("write", "all", "nonsense", "read admin"):
        told = dict(parse_qsl(urlsplit(app.allow(scope=scope).location).query))
        assert told["error"] == "invalid_scope", scope
    assert app.examine(app.ask()).scopes == ("read",)


@pytest.mark.parametrize("where", ["token", "revoke", "introspect", "device_authorization"])
def test_client_that_fails_to_authenticate_gets_a_basic_challenge(
    app: Application, where: str
) -> None:
    app.register()
    form = {"token": "x", "grant_type": "client_credentials"}
    for secret in ("wrong", ""):
        answer = app.call(where, **form, client_secret=secret)
        refused(answer, "invalid_client", 401)
        assert answer.headers["www-authenticate"].startswith("Basic ")
    for header in ("Basic %%%", "Basic", "Bearer x", "Basic " + base64.b64encode(b"x").decode()):
        answer = app.client.call(
            "POST", f"/api/oauth/{where}", data=form, headers={"Authorization": header}
        )
        refused(answer, "invalid_client", 401)


def test_clients_that_fail_often_are_slowed_down(app: Application) -> None:
    app.register()
    answers = [app.call("revoke", token="x", client_secret="wrong") for _ in range(51)]
    assert [answer.status_code for answer in answers[-2:]] == [401, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert app.call("revoke", token="x").status_code == 200


def test_two_ways_to_authenticate_and_secrets_in_the_address_are_refused(app: Application) -> None:
    app.register()
    form = {"grant_type": "client_credentials", "client_secret": app.secret}
    path = "/api/oauth/token"
    both = app.client.call("POST", path, (app.client_id, app.secret), data=form)
    refused(both, "invalid_request")
    query = urlencode({"client_id": app.client_id} | form)
    refused(app.client.call("POST", f"{path}?{query}", data=form), "invalid_request")


def test_application_acts_for_its_owner_where_switched_on(app: Application) -> None:
    app.register()
    refused(app.call("token", grant_type="client_credentials"), "unauthorized_client")
    app.register(allow_client_credentials=True)
    answer = app.client.call(
        "POST",
        "/api/oauthv2/token",
        (app.client_id, app.secret),
        data={"grant_type": "client_credentials"},
    )
    assert answer.status_code == 200, answer.text
    assert "refresh_token" not in answer.json()
    told = app.call("introspect", token=answer.json()["access_token"]).json()
    assert told["username"] == "alice"
    refused(app.call("token", grant_type="client_credentials", scope="admin"), "invalid_scope")


def test_password_is_taken_where_switched_on(app: Application) -> None:
    form = {"grant_type": "password", "username": "bobby", "password": PASSWORD}
    app.register()
    refused(app.call("token", **form), "unauthorized_client")
    app.register(allow_password=True)
    refused(app.call("token", **form | {"password": "wrong"}), "invalid_grant")
    answer = app.call("token", **form)
    assert answer.status_code == 200, answer.text
    assert app.refresh(answer.json()["refresh_token"]).status_code == 200


def test_device_gets_its_tokens_once_after_its_user_has_allowed_it(app: Application) -> None:
    app.register("desktop", redirect_uris=[])
    begun = app.call("device_authorization", scope="read").json()
    assert begun["verification_uri"] == f"{ISSUER}/device"
    assert begun["verification_uri_complete"].endswith(begun["user_code"])
    poll = {"grant_type": DEVICE, "device_code": begun["device_code"]}
    refused(app.call("token", **poll), "authorization_pending")
    refused(app.call("token", **poll), "slow_down")
    slower = app.catalog.read(lambda: rows(DeviceCode.select(DeviceCode.interval)))
    assert slower == [(begun["interval"] + 5,)]
    typed = begun["user_code"].lower().replace("-", " ")
    found = app.catalog.read(devices.find, typed)
    assert found is not None
    assert (found.name, found.scopes) == ("Plotter", ("read",))
    app.catalog.write(devices.allow, typed, app.people.bobby, HERE)
    tokens = app.call("token", **poll)
    assert tokens.status_code == 200, tokens.text
    assert tokens.json()["scope"] == "read"
    refused(app.call("token", **poll), "invalid_grant")
    assert app.refresh(tokens.json()["refresh_token"]).status_code == 200


def test_device_that_is_denied_or_late_is_told_so(app: Application) -> None:
    app.register("desktop", redirect_uris=[])
    begun = app.call("device_authorization").json()
    app.catalog.write(devices.deny, begun["user_code"], app.people.bobby)
    denied = app.call("token", grant_type=DEVICE, device_code=begun["device_code"])
    refused(denied, "access_denied")
    late = app.call("device_authorization").json()
    app.catalog.write(lambda: DeviceCode.update(expires=times.now()).execute())
    assert app.catalog.read(devices.find, late["user_code"]) is None
    expired = app.call("token", grant_type=DEVICE, device_code=late["device_code"])
    refused(expired, "expired_token")


def test_guesses_of_user_codes_are_limited(app: Application) -> None:
    app.register("desktop", redirect_uris=[])
    code = app.call("device_authorization").json()["user_code"]
    entry = DeviceEntry(app.catalog, app.settings.auth)
    bobby = app.people.bobby
    assert app.client.run(entry.find(code, bobby, "192.0.2.9")).user_code == code
    for _ in range(app.settings.auth.failures_per_account):
        with pytest.raises(NotFound):
            app.client.run(entry.find("BBBB-BBBB", bobby, "192.0.2.9"))
    with pytest.raises(TooManyLogins):
        app.client.run(entry.find(code, bobby, "192.0.2.9"))
    assert app.client.run(entry.find(code, app.people.alice, "192.0.2.9")).user_code == code


def test_unknown_client_of_a_device_is_an_invalid_client(app: Application) -> None:
    app.client_id = "nobody"
    refused(app.call("device_authorization"), "invalid_client", 401)


def test_revoked_access_token_is_not_active_and_unknown_ones_are_no_error(
    app: Application,
) -> None:
    app.register()
    tokens = app.redeem(app.code()).json()
    for token in (tokens["access_token"], "unknown"):
        answer = app.call("revoke", token=token)
        assert (answer.status_code, answer.json()) == (200, {})
        assert answer.headers["cache-control"] == "no-store"
    assert not app.active(tokens["access_token"])
    renewed = app.refresh(tokens["refresh_token"]).json()
    app.call("revoke", token=renewed["refresh_token"])
    assert not app.active(renewed["access_token"])


def test_token_of_another_application_is_neither_told_nor_revoked(app: Application) -> None:
    app.register()
    token = app.redeem(app.code()).json()["access_token"]
    first = app.client_id, app.secret
    app.register()
    assert app.call("introspect", token=token).json() == {"active": False}
    assert app.call("revoke", token=token).json() == {}
    app.register("desktop")
    refused(app.call("introspect", token=token), "invalid_client", 401)
    app.client_id, app.secret = first
    assert app.active(token)


@pytest.mark.parametrize("where", ["token", "revoke", "introspect", "device_authorization"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"grant_type=a&grant_type=b",
        b"client_id=%zz&token=x",
        b"client_id=%ff&grant_type=refresh_token",
        b"client_id=%00&token=%00&grant_type=refresh_token&refresh_token=%00",
        "client_id=ä".encode(),
        b"client_id=" + b"%F0%9F%92%A9" * 50 + b"&token=x&grant_type=password",
        b"&".join(b"a%d=b" % number for number in range(200)),
    ],
)
def test_junk_is_refused_in_the_shape_of_the_standard(
    app: Application, where: str, body: bytes
) -> None:
    for media in ("application/x-www-form-urlencoded", "application/json", ""):
        answer = app.client.call(
            "POST", f"/api/oauth/{where}", content=body, headers={"Content-Type": media}
        )
        assert answer.status_code in {400, 401}, answer.text
        assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    "query",
    ["", "%zz", "client_id=%ff", "client_id=a&client_id=b", "state=a&state=b", "a" * 5000, "\0=ä"],
)
def test_junk_at_the_authorize_page_is_an_error_page(app: Application, query: str) -> None:
    assert isinstance(app.examine(query), authorize.Refused)


def test_metadata_names_every_address(shared_client: Client) -> None:
    told = shared_client.get("/.well-known/oauth-authorization-server").json()
    assert told["issuer"] == ISSUER
    assert told["token_endpoint"] == f"{ISSUER}/api/oauth/token"
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["authorization_response_iss_parameter_supported"] is True
