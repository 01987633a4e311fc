"""Numbers of public sensors over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from wotkit import times
from wotkit.catalog.models import Sensor, changed

DAY = 86_400 * times.MICROSECONDS


@pytest.mark.parametrize("path", ["/api/stats", "/api/v1/stats/", "/api/v2/stats"])
def test_public_sensors_are_counted(client: Any, catalog: Any, path: str) -> None:
    nothing = {"day": 0, "week": 0, "month": 0, "year": 0}
    assert client.get(path).json() == {"total": 0, "active": 0, "new": nothing}
    ages = {"today": 0, "this-week": 2, "this-month": 20, "this-year": 200, "older": 400}
    for name in ages:
        client.make_sensor(name, visibility="PUBLIC")
    client.make_sensor("hidden")
    for name in ("hidden", "older", "today"):
        client.post(f"sensors/{name}/data", "alice", {"value": 1})
    now = times.now()
    for name, days in ages.items():
        aged = Sensor.update(created=now - days * DAY).where(Sensor.name == name)
        catalog.write(changed, aged)
    for who in (None, "alice"):
        assert client.get(path, who).json() == {
            "total": 5,
            "active": 2,
            "new": {"day": 1, "week": 2, "month": 3, "year": 4},
        }


def test_stats_are_only_read(client: Any) -> None:
    client.error(client.put("stats", "alice", {}), 405)
