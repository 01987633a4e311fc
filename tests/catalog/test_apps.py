"""Verbs of applications and grants, on a real catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wotkit import times
from wotkit.auth import credentials, passwords
from wotkit.catalog import apps, grants, keys, users
from wotkit.catalog.app_checks import MAX_REDIRECTS, OUT_OF_BAND
from wotkit.catalog.apps import AppChange
from wotkit.catalog.audit import Actor
from wotkit.catalog.keys import KeyChange
from wotkit.catalog.models import AccessToken, Audit, RefreshToken, WebSession, rows
from wotkit.errors import CannotPerform, NotFound, ValidationFailed

if TYPE_CHECKING:
    from wotkit.catalog import Catalog
    from wotkit.catalog.apps import AppRow
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.models import App, Grant

HERE = Actor("tests", "127.0.0.1")


def add_user(name: str, role: str = "user") -> Identity:
    hashed = passwords.hash_password("correct horse battery", 4)
    users.create(users.NewUser(username=name, password_hash=hashed, role=role), HERE)
    found = credentials.candidate(name)
    assert found is not None
    return found.identity


@pytest.fixture
def alice(catalog: Catalog) -> Identity:
    return catalog.write(add_user, "alice")


@pytest.fixture
def charlie(catalog: Catalog) -> Identity:
    return catalog.write(add_user, "charlie")


def register(
    catalog: Catalog, owner: Identity, kind: str = "web", **attributes: Any
) -> tuple[AppRow, str]:
    secret = passwords.make_secret()
    change = AppChange(**{"name": "Plotter", "website": "https://plot.example"} | attributes)
    hashed = passwords.hash_secret(secret)
    return catalog.write(apps.create, owner, kind, change, hashed, HERE), secret


def row_of(catalog: Catalog, client_id: str) -> App:
    found = catalog.read(apps.by_client_id, client_id)
    assert found is not None
    return found


def test_new_application_has_everything_off_and_asks_for_all(
    catalog: Catalog, alice: Identity
) -> None:
    row, _ = register(catalog, alice)
    assert len(row.client_id) == 32
    assert row.scopes == ("all",)
    assert row.redirect_uris == ()
    switches = (row.allow_password, row.allow_implicit, row.allow_client_credentials)
    assert not any((*switches, row.allow_frob))


def test_secret_is_stored_as_hash_only_and_matches(catalog: Catalog, alice: Identity) -> None:
    row, secret = register(catalog, alice)
    app = row_of(catalog, row.client_id)
    assert secret not in str(app.__data__)
    assert apps.secret_matches(app, secret)
    assert not apps.secret_matches(app, secret + "x")
    assert not apps.secret_matches(app, "")
    assert not apps.secret_matches(app, "\ud800")


@pytest.mark.parametrize("kind", ["desktop", "browser"])
def test_public_application_has_no_secret(catalog: Catalog, alice: Identity, kind: str) -> None:
    row, secret = register(catalog, alice, kind)
    assert not row.confidential
    assert not apps.secret_matches(row_of(catalog, row.client_id), secret)
    assert not apps.secret_matches(row_of(catalog, row.client_id), "")
    with pytest.raises(CannotPerform):
        catalog.write(apps.rotate, alice, row.client_id, "0" * 64, overlap_seconds=0, actor=HERE)


@pytest.mark.parametrize(("overlap", "old_is_good"), [(60.0, True), (0.0, False)])
def test_old_secret_is_good_within_the_overlap_only(
    catalog: Catalog, alice: Identity, overlap: float, old_is_good: bool
) -> None:
    row, old = register(catalog, alice)
    new = passwords.make_secret()
    hashed = passwords.hash_secret(new)
    catalog.write(apps.rotate, alice, row.client_id, hashed, overlap_seconds=overlap, actor=HERE)
    app = row_of(catalog, row.client_id)
    assert apps.secret_matches(app, new)
    assert apps.secret_matches(app, old) is old_is_good
    app.old_secret_until = times.now() - 1
    assert not apps.secret_matches(app, old)


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("web", "https://plot.example/callback?x=1"),
        ("web", "http://127.0.0.1:8000/callback"),
        ("web", "http://localhost/callback"),
        ("browser", "http://[::1]:3000/"),
        ("desktop", "http://127.0.0.1/"),
        ("desktop", "org.example.app:/callback"),
        ("desktop", OUT_OF_BAND),
    ],
)
def test_redirect_uri_is_taken_as_it_is(
    catalog: Catalog, alice: Identity, kind: str, uri: str
) -> None:
    row, _ = register(catalog, alice, kind, redirect_uris=[uri])
    assert row.redirect_uris == (uri,)
    assert apps.redirect_uris(row_of(catalog, row.client_id)) == [uri]


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("web", "http://plot.example/callback"),
        ("web", "https://plot.example/#fragment"),
        ("web", "https://plot.example/#"),
        ("web", "https://user@plot.example/"),
        ("web", "https://plot.example\\@evil.example/"),
        ("web", "https://*.example/"),
        ("web", "https:///callback"),
        ("web", "https://plot.example/a b"),
        ("web", "https://plöt.example/"),
        ("web", "https://[::1/"),
        ("web", "https://plot.example:99999/"),
        ("web", "javascript:alert(1)"),
        ("desktop", "javascript:alert(1)"),
        ("desktop", "data:text/html,x"),
        ("desktop", "http://192.168.0.1/"),
        ("web", "org.example.app:/callback"),
        ("web", "/callback"),
        ("web", ""),
        ("web", "https://plot.example/" + "x" * 2000),
    ],
)
def test_unsafe_redirect_uri_is_refused(
    catalog: Catalog, alice: Identity, kind: str, uri: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        register(catalog, alice, kind, redirect_uris=[uri])
    assert list(refused.value.more) == ["redirectUris"]


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"name": " "}, "name"),
        ({"name": "Plotter\u202e"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"description": "x" * 4001}, "description"),
        ({"website": ""}, "website"),
        ({"website": "javascript:alert(1)"}, "website"),
        ({"icon": "http://plot.example/icon.png"}, "icon"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"access_seconds": 59}, "accessSeconds"),
        ({"refresh_seconds": 1}, "refreshSeconds"),
        ({"grace_seconds": 301}, "graceSeconds"),
        ({"redirect_uris": ["https://plot.example/"] * (MAX_REDIRECTS + 1)}, "redirectUris"),
    ],
)
def test_invalid_attribute_is_named(
    catalog: Catalog, alice: Identity, attributes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        register(catalog, alice, **attributes)
    assert list(refused.value.more) == [named]


def test_client_credentials_need_a_secret(catalog: Catalog, alice: Identity) -> None:
    with pytest.raises(ValidationFailed):
        register(catalog, alice, "desktop", allow_client_credentials=True)
    row, _ = register(catalog, alice, "web", allow_client_credentials=True)
    assert row.allow_client_credentials


def test_stranger_cannot_change_rotate_or_delete(
    catalog: Catalog, alice: Identity, charlie: Identity
) -> None:
    row, _ = register(catalog, alice)
    with pytest.raises(NotFound):
        catalog.write(apps.update, charlie, row.client_id, AppChange(name="Mine"), HERE)
    with pytest.raises(NotFound):
        catalog.write(apps.rotate, charlie, row.client_id, "0" * 64, overlap_seconds=0, actor=HERE)
    with pytest.raises(NotFound):
        catalog.write(apps.delete, charlie, row.client_id, HERE)


def test_list_finds_text_and_pages_in_order_of_name(
    catalog: Catalog, alice: Identity, charlie: Identity
) -> None:
    register(catalog, alice, name="beta")
    register(catalog, charlie, name="Alpha", description="100% charts")
    names = [row.name for row in catalog.read(apps.page, None, 10, 0)]
    assert names == ["Alpha", "beta"]
    assert [row.name for row in catalog.read(apps.page, None, 1, 1)] == ["beta"]
    assert [row.name for row in catalog.read(apps.page, "charlie", 10, 0)] == ["Alpha"]
    assert [row.name for row in catalog.read(apps.page, "0% c", 10, 0)] == ["Alpha"]
    assert catalog.read(apps.page, "a%b", 10, 0) == []


def open_one(catalog: Catalog, user: Identity, client_id: str, **how: str) -> Grant:
    app = row_of(catalog, client_id)
    return catalog.write(
        grants.open_grant, user.user_id, app.id, **{"kind": "consent", "scopes": "read"} | how
    )


def test_consent_to_the_same_scopes_is_one_grant(catalog: Catalog, alice: Identity) -> None:
    row, _ = register(catalog, alice)
    first = open_one(catalog, alice, row.client_id, scopes="all")
    again = open_one(catalog, alice, row.client_id, scopes="read write manage control")
    other = open_one(catalog, alice, row.client_id, scopes="read")
    device = open_one(catalog, alice, row.client_id, scopes="read", kind="device")
    assert first.id == again.id
    assert len({first.id, other.id, device.id}) == 3
    assert {found.id for found in catalog.read(grants.list_for, alice.user_id)} == {
        first.id,
        other.id,
        device.id,
    }


def test_live_finds_consent_to_exactly_these_scopes(catalog: Catalog, alice: Identity) -> None:
    row, _ = register(catalog, alice)
    grant = open_one(catalog, alice, row.client_id, scopes="write read")
    found = catalog.read(grants.live, alice.user_id, grant.app_id, "read write")
    assert found is not None
    assert found.id == grant.id
    assert catalog.read(grants.live, alice.user_id, grant.app_id, "read") is None
    catalog.write(grants.end, grant.id, HERE, "revoked")
    assert catalog.read(grants.live, alice.user_id, grant.app_id, "read write") is None


def add_tokens(grant_id: int) -> None:
    far = times.now() + 10**12
    for table in (AccessToken, RefreshToken):
        name = f"{grant_id:064x}"
        table.insert(hash=name, grant=grant_id, scopes="", issued=0, expires=far).execute()


def test_ended_grant_takes_its_tokens_along_and_is_recorded_once(
    catalog: Catalog, alice: Identity
) -> None:
    row, _ = register(catalog, alice)
    grant = open_one(catalog, alice, row.client_id)
    other = open_one(catalog, alice, row.client_id, scopes="write")
    for one in (grant, other):
        catalog.write(add_tokens, one.id)
    catalog.write(grants.end, grant.id, HERE, "revoked")
    catalog.write(grants.end, grant.id, HERE, "again")

    def left() -> tuple[set[int], set[int], int]:
        recorded = Audit.select().where(Audit.action == "grant.end").count()
        access = {found for (found,) in rows(AccessToken.select(AccessToken.grant))}
        refresh = {found for (found,) in rows(RefreshToken.select(RefreshToken.grant))}
        return access, refresh, recorded

    assert catalog.read(left) == ({other.id}, {other.id}, 1)


@pytest.mark.parametrize("verb", ["end", "touched"])
def test_ending_raises_the_revision(catalog: Catalog, alice: Identity, verb: str) -> None:
    row, _ = register(catalog, alice)
    grant = open_one(catalog, alice, row.client_id)
    watch = catalog.watch()
    before = watch.revision()
    if verb == "end":
        catalog.write(grants.end, grant.id, HERE, "revoked")
    else:
        catalog.write(grants.touched, grant.id)
    assert watch.revision() > before
    watch.close()


def test_deleting_tells_what_it_ends_and_ends_it(
    catalog: Catalog, alice: Identity, charlie: Identity
) -> None:
    row, _ = register(catalog, alice)
    for user in (alice, charlie):
        open_one(catalog, user, row.client_id)
    open_one(catalog, charlie, row.client_id, scopes="write")
    assert catalog.read(apps.ending, alice, row.client_id) == apps.Ending(users=2, grants=3)
    catalog.write(apps.delete, alice, row.client_id, HERE)
    assert catalog.read(apps.by_client_id, row.client_id) is None
    assert catalog.read(grants.list_for, charlie.user_id) == []


def test_administrator_may_delete_an_application_and_end_a_grant_of_others(
    catalog: Catalog, alice: Identity, charlie: Identity
) -> None:
    admin = catalog.write(add_user, "root", "admin")
    row, _ = register(catalog, alice)
    grant = open_one(catalog, alice, row.client_id)
    with pytest.raises(NotFound):
        catalog.write(grants.revoke, charlie, grant.id, HERE)
    catalog.write(grants.revoke, admin, grant.id, HERE)
    assert catalog.read(grants.list_for, alice.user_id) == []
    catalog.write(apps.delete, admin, row.client_id, HERE)
    assert catalog.read(apps.by_client_id, row.client_id) is None


@pytest.mark.parametrize("revoke_keys", [False, True])
def test_new_password_ends_grants_and_sessions_and_keys_when_asked(
    catalog: Catalog, alice: Identity, charlie: Identity, revoke_keys: bool
) -> None:
    row, _ = register(catalog, charlie)
    for user in (alice, charlie):
        open_one(catalog, user, row.client_id)

    def prepare() -> None:
        for user in (alice, charlie):
            keys.create(user, KeyChange(name="gateway"), "0" * 64, HERE)
            session = {"created": 0, "used": 0, "address": "", "hash": user.username}
            WebSession.insert(user=user.user_id, **session).execute()
        users.set_password("alice", "hash", HERE, revoke_keys=revoke_keys)

    catalog.write(prepare)
    assert catalog.read(grants.list_for, alice.user_id) == []
    assert len(catalog.read(grants.list_for, charlie.user_id)) == 1
    assert catalog.read(lambda: rows(WebSession.select(WebSession.hash))) == [("charlie",)]
    assert len(catalog.read(keys.list_for, alice.user_id)) == (0 if revoke_keys else 1)
    assert len(catalog.read(keys.list_for, charlie.user_id)) == 1


def test_password_changed_with_the_account_ends_grants_and_other_changes_do_not(
    catalog: Catalog, alice: Identity
) -> None:
    row, _ = register(catalog, alice)
    open_one(catalog, alice, row.client_id)
    catalog.write(users.change, "alice", users.UserChange(first_name="Alice"), HERE)
    assert len(catalog.read(grants.list_for, alice.user_id)) == 1
    catalog.write(users.change, "alice", users.UserChange(password_hash="hash"), HERE)
    assert catalog.read(grants.list_for, alice.user_id) == []
