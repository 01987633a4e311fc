"""The audit log over HTTP."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from wotkit.catalog import audit, audit_export
from wotkit.catalog.audit import Actor

if TYPE_CHECKING:
    from tests.api.conftest import Client, MakeKey, People
    from wotkit.catalog import Catalog

AUDIT = "/api/v2/audit"


def rows(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def test_failed_logins_are_there_with_name_and_address_but_no_password(client: Client) -> None:
    client.get("sensors", ("alice", "swordfish"))
    client.get("sensors", ("nobody-here", "swordfish"))
    client.get("sensors", ("0123456789abcdef", "swordfish"))
    answer = client.get(AUDIT, "admin", action="login.fail")
    assert [row["target"] for row in rows(answer)] == ["0123456789abcdef", "nobody-here", "alice"]
    assert {row["address"] for row in rows(answer)} == {"192.0.2.7"}
    assert "swordfish" not in answer.text


def test_failed_authentication_of_an_application_is_there(client: Client) -> None:
    form = {"grant_type": "client_credentials", "client_id": "f" * 32, "client_secret": "x"}
    assert client.call("POST", "/api/oauth/token", data=form).status_code == 401
    (row,) = rows(client.get(AUDIT, "admin", action="login.fail"))
    assert row["target"] == "f" * 32


def test_login_that_worked_is_no_failure(client: Client) -> None:
    client.get("sensors", "alice")
    assert rows(client.get(AUDIT, "admin", action="login.fail")) == []


def test_row_says_who_did_what_and_with_which_key(
    client: Client, people: People, make_key: MakeKey
) -> None:
    key = make_key(people.alice)
    client.make_sensor("lamp", key)
    (row,) = rows(client.get(AUDIT, "admin", target="alice.lamp"))
    assert (row["actor"], row["keyId"], row["app"]) == ("alice", key[0], None)
    assert (row["action"], row["address"]) == ("sensor.create", "192.0.2.7")
    assert row["time"].endswith("Z")


def test_pages_lead_to_each_other(client: Client) -> None:
    whole = [row["id"] for row in rows(client.get(AUDIT, "admin", action="user."))]
    seen: list[int] = []
    path = f"{AUDIT}?action=user.&limit=2"
    while path:
        answer = client.get(path, "admin")
        seen += [row["id"] for row in rows(answer)]
        link = answer.headers.get("link", "<>")
        path = link[1 : link.index(">")]
    assert seen == whole == sorted(whole, reverse=True)
    assert len(whole) == 4


def test_times_bound_the_answer(client: Client) -> None:
    first = rows(client.get(AUDIT, "admin"))[0]
    assert first not in rows(client.get(AUDIT, "admin", until=first["time"]))
    assert first in rows(client.get(AUDIT, "admin", since=first["time"]))


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_export_has_all_rows(
    client: Client, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for number in range(7):
        catalog.write(audit.record, Actor("tests", "local"), "test.done", str(number))
    monkeypatch.setattr(audit_export, "PAGE", 3)
    answer = client.get(AUDIT, "admin", format=form, action="test.", limit=1)
    assert answer.headers["content-type"].startswith(audit_export.FORMS[form])
    assert f'filename="wotkit-audit.{form}"' in answer.headers["content-disposition"]
    if form == "csv":
        found = list(csv.DictReader(io.StringIO(answer.text)))
    else:
        found = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["target"] for row in found] == list("6543210")


def test_accept_chooses_the_form(client: Client) -> None:
    headers = {"Accept": "application/x-ndjson"}
    answer = client.call("GET", AUDIT, "admin", headers=headers)
    assert answer.headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize(
    ("caller", "status"), [(None, 401), ("alice", 403), ("charlie", 403), ("admin", 200)]
)
def test_log_is_for_administrators(client: Client, caller: str | None, status: int) -> None:
    assert client.get(AUDIT, caller).status_code == status


def test_key_needs_the_scope_admin(client: Client, people: People, make_key: MakeKey) -> None:
    assert client.get(AUDIT, make_key(people.admin)).status_code == 403
    assert client.get(AUDIT, make_key(people.admin, scopes=["admin"])).status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"since": "soon"}, {"until": "x"}, {"limit": 0}, {"before": "x"}, {"format": "xml"}]
)
def test_wrong_parameter_is_named(client: Client, wrong: dict[str, Any]) -> None:
    error = client.error(client.get(AUDIT, "admin", **wrong), 400)
    assert list(error["moreInfo"]) == list(wrong)
