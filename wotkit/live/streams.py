"""All live streams of this process: who follows what, how many there may be, who may go on.

While there is any, one task looks after them some times a second: it sends heartbeats, cuts off
clients that do not read, and asks again who may see what when the catalog has changed, whichever
process changed it. Without any, nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from wotkit import times
from wotkit.catalog.identity import READ
from wotkit.errors import Overloaded, TooManyStreams, WotkitError
from wotkit.live import selection
from wotkit.live.feed import Feed
from wotkit.live.items import End, LiveReading
from wotkit.live.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from wotkit.auth.standing import Standing
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.sensor_query import SensorQuery
    from wotkit.catalog.watch import Watch
    from wotkit.live.hub import Hub
    from wotkit.live.selection import Names, Renewed, Wanted
    from wotkit.metrics import LiveMetrics
    from wotkit.readings.readers import ReaderPool
    from wotkit.readings.store import Arrival, Arrivals
    from wotkit.settings import LiveSettings

TICK_SECONDS: Final = 0.25
PACE_SECONDS: Final = 0.01
"""Streams are woken no more often: under load they are sent several readings at a time."""
WOKEN: Final = 64
"""Streams woken in one turn of the event loop, which others wait for."""
CATCHING_UP: Final = 2
"""Streams that read what they missed at a time; the other threads are for queries."""
PAGE: Final = 2000
"""Readings that are looked at in one go for a stream that missed some."""
FORCE_SECONDS: Final = 1.0
"""How long an ended stream may take to tell its client, before it is cut off by force."""
QUERY_SECONDS: Final = 10.0
"""How often queries are asked again whose answers change without the catalog's revision telling."""
ASKED: Final = 200
"""Streams that are asked about in one unit of work."""
REST: Final = 3
"""How many times as long as it took nobody is asked about again."""
LINGER_SECONDS: Final = 5.0
"""How long the feed goes on without any stream: clients come again."""
RETRY_SECONDS: Final = 5

_log: Final = logging.getLogger(__name__)


