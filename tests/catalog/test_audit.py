from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from msgspec import structs
from peewee import IntegrityError, fn

from wotkit import times
from wotkit.catalog import Catalog, audit, audit_export
from wotkit.catalog.audit import COMMAND_LINE, Actor, AuditFilter
from wotkit.catalog.identity import Identity
from wotkit.catalog.models import Audit, rows

ALICE = Identity(
    user_id=1,
    username="alice",
    accounts=frozenset({1}),
    scopes=frozenset({"read"}),
    key_id="0123456789abcdef",
)


def found(catalog: Catalog) -> list[dict[str, Any]]:
    return catalog.read(lambda: list(Audit.select().order_by(Audit.id).dicts()))


def test_row_says_who_did_what_from_where_and_with_which_key(catalog: Catalog) -> None:
    before = times.now()
    actor = Actor.of(ALICE, "192.0.2.1")
    catalog.write(audit.record, actor, "sensor.create", "alice.lamp", visibility="PUBLIC", count=2)
    catalog.write(audit.record, COMMAND_LINE, "user.disable", "bobby")
    first, second = found(catalog)
    assert before <= first.pop("at") <= times.now()
    assert json.loads(first.pop("details")) == {"visibility": "PUBLIC", "count": 2}
    assert first == {
        "id": 1,
        "actor": "alice",
        "key_id": "0123456789abcdef",
        "address": "192.0.2.1",
        "action": "sensor.create",
        "target": "alice.lamp",
        "app": None,
    }
    assert (second["actor"], second["key_id"], second["details"]) == ("command line", None, "{}")


def test_row_is_undone_with_the_change_it_tells_of(catalog: Catalog) -> None:
    def work() -> None:
        audit.record(COMMAND_LINE, "user.disable", "bobby")
        raise KeyError

    with pytest.raises(KeyError):
        catalog.write(work)
    assert found(catalog) == []


def test_rows_do_not_make_processes_forget(catalog: Catalog) -> None:
    watch = catalog.watch()
    before = watch.revision()
    catalog.write(audit.record, COMMAND_LINE, "user.disable", "bobby")
    assert watch.revision() == before
    watch.close()


def test_only_older_rows_are_forgotten(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in (10, 20, 30):
        monkeypatch.setattr(times, "now", lambda at=at: at)
        catalog.write(audit.record, COMMAND_LINE, "user.disable", str(at))
    assert catalog.write(audit.forget_before, 20) == 1
    assert catalog.write(audit.forget_before, 20) == 0
    assert catalog.read(
        lambda: rows(Audit.select(Audit.target, fn.COUNT()).group_by(Audit.target))
    ) == [("20", 1), ("30", 1)]


def test_row_names_the_application_that_acted(catalog: Catalog) -> None:
    actor = Actor.of(structs.replace(ALICE, key_id=None, app="abcdef"), "192.0.2.1")
    catalog.write(audit.record, actor, "sensor.create", "alice.lamp")
    (row,) = catalog.read(audit.page, AuditFilter(), 10)
    assert (row.actor, row.key_id, row.app) == ("alice", None, "abcdef")


def test_database_refuses_to_change_a_row_and_to_delete_a_young_one(catalog: Catalog) -> None:
    catalog.write(audit.record, COMMAND_LINE, "user.disable", "bobby")
    for query in (Audit.update(actor="somebody else"), Audit.delete()):
        with pytest.raises(IntegrityError, match="only added"):
            catalog.write(query.execute)
    with pytest.raises(IntegrityError, match="only added"):
        catalog.write(audit.forget_before, times.now() + 1)
    assert [row["actor"] for row in found(catalog)] == ["command line"]


@pytest.fixture
def log(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Six rows, a second apart."""
    told = [
        ("alice", "key.create", "k1"),
        ("alice", "key.revoke", "k1"),
        ("bobby", "key.create", "k2"),
        ("admin", "keyboard.test", "k2"),
        ("admin", "user.disable", "alice"),
        ("anonymous", "login.fail", "alice"),
    ]
    for at, (actor, action, target) in enumerate(told, 1):
        monkeypatch.setattr(times, "now", lambda at=at: at * times.MICROSECONDS)
        catalog.write(audit.record, Actor(actor, "192.0.2.1"), action, target)
    return catalog


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"actor": "alice"}, [2, 1]),
        ({"action": "key."}, [3, 2, 1]),
        ({"action": "key.create"}, [3, 1]),
        ({"action": "KEY"}, []),
        ({"action": "%"}, []),
        ({"target": "alice"}, [6, 5]),
        ({"since": 2_000_000, "until": 4_000_000}, [3, 2]),
        ({"before": 3}, [2, 1]),
        ({"actor": "alice", "action": "key.r", "target": "k1"}, [2]),
    ],
)
def test_filters_leave_what_fits_newest_first(
    log: Catalog, wanted: dict[str, Any], ids: list[int]
) -> None:
    assert [row.id for row in log.read(audit.page, AuditFilter(**wanted), 10)] == ids


def test_pages_follow_each_other_without_gap(log: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "PAGE", 2)
    seen: list[list[int]] = []
    following: AuditFilter | None = AuditFilter(target="k1")
    while following is not None:
        page = log.read(audit.page, following, 2)
        seen.append([row.id for row in page])
        following = audit_export.behind(AuditFilter(target="k1"), page)
    assert seen == [[2, 1], []]


def test_name_tried_is_cut(catalog: Catalog) -> None:
    catalog.write(audit.login_failed, "x" * 101, "192.0.2.1")
    (row,) = catalog.read(audit.page, AuditFilter(), 10)
    assert (row.actor, row.action, row.target) == ("anonymous", "login.fail", "x" * 100)


def test_export_gives_spreadsheets_no_formula(catalog: Catalog) -> None:
    catalog.write(audit.login_failed, '=cmd|"/c calc"', "192.0.2.1")
    rows_found = catalog.read(audit.page, AuditFilter(), 10)
    table = audit_export.head("csv") + audit_export.lines("csv", rows_found)
    (line,) = csv.DictReader(io.StringIO(table.decode()))
    assert line["target"] == '\'=cmd|"/c calc"'
    assert line["keyId"] == ""
    assert json.loads(line["details"]) == {}
    plain = json.loads(audit_export.lines("ndjson", rows_found))
    assert plain["target"] == '=cmd|"/c calc"'
    assert list(plain) == list(line)
