"""Every page as it looks: readable by a screen reader, on a phone, light and dark, in pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import pytest

from tests import node_packages
from tests.pages.conftest import DESKTOP, OPTIONS, PHONE, visiting
from tests.system.server_process import PASSWORD, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.pages.conftest import Visitor

PUBLIC = [
    "/", "/login", "/register", "/forgotten", "/apps", "/nothing-here", "/docs", "/docs/access",
    "/api/reference",
]  # fmt: skip
OWN = [
    "/", "/account", "/account/password", "/account/sessions", "/account/keys",
    "/account/keys/new", "/account/keys/{key}", "/account/apps", "/account/apps/new",
    "/account/apps/{app}", "/account/apps/{app}/delete", "/account/connected", "/apps", "/device",
    "{authorize}", "{refused}", "/admin", "/admin/users", "/admin/users/new",
    "/admin/users/bob-the-builder", "/admin/orgs", "/admin/orgs/new", "/admin/orgs/growers",
    "/admin/apps", "/admin/audit",
]  # fmt: skip
EMPTY = ["/", "/account/keys", "/account/apps", "/account/connected"]
LONG = "An application whose name is much longer than anybody who designed a page had in mind"
SERIOUS = {"serious", "critical"}


class Stage(NamedTuple):
    """A server where something has happened, and cookies of its people."""

    server: ServerProcess
    alice: Any
    newcomer: Any
    places: dict[str, str]


@pytest.fixture(scope="module")
def axe() -> str:
    """The accessibility checker, as a script."""
    node_packages.node()
    script = node_packages.FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    return script.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Stage]:
    with ServerProcess(tmp_path_factory.mktemp("looks") / "data", *OPTIONS) as server:
        server.add_user("alice", "--admin")
        server.add_user("bob-the-builder", "--email", "bob@example.org")
        server.add_user("newcomer")
        yield Stage(
            server,
            cookies(chromium, server, "alice"),
            cookies(chromium, server, "newcomer"),
            places(chromium, server),
        )


def cookies(chromium: Browser, server: ServerProcess, name: str) -> Any:
    with visiting(chromium, server.url) as visitor:
        visitor.log_in(name)
        return visitor.page.context.storage_state()


def places(chromium: Browser, server: ServerProcess) -> dict[str, str]:
    """Let things happen, and return the paths that have a name of their own."""
    key = server.add_key("alice")
    server.add_key("alice", "--scope", "read")
    callback = "https://plotter.example/callback"
    website = ("--website", "https://plotter.example", "--redirect-uri", callback)
    server.json("app", "create", "--user", "bob-the-builder", "--name", LONG, *website)
    app = server.json(
        "app", "create", "--user", "alice", "--name", "Plotter", "--description",
        "Plots what your sensors measure, and compares it with the weather.", *website,
    )  # fmt: skip
    server.command("token", "developer", app["client_id"])
    with visiting(chromium, server.url) as alice:
        alice.log_in("alice", PASSWORD)
        alice.open("/admin/orgs/new")
        alice.page.locator("#main input[type=text], #main input:not([type])").first.fill("growers")
        labels = alice.page.locator("#main input[required]")
        for index in range(labels.count()):
            if not labels.nth(index).input_value():
                labels.nth(index).fill("Growers of the valley")
        alice.page.locator("#main button.primary").click()
        alice.page.wait_for_load_state()
    query = {"response_type": "code", "client_id": app["client_id"], "redirect_uri": callback}
    wrong = query | {"redirect_uri": "https://evil.example/"}
    return {
        "key": key.key_id,
        "app": app["client_id"],
        "authorize": f"/api/oauth/authorize?{urlencode(query)}",
        "refused": f"/api/oauth/authorize?{urlencode(wrong)}",
    }


def serious(visitor: Visitor, axe: str) -> list[str]:
    """Return what the checker finds serious, with where it is."""
    visitor.page.evaluate(axe)
    found = visitor.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def look(
    chromium: Browser, stage: Stage, path: str, who: Any, axe: str, shots: Path, name: str
) -> None:
    """Open a page in every way, keep pictures, and check what a machine can check."""
    name = f"{name}{path}".translate({ord("/"): "-", ord("{"): None, ord("}"): None}).strip("-")
    for scheme in ("light", "dark"):
        given = {"storage_state": who, "color_scheme": scheme}
        with visiting(chromium, stage.server.url, **given) as visitor:
            visitor.open(path.format(**stage.places))
            visitor.page.screenshot(path=shots / f"{name}.{scheme}.png", full_page=True)
            assert serious(visitor, axe) == []
            assert visitor.page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
            visitor.page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a TypedDict there
            visitor.page.screenshot(path=shots / f"{name}.{scheme}.phone.png", full_page=True)
            wide = visitor.page.evaluate(
                "width => [...document.querySelectorAll('body *')].filter(each =>"
                " each.getBoundingClientRect().right > width + 1"
                " && !each.closest('.scroll, pre, .hidden, .skip, table'))"
                ".map(each => each.outerHTML.slice(0, 120))",
                PHONE["width"],
            )
            assert (
                visitor.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            ), wide[:5]


@pytest.mark.parametrize("path", PUBLIC)
def test_public_page_is_accessible_and_fits(
    chromium: Browser, stage: Stage, axe: str, shots: Path, path: str
) -> None:
    look(chromium, stage, path, None, axe, shots, "public")


@pytest.mark.parametrize("path", OWN)
def test_page_of_a_user_is_accessible_and_fits(
    chromium: Browser, stage: Stage, axe: str, shots: Path, path: str
) -> None:
    look(chromium, stage, path, stage.alice, axe, shots, "alice")


@pytest.mark.parametrize("path", EMPTY)
def test_empty_page_is_accessible_and_fits(
    chromium: Browser, stage: Stage, axe: str, shots: Path, path: str
) -> None:
    look(chromium, stage, path, stage.newcomer, axe, shots, "newcomer")
