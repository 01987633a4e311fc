from __future__ import annotations

import json
from typing import Any

import pytest
from peewee import fn

from wotkit import times
from wotkit.catalog import Catalog, audit
from wotkit.catalog.audit import COMMAND_LINE, Actor
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
