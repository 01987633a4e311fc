"""News over HTTP."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("path", ["/api/news", "/api/v1/news/", "/api/v2/news"])
def test_news_tell_of_public_sensors_newest_first(client: Any, path: str) -> None:
    assert client.get(path).json() == []
    client.make_sensor("first", visibility="PUBLIC")
    client.make_sensor("hidden")
    client.make_sensor("second", "charlie", visibility="PUBLIC", longName='The "second"')
    for who in (None, "alice"):
        told = client.get(path, who).json()
        assert [each["title"] for each in told] == [
            'charlie created the sensor "The "second"".',
            'alice created the sensor "First".',
        ]
    for each, name in zip(told, ("second", "first"), strict=True):
        assert client.get(each["url"]).json()["name"] == name
        assert isinstance(each["timestamp"], int)


def test_news_have_an_end(client: Any) -> None:
    many = [
        {"name": f"sensor-{i}", "longName": "Long", "description": "About", "visibility": "PUBLIC"}
        for i in range(60)
    ]
    client.put("sensors", "alice", many)
    told = client.get("news").json()
    assert len(told) == 50
    assert client.get(told[0]["url"]).json()["name"] == "sensor-59"


def test_news_are_only_read(client: Any) -> None:
    client.error(client.post("news", "alice", {}), 405)
