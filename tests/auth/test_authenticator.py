from __future__ import annotations

import asyncio
import base64
import math
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wotkit import times
from wotkit.auth import authenticator as module
from wotkit.auth import credentials, passwords
from wotkit.auth.authenticator import Authenticator
from wotkit.catalog import Catalog, accounts, keys, logins, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.keys import KeyChange
from wotkit.catalog.models import Account, Key, KeySensor, LoginFailure, Member, Org, Sensor
from wotkit.errors import (
    Overloaded,
    StoreUnavailable,
    TooManyLogins,
    Unauthenticated,
    WotkitError,
)
from wotkit.settings import AuthSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from wotkit.catalog.identity import Identity

PASSWORD = "correct horse battery"
TESTS = Actor("tests", "127.0.0.1")
HERE = "192.0.2.1"
THERE = "192.0.2.2"


async def next_request(auth: Authenticator, header: str, address: str) -> Identity | None:
    """Ask what is remembered as a request does that came after everything so far.

    Not in the same turn of the event loop: its bytes were read after the change was made.
    """
    await asyncio.sleep(0)
    return auth.remembered(header, address)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def auth_settings(**changed: Any) -> AuthSettings:
    return AuthSettings(**{"bcrypt_cost": 4, **changed})


@asynccontextmanager
async def authenticator(catalog: Catalog, **changed: Any) -> AsyncIterator[Authenticator]:
    found = Authenticator(catalog, auth_settings(**changed))
    try:
        yield found
    finally:
        found.close()


