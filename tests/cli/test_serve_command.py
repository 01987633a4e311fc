from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from wotkit.cli import checkups
from wotkit.cli.serve import reached_at
from wotkit.settings import ServerSettings

if TYPE_CHECKING:
    from tests.cli.conftest import Wotkit


def test_taken_port_is_named_with_the_option(
    wotkit: Wotkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkups, "ANSWER_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        said = wotkit.refused("serve", "--port", port)
    assert f"port {port}" in said
    assert "--port" in said
    assert said.count("\n") == 1


def test_address_of_another_machine_is_refused(wotkit: Wotkit) -> None:
    said = wotkit.refused("serve", "--host", "192.0.2.1", "--port", "0")
    assert "192.0.2.1" in said
    assert "--host" in said


def test_port_that_is_no_number_is_a_mistake_in_the_settings(wotkit: Wotkit) -> None:
    assert "server.port" in wotkit.refused("serve", "--port", "many", status=2)


def test_second_worker_is_refused(wotkit: Wotkit) -> None:
    assert "one worker" in wotkit.refused("serve", "--port", "0", "--workers", "2")


def test_catalog_that_is_damaged_is_refused_in_one_line(wotkit: Wotkit) -> None:
    wotkit.data.mkdir(exist_ok=True)
    (wotkit.data / "catalog.db").write_bytes(b"no database" * 1000)
    said = wotkit.refused("serve", "--port", "0")
    assert "the database says: file is not a database" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("server", "address"),
    [
        (ServerSettings(), "http://127.0.0.1:8080"),
        (ServerSettings(host="0.0.0.0"), "http://127.0.0.1:8080"),
        (ServerSettings(host="::"), "http://[::1]:8080"),
        (ServerSettings(host="pi.local"), "http://pi.local:8080"),
        (ServerSettings(public_url="https://iot.example.org/"), "https://iot.example.org"),
    ],
)
def test_address_is_one_that_can_be_called(server: ServerSettings, address: str) -> None:
    assert reached_at(server, "http://listens.here:8080") == address
