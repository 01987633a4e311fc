from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.signed import SigningApp
from wotkit.api.errors import BEARER

if TYPE_CHECKING:
    from tests.api.conftest import Client, MakeKey, People

APPS = "/api/v2/apps"
GRANTS = "/api/v2/grants"
PLOTTER = {
    "name": "Plotter",
    "website": "https://plotter.example",
    "redirectUris": ["https://plotter.example/back"],
}


@pytest.fixture
def plotter(client: Client, people: People) -> dict[str, Any]:
    assert people
    answer = client.post(APPS, "alice", PLOTTER)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def token(client: Client, plotter: dict[str, Any], **body: Any) -> str:
    answer = client.post(f"{APPS}/{plotter['clientId']}/developer-token", "alice", body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["accessToken"])


def status_with(client: Client, bearer: str, path: str = GRANTS) -> int:
    return client.call("GET", path, headers={"authorization": f"Bearer {bearer}"}).status_code


def test_registered_application_is_answered_with_its_secret_once(
    client: Client, plotter: dict[str, Any]
) -> None:
    path = f"{APPS}/{plotter['clientId']}"
    assert len(plotter["clientSecret"]) == 32
    shown = client.get(path, "alice").json()
    assert "clientSecret" not in shown
    assert shown == {name: plotter[name] for name in shown}
    assert client.get(path, "charlie").status_code == 404
    assert client.get(path).status_code == 401


def test_everybody_sees_who_made_an_application_and_no_more(
    client: Client, plotter: dict[str, Any]
) -> None:
    (listed,) = client.get(APPS).json()
    assert set(listed) == {"name", "description", "website", "icon", "owner"}
    assert client.get(APPS, text="nothing").json() == []
    (mine,) = client.get(APPS, "alice", mine="true").json()
    assert mine["clientId"] == plotter["clientId"]
    assert client.get(APPS, "charlie", mine="true").json() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"website": "ftp://a"}, "website"),
        ({"redirectUris": ["javascript:alert(1)"]}, "redirectUris"),
        ({"kind": "toaster"}, "kind"),
        ({"scopes": ["fly"]}, "scopes"),
        ({"kind": "desktop", "allowClientCredentials": True}, "allowClientCredentials"),
    ],
)
def test_what_is_wrong_is_named(
    client: Client, people: People, change: dict[str, Any], field: str
) -> None:
    assert people
    answer = client.post(APPS, "alice", PLOTTER | change)
    assert answer.status_code in {400, 422}
    assert field in answer.json()["error"]["moreInfo"]
    assert client.get(APPS).json() == []


def test_changed_rotated_and_deleted(client: Client, plotter: dict[str, Any]) -> None:
    path = f"{APPS}/{plotter['clientId']}"
    assert client.put(path, "alice", {"name": "Drawer"}).status_code == 204
    assert client.put(path, "charlie", {"name": "Mine"}).status_code == 404
    assert client.get(path, "alice").json()["name"] == "Drawer"
    rotated = client.post(f"{path}/rotate", "alice", {"overlapHours": 0})
    assert rotated.json()["clientSecret"] != plotter["clientSecret"]
    assert rotated.headers["cache-control"] == "no-store"
    assert client.delete(path, "charlie").status_code == 404
    assert client.delete(path, "alice").status_code == 204
    assert client.get(path, "alice").status_code == 404


def test_public_application_has_no_secret_to_rotate(client: Client, people: People) -> None:
    assert people
    made = client.post(APPS, "alice", PLOTTER | {"kind": "browser"}).json()
    assert made["clientSecret"] is None
    answer = client.post(f"{APPS}/{made['clientId']}/rotate", "alice", {})
    assert answer.status_code == 403


def test_signing_secret_is_shown_once_and_replaced(
    client: Client, plotter: dict[str, Any], people: People, make_key: MakeKey
) -> None:
    path = f"{APPS}/{plotter['clientId']}/signing-secret"
    client.put(f"{APPS}/{plotter['clientId']}", "alice", {"allowFrob": True})

    def status(secret: str) -> int:
        sent = SigningApp(plotter["clientId"], secret).md5("auth.getFrob")
        return client.call("GET", "/api/auth.getFrob", params=sent).status_code

    made = [client.post(path, "alice", {}) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].headers["cache-control"] == "no-store"
    old, new = (answer.json()["signingSecret"] for answer in made)
    assert (status(old), status(new)) == (403, 200)
    assert new not in client.get(f"{APPS}/{plotter['clientId']}", "alice").text
    assert client.post(path, "charlie", {}).status_code == 404
    assert client.post(path, make_key(people.alice), {}).status_code == 403


def test_developer_token_reads_until_it_is_revoked(client: Client, plotter: dict[str, Any]) -> None:
    bearer = token(client, plotter, scopes=["read"])
    assert status_with(client, bearer, "/api/v2/sensors") == 200
    path = f"{APPS}/{plotter['clientId']}/developer-token"
    assert client.delete(path, "alice").status_code == 204
    assert status_with(client, bearer, "/api/v2/sensors") == 401


def test_neither_key_nor_token_manages_applications(
    client: Client, plotter: dict[str, Any], people: People, make_key: MakeKey
) -> None:
    bearer = token(client, plotter)
    answer = client.call("GET", GRANTS, headers={"authorization": f"Bearer {bearer}"})
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith(BEARER)
    key = make_key(people.alice)
    assert client.get(f"{APPS}?mine=true", key).status_code == 403
    assert client.post(APPS, key, PLOTTER).status_code == 403


def test_revoked_grant_ends_its_tokens_at_the_next_request(
    client: Client, plotter: dict[str, Any]
) -> None:
    bearer = token(client, plotter)
    (grant,) = client.get(GRANTS, "alice").json()
    assert (grant["app"], grant["kind"], grant["scopes"]) == ("Plotter", "developer", ["all"])
    path = f"{GRANTS}/{grant['id']}"
    assert client.get(path, "charlie").status_code == 404
    assert client.delete(path, "charlie").status_code == 404
    assert status_with(client, bearer, "/api/v2/sensors") == 200
    assert client.delete(path, "alice").status_code == 204
    assert status_with(client, bearer, "/api/v2/sensors") == 401
    assert client.get(f"{GRANTS}/nonsense", "alice").status_code == 404