class Calls:
    def __init__(self) -> None:
        self.checked: list[bytes] = []
        self.hashed = 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Count what bcrypt is asked."""
    found = Calls()
    check, make = bcrypt.checkpw, bcrypt.hashpw

    def counted_check(password: bytes, hashed: bytes) -> bool:
        found.checked.append(hashed)
        return check(password, hashed)

    def counted_hash(password: bytes, salt: bytes) -> bytes:
        found.hashed += 1
        return make(password, salt)

    monkeypatch.setattr(bcrypt, "checkpw", counted_check)
    monkeypatch.setattr(bcrypt, "hashpw", counted_hash)
    return found


class MadeKey:
    def __init__(self, owner: Identity, key_id: str, password: str) -> None:
        self.owner = owner
        self.id = key_id
        self.password = password
        self.header = basic(key_id, password)


@pytest.fixture
def alice(make_user: Any) -> Identity:
    return make_user("alice")


@pytest.fixture
def make_key(catalog: Catalog) -> Callable[..., MadeKey]:
    def make(owner: Identity, **attributes: Any) -> MadeKey:
        password = passwords.make_secret()
        change = KeyChange(**{"name": "gateway", **attributes})
        row = catalog.write(keys.create, owner, change, passwords.hash_secret(password), TESTS)
        return MadeKey(owner, row.id, password)

    return make


@pytest.fixture
def key(alice: Identity, make_key: Callable[..., MadeKey]) -> MadeKey:
    return make_key(alice)


@pytest.fixture
def other(data: Path, catalog: Catalog) -> Iterator[Catalog]:
    """The same folder, opened once more as another process does."""
    found = Catalog(data)
    yield found
    found.close()


def failures(catalog: Catalog) -> int:
    return int(catalog.read(lambda: LoginFailure.select().count()))


# Whom credentials stand for


def test_user_has_the_everyday_scopes_and_its_teams_accounts(
    catalog: Catalog, make_user: Any
) -> None:
    make_user("alice", team="garden")

    async def main() -> None:
        async with authenticator(catalog) as auth:
            identity = await auth.authenticate(basic("alice", PASSWORD), HERE)
            assert identity.username == "alice"
            assert identity.scopes == {"read", "write", "manage", "control"}
            assert not identity.admin
            assert identity.key_id is None
            garden = catalog.read(lambda: Account.get(Account.name == "garden").id)
            assert identity.accounts == {identity.user_id, garden}

    asyncio.run(main())


def test_key_acts_for_its_owner_within_its_scopes(
    catalog: Catalog, alice: Identity, make_key: Callable[..., MadeKey]
) -> None:
    everyday = make_key(alice)
    reader = make_key(alice, scopes=["read"])

    async def main() -> None:
        async with authenticator(catalog) as auth:
            identity = await auth.authenticate(everyday.header, HERE)
            assert identity.user_id == alice.user_id
            assert identity.key_id == everyday.id
            assert identity.scopes == {"read", "write", "manage", "control"}
            assert (await auth.authenticate(reader.header, HERE)).scopes == {"read"}

    asyncio.run(main())


def test_admin_scope_needs_the_role_and_to_be_asked_for(
    catalog: Catalog, make_user: Any, make_key: Callable[..., MadeKey], other: Catalog
) -> None:
    root = make_user("root", admin=True)
    everyday, powerful = make_key(root), make_key(root, scopes=["all", "admin"])

    async def main() -> None:
        async with authenticator(catalog) as auth:
            assert (await auth.authenticate(basic("root", PASSWORD), HERE)).admin
            assert not (await auth.authenticate(everyday.header, HERE)).admin
            identity = await auth.authenticate(powerful.header, HERE)
            assert identity.admin
            assert "admin" in identity.scopes
            other.write(lambda: users.User.update(role="user").execute())
            identity = await auth.authenticate(powerful.header, HERE)
            assert not identity.admin
            assert "admin" not in identity.scopes

    asyncio.run(main())


def test_limited_key_stays_limited_when_its_sensor_is_gone(
    catalog: Catalog, key: MadeKey, alice: Identity, other: Catalog
) -> None:
    def limit() -> None:
        for sensor_id in (7, 8):
            Sensor.insert(
                id=sensor_id,
                owner=alice.user_id,
                name=f"sensor-{sensor_id}",
                long_name="x",
                description="x",
                created=0,
            ).execute()
        KeySensor.insert(key=key.id, sensor=7).execute()
        Key.update(limited=True).execute()

    other.write(limit)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            assert (await auth.authenticate(key.header, HERE)).sensors == {7}
            other.write(lambda: Sensor.delete().where(Sensor.id == 7).execute())
            assert (await auth.authenticate(key.header, HERE)).sensors == frozenset()

    asyncio.run(main())


# Malformed headers


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


MALFORMED = [
    "",
    " ",
    "Basic",
    "Basic ",
    "basic :",
    "Basic alice:password",
    "Basic " + b64(b"alice"),
    "Basic " + b64(b""),
    "Basic " + b64(b"\xff\xfe:x"),
    "Basic " + b64("alice:x".encode("utf-16")),
    "Basic " + b64(b"alice:x")[:-1],
    "Basic " + b64(b"alice:x") + "=",
    "Basic " + b64(b"alice:x") + " trailing",
    "Basic \xe9",
    "Basic ====",
    "Bearer abcdef",
    "Digest username=alice",
    b64(b"alice:" + PASSWORD.encode()),
    "Basic\t" + b64(b"alice:x"),
    "\ud800",
    "Basic " + "A" * 100_000,
]


@pytest.mark.parametrize("header", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_header_is_refused_and_not_repeated(
    catalog: Catalog, alice: Identity, header: str
) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            with pytest.raises(Unauthenticated) as caught:
                await auth.authenticate(header, HERE)
            assert len(header) < 8 or header[:12].strip() not in str(caught.value)
            assert PASSWORD not in str(caught.value)
            assert b64(PASSWORD.encode())[:8] not in str(caught.value)

    asyncio.run(main())
    assert failures(catalog) == 0


@given(st.text(max_size=60) | st.binary(max_size=30).map(lambda raw: "Basic " + b64(raw)))
@example("Basic " + b64(b"\0:\0"))
@example("Basic " + b64("é:ü".encode()))
@example("Basic " + b64(b"0123456789abcdef:\xed\x9f\xbf"))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_header_is_refused_without_another_exception(catalog: Catalog, header: str) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            with pytest.raises((Unauthenticated, TooManyLogins)):
                await auth.authenticate(header, HERE)

    asyncio.run(main())


def test_scheme_is_read_in_any_case(catalog: Catalog, alice: Identity) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            header = basic("alice", PASSWORD).replace("Basic ", "bAsIC   ")
            assert (await auth.authenticate(header, HERE)).username == "alice"

    asyncio.run(main())


def test_password_may_hold_colons_and_any_text(catalog: Catalog, make_user: Any) -> None:
    strange = "::pässwörd \0 with everything::"
    make_user("alice", password=strange)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            assert (await auth.authenticate(basic("alice", strange), HERE)).username == "alice"
            with pytest.raises(Unauthenticated):
                await auth.authenticate(basic("alice", strange.rstrip(":")), HERE)

    asyncio.run(main())


# Wrong credentials, and how long they take


@pytest.mark.parametrize(
    "name", ["nobody", "disabled", "", "ALICE", "alice ", "alice\0", "x" * 5000]
)
def test_wrong_name_asks_as_much_of_bcrypt_as_a_wrong_password(
    catalog: Catalog, make_user: Any, calls: Calls, name: str
) -> None:
    make_user("alice")
    make_user("disabled")
    catalog.write(users.set_enabled, "disabled", False, TESTS)
    calls.hashed = 0

    async def main() -> None:
        async with authenticator(catalog) as auth:
            for tried in ("alice", name, name, "alice"):
                calls.checked.clear()
                calls.hashed = 0
                with pytest.raises(Unauthenticated) as caught:
                    await auth.authenticate(basic(tried, "wrong" * 30), HERE)
                assert len(calls.checked) == 1
                assert calls.checked[0].startswith(b"$2b$04$")
                assert len(calls.checked[0]) == 60
                assert calls.hashed == 0
                assert str(caught.value) == (
                    "Authentication is required (the credentials are wrong, expired or revoked)"
                )

    asyncio.run(main())


def test_wrong_password_of_a_key_costs_no_bcrypt(
    catalog: Catalog, key: MadeKey, calls: Calls
) -> None:
    calls.hashed = 0

    async def main() -> None:
        async with authenticator(catalog) as auth:
            for header in (basic(key.id, "wrong"), basic("0" * 16, "x"), basic(key.id, "")):
                with pytest.raises(Unauthenticated):
                    await auth.authenticate(header, HERE)

    asyncio.run(main())
    assert (calls.checked, calls.hashed) == ([], 0)


def test_hash_is_not_a_password(catalog: Catalog, key: MadeKey) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            stolen = passwords.hash_secret(key.password)
            with pytest.raises(Unauthenticated):
                await auth.authenticate(basic(key.id, stolen), HERE)

    asyncio.run(main())


# Remembering, and forgetting at once


def test_verified_password_is_remembered_for_a_while(
    catalog: Catalog, alice: Identity, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = basic("alice", PASSWORD)

    async def main() -> None:
        async with authenticator(catalog, remember_seconds=100) as auth:
            for _ in range(3):
                await auth.authenticate(header, HERE)
            assert len(calls.checked) == 1
            assert await next_request(auth, header, HERE) is not None
            later = time.monotonic() + 101
            monkeypatch.setattr(time, "monotonic", lambda: later)
            assert await next_request(auth, header, HERE) is None
            await auth.authenticate(header, HERE)
            assert len(calls.checked) == 2

    asyncio.run(main())


def test_nothing_is_remembered_when_the_setting_says_so(
    catalog: Catalog, alice: Identity, calls: Calls
) -> None:
    async def main() -> None:
        async with authenticator(catalog, remember_seconds=0) as auth:
            for _ in range(2):
                await auth.authenticate(basic("alice", PASSWORD), HERE)

    asyncio.run(main())
    assert len(calls.checked) == 2


def test_other_changes_of_the_catalog_ask_nothing_of_bcrypt(
    catalog: Catalog, alice: Identity, calls: Calls
) -> None:
    """Sensors are added all the time; scripts must not wait for bcrypt each time."""
    header = basic("alice", PASSWORD)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            for number in range(3):
                await auth.authenticate(header, HERE)
                await catalog.writing(accounts.create, f"org{number}", "org")
                assert await next_request(auth, header, HERE) is None
            await auth.authenticate(header, HERE)
            assert await next_request(auth, header, HERE) is not None

    asyncio.run(main())
    assert len(calls.checked) == 1


def test_membership_counts_from_the_next_request_on(
    catalog: Catalog, make_user: Any, other: Catalog
) -> None:
    make_user("alice")
    header = basic("alice", PASSWORD)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            before = await auth.authenticate(header, HERE)

            def join() -> int:
                account = accounts.create("garden", "org")
                Org.insert(account=account.id, long_name="Garden").execute()
                Member.insert(org=account.id, user=before.user_id).execute()
                return int(account.id)

            garden = other.write(join)
            assert await next_request(auth, header, HERE) is None
            after = await auth.authenticate(header, HERE)
            assert after.accounts == before.accounts | {garden}

    asyncio.run(main())


REVOCATIONS: dict[str, Callable[[MadeKey], Any]] = {
    "revoked": lambda key: keys.revoke(key.owner, key.id, TESTS),
    "rotated without overlap": lambda key: keys.rotate(
        key.owner, key.id, "0" * 64, overlap_seconds=0, actor=TESTS
    ),
    "owner disabled": lambda key: users.set_enabled("alice", False, TESTS),
    "expired": lambda key: Key.update(expires=times.now() - 1).execute(),
    "overlap over": lambda key: Key.update(
        old_secret_hash=Key.secret_hash, secret_hash="0" * 64, old_secret_until=times.now() - 1
    ).execute(),
}


@pytest.mark.parametrize("revocation", REVOCATIONS)
def test_key_is_refused_at_the_very_next_request(
    catalog: Catalog, key: MadeKey, other: Catalog, revocation: str
) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            await auth.authenticate(key.header, HERE)
            assert await next_request(auth, key.header, HERE) is not None
            other.write(REVOCATIONS[revocation], key)
            assert await next_request(auth, key.header, HERE) is None
            with pytest.raises(Unauthenticated):
                await auth.authenticate(key.header, HERE)

    asyncio.run(main())


@pytest.mark.parametrize("change", ["disabled", "password"])
def test_user_is_refused_at_the_very_next_request(
    catalog: Catalog, alice: Identity, other: Catalog, change: str
) -> None:
    header = basic("alice", PASSWORD)
    new_hash = passwords.hash_password("another long password", 4)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            await auth.authenticate(header, HERE)
            if change == "disabled":
                other.write(users.set_enabled, "alice", False, TESTS)
            else:
                other.write(users.set_password, "alice", new_hash, TESTS)
            assert await next_request(auth, header, HERE) is None
            with pytest.raises(Unauthenticated):
                await auth.authenticate(header, HERE)
            if change == "disabled":
                other.write(users.set_enabled, "alice", True, TESTS)
                await auth.authenticate(header, HERE)
            else:
                await auth.authenticate(basic("alice", "another long password"), HERE)

    asyncio.run(main())


_REVOKE = """
import sys
from pathlib import Path
from wotkit.catalog import Catalog
from wotkit.catalog.models import Key
catalog = Catalog(Path(sys.argv[1]))
catalog.write(lambda: Key.delete().execute())
catalog.close()
"""


def test_key_revoked_by_another_process_is_refused_at_once(
    catalog: Catalog, key: MadeKey, data: Path
) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            await auth.authenticate(key.header, HERE)
            command = [sys.executable, "-c", _REVOKE, str(data)]
            await asyncio.to_thread(subprocess.run, command, check=True, timeout=30)
            assert await next_request(auth, key.header, HERE) is None
            with pytest.raises(Unauthenticated):
                await auth.authenticate(key.header, HERE)

    asyncio.run(main())


def test_remembered_key_expires_without_any_change(
    catalog: Catalog, alice: Identity, make_key: Callable[..., MadeKey], monkeypatch: Any
) -> None:
    key = make_key(alice, expires=times.now() + 60_000_000)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            await auth.authenticate(key.header, HERE)
            assert await next_request(auth, key.header, HERE) is not None
            later = times.now() + 60_000_001
            monkeypatch.setattr(times, "now", lambda: later)
            assert await next_request(auth, key.header, HERE) is None
            with pytest.raises(Unauthenticated):
                await auth.authenticate(key.header, HERE)

    asyncio.run(main())


def test_both_passwords_of_a_rotated_key_are_good_until_the_overlap_ends(
    catalog: Catalog, key: MadeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = passwords.make_secret()
    catalog.write(
        keys.rotate, key.owner, key.id, passwords.hash_secret(new), overlap_seconds=60, actor=TESTS
    )

    async def main() -> None:
        async with authenticator(catalog) as auth:
            for header in (key.header, basic(key.id, new)):
                assert (await auth.authenticate(header, HERE)).key_id == key.id
            later = times.now() + 60_000_001
            monkeypatch.setattr(times, "now", lambda: later)
            assert await next_request(auth, key.header, HERE) is None
            with pytest.raises(Unauthenticated):
                await auth.authenticate(key.header, HERE)
            assert (await auth.authenticate(basic(key.id, new), HERE)).key_id == key.id

    asyncio.run(main())


def test_revocation_while_a_key_is_verified_is_not_remembered(
    catalog: Catalog, key: MadeKey, other: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = credentials.of_key

    def slowly(key_id: str, password: str) -> Identity | None:
        found = verify(key_id, password)
        other.write(keys.revoke, key.owner, key.id, TESTS)
        return found

    monkeypatch.setattr(credentials, "of_key", slowly)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            await auth.authenticate(key.header, HERE)
            monkeypatch.undo()
            assert await next_request(auth, key.header, HERE) is None
            with pytest.raises(Unauthenticated):
                await auth.authenticate(key.header, HERE)

    asyncio.run(main())


def test_request_after_a_revocation_does_not_join_a_verification_from_before(
    catalog: Catalog, alice: Identity, other: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = basic("alice", PASSWORD)
    in_bcrypt, go_on = threading.Event(), threading.Event()
    verify = passwords.verify_password

    def slowly(password: str, hashed: str) -> bool:
        in_bcrypt.set()
        go_on.wait(5)
        return verify(password, hashed)

    monkeypatch.setattr(passwords, "verify_password", slowly)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            early = asyncio.create_task(auth.authenticate(header, HERE))
            await asyncio.to_thread(in_bcrypt.wait, 5)
            other.write(users.set_enabled, "alice", False, TESTS)
            late = asyncio.create_task(auth.authenticate(header, HERE))
            await asyncio.sleep(0.05)
            go_on.set()
            with pytest.raises(Unauthenticated):
                await late
            with suppress(Unauthenticated):
                await early
            assert await next_request(auth, header, HERE) is None

    asyncio.run(main())


def test_many_requests_at_once_verify_a_password_once(
    catalog: Catalog, alice: Identity, calls: Calls
) -> None:
    header = basic("alice", PASSWORD)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            first = asyncio.create_task(auth.authenticate(header, HERE))
            await asyncio.sleep(0)
            rest = [asyncio.create_task(auth.authenticate(header, HERE)) for _ in range(200)]
            await asyncio.sleep(0)
            first.cancel()
            found = await asyncio.gather(*rest)
            assert {identity.username for identity in found} == {"alice"}
            assert not auth._under_way

    asyncio.run(main())
    assert len(calls.checked) == 1


def test_remembered_credentials_are_bounded_and_hold_no_password(
    catalog: Catalog, key: MadeKey, alice: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            for spaces in range(1, 40):
                await auth.authenticate(key.header.replace(" ", " " * spaces), HERE)
                assert len(auth._remembered) <= 10
            await auth.authenticate(basic("alice", PASSWORD), HERE)
            kept = repr((auth._remembered, auth._proven, auth._uses))
            for secret in (PASSWORD, key.password, key.header, basic("alice", PASSWORD)):
                assert secret not in kept

    asyncio.run(main())


def test_raised_cost_renews_the_hash_at_the_next_login(
    catalog: Catalog, alice: Identity, calls: Calls
) -> None:
    header = basic("alice", PASSWORD)

    def stored() -> str:
        found = credentials.candidate("alice")
        assert found is not None
        return found.password_hash

    calls.hashed = 0

    async def main() -> None:
        async with authenticator(catalog, bcrypt_cost=5) as auth:
            for _ in range(3):
                await auth.authenticate(header, HERE)

    asyncio.run(main())
    assert catalog.read(stored).startswith("$2b$05$")
    assert (len(calls.checked), calls.hashed) == (1, 1)


# Limits of failed logins


def test_account_is_limited_from_any_address_and_says_how_long(
    catalog: Catalog, make_user: Any, data: Path
) -> None:
    make_user("alice")
    make_user("bobby")

    async def fail(auth: Authenticator, name: str, address: str) -> None:
        with pytest.raises(Unauthenticated):
            await auth.authenticate(basic(name, f"wrong at {address}"), address)

    async def main() -> None:
        async with authenticator(catalog, failures_per_account=3) as auth:
            for number in range(3):
                await fail(auth, "alice", f"192.0.2.{number}")
            with pytest.raises(TooManyLogins) as caught:
                await auth.authenticate(basic("alice", PASSWORD), THERE)
            assert caught.value.retry_after is not None
            assert 290 < caught.value.retry_after <= 300
            await auth.authenticate(basic("bobby", PASSWORD), HERE)
        restarted = Catalog(data)
        async with authenticator(restarted, failures_per_account=3) as auth:
            with pytest.raises(TooManyLogins):
                await auth.authenticate(basic("alice", PASSWORD), THERE)
        restarted.close()

    asyncio.run(main())


def test_address_is_limited_over_all_accounts_and_keys(
    catalog: Catalog, alice: Identity, key: MadeKey
) -> None:
    async def main() -> None:
        async with authenticator(catalog, failures_per_address=4) as auth:
            wrong = [
                basic("nobody", "x"),
                basic("other", "y"),
                basic(key.id, "z"),
                basic("0" * 16, ""),
            ]
            for header in wrong:
                with pytest.raises(Unauthenticated):
                    await auth.authenticate(header, HERE)
            for header in (*wrong, basic("alice", PASSWORD)):
                with pytest.raises(TooManyLogins) as caught:
                    await auth.authenticate(header, HERE)
                assert caught.value.retry_after is not None
                assert 0 < caught.value.retry_after <= 300
            assert failures(catalog) == 6, "a refused attempt is not counted again"
            await auth.authenticate(basic("alice", PASSWORD), THERE)

    asyncio.run(main())


def test_good_key_works_from_a_blocked_address(catalog: Catalog, key: MadeKey) -> None:
    async def main() -> None:
        async with authenticator(catalog, failures_per_address=1) as auth:
            with pytest.raises(Unauthenticated):
                await auth.authenticate(basic("nobody", "x"), HERE)
            with pytest.raises(TooManyLogins):
                await auth.authenticate(basic("nobody", "x"), HERE)
            assert (await auth.authenticate(key.header, HERE)).key_id == key.id

    asyncio.run(main())


def test_remembered_user_is_not_locked_out_by_a_guesser(catalog: Catalog, alice: Identity) -> None:
    async def main() -> None:
        async with authenticator(catalog, failures_per_account=1) as auth:
            await auth.authenticate(basic("alice", PASSWORD), HERE)
            with pytest.raises(Unauthenticated):
                await auth.authenticate(basic("alice", "guess"), THERE)
            with pytest.raises(TooManyLogins):
                await auth.authenticate(basic("alice", "guess again"), THERE)
            await catalog.writing(accounts.create, "garden", "org")
            await auth.authenticate(basic("alice", PASSWORD), HERE)

    asyncio.run(main())


def test_guesses_at_once_do_not_get_around_the_limit(
    catalog: Catalog, alice: Identity, calls: Calls
) -> None:
    async def main() -> list[Any]:
        async with authenticator(catalog, failures_per_account=5) as auth:
            guesses = [auth.authenticate(basic("alice", f"guess {n}"), HERE) for n in range(40)]
            return await asyncio.gather(*guesses, return_exceptions=True)

    answers = asyncio.run(main())
    assert {type(answer) for answer in answers} == {Unauthenticated, TooManyLogins}
    tried = sum(isinstance(answer, Unauthenticated) for answer in answers)
    assert 5 <= tried < 5 + module.BCRYPT_THREADS
    assert len(calls.checked) == tried


def test_limit_ends_with_its_window(
    catalog: Catalog, alice: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        settings = {"failures_per_account": 2, "failure_window_seconds": 60}
        async with authenticator(catalog, **settings) as auth:
            start = times.now()
            for second in (0, 30):
                monkeypatch.setattr(times, "now", lambda s=second: start + s * 1_000_000)
                with pytest.raises(Unauthenticated):
                    await auth.authenticate(basic("alice", "x"), HERE)
            with pytest.raises(TooManyLogins) as caught:
                await auth.authenticate(basic("alice", PASSWORD), HERE)
            assert caught.value.retry_after == 30
            monkeypatch.setattr(times, "now", lambda: start + 60_000_000)
            await auth.authenticate(basic("alice", PASSWORD), HERE)

    asyncio.run(main())


def test_good_login_forgets_the_accounts_failures_but_not_the_addresss(
    catalog: Catalog, alice: Identity
) -> None:
    async def main() -> None:
        async with authenticator(catalog, failures_per_account=2, remember_seconds=0) as auth:
            for _ in range(3):
                with pytest.raises(Unauthenticated):
                    await auth.authenticate(basic("alice", "x"), HERE)
                await auth.authenticate(basic("alice", PASSWORD), HERE)

    asyncio.run(main())
    left = catalog.read(lambda: {failure.subject for failure in LoginFailure.select()})
    assert left == {logins.address(HERE)}


def test_too_many_passwords_at_once_are_told_to_come_back(
    catalog: Catalog, make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BCRYPT_QUEUE", 3)

    async def main() -> list[Any]:
        async with authenticator(catalog) as auth:
            tries = [auth.authenticate(basic(f"user{n}", "x"), HERE) for n in range(12)]
            answers = await asyncio.gather(*tries, return_exceptions=True)
            assert auth._waiting == 0
            return answers

    kinds = [type(answer) for answer in asyncio.run(main())]
    assert kinds.count(Overloaded) >= 1
    assert kinds.count(Unauthenticated) >= 3
    assert set(kinds) == {Overloaded, Unauthenticated}


def test_cancelled_requests_give_their_place_back(catalog: Catalog, alice: Identity) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            for number in range(module.BCRYPT_QUEUE * 2):
                task = asyncio.create_task(auth.verify("alice", f"guess {number}", HERE))
                await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError, WotkitError):
                    await task
            assert auth._waiting == 0
            with suppress(TooManyLogins):
                await auth.verify("alice", PASSWORD, HERE)

    asyncio.run(main())


def test_verify_is_limited_and_remembers_nothing(
    catalog: Catalog, alice: Identity, calls: Calls
) -> None:
    async def main() -> None:
        async with authenticator(catalog, failures_per_account=1) as auth:
            for _ in range(2):
                assert (await auth.verify("alice", PASSWORD, HERE)).username == "alice"
            with pytest.raises(Unauthenticated):
                await auth.verify("alice", "x", HERE)
            with pytest.raises(TooManyLogins):
                await auth.verify("alice", PASSWORD, HERE)

    asyncio.run(main())
    assert len(calls.checked) == 3


# Last used


def uses(catalog: Catalog, key: MadeKey) -> tuple[int | None, str | None]:
    row = catalog.read(keys.get, key.owner, key.id)
    return row.last_used, row.last_address


def test_last_use_is_written_when_flushed_and_forgets_nobody(
    catalog: Catalog, key: MadeKey
) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            watch = catalog.watch()
            revision = watch.revision()
            before = times.now()
            await auth.authenticate(key.header, HERE)
            await auth.authenticate(key.header, THERE)
            assert uses(catalog, key) == (None, None)
            await auth.flush_uses()
            used, address = uses(catalog, key)
            assert used is not None
            assert before <= used <= times.now()
            assert address == THERE
            assert watch.revision() == revision
            watch.close()
            assert await next_request(auth, key.header, HERE) is not None
            await auth.flush_uses()
            assert uses(catalog, key)[1] == HERE

    asyncio.run(main())


def test_refused_key_is_not_used(catalog: Catalog, key: MadeKey) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            with pytest.raises(Unauthenticated):
                await auth.authenticate(basic(key.id, "wrong"), HERE)
            await auth.flush_uses()

    asyncio.run(main())
    assert uses(catalog, key) == (None, None)


def test_use_of_a_key_revoked_meanwhile_is_dropped(
    catalog: Catalog, key: MadeKey, make_key: Callable[..., MadeKey]
) -> None:
    kept = make_key(key.owner)

    async def main() -> None:
        async with authenticator(catalog) as auth:
            await auth.authenticate(key.header, HERE)
            await auth.authenticate(kept.header, HERE)
            await catalog.writing(keys.revoke, key.owner, key.id, TESTS)
            await auth.flush_uses()

    asyncio.run(main())
    assert uses(catalog, kept)[1] == HERE


def test_uses_that_could_not_be_written_are_kept(
    catalog: Catalog, key: MadeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with authenticator(catalog) as auth:
            await auth.authenticate(key.header, HERE)

            def full(_: Any) -> None:
                raise StoreUnavailable("full")

            with monkeypatch.context() as patch:
                patch.setattr(keys, "note_uses", full)
                with pytest.raises(StoreUnavailable):
                    await auth.flush_uses()
            await auth.flush_uses()

    asyncio.run(main())
    assert uses(catalog, key)[1] == HERE


def test_expiry_that_never_comes_is_no_infinity() -> None:
    assert math.isfinite(credentials._NEVER)
    assert credentials._NEVER > times.LATEST
