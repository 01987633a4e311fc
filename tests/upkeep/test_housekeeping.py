"""What the server does by itself: it finishes what a crash interrupted, and forgets in time."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from wotkit import times
from wotkit.app import Parts
from wotkit.catalog import (
    Catalog,
    fields,
    keys,
    links,
    logins,
    mqtt_sessions,
    sensors,
    sessions,
)
from wotkit.catalog.audit import Actor
from wotkit.catalog.fields import Cast, NewField
from wotkit.catalog.models import (
    Audit,
    LoginFailure,
    MqttSession,
    OneTimeLink,
    WebSession,
    changed,
    rows,
)
from wotkit.catalog.sensors import NewSensor, SensorChange
from wotkit.errors import StoreUnavailable
from wotkit.readings.store import Append, NewReading, Range, Resend
from wotkit.settings import Settings, StorageSettings
from wotkit.upkeep import housekeeping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from conftest import MakeUser

    from wotkit.catalog.identity import Identity

HERE = Actor("tests", "127.0.0.1")
HOUR = 3600 * times.MICROSECONDS
NOTE = NewField(name="note", long_name="Note", type="NUMBER")


@pytest.fixture
def alice(make_user: MakeUser) -> Identity:
    return make_user("alice")


@pytest.fixture
def sensor(catalog: Catalog, alice: Identity) -> int:
    new = NewSensor(name="boiler", long_name="Boiler", description="hot")
    return catalog.write(sensors.create, alice, new, HERE).id


@asynccontextmanager
async def parts_on(data: Path) -> AsyncIterator[Parts]:
    """Run the parts of a server, whose chores the test does itself."""
    parts = Parts(msgspec.structs.replace(Settings(), storage=StorageSettings(data=str(data))))
    parts.door.start()
    yield parts
    await parts.stop()


def with_parts(data: Path, work: Callable[[Parts], Awaitable[None]]) -> None:
    async def run() -> None:
        async with parts_on(data) as parts:
            await work(parts)

    asyncio.run(asyncio.wait_for(run(), 30))


def reading(sensor_id: int, ts: int, **values: Any) -> NewReading:
    return NewReading(sensor_id, ts, msgspec.json.encode(values), values)


def stored(parts: Parts, sensor_id: int) -> list[bytes]:
    return [data for _, _, data in parts.store.read(Range(sensor_id=sensor_id))]


# Deleted sensors


def test_drop_that_a_crash_prevented_is_made_good(
    catalog: Catalog, data: Path, alice: Identity, sensor: int
) -> None:
    async def work(parts: Parts) -> None:
        await parts.door.submit(Append([reading(sensor, 1, a=1), reading(sensor + 1, 1, a=1)]))
        catalog.write(sensors.delete, alice, "boiler", HERE)
        assert catalog.read(sensors.pending_drops) == [sensor]
        await parts.housekeeping.sweep()
        assert (stored(parts, sensor), len(stored(parts, sensor + 1))) == ([], 1)
        assert catalog.read(sensors.pending_drops) == []

    with_parts(data, work)


def test_reading_that_arrives_after_its_sensor_was_dropped_is_dropped_later(
    catalog: Catalog, data: Path, alice: Identity, sensor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(parts: Parts) -> None:
        catalog.write(sensors.delete, alice, "boiler", HERE)
        await parts.housekeeping.sweep()
        await parts.door.submit(Append([reading(sensor, 1, a=1)]))  # it was accepted before
        await parts.housekeeping.sweep()
        assert len(stored(parts, sensor)) == 1  # more could come
        later = times.now() + 2 * HOUR
        monkeypatch.setattr(times, "now", lambda: later)
        await parts.housekeeping.sweep()
        assert (stored(parts, sensor), parts.store.latest([sensor])) == ([], {})
        assert catalog.read(sensors.drops_to_repeat, later + HOUR) == []

    with_parts(data, work)


def test_drop_that_fails_stays_noted_and_is_tried_again(
    catalog: Catalog, data: Path, alice: Identity, sensor: int
) -> None:
    async def work(parts: Parts) -> None:
        await parts.door.submit(Append([reading(sensor, n, text="x" * 4000) for n in range(50)]))
        catalog.write(sensors.delete, alice, "boiler", HERE)
        parts.store._writer._connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        with pytest.raises(StoreUnavailable):
            await parts.housekeeping.sweep()
        assert catalog.read(sensors.pending_drops) == [sensor]
        parts.store._writer._connection.set_authorizer(None)
        await parts.housekeeping.sweep()
        assert catalog.read(sensors.pending_drops) == []
        assert stored(parts, sensor) == []

    with_parts(data, work)


# Casts


def test_cast_that_a_crash_prevented_is_made_good(
    catalog: Catalog, data: Path, alice: Identity, sensor: int
) -> None:
    async def work(parts: Parts) -> None:
        await parts.door.submit(
            Append([reading(sensor, 1, note="5"), reading(sensor, 2, note="x")])
        )
        catalog.write(fields.put, alice, "boiler", NOTE, HERE)
        assert catalog.read(fields.pending_casts) == [Cast(sensor, "note", True)]
        await parts.housekeeping.sweep()
        assert stored(parts, sensor) == [b'{"note":5}', b'{"note":"x"}']
        assert catalog.read(fields.pending_casts) == []

    with_parts(data, work)


def test_cast_is_noted_with_the_type_that_was_declared_last(
    catalog: Catalog, alice: Identity, sensor: int
) -> None:
    as_text = msgspec.structs.replace(NOTE, type="STRING")
    first = catalog.write(fields.put, alice, "boiler", NOTE, HERE)
    assert first is not None
    catalog.write(fields.put, alice, "boiler", as_text, HERE)
    catalog.write(fields.values_cast, first)  # of the type before: another cast is due
    assert catalog.read(fields.pending_casts) == [Cast(sensor, "note", False)]
    catalog.write(fields.values_cast, Cast(sensor, "note", False))
    assert catalog.read(fields.pending_casts) == []


@pytest.mark.parametrize("how", ["field", "all fields", "sensor"])
def test_cast_of_what_was_deleted_is_forgotten(
    catalog: Catalog, alice: Identity, sensor: int, how: str
) -> None:
    catalog.write(fields.put, alice, "boiler", NOTE, HERE)
    assert catalog.read(fields.pending_casts) == [Cast(sensor, "note", True)]
    if how == "field":
        catalog.write(fields.delete, alice, "boiler", "note", HERE)
    elif how == "all fields":
        others = SensorChange(fields=list(fields.DEFAULTS))
        catalog.write(sensors.change, alice, "boiler", others, HERE)
    else:
        catalog.write(sensors.delete, alice, "boiler", HERE)
    assert catalog.read(fields.pending_casts) == []


def test_change_of_all_fields_notes_each_cast_and_keeps_those_that_wait(
    catalog: Catalog, alice: Identity, sensor: int
) -> None:
    catalog.write(fields.put, alice, "boiler", NOTE, HERE)
    wanted = SensorChange(fields=[NOTE, NewField(name="value", type="STRING")])
    catalog.write(sensors.change, alice, "boiler", wanted, HERE)
    expected = [Cast(sensor, "note", True), Cast(sensor, "value", False)]
    assert catalog.read(fields.pending_casts) == expected


# What is old


def add_audited(*ats: int) -> None:
    row = {"actor": "alice", "address": "192.0.2.1", "action": "key.create", "target": "k"}
    Audit.insert_many([row | {"at": at} for at in ats]).execute()


def test_old_resends_logins_and_audit_are_forgotten(
    catalog: Catalog, data: Path, sensor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Append([reading(sensor, 1, a=1)], Resend("c", "k", b"f"))

    async def work(parts: Parts) -> None:
        await parts.door.submit(once)
        catalog.write(logins.record, "address:192.0.2.1")
        real_now = times.now()

        async def sweep_after(days: float) -> None:
            now = real_now + int(days * 24 * HOUR)
            monkeypatch.setattr(times, "now", lambda: now)
            await parts.housekeeping.sweep()

        def left() -> tuple[int, int]:
            return len(rows(LoginFailure.select())), len(rows(Audit.select()))

        before = catalog.read(left)
        assert before[0] == 1
        await sweep_after(0)
        assert catalog.read(left) == before
        await sweep_after(6.9)
        assert catalog.read(left) == (0, before[1])
        await parts.door.submit(once)
        assert len(stored(parts, sensor)) == 1
        await sweep_after(7.1)
        await parts.door.submit(once)
        assert len(stored(parts, sensor)) == 2
        catalog.write(add_audited, real_now - 729 * 24 * HOUR, real_now - 731 * 24 * HOUR)
        await sweep_after(0)
        assert catalog.read(left) == (0, before[1] + 1)

    with_parts(data, work)


# When it runs


def test_sessions_and_links_that_have_ended_are_forgotten(
    data: Path, catalog: Catalog, alice: Identity
) -> None:
    now = times.now()

    def make() -> None:
        for name, used in (("old", now - 15 * 24 * HOUR), ("new", now)):
            sessions.open_session(alice.user_id, name, "127.0.0.1", "browser")
            changed(WebSession.update(used=used).where(WebSession.hash == name))
        links.make(links.INVITATION, "over", seconds=-1)
        links.make(links.INVITATION, "good", seconds=60)

    catalog.write(make)
    with_parts(data, lambda parts: parts.housekeeping.sweep())
    assert catalog.read(lambda: rows(WebSession.select(WebSession.hash))) == [("new",)]
    assert catalog.read(lambda: rows(OneTimeLink.select(OneTimeLink.hash))) == [("good",)]


def test_mqtt_sessions_that_have_ended_are_forgotten(
    data: Path, catalog: Catalog, alice: Identity
) -> None:
    def make() -> None:
        key = keys.create(alice, keys.KeyChange(name="gateway"), "hash", HERE)
        for client, seconds in (("gone", 60), ("away", 7200)):
            found = mqtt_sessions.open_session(key.id, client, seconds, 10, clean=False)
            mqtt_sessions.leave_session(found.id, seconds)
        gone = MqttSession.client == "gone"
        changed(MqttSession.update(ends=times.now() - 1).where(gone))

    catalog.write(make)
    with_parts(data, lambda parts: parts.housekeeping.sweep())
    assert catalog.read(lambda: rows(MqttSession.select(MqttSession.client))) == [("away",)]


def test_chore_runs_at_once_and_soon_again_after_it_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "RETRY_SECONDS", 0.01)
    runs: list[int] = []
    third = asyncio.Event()

    async def chore() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise StoreUnavailable("the disk is full")
        if len(runs) == 2:
            raise ValueError("a mistake")
        third.set()

    async def work() -> None:
        task = asyncio.create_task(housekeeping._repeat(3600, chore, at_once=True))
        await asyncio.wait_for(third.wait(), 10)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())
    assert len(runs) == 3  # the third did not fail, so the next is due in an hour
    assert caplog.text.count("is tried again in 0.01 s") == 2


def test_start_finishes_what_is_noted(
    catalog: Catalog, data: Path, alice: Identity, sensor: int
) -> None:
    catalog.write(sensors.delete, alice, "boiler", HERE)

    async def work(parts: Parts) -> None:
        parts.housekeeping.start()
        for _ in range(1000):
            if not catalog.read(sensors.pending_drops):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it is still noted")

    with_parts(data, work)
    with closing(sqlite3.connect(data / "readings.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
