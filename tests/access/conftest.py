"""One server for all that asks who may do what; Alice registers, Bobby and Charlie decide."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.access.parties import OAuthApp, Server
from tests.web_user import WebUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENT = (
    *("--set", "auth.failures_per_address=1000000"),
    *("--set", "oauth.device_interval_seconds=1"),
)
"""Nobody here is slowed down for what others from this machine did wrong."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("access") / "data", *PATIENT) as found:
        for name in ("alice", "bobby", "charlie"):
            found.add_user(name)
        found.add_user("admin", "--admin")
        found.command("sensor", "create", "roof", "--user", "alice")
        yield found
        assert "unexpected error" not in found.log
        assert "Traceback" not in found.log


def _signed_in(server: Server, name: str) -> WebUser:
    user = WebUser(server.url, name)
    assert user.open("/account").status_code == 200
    return user


@pytest.fixture(scope="session")
def alice(server: Server) -> Iterator[WebUser]:
    with _signed_in(server, "alice") as user:
        yield user


@pytest.fixture(scope="session")
def bobby(server: Server) -> Iterator[WebUser]:
    with _signed_in(server, "bobby") as user:
        yield user


@pytest.fixture(scope="session")
def charlie(server: Server) -> Iterator[WebUser]:
    with _signed_in(server, "charlie") as user:
        yield user


@pytest.fixture(scope="session")
def admin(server: Server) -> Iterator[WebUser]:
    with _signed_in(server, "admin") as user:
        yield user


@pytest.fixture(scope="module")
def web(server: Server) -> OAuthApp:
    """An application that has a secret."""
    return OAuthApp.register(server)


@pytest.fixture(scope="module")
def public(server: Server) -> OAuthApp:
    """An application that can keep none."""
    return OAuthApp.register(server, kind="browser")


@pytest.fixture
def time_passes(server: Server) -> Callable[..., None]:
    """Have what is stored in a table be some seconds older."""

    def pass_(table: str, seconds: float, column: str = "expires") -> None:
        statement = f"UPDATE {table} SET {column} = {column} - ?"
        with closing(sqlite3.connect(server.data / "catalog.db", timeout=20)) as catalog, catalog:
            catalog.execute(statement, (int(seconds * 1_000_000),))

    return pass_
