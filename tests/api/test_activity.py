"""Which sensors are active, while readings come and go."""

from __future__ import annotations

from typing import Any

import pytest

from wotkit import times
from wotkit.api.v1 import activity


def active(client: Any) -> list[str]:
    return [sensor["name"] for sensor in client.get("sensors", "alice", active="true").json()]


@pytest.fixture
def pair(client: Any) -> Any:
    client.make_sensor("first")
    client.make_sensor("second")
    return client


def test_sensor_is_active_from_its_first_reading_on_whatever_was_asked_before(pair: Any) -> None:
    assert active(pair) == []
    pair.post("sensors/second/data", "alice", {"value": 1})
    assert active(pair) == ["second"]
    pair.put("sensors/first/data", "alice", [{"timestamp": "2020-01-01T00:00:00Z", "value": 1}])
    assert active(pair) == ["first", "second"]


def test_sensor_whose_readings_are_deleted_is_active_no_more(pair: Any) -> None:
    moment = "2020-01-01T00:00:00Z"
    pair.post("sensors/first/data", "alice", {"value": 1, "timestamp": moment})
    assert active(pair) == ["first"]
    pair.delete(f"sensors/first/data/{moment}", "alice")
    assert active(pair) == []


def test_sensor_is_active_no_more_when_its_time_is_over(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.post("sensors/first/data", "alice", {"value": 1})
    assert active(pair) == ["first"]
    later = times.now() + 16 * activity.MINUTE
    monkeypatch.setattr(times, "now", lambda: later)
    assert active(pair) == []


def test_nothing_is_noted_once_nobody_asks(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert active(pair) == []
    later = times.now() + activity.IDLE + activity.KEEP
    monkeypatch.setattr(times, "now", lambda: later)
    pair.post("sensors/first/data", "alice", {"value": 1})
    pair.post("sensors/second/data", "alice", {"value": 1})
    assert active(pair) == ["first", "second"]
