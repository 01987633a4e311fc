"""What every test may ask for: a data folder, a catalog, users. bcrypt costs 4 here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

from wotkit.auth import credentials, passwords
from wotkit.catalog import Catalog, accounts, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.identity import accounts_of
from wotkit.catalog.models import Member, Org
from wotkit.config import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wotkit.catalog.identity import Identity

BCRYPT_COST = 4
PASSWORD = "correct horse battery"
"""The password of users made here."""
TESTS = Actor("tests", "127.0.0.1")


def pytest_configure() -> None:
    """Let no setting of whoever runs the tests reach them or the processes they start."""
    for variable in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[variable]
    os.environ["WOTKIT_AUTH_BCRYPT_COST"] = str(BCRYPT_COST)
    # how long an example takes says more about the machine than about the code
    hypothesis.settings.register_profile("wotkit", deadline=None)
    hypothesis.settings.load_profile("wotkit")


class MakeUser(Protocol):
    def __call__(
        self, name: str, *, password: str = ..., admin: bool = ..., team: str | None = ...
    ) -> Identity: ...


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty place for a data folder."""
    return tmp_path / "data"


@pytest.fixture
def catalog(data: Path) -> Iterator[Catalog]:
    found = Catalog(data)
    yield found
    found.close()


@pytest.fixture
def make_user(catalog: Catalog) -> MakeUser:
    """Add users: ``make_user("alice", team="garden")``; who names the same team are teammates."""

    def make(
        name: str, *, password: str = PASSWORD, admin: bool = False, team: str | None = None
    ) -> Identity:
        hashed = passwords.hash_password(password, BCRYPT_COST)
        role = "admin" if admin else "user"
        new = users.NewUser(username=name, password_hash=hashed, role=role)

        def work() -> Identity:
            user_id = users.create(new, TESTS)
            if team is not None:
                _join(team, user_id)
            found = credentials.candidate(name)
            assert found is not None
            assert found.identity.accounts == accounts_of(user_id)
            return found.identity

        return catalog.write(work)

    return make


def _join(team: str, user_id: int) -> None:
    org = Org.select().join(accounts.Account).where(accounts.Account.name == team).first()
    if org is None:
        account = accounts.create(team, "org")
        Org.insert(account=account.id, long_name=team.title()).execute()
        org = Org.get_by_id(account.id)
    Member.insert(org=org, user=user_id, role="ADMIN").execute()
