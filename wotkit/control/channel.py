"""Sends messages to actuators, and lets their subscriptions wait for them.

A message is a row of the catalog (:mod:`wotkit.catalog.control`) before anybody is woken, so what
is lost here with a process is only the waiting. Who waits has an event, and looks into the catalog
after each of these: it came, a message was sent through this process, the watch tells that another
process has sent one, a message that nobody acknowledged is due again. The watch is asked some times
a second while anybody waits; whatever else can tell of new messages may take its place.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from wotkit import times
from wotkit.catalog import commands, control
from wotkit.errors import Overloaded, WotkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wotkit.catalog.control import Message, Sent
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.watch import Watch
    from wotkit.settings import ControlSettings

WATCH_SECONDS: Final = 0.1
"""How soon a message that another process sent is noticed."""
SWEEP_SECONDS: Final = 60
RETRY_SECONDS: Final = 1

_log: Final = logging.getLogger(__name__)


class _Taker(NamedTuple):
    identity: Identity
    subscription: int
    future: asyncio.Future[list[Message]]


class Channel:
    """The control channel of one process; to be used on the event loop's thread."""

    def __init__(self, catalog: Catalog, watch: Watch, settings: ControlSettings) -> None:
        """Take a watch whose number is the id of the last message."""
        self._catalog = catalog
        self._watch = watch
        self._settings = settings
        self._waiting: dict[int, dict[asyncio.Event, None]] = {}
        """Who waits for the messages of a subscription, in the order of coming."""
        self._following: dict[int, Callable[[], None]] = {}
        """Whom to call when there may be a message for a session of an MQTT client."""
        self._count = 0
        self._used: set[int] = set()
        self._seen = 0
        """The id of the last message whose subscriptions were woken."""
        self._watching = False
        self._catching_up: asyncio.Task[None] | None = None
        self._takers: list[_Taker] = []
        self._taking: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def use_seconds(self) -> float:
        """How often :meth:`note_uses` is to be called."""
        return control.use_seconds(self._settings)

    @property
    def waiting(self) -> int:
        """How many wait for messages."""
        return self._count

    async def send(
        self, identity: Identity, reference: str, body: str, expires_seconds: float | None
    ) -> Sent:
        """Send a message; see :func:`wotkit.catalog.control.send`.

        Raises:
            NotFound: the caller may control no such sensor.
            TooManyMessages: too many wait already.
        """
        sent = await self._catalog.writing(
            control.send, identity, reference, body, expires_seconds, self._settings
        )
        if sent.id == self._seen + 1:
            self._seen = sent.id
        self._wake(sent.subscriptions)
        self._call(sent.sessions)
        return sent

    async def receive(self, identity: Identity, subscription: int, seconds: float) -> list[Message]:
        """Take messages: those there are, or the first to come in so many seconds; else none.

        Raises:
            NotFound: the caller has no such subscription, or has not used it for too long.
            Overloaded: too many wait already.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        with self._among_waiting(subscription) as event:
            while not self._stopping:
                event.clear()
                outlook = await self._catalog.reading(
                    control.look, identity, subscription, self._settings
                )
                self._used.add(subscription)
                if outlook.ready and not self._stopping:
                    found = await self._take(identity, subscription)
                    if found:
                        return found
                left = end - loop.time()
                if left <= 0:
                    break
                await _until(event, min(left, _seconds_to(outlook.again)))
        return []

    def follow(self, session: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever there may be a message for a session, until it is unfollowed.

        It is called on the event loop's thread, takes note and returns.
        """
        self._following[session] = callback
        self._start_watching()

    def unfollow(self, session: int, callback: Callable[[], None]) -> None:
        """Call it no more; nothing happens when another one has taken its place."""
        if self._following.get(session) == callback:
            del self._following[session]

    def stop_waiting(self) -> None:
        """Let everybody who waits go, with nothing; nobody waits from now on."""
        self._stopping = True
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def note_uses(self) -> None:
        """Write which subscriptions were used since the last time, in one transaction."""
        used = self._used | self._waiting.keys()
        self._used.clear()
        if used:
            try:
                await self._catalog.writing(control.note_uses, used)
            except WotkitError:
                self._used |= used
                raise

    async def sweep(self) -> None:
        """Remove subscriptions that nobody uses, and messages that nobody waits for."""
        await self._catalog.writing(control.sweep, self._settings)

    async def close(self) -> None:
        """Let everybody go, and write the last uses."""
        self.stop_waiting()
        for task in (self._catching_up, self._taking):
            if task is not None:
                await task
        try:
            await self.note_uses()
        except WotkitError as error:
            _log.warning("the last uses of subscriptions are not noted: %s", error)
        self._watch.close()

    @contextmanager
    def _among_waiting(self, subscription: int) -> Iterator[asyncio.Event]:
        """Yield an event that is set when there may be a message."""
        if self._count >= self._settings.max_waiting:
            raise Overloaded(f"{self._count} requests wait for messages", retry_after=RETRY_SECONDS)
        event = asyncio.Event()
        self._waiting.setdefault(subscription, {})[event] = None
        self._count += 1
        self._start_watching()
        try:
            yield event
        finally:
            self._count -= 1
            events = self._waiting[subscription]
            del events[event]
            if events:
                self._wake([subscription])  # there may be more than this one took
            else:
                del self._waiting[subscription]

    def _wake(self, subscriptions: Iterable[int]) -> None:
        """Wake whoever waits longest for the messages of each subscription."""
        for subscription in subscriptions:
            for event in self._waiting.get(subscription, ()):
                event.set()
                break

    def _call(self, sessions: Iterable[int]) -> None:
        """Tell the clients of sessions that there may be a message."""
        for session in sessions:
            callback = self._following.get(session)
            if callback is not None:
                callback()

    async def _take(self, identity: Identity, subscription: int) -> list[Message]:
        """Take messages, together with all others who are about to: one transaction for many."""
        future: asyncio.Future[list[Message]] = asyncio.get_running_loop().create_future()
        self._takers.append(_Taker(identity, subscription, future))
        if self._taking is None:
            self._taking = asyncio.create_task(self._take_together())
        return await future

    async def _take_together(self) -> None:
        while self._takers:
            # who hung up meanwhile takes nothing
            takers = [taker for taker in self._takers if not taker.future.done()]
            self._takers = []
            try:
                found = await self._catalog.writing(
                    control.take_each, [taker[:2] for taker in takers], self._settings
                )
            except Exception as error:  # noqa: BLE001  # it is told to whoever waits for it
                _answer(takers, [error] * len(takers))
            else:
                _answer(takers, found)
        self._taking = None

    def _start_watching(self) -> None:
        if self._watching or self._stopping:
            return
        self._watching = True
        self._seen = self._watch.revision()
        asyncio.get_running_loop().call_later(WATCH_SECONDS, self._look_around)

    def _look_around(self) -> None:
        """Ask the watch, and go on while anybody waits."""
        if self._stopping or not (self._waiting or self._following):
            self._watching = False
            return
        asyncio.get_running_loop().call_later(WATCH_SECONDS, self._look_around)
        if self._watch.revision() > self._seen and self._catching_up is None:
            self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Wake whoever another process has sent messages to."""
        before, now = self._seen, self._watch.seen
        try:
            self._wake(await self._catalog.reading(control.recipients, before))
            self._call(await self._catalog.reading(commands.recipients, before))
            self._seen = max(self._seen, now)
        except WotkitError as error:
            _log.warning("messages of other processes are looked for again: %s", error)
        finally:
            self._catching_up = None


def _answer(takers: Sequence[_Taker], answers: Sequence[list[Message] | Exception]) -> None:
    for taker, answer in zip(takers, answers, strict=True):
        if taker.future.done():
            continue
        if isinstance(answer, Exception):
            taker.future.set_exception(answer)
        else:
            taker.future.set_result(answer)


async def _until(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, or until so many seconds have passed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _seconds_to(at: int | None) -> float:
    """Return the seconds until a time that is to come, for ever when there is none."""
    return float("inf") if at is None else max(0.0, (at - times.now()) / times.MICROSECONDS)
