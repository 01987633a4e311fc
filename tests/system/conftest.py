"""What the tests of real processes share; `server_process` and `wire` are modules beside this."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that this test alone uses, with Alice, who has the sensor ``roof``."""
    with ServerProcess(tmp_path / "data") as found:
        add_alice(found)
        yield found


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for the tests of a module that do not stop it, with Alice and her ``roof``."""
    with ServerProcess(tmp_path_factory.mktemp("shared") / "data") as found:
        add_alice(found)
        yield found


def add_alice(server: ServerProcess) -> None:
    server.add_user("alice")
    server.command("sensor", "create", "roof", "--user", "alice")