class Streams:
    """Opens and runs streams, for any protocol; to be used on the event loop's thread."""

    def __init__(
        self,
        catalog: Catalog,
        hub: Hub,
        readers: ReaderPool,
        settings: LiveSettings,
        metrics: LiveMetrics,
    ) -> None:
        self._catalog = catalog
        self._readers = readers
        self.settings = settings
        self._metrics = metrics
        self._streams: dict[Stream, None] = {}
        self._accounts: dict[str, int] = {}
        self._followers: dict[int, dict[Stream, None]] = {}
        self._feed = Feed(hub, readers, self._followers, self._pass_on)
        self._starting = asyncio.Lock()
        self._catching_up = asyncio.Semaphore(CATCHING_UP)
        self._watch: Watch | None = None
        self._revision = -1
        self._fresh: set[Stream] = set()
        """Streams that were opened since the last time everybody was asked about."""
        self._queries_at = 0.0
        self._asked_at = self._asking_took = 0.0
        self._due: list[Stream] = []
        self._woken_at = 0.0
        self._waking = False
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._empty = asyncio.Event()
        """Whether no stream is left, while stopping."""
        metrics.watch(lambda: len(self._streams))

    @property
    def position(self) -> int:
        """Up to where readings were passed on."""
        return self._feed.position

    async def select(
        self, identity: Identity, references: Sequence[str], query: SensorQuery
    ) -> tuple[Wanted, Names]:
        """Return what :meth:`open` takes; see :func:`wotkit.live.selection.named`.

        Raises:
            NotFound: the caller may see no such sensor.
            InvalidQuery: a filter is malformed, or too many sensors match.
        """
        return await self._catalog.reading(
            selection.named, identity, references, query, self.settings.max_sensors
        )

    async def open(
        self,
        standing: Standing,
        wanted: Wanted,
        sensors: Names,
        *,
        account: str,
        since: int | None = None,
        abort: Callable[[], None] = lambda: None,
    ) -> Stream:
        """Return a stream of what is stored from now on, or behind a position.

        Args:
            standing: of the credentials, which were verified.
            wanted: what it is to follow.
            sensors: which sensors that are.
            account: whose streams are counted together.
            since: the position of a stream before; one from the future is the present.
            abort: closes the connection by force, when its client does not read any more.

        Raises:
            TooManyStreams: the account has too many.
            Overloaded: the server has too many, or is stopping.
            StoreUnavailable: the store cannot be read now.
        """
        self._check_limits(account)
        stream = Stream(self, standing, wanted, sensors, account, abort)
        self._streams[stream] = None
        self._accounts[account] = self._accounts.get(account, 0) + 1
        try:
            await self._start()
            if since is not None:
                last = await self._readers.run(lambda store: store.last_id())
                since = min(since, max(last, self.position))
            if self._stopping:
                raise _stopping()
        except BaseException:
            self.remove(stream)
            raise
        self._fresh.add(stream)
        stream.begin(since)
        return stream

    def attach(self, stream: Stream) -> None:
        """Offer every later reading of its sensors to a stream."""
        for sensor_id in stream.sensors:
            self._followers.setdefault(sensor_id, {})[stream] = None

    def detach(self, stream: Stream) -> None:
        """Offer it nothing more."""
        for sensor_id in stream.sensors:
            followers = self._followers.get(sensor_id)
            if followers is not None:
                followers.pop(stream, None)
                if not followers:
                    del self._followers[sensor_id]

    def remove(self, stream: Stream) -> None:
        """Forget a stream, which is not served any more."""
        if stream not in self._streams:
            return
        del self._streams[stream]
        self._fresh.discard(stream)
        left = self._accounts.pop(stream.account) - 1
        if left:
            self._accounts[stream.account] = left
        self._metrics.end(stream.code.value if stream.code is not None else "client_gone")
        self._note_empty()

    async def since(self, after: int, sensor_ids: Collection[int]) -> Arrivals:
        """Read what was stored after a position; few do at a time, the others wait."""
        ids = list(sensor_ids)
        async with self._catching_up:
            while True:
                try:
                    return await self._readers.run(lambda store: store.since(after, PAGE, ids))
                except WotkitError as error:
                    if self._stopping:
                        raise
                    _log.warning("what a stream missed cannot be read yet: %s", error)
                    await asyncio.sleep(TICK_SECONDS)

    def wake_soon(self, stream: Stream) -> None:
        """Wake a stream together with others, at once or a moment after the last time."""
        self._due.append(stream)
        if not self._waking:
            self._waking = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._woken_at + PACE_SECONDS), self._wake)

    async def stop(self) -> None:
        """End every stream and tell its client why; soon none is left."""
        self._stopping = True
        for stream in self._streams:
            stream.end(End.SERVER_STOPPING)
        self._note_empty()
        with suppress(TimeoutError):
            async with asyncio.timeout(FORCE_SECONDS):
                await self._empty.wait()
        for stream in self._streams:
            stream.abort()

    async def close(self) -> None:
        """Stop all that runs."""
        await self.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._end_feed()

    def _note_empty(self) -> None:
        if self._stopping and not self._streams:
            self._empty.set()

    def _check_limits(self, account: str) -> None:
        if self._stopping:
            raise _stopping()
        if self._accounts.get(account, 0) >= self.settings.max_per_user:
            raise TooManyStreams(
                f"{self.settings.max_per_user} streams are open already", retry_after=RETRY_SECONDS
            )
        if len(self._streams) >= self.settings.max_streams:
            raise Overloaded("too many streams are open", retry_after=RETRY_SECONDS)

    async def _start(self) -> None:
        async with self._starting:
            await self._feed.start()
            if self._watch is None:
                self._watch = self._catalog.watch()
                self._revision = -1
            if self._task is None:
                self._task = asyncio.create_task(self._look_after())

    async def _end_feed(self) -> None:
        await self._feed.stop()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _pass_on(self, arrivals: Sequence[Arrival]) -> None:
        """Offer readings to whoever follows their sensors."""
        count = 0
        for arrival in arrivals:
            followers = self._followers.get(arrival.sensor_id)
            if followers:
                reading: LiveReading | None = None
                for stream in tuple(followers):
                    if reading is None:
                        reading = LiveReading(arrival, stream.sensors[arrival.sensor_id])
                    stream.offer(reading)
                count += len(followers)
        self._metrics.readings += count

    def _wake(self) -> None:
        due = self._due[:WOKEN]
        del self._due[:WOKEN]
        for stream in due:
            stream.wake()
        loop = asyncio.get_running_loop()
        if self._due:
            loop.call_soon(self._wake)
        else:
            self._waking = False
            self._woken_at = loop.time()

    async def _look_after(self) -> None:
        loop = asyncio.get_running_loop()
        empty_since = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = loop.time()
            if self._streams:
                empty_since = now
            elif now - empty_since > LINGER_SECONDS and not self._starting.locked():
                async with self._starting:
                    if not self._streams:
                        await self._end_feed()
                        self._task = None
                        return
            self._tend(now)
            try:
                await self._ask_again(now)
            except (WotkitError, OSError) as error:
                _log.warning("who may follow what cannot be asked now: %s", error)
            except Exception:  # noqa: BLE001  # the next time may be better
                _log.exception("who may follow what cannot be asked")

    def _tend(self, now: float) -> None:
        """Send heartbeats, and cut off who does not read."""
        settings = self.settings
        for stream in tuple(self._streams):
            if stream.code is not None:
                if now - stream.ended_at > FORCE_SECONDS:
                    stream.abort()
            elif stream.busy_since is not None:
                if now - stream.busy_since > settings.stall_seconds:
                    stream.end(End.SLOW_READER)
            elif now - stream.quiet_since >= settings.heartbeat_seconds:
                stream.beat()

    async def _ask_again(self, now: float) -> None:
        """Ask who may see what, where it may have changed."""
        watch = self._watch
        if watch is None or now - self._asked_at < self._asking_took * REST:
            return
        revision = watch.revision()
        fresh, self._fresh = self._fresh, set()
        everybody = revision != self._revision
        queries = now - self._queries_at >= QUERY_SECONDS
        if queries:
            self._queries_at = now
        clock = times.now()
        due = [
            stream
            for stream in self._streams
            if stream.code is None
            and (
                everybody
                or stream in fresh
                or stream.standing.unwatched
                or (queries and stream.wanted.query != selection.EVERYTHING)
                or (stream.identity_expires is not None and stream.identity_expires <= clock)
            )
        ]
        try:
            await self._ask(due)
        except BaseException:
            self._fresh |= fresh & self._streams.keys()
            raise
        self._revision = revision
        self._asked_at = asyncio.get_running_loop().time()
        self._asking_took = self._asked_at - now

    async def _ask(self, due: Iterable[Stream]) -> None:
        cases: dict[tuple[Standing, Wanted], list[Stream]] = {}
        for stream in due:
            cases.setdefault((stream.standing, stream.wanted), []).append(stream)
        asked = iter(cases.items())
        while part := list(islice(asked, ASKED)):
            found = await self._catalog.reading(
                selection.renew, [case for case, _ in part], self.settings.max_sensors
            )
            for (_, streams), renewed in zip(part, found, strict=True):
                for stream in streams:
                    _apply(stream, renewed)


def _apply(stream: Stream, renewed: Renewed) -> None:
    if renewed.identity is None:
        stream.end(End.REVOKED)
    elif READ not in renewed.identity.scopes:
        stream.end(End.FORBIDDEN)
    else:
        stream.identity_expires = renewed.identity.expires
        stream.change(renewed.sensors)


def _stopping() -> Overloaded:
    return Overloaded("the server is stopping", retry_after=RETRY_SECONDS)
