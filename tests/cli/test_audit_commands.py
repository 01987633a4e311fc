from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Wotkit


def test_list_shows_what_was_done_newest_first(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    wotkit.ok("user", "disable", "alice")
    found = wotkit.json("audit", "list")
    assert [(row["actor"], row["action"], row["target"]) for row in found] == [
        ("command line", "user.disable", "alice"),
        ("command line", "user.create", "alice"),
    ]
    table = wotkit.ok("audit", "list", "--action", "user.create").splitlines()
    assert len(table) == 2
    assert "command line" in table[1]


def test_filters_and_limit_hold(wotkit: Wotkit) -> None:
    for name in ("alice", "bobby"):
        wotkit.user(name)
    assert [row["target"] for row in wotkit.json("audit", "list", "--limit", "1")] == ["bobby"]
    assert len(wotkit.json("audit", "list", "--target", "alice")) == 1
    assert wotkit.json("audit", "list", "--actor", "nobody") == []
    assert wotkit.json("audit", "list", "--until", "2020-01-01") == []
    assert len(wotkit.json("audit", "list", "--since", "2020-01-01")) == 2
    assert len(wotkit.json("audit", "list", "--since", "1h")) == 2
    assert wotkit.json("audit", "list", "--until", "1h") == []


def test_export_is_ndjson_or_csv(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    line = json.loads(wotkit.ok("audit", "export"))
    assert (line["action"], line["target"]) == ("user.create", "alice")
    (row,) = csv.DictReader(io.StringIO(wotkit.ok("audit", "export", "--format", "csv")))
    assert row["target"] == "alice"
