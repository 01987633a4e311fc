"""What is to be done when a client is gone without a word (MQTT 5, section 3.1.2.5)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from wotkit.errors import Overloaded, RateLimited, StoreUnavailable, WotkitError
from wotkit.mqtt.topics import Kind, publishable

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from wotkit.mqtt.connection import Connection
    from wotkit.mqtt.service import Service

RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 30.0

_log: Final = logging.getLogger(__name__)


class Wills:
    """The wills of clients that have gone; those of the others are with their connections."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: dict[tuple[str, str], tuple[asyncio.TimerHandle, Connection]] = {}

    def leave(self, connection: Connection, client: tuple[str, str], delay: float) -> None:
        """Do what a client that has gone left as its will, at once or after so many seconds."""
        if not delay:
            self._service.later(self._publish_surely(connection, client))
            return

        def publish() -> None:
            self._waiting.pop(client, None)
            self._service.later(self._publish_surely(connection, client))

        timer = asyncio.get_running_loop().call_later(delay, publish)
        self._waiting[client] = timer, connection

    def forget(self, client: tuple[str, str], before: Connection | None) -> None:
        """Do nothing of what was to wait, because the client has come again.

        Args:
            client: which one.
            before: its connection that was taken over, if there was one.
        """
        for connection in (before, self._withdraw(client)):
            if connection is not None:
                connection.will = None

    async def speak_now(self, client: tuple[str, str]) -> None:
        """Do what was to wait while a session lasts, because it ends."""
        connection = self._withdraw(client)
        if connection is not None:
            await self.speak(connection)

    async def speak(self, connection: Connection) -> None:
        """Do what a connection's will says, once, while its client waits."""
        try:
            await self._publish(connection)
        except WotkitError as error:
            _log.warning("the will of a client is not done: %s", error)

    def end(self) -> None:
        """Do now all that was to wait."""
        waiting, self._waiting = self._waiting, {}
        for client, (timer, connection) in waiting.items():
            timer.cancel()
            self._service.later(self._publish_surely(connection, client))

    def _withdraw(self, client: tuple[str, str]) -> Connection | None:
        timer, connection = self._waiting.pop(client, (None, None))
        if timer is not None:
            timer.cancel()
        return connection

    async def _publish_surely(self, connection: Connection, client: tuple[str, str]) -> None:
        """Do what a will says, again and again while there is no time for it, then in turns.

        Once the client is here again, what it says itself counts.
        """
        service, will, pause = self._service, connection.will, RETRY_SECONDS
        turn: AbstractAsyncContextManager[Any] = nullcontext()
        while True:
            async with turn:
                if turn is service.turns and client in service.clients:
                    return
                connection.will = will
                try:
                    await self._publish(connection)
                except (RateLimited, Overloaded, StoreUnavailable) as error:
                    _log.warning("the will of a client is not done yet: %s", error)
                    seconds = max(error.retry_after or 0, pause)
                else:
                    return
            await asyncio.sleep(seconds)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)
            turn = service.turns

    async def _publish(self, connection: Connection) -> None:
        will, holder = connection.will, connection.holder
        connection.will = None
        if will is None:
            return
        assert holder is not None
        service = self._service
        topic = publishable(holder.key_id, will.topic)
        identity = await service.catalog.reading(holder.standing.renew)
        if topic is None or identity is None:
            return
        if topic.kind is Kind.DATA:
            readings = await service.inbound.readings(identity, topic, will.payload)
            await service.inbound.store(readings)
            return
        reply = await service.inbound.other(identity, topic, will.payload)
        if reply is not None:
            service.reply(connection, identity, reply)
