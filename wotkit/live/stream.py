"""One live stream: what was missed, then what comes, in a bounded queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from wotkit.live.items import (
    END,
    HEARTBEAT,
    READING,
    READY,
    SENSORS,
    End,
    Item,
    LiveReading,
    notice,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from wotkit.auth.standing import Standing
    from wotkit.live.selection import Names, Wanted
    from wotkit.readings.store import Arrivals
    from wotkit.settings import LiveSettings


class Source(Protocol):
    """What a stream needs of those who run all of them."""

    settings: LiveSettings

    @property
    def position(self) -> int:
        """Up to where readings were passed on."""
        ...

    def attach(self, stream: Stream) -> None:
        """Offer every later reading of its sensors to a stream."""
        ...

    def detach(self, stream: Stream) -> None:
        """Offer it nothing more."""
        ...

    def wake_soon(self, stream: Stream) -> None:
        """Call :meth:`Stream.wake` soon, together with others."""
        ...

    def remove(self, stream: Stream) -> None:
        """Forget it."""
        ...

    async def since(self, after: int, sensor_ids: Collection[int]) -> Arrivals:
        """Read what was stored after a position."""
        ...


class Stream:
    """Readings of some sensors for one client, by whatever protocol it is served.

    ``async for items in stream`` yields what is to be sent next; the last of all is the reason of
    the end, unless the client has gone. Then call :meth:`close`. It is used on the event loop's
    thread.

    Attributes:
        position: everything up to here was handed out, or is not for this stream.
        code: why the server ends the stream; None while it does not.
        identity_expires: when the credentials end, in microseconds since 1970 UTC.
    """

    def __init__(
        self,
        source: Source,
        standing: Standing,
        wanted: Wanted,
        sensors: Names,
        account: str,
        abort: Callable[[], None],
    ) -> None:
        """Take what it follows, whose stream it counts as, and what cuts it off by force."""
        self._source = source
        self.standing = standing
        self.wanted = wanted
        self.sensors: Mapping[int, str] = sensors
        self.account = account
        self.abort = abort
        self.identity_expires: int | None = None
        self.position = 0
        self.code: End | None = None
        self.due = False
        """Whether it is about to be woken."""
        self.busy_since: float | None = None
        """Since when (monotonic seconds) the client is being sent something."""
        self.quiet_since = asyncio.get_running_loop().time()
        self.ended_at = 0.0
        self._behind = False
        self._attached = False
        self._gone = False
        self._told = False
        self._heartbeat_due = False
        self._queue: list[Item] = []
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    def begin(self, position: int | None) -> None:
        """Begin behind a position, or with what is stored from now on."""
        if position is None:
            self.position = self._source.position
            self._attach()
        else:
            self.position = position
            self._behind = True
        self._put(notice(READY, self.position, sensors=len(self.sensors)))

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> list[Item]:
        self._rest()
        while True:
            if self._gone or self._told:
                raise StopAsyncIteration
            if self.code is not None:
                self._told = True
                return self._send([notice(END, self.position, code=self.code.value)])
            if self._queue and not (self._attached and self._behind):
                return self._send(self._take())
            if self._heartbeat_due:
                return self._send([self._heartbeat()])
            if not self._behind:
                await self._wait()
                continue
            found = await self._missed()
            if found and self.code is None and not self._gone:
                return self._send(found)

    def offer(self, reading: LiveReading) -> None:
        """Take a reading; the stream ends when its queue is full."""
        if self.code is not None or reading.position <= self.position:
            return
        self._bytes += reading.size
        limits = self._source.settings
        full = len(self._queue) >= limits.queue_readings or self._bytes > limits.queue_bytes
        if full and self._queue:  # one reading that is very large passes
            self.end(End.SLOW_READER)
        else:
            self._put(reading)

    def change(self, sensors: Names) -> None:
        """Follow other sensors from now on; end when all that were named are hidden."""
        before = self.sensors
        if sensors.keys() == before.keys() or self.code is not None:
            return
        if not sensors and self.wanted.ids is not None:
            self.end(End.FORBIDDEN)
            return
        attached = self._attached
        self._detach()
        self.sensors = sensors
        self._keep(lambda reading: reading.arrival.sensor_id in sensors)
        if attached:
            self._attach()
        self._put(
            notice(
                SENSORS,
                self._last_position(),
                sensors=len(sensors),
                added=sorted(sensors.keys() - before.keys()),
                removed=sorted(before.keys() - sensors.keys()),
            )
        )

    def beat(self) -> None:
        """Send a heartbeat, unless there is something else to send."""
        self._heartbeat_due = True
        self.wake()

    def end(self, code: End) -> None:
        """End, and tell the client why if it still reads; it may go on behind what it has."""
        if self.code is None and not self._gone:
            self.code = code
            self.ended_at = asyncio.get_running_loop().time()
            self._queue.clear()
            self._detach()
            self.wake()

    def leave(self) -> None:
        """End at once: the client has gone."""
        self._gone = True
        self._queue.clear()
        self._detach()
        self.wake()

    def close(self) -> None:
        """Give up what the stream takes; to be called when it is not served any more."""
        self.leave()
        self._source.remove(self)

    def wake(self) -> None:
        """Let the client be served, if it waits."""
        self.due = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _missed(self) -> list[Item]:
        """Return some of what was stored before the stream was attached.

        When there is no more it is attached, and what came before that is read: so nothing is
        missing, and what comes twice is known by its id.
        """
        attached = self._attached
        found = await self._source.since(self.position, self.sensors.keys())
        sensors = self.sensors
        self.position = found.through
        if not found.more:
            if attached:
                self._behind = False
                self._forget_through(self.position)
            elif self.code is None and not self._gone:
                self._attach()
        return [
            LiveReading(one, sensors[one.sensor_id])
            for one in found.readings
            if one.sensor_id in sensors
        ]

    def _forget_through(self, position: int) -> None:
        self._keep(lambda reading: reading.position > position)

    def _keep(self, wanted: Callable[[LiveReading], bool]) -> None:
        """Drop readings from the queue that are not wanted any more."""
        readings = [item for item in self._queue if isinstance(item, LiveReading)]
        dropped = {item for item in readings if not wanted(item)}
        self._queue = [item for item in self._queue if item not in dropped]
        self._bytes -= sum(item.size for item in dropped)

    def _attach(self) -> None:
        self._attached = True
        self._source.attach(self)

    def _detach(self) -> None:
        if self._attached:
            self._attached = False
            self._source.detach(self)

    def _put(self, item: Item) -> None:
        self._queue.append(item)
        if self._waiter is not None and not self.due:
            self.due = True
            self._source.wake_soon(self)

    def _take(self) -> list[Item]:
        taken, self._queue = self._queue, []
        self._bytes = 0
        self._heartbeat_due = False
        for item in taken:
            if item.event != READING:  # what was missed may have been sent since it was put here
                item.position = max(item.position, self.position)
            self.position = item.position
        return taken

    def _heartbeat(self) -> Item:
        self._heartbeat_due = False
        if not self._behind:
            # nothing waits here, so whatever was passed on is with the client
            self.position = max(self.position, self._source.position)
        return notice(HEARTBEAT, self.position)

    def _last_position(self) -> int:
        return self._queue[-1].position if self._queue else self.position

    def _send(self, items: list[Item]) -> list[Item]:
        self.busy_since = self.quiet_since = asyncio.get_running_loop().time()
        return items

    def _rest(self) -> None:
        self.busy_since = None

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
