"""The older handshake as desktop programs see it: frobs, tokens, signed calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest

from tests.api.conftest import HERE
from tests.signed import SigningApp
from wotkit import times
from wotkit.auth import passwords, sealing
from wotkit.auth.secret import secret_key
from wotkit.catalog import apps, frobs, grants, keys, tokens, users
from wotkit.catalog.apps import AppChange
from wotkit.catalog.keys import KeyChange
from wotkit.catalog.models import AccessToken, App, Frob, Grant, User, changed, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.api.conftest import Client, People
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

DATA = "/api/v1/sensors/alice.boiler/data"
FORMATS = ["", "/json", "/xml"]


class Program:
    """A desktop program that Charlie has registered."""

    def __init__(
        self, client: Client, catalog: Catalog, people: People, settings: Settings, **change: Any
    ) -> None:
        self.client, self.catalog, self.people = client, catalog, people
        wanted = AppChange(
            name="Loader",
            website="https://loader.example",
            **({"allow_frob": True} | change),
        )
        made = catalog.write(apps.create, people.charlie, "desktop", wanted, None, HERE)
        self.signed = SigningApp(made.client_id, passwords.make_secret())
        key = secret_key(settings, settings.data_folder)
        sealed = sealing.seal(self.signed.secret, key, about=made.client_id)
        catalog.write(apps.set_signing_secret, people.charlie, made.client_id, sealed, HERE)

    def call(
        self, method: str, where: str = "", how: str = "GET", sign: str = "md5", **params: str
    ) -> httpx.Response:
        sent = getattr(self.signed, sign)(method, **params)
        carried = {"params": sent} if how == "GET" else {"data": sent}
        return self.client.call(how, f"/api/{method}{where}", **carried)

    def frob(self) -> str:
        answer = self.call("auth.getFrob")
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["auth"]["frob"]
        return found

    def decide(self, frob: str, permission: str | None = "write") -> None:
        """Have Alice allow it; or deny it, with a permission of None."""

        def work() -> None:
            app = apps.by_client_id(self.signed.client_id)
            assert app is not None
            if permission is None:
                frobs.deny(frob, app, self.people.alice)
            else:
                frobs.allow(frob, app, permission, self.people.alice, HERE)

        self.catalog.write(work)

    def redeem(self, frob: str, **more: str) -> httpx.Response:
        return self.call("auth.getToken", frob=frob, **more)

    def token(self, permission: str = "write") -> str:
        frob = self.frob()
        self.decide(frob, permission)
        answer = self.redeem(frob)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["auth"]["token"]
        return found

    def read(self, path: str, token: str, **params: str) -> httpx.Response:
        """Send a signed GET of an ordinary call."""
        method = path.removeprefix("/api/")
        sent = self.signed.sha256(method, auth_token=token, **params)
        return self.client.call("GET", path, params=sent)

    def write(self, token: str, value: str = "1", path: str = DATA) -> httpx.Response:
        """Send a signed form with a reading."""
        method = path.removeprefix("/api/")
        sent = self.signed.md5(method, auth_token=token, value=value)
        return self.client.call("POST", path, data=sent)


@pytest.fixture
def program(client: Client, catalog: Catalog, people: People, settings: Settings) -> Program:
    return Program(client, catalog, people, settings)


@pytest.fixture
def boiler(client: Client) -> Client:
    client.make_sensor("boiler")
    return client


def refused(program: Program, answer: httpx.Response, code: int, status: int = 403) -> str:
    error = program.client.error(answer, status)
    assert error["code"] == code, error
    return " ".join(error["developerMessage"])


@pytest.mark.parametrize("sign", ["md5", "sha256"])
@pytest.mark.parametrize("how", ["GET", "POST"])
@pytest.mark.parametrize("where", FORMATS)
def test_frob_is_exchanged_for_a_token_in_every_form(
    program: Program, where: str, how: str, sign: str
) -> None:
    names = {"first_name": "Alice", "last_name": "O'Neill <& Sons>"}
    named = User.update(names).where(User.account == program.people.alice.user_id)
    program.catalog.write(lambda: changed(named))
    answer = program.call("auth.getFrob", where, how, sign)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    frob = ET.fromstring(answer.text).findtext("frob") if where == "/xml" else None
    if frob is None:
        assert answer.headers["content-type"] == "application/json"
        assert list(answer.json()) == ["auth"]
        frob = answer.json()["auth"]["frob"]
    else:
        assert answer.headers["content-type"].startswith("application/xml")
        assert answer.text == f"<auth><frob>{frob}</frob></auth>"
    program.decide(frob, "delete")
    answer = program.call("auth.getToken", where, how, sign, frob=frob)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    alice = program.people.alice
    permissions = {"doc": "delete", "blog": "none", "network": "none", "user": "none"}
    user = {"user_id": alice.user_id, "username": "alice", "realname": "Alice O'Neill <& Sons>"}
    if where == "/xml":
        tree = ET.fromstring(answer.text)
        assert [part.tag for part in tree] == ["token", "permissions", "user"]
        assert tree[1].attrib == permissions
        assert tree[2].attrib == user | {"user_id": str(alice.user_id)}
        token = tree.findtext("token") or ""
    else:
        auth = answer.json()["auth"]
        assert auth == {"token": auth["token"], "permissions": permissions, "user": user}
        token = auth["token"]
    assert program.read("/api/v1/sensors", token).status_code == 200


@pytest.mark.parametrize(
    ("permission", "scopes"),
    [("none", ""), ("read", "read"), ("write", "read write"), ("delete", "manage read write")],
)
def test_permission_decides_what_the_token_allows(
    program: Program, boiler: Client, permission: str, scopes: str
) -> None:
    token = program.token(permission)
    ((kind, granted),) = program.catalog.read(lambda: rows(Grant.select(Grant.kind, Grant.scopes)))
    assert (kind, granted) == ("frob", scopes)
    assert program.read(DATA, token).status_code == (200 if "read" in scopes else 403)
    assert program.write(token).status_code == (201 if "write" in scopes else 403)
    path = "/api/v1/sensors/alice.boiler"
    sent = program.signed.md5("v1/sensors/alice.boiler", auth_token=token)
    answer = boiler.call("DELETE", path, params=sent)
    assert answer.status_code == (204 if "manage" in scopes else 403)


def test_user_has_to_decide_first_and_the_frob_works_once(program: Program) -> None:
    frob = program.frob()
    for _ in range(2):
        assert "not yet authorized" in refused(program, program.redeem(frob), 1306)
    program.decide(frob)
    assert program.redeem(frob).status_code == 200
    assert "used" in refused(program, program.redeem(frob), 1307)


def test_denied_frob_gives_no_token(program: Program) -> None:
    frob = program.frob()
    program.decide(frob, None)
    assert "denied" in refused(program, program.redeem(frob), 1307)
    assert program.catalog.read(grants.list_all) == []


@pytest.mark.parametrize("decided", [True, False])
def test_frob_is_good_for_an_hour(
    program: Program, monkeypatch: pytest.MonkeyPatch, decided: bool
) -> None:
    frob = program.frob()
    if decided:
        program.decide(frob)
    start = times.now()
    monkeypatch.setattr(times, "now", lambda: start + 3595 * times.MICROSECONDS)
    if not decided:
        refused(program, program.redeem(frob), 1306)
    monkeypatch.setattr(times, "now", lambda: start + 3601 * times.MICROSECONDS)
    assert "expired" in refused(program, program.redeem(frob), 1307)


def test_frob_of_another_application_is_unknown(
    program: Program, client: Client, catalog: Catalog, people: People, settings: Settings
) -> None:
    other = Program(client, catalog, people, settings)
    frob = program.frob()
    program.decide(frob)
    refused(program, other.redeem(frob), 1307)
    assert program.redeem(frob).status_code == 200


def test_frob_of_which_the_grant_was_revoked_gives_no_token(program: Program) -> None:
    frob = program.frob()
    program.decide(frob)
    (grant,) = program.catalog.read(grants.list_all)
    program.catalog.write(grants.end, grant.id, HERE, "revoked")
    refused(program, program.redeem(frob), 1307)


def test_frob_of_a_disabled_user_gives_no_token(program: Program) -> None:
    frob = program.frob()
    program.decide(frob)
    program.catalog.write(users.set_enabled, "alice", False, HERE)
    refused(program, program.redeem(frob), 1307)


def test_only_hashes_are_stored_and_the_secret_is_sealed(program: Program) -> None:
    frob = program.frob()
    program.decide(frob)
    token = program.redeem(frob).json()["auth"]["token"]
    stored = program.catalog.read(
        lambda: str(
            rows(Frob.select(Frob.hash))
            + rows(AccessToken.select(AccessToken.hash))
            + rows(App.select(App.signing_secret))
        )
    )
    assert stored.count("'") > 4
    for secret in (frob, token, program.signed.secret):
        assert secret not in stored


def without(name: str) -> Any:
    return lambda _, sent: sent.pop(name)


def with_value(name: str, value: str) -> Any:
    return lambda _, sent: sent.update({name: value})


def unsigned_parameter(_: Program, sent: dict[str, str]) -> None:
    sent["format"] = "json"


def upper_case(_: Program, sent: dict[str, str]) -> None:
    sent["api_sig"] = sent["api_sig"].upper()


def signed_for_another_method(program: Program, sent: dict[str, str]) -> None:
    sent.update(program.signed.md5("auth.getToken"))


def signed_without_method(program: Program, sent: dict[str, str]) -> None:
    sent.update(program.signed.md5(""))


def second_signature_wrong(_: Program, sent: dict[str, str]) -> None:
    sent["api_sig_sha256"] = "0" * 64


def switch_off(program: Program, _: dict[str, str]) -> None:
    off = App.update(allow_frob=False).where(App.client_id == program.signed.client_id)
    program.catalog.write(lambda: changed(off))


def no_secret(program: Program, _: dict[str, str]) -> None:
    none = App.update(signing_secret=None).where(App.client_id == program.signed.client_id)
    program.catalog.write(lambda: changed(none))


def sealed_elsewhere(program: Program, _: dict[str, str]) -> None:
    sealed = sealing.seal(program.signed.secret, "another key", about=program.signed.client_id)
    other = App.update(signing_secret=sealed).where(App.client_id == program.signed.client_id)
    program.catalog.write(lambda: changed(other))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_value("api_key", "nobody"), "no application"),
        (without("api_sig"), "missing"),
        (with_value("api_sig", ""), "wrong"),
        (with_value("api_sig", "0" * 32), "wrong"),
        (with_value("api_sig", "ü\U0001f600" * 16), "wrong"),
        (with_value("api_sig", "\x00"), "wrong"),
        (unsigned_parameter, "wrong"),
        (upper_case, "wrong"),
        (signed_for_another_method, "wrong"),
        (signed_without_method, "wrong"),
        (second_signature_wrong, "wrong"),
        (switch_off, "switched"),
        (no_secret, "no signing secret"),
        (sealed_elsewhere, "secret key"),
    ],
)
@pytest.mark.parametrize("where", ["", "/xml"])
def test_what_is_not_signed_as_it_has_to_be_is_refused(
    program: Program, change: Callable[[Program, dict[str, str]], Any], said: str, where: str
) -> None:
    sent = program.signed.md5("auth.getFrob")
    change(program, sent)
    answer = program.client.call("GET", f"/api/auth.getFrob{where}", params=sent)
    if where == "":
        assert said in refused(program, answer, 1305)
        return
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/xml")
    error = ET.fromstring(answer.text)
    assert error.tag == "err"
    assert error.attrib["code"] == "1305"
    assert error.attrib["status"] == "403"
    assert error.attrib["msg"] == "The request is not signed as it has to be"
    assert error.attrib["request_id"] == answer.headers["x-request-id"]
    assert said in (error.text or "")


def test_both_signatures_may_be_sent(program: Program) -> None:
    both = program.signed.md5("auth.getFrob") | program.signed.sha256("auth.getFrob")
    assert program.client.call("GET", "/api/auth.getFrob", params=both).status_code == 200


def test_odd_characters_are_signed_as_utf_8(program: Program) -> None:
    odd = {"ü": "\U0001f600 +%&=", "a b": "", "Z": "\n"}
    for how in ("GET", "POST"):
        answer = program.call("auth.getFrob", how=how, **odd)
        assert answer.status_code == 200, answer.text


def test_parameters_of_query_and_form_are_signed_together(program: Program) -> None:
    frob = program.frob()
    program.decide(frob)
    sent = program.signed.md5("auth.getToken", frob=frob)
    query = {"api_sig": sent.pop("api_sig"), "frob": sent.pop("frob")}
    answer = program.client.call("POST", "/api/auth.getToken", params=query, data=sent)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("how", ["query", "form", "both"])
def test_parameter_that_stands_twice_is_refused(program: Program, how: str) -> None:
    sent = program.signed.md5("auth.getFrob")
    again = f"{urlencode(sent)}&api_key={sent['api_key']}"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    path = "/api/auth.getFrob"
    if how == "query":
        answer = program.client.call("GET", f"{path}?{again}")
    elif how == "form":
        answer = program.client.call("POST", path, content=again, headers=headers)
    else:
        answer = program.client.call("POST", path, params={"api_key": "x"}, data=sent)
    assert "api_key is there twice" in refused(program, answer, 1205, 400)


@pytest.mark.parametrize("where", FORMATS)
@pytest.mark.parametrize("method", ["auth.getFrob", "auth.getToken"])
def test_junk_is_refused(program: Program, method: str, where: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    path = f"/api/{method}{where}"
    texts = ("", "%zz", "api_key=%ff", "api_key=%00&frob=%00", "&&=&", "a=1&a=1", "x=" + "y" * 5000)
    for text in (*texts, "&".join(f"p{number}=" for number in range(1500))):
        for answer in (
            program.client.call("GET", f"{path}?{text}"),
            program.client.call("POST", path, content=text, headers=form),
        ):
            assert answer.status_code in {400, 403}, answer.text


def test_body_that_is_no_form_is_refused(program: Program) -> None:
    sent = program.signed.md5("auth.getFrob")
    answer = program.client.call("POST", "/api/auth.getFrob", json=sent)
    refused(program, answer, 1502, 415)
    answer = program.client.call("POST", "/api/auth.getFrob", data=sent | {"x": "y" * 70_000})
    refused(program, answer, 1501, 413)
    assert program.client.call("PUT", "/api/auth.getFrob").status_code == 405
    assert program.client.call("GET", "/api/auth.getFrob/yaml").status_code == 404


def test_frobs_of_one_application_have_a_limit(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frobs, "MAX_WAITING", 2)
    program.frob()
    program.frob()
    answer = program.call("auth.getFrob")
    refused(program, answer, 1601, 503)
    assert answer.headers["retry-after"] == "60"


def test_signed_call_reads_and_writes_for_the_user(program: Program, boiler: Client) -> None:
    token = program.token()
    for value in ("1", "2"):
        answer = program.write(token, value)
        assert answer.status_code == 201, answer.text
    found = program.read(DATA, token).json()
    assert [(each["value"], sorted(each.keys() & {"api_key", "api_sig"})) for each in found] == [
        (1, []),
        (2, []),
    ]
    by_json = program.signed.sha256("v1/sensors/alice.boiler/data", auth_token=token)
    answer = boiler.call("POST", DATA, params=by_json, json={"value": 3})
    assert answer.status_code == 201, answer.text


def test_signature_gets_into_no_link(program: Program, boiler: Client) -> None:
    token = program.token()
    for value in ("1", "2"):
        program.write(token, value)
    for path in (DATA, DATA.replace("v1", "v2"), "/api/v1/sensors"):
        answer = program.read(path, token, limit="1")
        assert answer.status_code == 200, answer.text
        for secret in (token, "api_sig", "auth_token"):
            assert secret not in str(answer.headers) + answer.text


def test_signed_call_needs_token_signature_and_its_own_application(
    program: Program,
    boiler: Client,
    catalog: Catalog,
    people: People,
    settings: Settings,
) -> None:
    token = program.token()
    other = Program(boiler, catalog, people, settings)
    sent = program.signed.md5("v1/sensors", auth_token=token)
    calls = [
        sent | {"api_sig": "0" * 32},
        {"auth_token": token},
        {"auth_token": token, "api_key": program.signed.client_id},
        program.signed.md5("v1/sensors", auth_token="wrong"),
        program.signed.md5("v1/sensors", auth_token=""),
        program.signed.md5("", auth_token=token),
        program.signed.md5("sensors", auth_token=token),
        other.signed.md5("v1/sensors", auth_token=token),
        sent | {"limit": "1"},
    ]
    for each in calls:
        answer = boiler.call("GET", "/api/v1/sensors", params=each)
        boiler.error(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert boiler.call("GET", "/api/v1/sensors", params=sent).status_code == 200
    assert boiler.call("GET", "/api/v1/sensors/alice.boiler", params=sent).status_code == 401


def test_token_of_the_handshake_is_no_bearer_token_and_the_other_way_round(
    program: Program, boiler: Client
) -> None:
    token = program.token()
    for request in (
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"params": {"access_token": token}},
    ):
        boiler.error(boiler.call("GET", "/api/v1/sensors", **request), 401)

    def bearer() -> str:
        app = apps.by_client_id(program.signed.client_id)
        assert app is not None
        user = program.people.alice.user_id
        grant = grants.open_grant(user, app.id, kind=grants.CONSENT, scopes="read")
        return tokens.issue_access(grant, "read", 60)

    boiler.error(program.read("/api/v1/sensors", program.catalog.write(bearer)), 401)


def test_signed_call_beside_other_credentials_is_refused(
    program: Program, boiler: Client, catalog: Catalog
) -> None:
    token = program.token()
    sent = program.signed.md5("v1/sensors", auth_token=token)
    refused(program, boiler.call("GET", "/api/v1/sensors", "alice", params=sent), 1210, 400)
    both = program.signed.md5("v1/sensors", auth_token=token, access_token="x")
    refused(program, boiler.call("GET", "/api/v1/sensors", params=both), 1210, 400)
    twice = f"/api/v1/sensors?{urlencode(sent)}&auth_token={token}"
    refused(program, boiler.call("GET", twice), 1205, 400)


def test_api_key_without_token_is_the_public(program: Program, boiler: Client) -> None:
    sent = program.signed.md5("v1/sensors")
    answer = boiler.call("GET", "/api/v1/sensors", params=sent)
    assert (answer.status_code, answer.json()) == (200, [])


def revoke(program: Program) -> None:
    (grant,) = grants.list_for(program.people.alice.user_id)
    grants.end(grant.id, HERE, "revoked")


def turn_off(program: Program) -> None:
    changed(App.update(allow_frob=False).where(App.client_id == program.signed.client_id))


def new_secret(program: Program) -> None:
    sealed = sealing.seal("another", "key", about=program.signed.client_id)
    apps.set_signing_secret(program.people.charlie, program.signed.client_id, sealed, HERE)


def disable(_: Program) -> None:
    users.set_enabled("alice", False, HERE)


def delete(program: Program) -> None:
    apps.delete(program.people.charlie, program.signed.client_id, HERE)


@pytest.mark.parametrize("ending", [revoke, turn_off, new_secret, disable, delete])
def test_token_ends_at_the_next_request(
    program: Program, boiler: Client, ending: Callable[[Program], None]
) -> None:
    token = program.token()
    assert program.write(token).status_code == 201
    program.catalog.write(ending, program)  # as another process does
    boiler.error(program.write(token), 401)


def test_token_lives_as_long_as_its_grant_unless_the_application_has_its_own_life(
    program: Program, boiler: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting = program.token()
    own = App.update(access_seconds=600).where(App.client_id == program.signed.client_id)
    program.catalog.write(lambda: changed(own))
    short = program.token()
    start = times.now()
    monkeypatch.setattr(times, "now", lambda: start + 601 * times.MICROSECONDS)
    boiler.error(program.write(short), 401)
    assert program.write(lasting).status_code == 201
    monkeypatch.setattr(times, "now", lambda: start + 10 * 365 * 86_400 * times.MICROSECONDS)
    assert program.read("/api/v1/sensors", lasting).status_code == 200


def test_token_manages_neither_keys_nor_applications(program: Program, boiler: Client) -> None:
    token = program.token("delete")
    for path in ("/api/v2/keys", "/api/v2/grants"):
        boiler.error(program.read(path, token), 403)


def test_use_of_a_signed_call_is_noted(program: Program, boiler: Client) -> None:
    program.write(program.token())
    shortcut = boiler._http._transport.app._app
    boiler.run(shortcut._authenticator.flush_uses())
    (grant,) = program.catalog.read(grants.list_for, program.people.alice.user_id)
    assert grant.kind == "frob"
    assert grant.last_address == "192.0.2.7"


def test_a_key_still_works_beside_parameters_of_any_name(
    program: Program, boiler: Client, catalog: Catalog, people: People
) -> None:
    secret = passwords.make_secret()
    change = KeyChange(name="gateway", scopes=["all"])
    row = catalog.write(keys.create, people.alice, change, passwords.hash_secret(secret), HERE)
    sent = {"value": "1", "api_key": "7"}
    answer = boiler.call("POST", DATA, (row.id, secret), data=sent)
    assert answer.status_code == 201, answer.text
    (found,) = boiler.get(DATA, "alice").json()
    assert str(found["api_key"]) == "7"
