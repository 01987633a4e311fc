"""Reads what gateways publish at a broker of their own, and acknowledges it once it is committed.

The broker has acknowledged a message to the gateway long before; what keeps it from being lost is
that the broker keeps it until it is acknowledged here. So nothing is acknowledged before the
commit, and what cannot be stored now is tried again, while the broker holds back what follows: no
more than ``mqtt.broker_in_flight`` messages are here at a time. Messages of QoS 0, which a broker
never holds back, are dropped where there is no room for them.

Messages of one key are handled in the order in which they came; ordinary readings, for which
nothing must be looked up, go to the writer at once and are committed together with those of all
others.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit import strict_json
from wotkit.errors import RateLimited, WotkitError
from wotkit.mqtt import refusals
from wotkit.mqtt.bridge_commands import BridgeCommands
from wotkit.mqtt.bridge_link import Handlers, Link, Refused
from wotkit.mqtt.topics import ROOT, Kind, Topic, name_of, publishable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paho.mqtt.client import MQTTMessage

    from wotkit.catalog.database import Catalog
    from wotkit.control.channel import Channel
    from wotkit.ingest.accept import Ingest
    from wotkit.mqtt.broker import Broker
    from wotkit.mqtt.inbound import Inbound
    from wotkit.mqtt.vouched import Vouched
    from wotkit.settings import MqttSettings

FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 3.0
OVERHEAD: Final = 2048
"""Bytes a waiting message takes beside its payload, roughly."""
TOLD: Final = 1000
"""Keys of which it is logged that they are refused, each once."""
_DOTTED: Final = 6
"""Levels of a topic with ``owner/name`` where ``owner.name`` was meant."""

_log: Final = logging.getLogger(__name__)


class _Work(NamedTuple):
    """A message that waits for its turn."""

    link: Link
    message: MQTTMessage
    topic: Topic

    @property
    def size(self) -> int:
        """How many bytes it takes, roughly."""
        return len(self.message.payload) + OVERHEAD


class Bridge:
    """The bridge of one process; to be used on the event loop's thread."""

    def __init__(
        self,
        broker: Broker,
        settings: MqttSettings,
        catalog: Catalog,
        vouched: Vouched,
        ingest: Ingest,
        inbound: Inbound,
        channel: Channel,
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._vouched = vouched
        self._ingest = ingest
        self._inbound = inbound
        self._commands = BridgeCommands(settings, catalog, vouched, channel)
        self._link: Link | None = None
        self._queues: dict[str, deque[_Work]] = {}
        self._queued_bytes = 0
        self._dropping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._storing = 0
        self._idle = asyncio.Event()
        """Set when the last message is handled; looked at in the end only."""
        self._told: set[str] = set()
        self._stopping = False
        self._runner: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker is connected and subscribed at."""
        return self._link is not None

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._runner = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Finish what came, and leave; the broker keeps what comes from now on."""
        self._stopping = True
        if self._queues or self._storing:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._idle.wait()
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._commands.stop()

    # The connection

    async def _run(self) -> None:
        """Be connected, again and again."""
        pause = FIRST_RETRY_SECONDS
        while True:
            handlers = Handlers(self._received, self._commands.published)
            try:
                # the file of the authority is read here, and may be about to be renewed
                link = Link(self._broker, self._settings, handlers)
                await link.open()
            except (OSError, Refused) as error:
                _log.warning(
                    "no connection to the broker %s: %s; tried again in %.1f s",
                    self._broker,
                    error or "it does not answer",
                    pause,
                )
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # spreads load
                pause = min(pause * 2, LONGEST_RETRY_SECONDS)
                continue
            pause = FIRST_RETRY_SECONDS
            try:
                await self._serve(link)
            finally:
                self._link = None
                self._commands.detach()
                await link.close()
            _log.warning("the connection to the broker %s has ended", self._broker)

    async def _serve(self, link: Link) -> None:
        _log.info(
            "connected to the broker %s%s",
            self._broker,
            ", with shared subscriptions" if link.shared else "",
        )
        self._link = link
        await self._commands.attach(link)
        await link.ended.wait()

    # Messages

    def _received(self, link: Link, messages: Sequence[MQTTMessage]) -> None:
        if self._stopping:
            return  # the broker keeps them
        for message in messages:
            topic = _topic_of(message.topic)
            if topic is None:
                _log.debug("a message on %r means nothing", message.topic)
                link.acknowledge(message)
                continue
            if topic.key_id not in self._queues and self._at_once(link, message, topic):
                continue
            work = _Work(link, message, topic)
            if message.qos or self._has_room():
                self._queue(work)

    def _has_room(self) -> bool:
        """Return whether one more may wait that the broker would not hold back."""
        full = self._queued_bytes > self._settings.broker_queue_bytes
        if full and not self._dropping:
            _log.warning("too much waits to be stored: messages of QoS 0 are dropped")
        self._dropping = full
        return not full

    def _queue(self, work: _Work) -> None:
        """Have a message wait for its turn among those of its key."""
        key_id = work.topic.key_id
        queue = self._queues.setdefault(key_id, deque())
        queue.append(work)
        self._queued_bytes += work.size
        if len(queue) == 1:
            self._spawn(key_id, queue)

    def _at_once(self, link: Link, message: MQTTMessage, topic: Topic) -> bool:
        """Have an ordinary reading stored; return whether it was one."""
        identity = self._vouched.remembered(topic.key_id)
        if identity is None or topic.kind is not Kind.DATA:
            return False
        self._commands.seen(topic.key_id, identity)
        try:
            readings = self._inbound.quick(identity, topic, bytes(message.payload))
            if readings is None:
                return False
            storing = self._ingest.submit(readings)
        except WotkitError as error:
            if error.retry_after is not None:
                return False
            self._refuse(link, message, topic, error)
            return True
        self._storing += 1
        work = _Work(link, message, topic)
        storing.add_done_callback(partial(self._stored, work))
        return True

    def _stored(self, work: _Work, storing: asyncio.Future[Any]) -> None:
        """Acknowledge a reading that is committed; have one that is not tried again."""
        self._storing -= 1
        self._note_idle()
        if storing.cancelled():
            return
        if storing.exception() is None:
            work.link.acknowledge(work.message)
            return
        self._queue(work)

    def _spawn(self, key_id: str, queue: deque[_Work]) -> None:
        task = asyncio.get_running_loop().create_task(self._work_off(key_id, queue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, key_id: str, queue: deque[_Work]) -> None:
        """Handle what waits of a key, one after the other, and at once where that is possible."""
        while queue:
            await self._handle(queue[0], len(queue))
            self._remove_first(queue)
            while queue and self._at_once(*queue[0]):
                self._remove_first(queue)
        del self._queues[key_id]
        self._note_idle()

    def _remove_first(self, queue: deque[_Work]) -> None:
        self._queued_bytes -= queue.popleft().size

    def _note_idle(self) -> None:
        if self._stopping and not self._queues and not self._storing:
            self._idle.set()

    async def _handle(self, work: _Work, waiting: int) -> None:
        """Do what a message says, as often as it takes."""
        while True:
            try:
                await self._once(work)
            except WotkitError as error:
                if error.retry_after is None or self._is_greedy(error, waiting):
                    self._refuse(*work, error)
                    return
                _log.info("a message of key %s is tried again: %s", work.topic.key_id, error)
                await asyncio.sleep(error.retry_after)
            except Exception:  # noqa: BLE001  # it is kept, since nothing is known to be wrong with it
                _log.exception("a message of key %s is tried again", work.topic.key_id)
                await asyncio.sleep(LONGEST_RETRY_SECONDS)
            else:
                work.link.acknowledge(work.message)
                return

    def _is_greedy(self, error: WotkitError, waiting: int) -> bool:
        """Return whether a key over its rate takes the room of others."""
        return isinstance(error, RateLimited) and waiting > self._settings.broker_in_flight // 2

    async def _once(self, work: _Work) -> None:
        topic, payload = work.topic, bytes(work.message.payload)
        identity = await self._vouched.identity(topic.key_id)
        if identity is None:
            self._tell_once(topic.key_id)
            return
        self._commands.seen(topic.key_id, identity)
        if topic.kind is Kind.DATA:
            await self._inbound.store(await self._inbound.readings(identity, topic, payload))
            return
        if topic.kind is Kind.STATUS and not payload:
            return  # somebody has taken back a retained one
        if topic.kind is Kind.STATUS:
            self._commands.came(topic.key_id)
        reply = await self._inbound.other(identity, topic, payload)
        if reply is not None and reply.kind is Kind.ACK:
            work.link.publish(
                name_of(topic.key_id, reply.kind),
                reply.payload,
                correlation=_correlation(work.message),
            )

    def _refuse(self, link: Link, message: MQTTMessage, topic: Topic, error: WotkitError) -> None:
        """Say what is wrong with a message that will never be right, and let it go."""
        body = {"error": refusals.shape_of(error), "topic": name_of(*topic)}
        link.publish(
            name_of(topic.key_id, Kind.ERRORS),
            strict_json.encode(body),
            correlation=_correlation(message),
        )
        link.acknowledge(message)

    def _tell_once(self, key_id: str) -> None:
        if key_id not in self._told and len(self._told) < TOLD:
            self._told.add(key_id)
            _log.warning("messages of the key %s are dropped: it does not hold", key_id)


def _topic_of(name: str) -> Topic | None:
    """Return the topic of a message that a key has published; None when it means nothing."""
    levels = name.split("/")
    if len(levels) < 3 or levels[0] != ROOT:  # noqa: PLR2004  # root, key, kind
        return None
    if len(levels) == _DOTTED:
        levels[3:5] = [".".join(levels[3:5])]
    return publishable(levels[1], "/".join(levels))


def _correlation(message: MQTTMessage) -> bytes | None:
    found: bytes | None = getattr(message.properties, "CorrelationData", None)
    return found
