"""Live streams in this process: a real catalog, a real store behind the door, and readers of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from wotkit import strict_json
from wotkit.auth import standing
from wotkit.catalog import Catalog, fields, sensors
from wotkit.catalog.audit import Actor
from wotkit.catalog.sensor_query import SensorQuery
from wotkit.catalog.sensors import NewSensor
from wotkit.ingest.door import Door
from wotkit.live.hub import Hub
from wotkit.live.streams import Streams
from wotkit.metrics import IngestMetrics, LiveMetrics
from wotkit.readings.readers import ReaderPool
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Append, NewReading
from wotkit.settings import IngestSettings, LiveSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from wotkit.auth.standing import Standing
    from wotkit.catalog.identity import Identity
    from wotkit.live.items import Item
    from wotkit.live.stream import Stream

HERE = Actor("tests", "127.0.0.1")
PATIENCE = 10


def make_sensor(catalog: Catalog, creator: Identity, name: str, **attributes: Any) -> int:
    """Add a sensor, private unless told otherwise, and return its id."""
    sensor = NewSensor(
        name=name,
        long_name=name.title(),
        description=f"about {name}",
        visibility=attributes.pop("visibility", "PRIVATE"),
        fields=fields.DEFAULTS,
        **attributes,
    )
    return catalog.write(sensors.create, creator, sensor, HERE).id


class Live:
    """Streams, and what stores readings for them."""

    def __init__(self, folder: Path, settings: LiveSettings) -> None:
        self.catalog = Catalog(folder)
        self.path = folder / FILE_NAME
        self.store = SqliteStore(self.path)
        self.readers = ReaderPool(self.store, 2)
        self.hub = Hub()
        self.metrics = LiveMetrics()
        self.door = Door(self.store, IngestSettings(), IngestMetrics(), self.hub)
        self.streams = Streams(self.catalog, self.hub, self.readers, settings, self.metrics)

    async def post(self, sensor_id: int, *values: Any) -> list[int]:
        """Store readings as requests do, and return their ids."""
        outcome = await self.door.apply(Append([reading(sensor_id, value) for value in values]))
        return list(range(outcome.first_id, outcome.first_id + outcome.stored))

    async def open(
        self,
        identity: Identity,
        *references: str,
        held: Standing = standing.PUBLIC,
        since: int | None = None,
        account: str = "1",
        abort: Callable[[], None] = lambda: None,
        **query: Any,
    ) -> Stream:
        wanted, found = await self.streams.select(identity, references, SensorQuery(**query))
        if held == standing.PUBLIC and not identity.anonymous:
            held = standing.OfPassword(identity.username, await self.hash_of(identity))
        return await self.streams.open(
            held, wanted, found, account=account, since=since, abort=abort
        )

    async def hash_of(self, identity: Identity) -> str:
        def find() -> str:
            found = standing.credentials.candidate(identity.username)
            assert found is not None
            return found.password_hash

        return await self.catalog.reading(find)

    async def close(self) -> None:
        await self.streams.close()
        await self.door.close()
        self.readers.close()
        self.store.close()
        self.catalog.close()


@asynccontextmanager
async def living(folder: Path, **settings: Any) -> AsyncIterator[Live]:
    found = Live(folder, msgspec.structs.replace(LiveSettings(), **settings))
    found.door.start()
    try:
        yield found
    finally:
        await found.close()


def reading(sensor_id: int, value: Any) -> NewReading:
    values = {"value": value}
    return NewReading(sensor_id, 1_700_000_000_000_000, strict_json.encode(values), values)


def store_elsewhere(path: Path, sensor_id: int, *values: Any) -> list[int]:
    """Store readings as another process does: with a connection and a memory of its own."""
    with closing(SqliteStore(path)) as other:
        (outcome,) = other.apply([Append([reading(sensor_id, value) for value in values])], 1)
    return list(range(outcome.first_id, outcome.first_id + outcome.stored))


async def next_items(stream: Stream) -> list[Item]:
    """Return what is to be sent next, which must come soon."""
    async with asyncio.timeout(PATIENCE):
        return await anext(stream)


async def read_until(
    stream: Stream, done: Callable[[Sequence[Item]], object], *, patience: float = PATIENCE
) -> list[Item]:
    """Read items until what came so far is enough, or the stream ends."""
    found: list[Item] = []
    async with asyncio.timeout(patience):
        while not done(found):
            try:
                found += await anext(stream)
            except StopAsyncIteration:
                break
    return found


async def read_event(stream: Stream, event: str) -> Item:
    """Read on until an event comes, and return it."""
    found = await read_until(stream, lambda items: any(item.event == event for item in items))
    return next(item for item in found if item.event == event)


@pytest.fixture
def alice(make_user: Any) -> Any:
    return make_user("alice", team="garden")


@pytest.fixture
def bobby(make_user: Any) -> Any:
    return make_user("bobby", team="garden")


@pytest.fixture
def charlie(make_user: Any) -> Any:
    return make_user("charlie")
