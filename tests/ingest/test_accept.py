"""A batch is refused item by item for the items' own faults, and never for the server's."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from wotkit.catalog import Catalog, fields, sensors
from wotkit.catalog.audit import Actor
from wotkit.catalog.fields import NewField
from wotkit.catalog.sensors import NewSensor
from wotkit.errors import NotFound, StoreUnavailable, ValidationFailed
from wotkit.ingest.accept import Ingest
from wotkit.ingest.directory import SensorDirectory
from wotkit.ingest.door import Door
from wotkit.ingest.rates import RateLimiter
from wotkit.metrics import IngestMetrics
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Range
from wotkit.settings import IngestSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import MakeUser

    from wotkit.catalog.identity import Identity

HERE = Actor("tests", "127.0.0.1")


@asynccontextmanager
async def ingest_on(catalog: Catalog, data: Path) -> AsyncIterator[tuple[Ingest, SqliteStore]]:
    settings, metrics, store = IngestSettings(), IngestMetrics(), SqliteStore(data / FILE_NAME)
    watch = catalog.watch()
    door = Door(store, settings, metrics)
    door.start()
    directory = SensorDirectory(catalog, watch, settings)
    yield Ingest(directory, door, RateLimiter(settings), settings, metrics), store
    await door.close()
    watch.close()
    store.close()


@pytest.fixture
def alice(catalog: Catalog, make_user: MakeUser) -> Identity:
    alice = make_user("alice")
    for name in ("boiler", "cellar"):
        new = NewSensor(name=name, long_name=name, description=name)
        catalog.write(sensors.create, alice, new, HERE)
    return alice


def items() -> list[dict[str, Any]]:
    return [{"sensor": "boiler", "value": 1}, {"sensor": "cellar", "value": 2}]


def test_catalog_that_is_out_of_reach_refuses_the_batch_and_no_item_for_good(
    catalog: Catalog, data: Path, alice: Identity
) -> None:
    aside = catalog.path.with_name("aside")

    async def work() -> None:
        async with ingest_on(catalog, data) as (ingest, store):
            # the catalog's threads are to open the file now, and find something else
            catalog.path.rename(aside)
            catalog.path.mkdir()
            with pytest.raises(StoreUnavailable):
                await ingest.append_stream(alice, "gw", [1, 2], items())
            assert store.acked_through(alice.user_id, "gw") == 0
            catalog.path.rmdir()
            aside.rename(catalog.path)
            accepted = await ingest.append_stream(alice, "gw", [1, 2], items())
            assert accepted.rejected == []
            assert accepted.outcome.acked_through == 2
            assert len(store.read(Range(sensor_id=1))) == 1

    asyncio.run(work())


def test_item_of_a_batch_fails_alone_with_its_own_error(
    catalog: Catalog, data: Path, alice: Identity
) -> None:
    async def work() -> None:
        async with ingest_on(catalog, data) as (ingest, _):
            wrong = [{"sensor": "nowhere", "value": 1}, {"sensor": "boiler", "value": "warm"}]
            mixed = [*wrong, *items(), {"value": 1}, 5]
            accepted = await ingest.append_stream(alice, "gw", [1, 2, 3, 4, 5, 6], mixed)
            assert [rejected.position for rejected in accepted.rejected] == [0, 1, 4, 5]
            kinds = [type(rejected.error) for rejected in accepted.rejected]
            assert kinds == [NotFound, ValidationFailed, ValidationFailed, ValidationFailed]
            assert accepted.outcome.stored == 2

    asyncio.run(work())


def test_sensor_is_looked_up_again_when_the_catalog_changes_meanwhile(
    catalog: Catalog, data: Path, alice: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = SensorDirectory._look_up
    looks = []

    def slow(*args: Any) -> Any:
        found = look_up(*args)
        looks.append(found)
        return found

    def declare() -> None:
        put = NewField(name="note", long_name="Note", type="STRING")
        catalog.write(fields.put, alice, "boiler", put, HERE)

    async def work() -> None:
        async with ingest_on(catalog, data) as (ingest, store):
            reading = catalog.reading

            async def then_declare(*args: Any) -> Any:
                found = await reading(*args)
                if len(looks) == 1:
                    await asyncio.to_thread(declare)
                return found

            monkeypatch.setattr(SensorDirectory, "_look_up", slow)
            monkeypatch.setattr(catalog, "reading", then_declare)
            await ingest.append_many(alice, [{"sensor": "boiler", "note": 5}], lambda _: b"")
            assert len(looks) == 2
            assert store.read(Range(sensor_id=1))[0].data == b'{"note":"5"}'

    asyncio.run(work())
