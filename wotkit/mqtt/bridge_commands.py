"""Messages to actuators on their way to a broker.

They are rows of the catalog until the broker acknowledges them. They are published only while it
is connected, so what expires meanwhile is never sent; the seconds that are left travel along
(MQTT 5 section 3.3.2.3.3). Where the broker says that nobody has subscribed, a message that expires
is tried again until then, and a plain one is gone, as it is over HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import Struct, field

from wotkit import strict_json, times
from wotkit.catalog import bridged, commands
from wotkit.catalog.identity import CONTROL
from wotkit.errors import WotkitError
from wotkit.mqtt.topics import Kind, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.catalog.database import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.control.channel import Channel
    from wotkit.mqtt.bridge_link import Link
    from wotkit.mqtt.vouched import Vouched
    from wotkit.settings import MqttSettings

AGAIN_SECONDS: Final = 15.0
"""After which a message is tried again that reached nobody."""
RETRY_SECONDS: Final = 1.0
RENEWALS: Final = 24
"""How often a session is renewed, at most, in the time for which it is kept."""
LONGEST_RENEWAL: Final = 3600
FAILED: Final = 0x10
"""Reason codes from here on say that nobody gets the message; this one, that nobody subscribed."""

_log: Final = logging.getLogger(__name__)


class _Key(Struct):
    """A key that messages may be for."""

    session: int
    renewed: float
    """When, in the seconds of the event loop."""
    callback: Callable[[], None]
    after: int = 0
    """The last message that was sent."""
    in_flight: set[int] = field(default_factory=set)
    """Messages that the broker has not acknowledged."""
    again: int | None = None
    """The first of the messages that are to be tried again."""
    more: bool = False
    delivering: bool = False


class _Sent(NamedTuple):
    key_id: str
    message: int
    expires: bool


class BridgeCommands:
    """The way out; to be used on the event loop's thread."""

    def __init__(
        self, settings: MqttSettings, catalog: Catalog, vouched: Vouched, channel: Channel
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._vouched = vouched
        self._channel = channel
        self._kept_seconds = settings.max_session_seconds
        self._renewal = min(LONGEST_RENEWAL, self._kept_seconds / RENEWALS)
        self._keys: dict[str, _Key] = {}
        self._opening: dict[str, float] = {}
        """Keys to the time from which their session may be opened, if it could not be before."""
        self._sent: dict[int, _Sent] = {}
        self._link: Link | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._acknowledged: list[tuple[int, int]] = []
        self._writing = False

    async def attach(self, link: Link) -> None:
        """Send from now on over a new connection."""
        self._link = link
        try:
            kept = await self._catalog.reading(bridged.kept)
        except WotkitError as error:
            _log.warning("whom commands are for is learned when keys are seen: %s", error)
            kept = []
        for key_id, session in kept:
            if key_id not in self._keys:
                self._follow(key_id, session)
        for key_id in self._keys:
            self._due(key_id)

    def detach(self) -> None:
        """Send no more; what was not acknowledged is sent again over the next connection."""
        self._link = None
        self._sent.clear()
        for key in self._keys.values():
            key.after = 0
            key.in_flight.clear()

    def seen(self, key_id: str, identity: Identity) -> None:
        """Note that a key publishes through the broker, so that it may get messages there."""
        known = self._keys.get(key_id)
        now = asyncio.get_running_loop().time()
        if known is not None and now - known.renewed < self._renewal:
            return
        if self._opening.get(key_id, now) > now:
            return
        if CONTROL in identity.scopes and self._kept_seconds:
            self._opening[key_id] = math.inf
            self._spawn(self._keep(key_id, identity))

    def came(self, key_id: str) -> None:
        """Note that a gateway says how it is, so it may have subscribed by now."""
        key = self._keys.get(key_id)
        if key is not None:
            self._try_again(key_id, key)

    def published(self, packet: int, reason: int) -> None:
        """Note that the broker has a message, or nobody does."""
        sent = self._sent.pop(packet, None)
        if sent is None:
            return  # an answer, of which nobody keeps account
        key = self._keys.get(sent.key_id)
        if key is None:
            return
        key.in_flight.discard(sent.message)
        if reason >= FAILED and sent.expires:
            self._try_again_later(sent.key_id, key, sent.message)
        else:
            self._acknowledge(key.session, sent.message)
        if key.more:
            self._due(sent.key_id)

    async def stop(self) -> None:
        """Write what is acknowledged, and end."""
        for key in self._keys.values():
            self._channel.unfollow(key.session, key.callback)
        self._keys.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=RETRY_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Whom messages are for

    async def _keep(self, key_id: str, identity: Identity) -> None:
        pause = RETRY_SECONDS
        try:
            session = await self._catalog.writing(
                bridged.keep,
                identity,
                key_id,
                name_of(key_id, Kind.COMMANDS, "#"),
                self._kept_seconds,
                self._settings.max_sessions_per_key,
            )
        except WotkitError as error:
            _log.warning("the key %s gets no commands for now: %s", key_id, error)
            pause = error.retry_after or RETRY_SECONDS
            return
        finally:
            self._opening[key_id] = asyncio.get_running_loop().time() + pause
        del self._opening[key_id]
        known = self._keys.get(key_id)
        if known is not None and known.session == session:
            known.renewed = asyncio.get_running_loop().time()
            return
        self._follow(key_id, session)
        self._due(key_id)

    def _follow(self, key_id: str, session: int) -> None:
        before = self._keys.get(key_id)
        if before is not None:
            self._channel.unfollow(before.session, before.callback)
        callback = partial(self._due, key_id)
        now = asyncio.get_running_loop().time()
        self._keys[key_id] = _Key(session, now, callback)
        self._channel.follow(session, callback)

    # Delivery

    def _due(self, key_id: str) -> None:
        """Have what waits for a key sent."""
        key = self._keys.get(key_id)
        if key is None:
            return
        key.more = True
        if not key.delivering and self._link is not None:
            key.delivering = True
            self._spawn(self._deliver(key_id, key))

    async def _deliver(self, key_id: str, key: _Key) -> None:
        try:
            while key.more and self._link is not None:
                room = self._settings.commands_in_flight - len(key.in_flight)
                if room <= 0:
                    return  # goes on when the broker acknowledges
                key.more = False
                await self._deliver_some(key_id, key, room)
        except WotkitError as error:
            _log.warning("commands cannot be read now: %s", error)
            loop = asyncio.get_running_loop()
            loop.call_later(error.retry_after or RETRY_SECONDS, self._due, key_id)
        finally:
            key.delivering = False

    async def _deliver_some(self, key_id: str, key: _Key, room: int) -> None:
        identity = await self._vouched.identity(key_id)
        if identity is None or CONTROL not in identity.scopes:
            return
        link = self._link
        found = await self._catalog.reading(
            commands.pending, identity, key.session, key.after, room + 1
        )
        if link is None or link is not self._link:
            key.more = True  # over the connection that comes
            return
        key.more = key.more or len(found) > room
        for command in found[:room]:
            key.after = command.id
            if command.id not in key.in_flight:
                self._send(link, key_id, key, command)

    def _send(self, link: Link, key_id: str, key: _Key, command: commands.Command) -> None:
        left = command.seconds_left()
        if left == 0:
            return
        body: dict[str, Any] = {"id": command.id, "sensor": command.sensor}
        body["message"] = strict_json.decode(command.body.encode())
        if command.expires is not None:
            body["expires"] = times.to_iso(command.expires)
        topic = name_of(key_id, Kind.COMMANDS, command.sensor)
        packet = link.publish(topic, strict_json.encode(body), expires_seconds=left)
        if packet is None:
            self._try_again_later(key_id, key, command.id)
            return
        key.in_flight.add(command.id)
        self._sent[packet] = _Sent(key_id, command.id, command.expires is not None)

    def _try_again_later(self, key_id: str, key: _Key, message: int) -> None:
        """Send a message again after a while; until then those behind it have their turn."""
        if key.again is None:
            key.again = message
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._try_again, key_id, key)
        key.again = min(key.again, message)

    def _try_again(self, key_id: str, key: _Key) -> None:
        if key.again is not None:
            key.after = min(key.after, key.again - 1)
            key.again = None
            self._due(key_id)

    # What the broker has

    def _acknowledge(self, session: int, message: int) -> None:
        self._acknowledged.append((session, message))
        if not self._writing:
            self._writing = True
            self._spawn(self._write_acknowledged())

    async def _write_acknowledged(self) -> None:
        try:
            while self._acknowledged:
                pairs, self._acknowledged = self._acknowledged, []
                try:
                    await self._catalog.writing(commands.acknowledge, pairs)
                except WotkitError as error:
                    self._acknowledged = pairs + self._acknowledged
                    _log.warning("that commands are with the broker is not noted yet: %s", error)
                    await asyncio.sleep(error.retry_after or RETRY_SECONDS)
        finally:
            self._writing = False

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
