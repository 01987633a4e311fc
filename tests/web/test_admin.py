"""The pages of administrators."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import HERE, PASSWORD, text_of, wrong_in
from wotkit.catalog import audit, orgs, users
from wotkit.web.pages import admin_audit

if TYPE_CHECKING:
    import httpx

    from tests.web.conftest import Browser, Server

PAGES = [
    "/admin",
    "/admin/users",
    "/admin/users/new",
    "/admin/users/alice",
    "/admin/orgs",
    "/admin/orgs/new",
    "/admin/orgs/garden",
    "/admin/apps",
    "/admin/audit",
    "/admin/audit/export",
]
NEW = {
    "username": "dora",
    "email": "dora@example.org",
    "first_name": "Dora",
    "last_name": "",
    "time_zone": "Europe/Dublin",
    "role": "user",
}
CHANGE = {key: value for key, value in NEW.items() if key != "username"} | {
    "action": "change",
    "enabled": "yes",
}


@pytest.fixture
def admin(server: Server) -> Browser:
    server.catalog.write(orgs.create, "garden", "The Garden", HERE)
    found = server.browser()
    found.log_in("admin")
    return found


def link_in(page: httpx.Response) -> str:
    found = re.search(r'<pre id="link"[^>]*>http://testserver(/password/\w+)</pre>', page.text)
    assert found is not None, page.text
    return found[1]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_for_administrators(
    admin: Browser, alice: Browser, browser: Browser, path: str
) -> None:
    assert admin.get(path).status_code == 200
    assert alice.get(path).status_code == 403
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["location"][:7]) == (303, "/login?")


@pytest.mark.parametrize("path", PAGES[:-1])
def test_pages_have_one_heading_and_a_title(admin: Browser, path: str) -> None:
    page = admin.get(path).text
    assert page.count("<h1") == 1
    assert not re.search(r"<title>\s*·", page)


@pytest.mark.parametrize("path", ["/admin/users/nobody-here", "/admin/orgs/nothing-here"])
def test_what_is_not_there_is_404(admin: Browser, path: str) -> None:
    assert admin.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/admin/users/new", "/admin/users/alice", "/admin/orgs/garden"])
def test_form_without_token_changes_nothing(server: Server, admin: Browser, path: str) -> None:
    before = server.catalog.read(users.list_all)
    assert admin.post(path, **NEW, action="change").status_code == 403
    assert server.catalog.read(users.list_all) == before


def test_overview_counts(admin: Browser, browser: Browser) -> None:
    browser.submit("/login", username="charlie", password="wrong")
    page = text_of(admin.get("/admin"))
    assert "Users 3" in page
    assert "Organizations 1" in page
    assert "Failed logins 1" in page


def test_new_user_signs_in_with_the_link_that_is_shown_once(
    admin: Browser, browser: Browser
) -> None:
    page = admin.submit("/admin/users/new", **NEW)
    assert page.status_code == 200
    link = link_in(page)
    assert browser.submit(link, password="a long sentence of mine").status_code == 303
    assert "dora" in text_of(browser.get("/account"))
    assert browser.get(link).status_code == 404
    assert link not in admin.get("/admin/users/dora").text


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"username": "d"}, "At least 4 characters of a-z, 0-9, _ and -."),
        ({"username": "alice"}, "A user or an organization has this name already."),
        ({"username": "garden"}, "A user or an organization has this name already."),
        ({"email": "dora"}, "It is not an e-mail address."),
        ({"time_zone": "x"}, "It is not an IANA time zone name such as Europe/Dublin."),
        ({"role": "god"}, "It is neither user nor admin."),
    ],
)
def test_wrong_user_is_told_beside_the_field(
    server: Server, admin: Browser, fields: dict[str, str], wrong: str
) -> None:
    answer = admin.submit("/admin/users/new", **(NEW | fields))
    assert answer.status_code == 400
    assert wrong_in(answer) == [wrong]
    assert len(server.catalog.read(users.list_all)) == 3


def test_users_are_found_by_a_part_of_their_name(admin: Browser) -> None:
    page = text_of(admin.get("/admin/users?q=harl"))
    assert "charlie" in page
    assert "alice" not in page
    assert "Nothing found" in text_of(admin.get("/admin/users?q=zzz"))


def test_many_users_stand_on_several_pages(server: Server, admin: Browser) -> None:
    for number in range(60):
        user = users.NewUser(username=f"user-{number:02}", password_hash="x")
        server.catalog.write(users.create, user, HERE)
    seen: list[str] = []
    path = "/admin/users?q=user-"
    while path:
        page = admin.get(path).text
        seen += re.findall(r'href="/admin/users/(user-\d\d)"', page)
        found = re.search(r'href="([^"]*)" rel="next"', page)
        path = unescape(found[1]) if found else ""
    assert seen == [f"user-{number:02}" for number in reversed(range(60))]


def test_change_of_a_user_holds_at_once(server: Server, admin: Browser, alice: Browser) -> None:
    assert admin.submit("/admin/users/alice", **CHANGE | {"role": "admin"}).status_code == 303
    assert alice.get("/admin").status_code == 200
    row = server.catalog.read(users.get, "alice")
    assert (row.first_name, row.role, row.email) == ("Dora", "admin", "dora@example.org")
    without = {key: value for key, value in CHANGE.items() if key != "enabled"}
    assert admin.submit("/admin/users/alice", **without).status_code == 303
    assert alice.get("/account").status_code == 303
    assert "disabled" in text_of(admin.get("/admin/users/alice"))


@pytest.mark.parametrize("without", [{"role": "user"}, {"enabled": None}])
def test_last_administrator_stays(
    server: Server, admin: Browser, without: dict[str, str | None]
) -> None:
    fields = {k: v for k, v in (CHANGE | {"role": "admin"} | without).items() if v is not None}
    answer = admin.submit("/admin/users/admin", **fields)
    assert answer.status_code == 400
    assert "without an administrator" in text_of(answer)
    row = server.catalog.read(users.get, "admin")
    assert (row.role, row.enabled, row.first_name) == ("admin", True, "")


def test_wrong_change_is_told_with_what_was_typed(admin: Browser) -> None:
    answer = admin.submit("/admin/users/alice", **CHANGE | {"email": "nonsense"})
    assert answer.status_code == 400
    assert wrong_in(answer) == ["It is not an e-mail address."]
    assert 'value="nonsense"' in answer.text


def test_link_for_a_new_password_leaves_the_present_one(
    server: Server, admin: Browser, browser: Browser
) -> None:
    link = link_in(admin.submit("/admin/users/alice", action="link"))
    server.browser().log_in("alice", PASSWORD)
    assert browser.submit(link, password="a long sentence of mine").status_code == 303
    server.browser().log_in("alice", "a long sentence of mine")


def test_sessions_are_ended_at_once(admin: Browser, alice: Browser) -> None:
    assert "signed in with 1 browser." in text_of(admin.get("/admin/users/alice"))
    assert admin.submit("/admin/users/alice", action="sessions").status_code == 303
    assert alice.get("/account").status_code == 303
    assert "is not signed in" in text_of(admin.get("/admin/users/alice"))


def test_organization_is_made_and_changed(server: Server, admin: Browser) -> None:
    fields = {"name": "roofs", "long_name": "Roofs", "description": "Up there", "image_url": ""}
    assert admin.submit("/admin/orgs/new", **fields).status_code == 303
    assert [row.username for row in server.catalog.read(orgs.members, "roofs")] == ["admin"]
    change = {"action": "change", "long_name": "All roofs", "description": "", "image_url": ""}
    assert admin.submit("/admin/orgs/roofs", **change).status_code == 303
    row = server.catalog.read(orgs.get, "roofs")
    assert (row.long_name, row.description) == ("All roofs", None)
    assert "All roofs" in text_of(admin.get("/admin/orgs?q=roof"))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "x"}, "4 to 50 characters of a-z, 0-9, _ and -."),
        ({"name": "alice"}, "A user or an organization has this name already."),
        ({"long_name": "x"}, "4 to 255 characters."),
    ],
)
def test_wrong_organization_is_told_beside_the_field(
    admin: Browser, fields: dict[str, str], wrong: str
) -> None:
    answer = admin.submit("/admin/orgs/new", **{"name": "roofs", "long_name": "Roofs"} | fields)
    assert answer.status_code == 400
    assert wrong_in(answer) == [wrong]


def test_members_come_change_and_go(server: Server, admin: Browser) -> None:
    def members() -> list[tuple[str, str]]:
        found = server.catalog.read(orgs.members, "garden")
        return [(row.username, row.role) for row in found]

    def act(action: str, username: str, role: str = "MEMBER") -> int:
        fields = {"action": action, "username": username, "member_role": role}
        return admin.submit("/admin/orgs/garden", **fields).status_code

    assert act("add", "alice", "ADMIN") == 303
    assert act("add", "charlie") == 303
    assert members() == [("alice", "ADMIN"), ("charlie", "MEMBER")]
    assert act("remove", "alice") == 400  # nobody would administer it
    assert act("role", "charlie", "ADMIN") == 303
    assert act("remove", "alice") == 303
    assert members() == [("charlie", "ADMIN")]


def test_unknown_member_is_told_beside_the_field(admin: Browser) -> None:
    fields = {"action": "add", "username": "nobody-here", "member_role": "MEMBER"}
    answer = admin.submit("/admin/orgs/garden", **fields)
    assert answer.status_code == 400
    assert wrong_in(answer) == ["There is no user nobody-here."]


def test_application_of_somebody_else_is_listed_and_deleted(admin: Browser, alice: Browser) -> None:
    assert "No applications yet" in text_of(admin.get("/admin/apps"))
    fields = {"kind": "desktop", "name": "Plotter", "website": "https://a.example"}
    alice.submit("/account/apps/new", scopes="read", **fields)
    page = admin.get("/admin/apps")
    assert "Plotter" in text_of(page)
    found = re.search(r'href="(/account/apps/\w+/delete)"', page.text)
    assert found is not None
    answer = admin.submit(found[1], name="Plotter")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/apps")
    assert "No applications yet" in text_of(admin.get("/admin/apps"))


def test_log_shows_who_did_what_in_the_zone_of_the_administrator(
    admin: Browser, browser: Browser
) -> None:
    browser.submit("/login", username="charlie", password="wrong")
    page = admin.get("/admin/audit?action=login.fail")
    assert "anonymous from 192.0.2.7 login.fail charlie" in text_of(page)
    assert re.search(r"\d\d:\d\d:\d\d (GMT|IST)</td>", page.text)
    assert "user.create" not in text_of(page)
    assert "Nothing found" in text_of(admin.get("/admin/audit?actor=zzz"))


def test_name_tried_is_no_markup(admin: Browser, browser: Browser) -> None:
    browser.submit("/login", username="<script>x</script>", password="wrong")
    page = admin.get("/admin/audit?action=login.fail").text
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


def test_older_rows_are_behind_a_link(
    server: Server, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_audit, "PAGE_SIZE", 2)
    for number in range(5):
        server.catalog.write(audit.record, HERE, "test.done", f"thing-{number}")
    seen: list[str] = []
    path = "/admin/audit?action=test."
    while path:
        page = admin.get(path).text
        seen += re.findall(r">(thing-\d)<", page)
        found = re.search(r'href="([^"]*)" rel="next"', page)
        path = unescape(found[1]) if found else ""
    assert seen == [f"thing-{number}" for number in reversed(range(5))]


def test_wrong_time_is_told_beside_the_field(admin: Browser) -> None:
    answer = admin.get("/admin/audit?since=soon")
    assert answer.status_code == 400
    assert wrong_in(answer) == ["Is no time; use the form 2027-01-31T12:00."]


def test_times_of_the_filters_bound_the_log(admin: Browser) -> None:
    assert "Nothing found" in text_of(admin.get("/admin/audit?until=2020-01-01T00:00"))
    assert "user.create" in text_of(admin.get("/admin/audit?since=2020-01-01T00:00"))


def test_export_holds_what_the_filters_leave(admin: Browser) -> None:
    page = admin.get("/admin/audit?action=user.create&target=alice").text
    links = [unescape(found) for found in re.findall(r'href="(/admin/audit/export[^"]*)"', page)]
    table, lines = (admin.get(link) for link in links)
    assert "attachment" in table.headers["content-disposition"]
    assert [row["target"] for row in csv.DictReader(io.StringIO(table.text))] == ["alice"]
    assert [json.loads(line)["target"] for line in lines.text.splitlines()] == ["alice"]
    assert admin.get("/admin/audit/export?format=xml").status_code == 400
