"""``wotkit gateway``: what administrators see of gateways in their shell."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from wotkit.auth import credentials
from wotkit.catalog import Catalog, gateway_reports, gateways

if TYPE_CHECKING:
    from tests.cli.conftest import Wotkit

REPORT = {
    "status": "online",
    "version": "1.2.3",
    "spool": {"depth": 7, "dropped": 2},
    "inputs": [{"name": "boiler", "type": "modbus", "state": "failing", "error": "no answer"}],
}


@pytest.fixture
def alice(wotkit: Wotkit) -> Wotkit:
    wotkit.user("alice")
    wotkit.user("bob-the-builder")
    return wotkit


def report(wotkit: Wotkit, name: str, user: str = "alice", **more: Any) -> None:
    def work() -> None:
        caller = credentials.candidate(user)
        assert caller is not None
        gateways.note(caller.identity, gateway_reports.read(REPORT | more, name), most=9)

    with closing(Catalog(wotkit.data)) as catalog:
        catalog.write(work)


def test_list_has_everybodys_and_is_filtered(alice: Wotkit) -> None:
    assert "There are no gateways" in alice.run("gateway", "list").stderr
    report(alice, "greenhouse-1")
    report(alice, "shed")
    report(alice, "shed", status="offline")
    report(alice, "barn", "bob-the-builder")
    names = [f"{one['owner']}.{one['gateway']}" for one in alice.json("gateway", "list")]
    assert names == ["alice.greenhouse-1", "alice.shed", "bob-the-builder.barn"]
    (found,) = alice.json("gateway", "list", "--user", "alice", "--status", "offline")
    assert found["gateway"] == "shed"
    table = alice.ok("gateway", "list", "--user", "alice")
    assert "alice.greenhouse-1" in table
    assert "1.2.3" in table


def test_one_is_shown_with_its_inputs(alice: Wotkit) -> None:
    report(alice, "greenhouse-1")
    shown = alice.ok("gateway", "show", "alice.greenhouse-1")
    assert "alice.greenhouse-1 is online" in shown
    assert "7 readings wait, 2 were given up." in shown
    assert "no answer" in shown
    found = alice.json("gateway", "show", "alice.greenhouse-1")
    assert found["inputs"][0]["state"] == "failing"
    assert found["status"] == "online"


def test_deleted_one_is_gone_and_one_that_is_not_there_is_told(alice: Wotkit) -> None:
    report(alice, "greenhouse-1")
    assert "is deleted" in alice.ok("gateway", "delete", "alice.greenhouse-1")
    assert "alice has no gateway" in alice.refused("gateway", "delete", "alice.greenhouse-1")
    assert "USER.GATEWAY" in alice.refused("gateway", "show", "greenhouse-1")
    assert alice.json("audit", "list", "--action", "gateway")[0]["target"] == "alice.greenhouse-1"
