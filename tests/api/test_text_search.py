"""Searching lists for a text, whatever is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.conftest import Client

APP = {"name": "zebra plotter", "website": "https://app.example", "kind": "web"}
USER = {
    "username": "zebra",
    "firstname": "Zebra",
    "lastname": "Crossing",
    "email": "zebra@example.org",
    "password": "neither black nor white",
    "timeZone": "UTC",
}
NAMED = {"name": "zebras", "longName": "Zebras"}
SENSOR = {"description": "stripes", "visibility": "PUBLIC"}


@pytest.fixture
def zebras(client: Client) -> Client:
    """One zebra in each list."""
    made: list[tuple[str, Any, Any]] = [
        ("/api/v2/apps", "alice", APP),
        ("/api/v1/users", "admin", USER),
        ("/api/v1/orgs", "admin", NAMED),
        ("/api/v1/groups", "alice", NAMED),
        ("/api/v1/sensors", "alice", NAMED | SENSOR),
    ]
    for path, caller, body in made:
        answer = client.post(path, caller, body)
        assert answer.status_code in {201, 204}, answer.text
    report = client.put("/api/v2/gateways/zebra/status", "alice", {"status": "online"})
    assert report.status_code == 204
    return client


@pytest.mark.parametrize(
    "path", ["v1/users", "v1/orgs", "v1/groups", "v1/sensors", "v2/apps", "v2/gateways"]
)
def test_text_with_a_nul_is_in_nothing(zebras: Client, path: str) -> None:
    caller = "admin" if path == "v1/users" else "alice"

    def found(text: str) -> int:
        query = {"q" if path == "v2/gateways" else "text": text}
        answer = zebras.get(f"/api/{path}", caller, **query)
        assert answer.status_code == 200, answer.text
        return len(answer.json())

    assert found("zebra") == found("EBR") == found("eb") == 1
    for text in ("\0", "a\0", "zebra\0", "zebra\0x", "\0zebra"):
        assert found(text) == 0, repr(text)
