"""Every page with an address as it looks: accessible, on a phone, light and dark, in pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

import pytest

from tests.pages.visiting import OPTIONS, visiting
from tests.system.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.pages.looking import Looking
    from tests.pages.visiting import Visitor
    from tests.system.server_process import Key

PUBLIC = [
    "/", "/login", "/register", "/forgotten", "/apps", "/apps?q=nothing", "/nothing-here",
    "/docs", "/docs/access", "/api/reference",
]  # fmt: skip
OWN = [
    "/", "/account", "/account/password", "/account/sessions", "/account/keys",
    "/account/keys/new", "/account/keys/{key}", "/account/gateways",
    "/account/gateways/greenhouse-1", "/account/apps", "/account/apps/new",
    "/account/apps/{app}", "/account/apps/{app}/delete", "/account/connected", "/apps", "/device",
    "{authorize}", "{refused}", "/logout", "/admin", "/admin/users", "/admin/users?q=nothing",
    "/admin/users/new", "/admin/users/bob-the-builder", "/admin/orgs", "/admin/orgs?q=nothing",
    "/admin/orgs/new", "/admin/orgs/growers", "/admin/apps", "/admin/audit",
    "/admin/audit?action=nothing", "/admin/audit?since=nonsense",
]  # fmt: skip
EMPTY = ["/", "/account/keys", "/account/gateways", "/account/apps", "/account/connected", "/admin"]
LONG_USER = "somebody-whose-name-is-as-long-as-a-name-may-be-50"
LONG = "An application whose name is much longer than anybody who designed a page had in mind"
UNBROKEN = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft"


class Stage(NamedTuple):
    """A server where something has happened, and people in front of it."""

    people: dict[str, Visitor]
    places: dict[str, str]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Stage]:
    with ServerProcess(tmp_path_factory.mktemp("looks") / "data", *OPTIONS) as server:
        server.add_user("alice", "--admin")
        server.add_user("bob-the-builder", "--email", "bob@example.org", "--first-name", "Bob")
        server.add_user("newcomer")
        server.add_user(LONG_USER, "--email", f"{UNBROKEN.lower()}@an-example.organization")
        places = happen(server)
        with (
            visiting(chromium, server.url) as nobody,
            visiting(chromium, server.url) as alice,
            visiting(chromium, server.url) as newcomer,
        ):
            alice.log_in("alice")
            newcomer.log_in("newcomer")
            make_organization(alice)
            people = {"nobody": nobody, "alice": alice, "newcomer": newcomer}
            yield Stage(people, places)


def make_organization(alice: Visitor) -> None:
    alice.open("/admin/orgs/new")
    alice.fill("Name", "growers")
    alice.fill("What people call it", "Growers of the valley")
    alice.press("Make the organization")
    for member in ("bob-the-builder", LONG_USER):
        alice.fill("User name", member)
        alice.press("Add")
        alice.page.get_by_role("link", name=member, exact=True).wait_for()


def happen(server: ServerProcess) -> dict[str, str]:
    """Let things happen, and return the paths that have a name of their own."""
    key = server.add_key("alice")
    server.json("key", "create", "--user", "alice", "--name", UNBROKEN, "--scope", "read")
    report_gateways(server, key)
    callback = "https://plotter.example/callback"
    website = ("--website", "https://plotter.example", "--redirect-uri", callback)
    server.json("app", "create", "--user", "bob-the-builder", "--name", LONG, *website)
    named = ("--user", LONG_USER, "--name", UNBROKEN, "--description", UNBROKEN * 2)
    server.json("app", "create", *named, "--website", f"https://plotter.example/{UNBROKEN}")
    app = server.json(
        "app", "create", "--user", "alice", "--name", "Plotter", "--description",
        "Plots what your sensors measure, and compares it with the weather.", *website,
        "--allow", "frob", "--allow", "implicit",
    )  # fmt: skip
    server.command("token", "developer", app["client_id"])
    query = {"response_type": "code", "client_id": app["client_id"], "redirect_uri": callback}
    wrong = query | {"redirect_uri": "https://evil.example/"}
    return {
        "key": key.key_id,
        "app": app["client_id"],
        "authorize": f"/api/oauth/authorize?{urlencode(query)}",
        "refused": f"/api/oauth/authorize?{urlencode(wrong)}",
    }


def report_gateways(server: ServerProcess, key: Key) -> None:
    failing = {"state": "failing", "error": f"ConnectionError: no answer of {UNBROKEN}"}
    at = "2026-11-21T10:00:00Z"
    report = {
        "status": "online",
        "version": "0.1.0",
        "uptime": 86_400,
        "clock": {"synchronized": False},
        "spool": {"depth": 1234, "oldest": at, "dropped": 1, "bytes": 123_456_789},
        "inputs": [
            {"name": "system", "type": "system", "last_reading": at},
            *({"name": f"boiler-{number}", "type": "modbus", **failing} for number in range(5)),
        ],
        "actuators": [{"sensor": "pump", "type": "gpio"}],
        "errors": [{"time": at, "message": f"input boiler: {failing['error']}"}],
    }
    with server.wire(key) as wire:
        for name in ("greenhouse-1", "a" * 64):
            assert wire.put(f"/api/v2/gateways/{name}/status", report).status == 204
        for word in ("online", "offline"):
            path = "/api/v2/gateways/simple/status"
            assert wire.put(path, {"status": word}).status == 204


@pytest.mark.parametrize(
    ("who", "path"),
    [(who, path) for who, paths in (("nobody", PUBLIC), ("alice", OWN), ("newcomer", EMPTY))
     for path in paths],
)  # fmt: skip
def test_page_is_accessible_and_fits(stage: Stage, looking: Looking, who: str, path: str) -> None:
    name = f"{who}{path}".replace("/", "-").replace("{", "-").replace("}", "").rstrip("-")
    visitor = stage.people[who]
    visitor.troubles.clear()  # of the test before
    visitor.open(path.format(**stage.places))
    looking.at(visitor, name)
    assert visitor.troubles == []
