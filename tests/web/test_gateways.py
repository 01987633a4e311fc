"""The pages of gateways: what a gateway says is shown, to its owner and to administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import text_of
from wotkit.auth import credentials
from wotkit.catalog import gateway_reports, gateways

if TYPE_CHECKING:
    from tests.web.conftest import Browser, Server

LIST = "/account/gateways"
REPORT = {
    "status": "online",
    "version": "1.2.3",
    "uptime": 7300,
    "clock": {"synchronized": False},
    "spool": {"depth": 7, "oldest": "2026-11-21T10:00:00Z", "dropped": 1, "bytes": 2048},
    "inputs": [
        {"name": "<b>boiler</b>", "type": "modbus", "state": "failing", "error": "no <i>answer"},
        {"name": "cpu", "type": "system", "last_reading": "2026-11-21T10:00:00Z"},
    ],
    "actuators": [{"sensor": "pump", "type": "gpio"}],
    "errors": [{"time": "2026-11-21T10:00:00Z", "message": "it <script> rained"}],
}


def report(server: Server, name: str = "greenhouse-1", **more: Any) -> None:
    def work() -> None:
        caller = credentials.candidate("alice")
        assert caller is not None
        gateways.note(caller.identity, gateway_reports.read(REPORT | more, name), most=200)

    server.catalog.write(work)


def test_empty_list_says_how_to_set_one_up(alice: Browser) -> None:
    page = text_of(alice.get(LIST))
    assert "No gateways yet" in page
    assert "New key" in page


def test_list_shows_how_each_is(server: Server, alice: Browser) -> None:
    report(server)
    report(server, "shed", inputs=[], spool=None, version="")
    report(server, "shed", status="offline")
    page = alice.get(LIST)
    assert page.status_code == 200
    assert "<b>boiler" not in page.text
    text = text_of(page)
    assert "greenhouse-1 online just now 7 2 <b>boiler</b> fails 1.2.3" in text
    assert "shed offline just now" in text


def test_page_of_one_shows_all_that_it_said(server: Server, alice: Browser) -> None:
    report(server)
    page = alice.get(f"{LIST}/greenhouse-1")
    assert page.status_code == 200
    assert "<script> rained" not in page.text
    text = text_of(page)
    for part in (
        "greenhouse-1 online",
        "Version 1.2.3",
        "Running for 2 hours",
        "not synchronized",
        "7 readings, the oldest of 21 Nov 2026, 10:00",
        "Given up 1 reading On its disk 2.0 KiB",
        "<b>boiler</b> modbus failing none yet no <i>answer",
        "cpu system ok",
        "pump gpio",
        "it <script> rained",
    ):
        assert part in text, part


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0"])
def test_page_of_one_with_a_wrong_clock_is_shown(server: Server, alice: Browser, time: str) -> None:
    report(
        server,
        spool={"oldest": time},
        inputs=[{"name": "clock", "last_reading": time}],
        errors=[{"time": time, "message": "lost"}],
    )
    assert alice.get(f"{LIST}/greenhouse-1").status_code == 200


def test_gateway_is_deleted_by_its_owner(server: Server, alice: Browser) -> None:
    report(server)
    assert alice.submit(f"{LIST}/greenhouse-1").headers["location"] == LIST
    assert alice.get(f"{LIST}/greenhouse-1").status_code == 404


def test_gateway_is_hidden_from_a_stranger_and_shown_to_an_administrator(server: Server) -> None:
    report(server)
    charlie, admin = server.browser(), server.browser()
    charlie.log_in("charlie")
    admin.log_in("admin")
    for name in ("greenhouse-1", "alice.greenhouse-1"):
        assert charlie.get(f"{LIST}/{name}").status_code == 404
    assert "greenhouse-1" not in charlie.get(LIST).text
    assert admin.get(f"{LIST}/greenhouse-1").status_code == 404
    assert "Of alice" in text_of(admin.get(f"{LIST}/alice.greenhouse-1"))


def test_long_list_is_paged(server: Server, alice: Browser) -> None:
    for number in range(101):
        report(server, f"gateway-{number:03}")
    first = alice.get(LIST)
    assert "gateway-099" in first.text
    assert "gateway-100" not in first.text
    assert f"{LIST}?from=100" in first.text
    second = text_of(alice.get(f"{LIST}?from=100"))
    assert "gateway-100" in second
    assert "gateway-099" not in second


@pytest.mark.parametrize("start", ["-1", "x", "9" * 30, "\u0664"])
def test_odd_page_is_answered(alice: Browser, start: str) -> None:
    assert alice.get(f"{LIST}?from={start}").status_code == 200
