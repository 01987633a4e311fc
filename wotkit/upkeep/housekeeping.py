"""What the server does by itself from time to time, in its event loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from wotkit import times
from wotkit.catalog import (
    audit,
    devices,
    fields,
    links,
    logins,
    mqtt_sessions,
    sensors,
    sessions,
    tokens,
)
from wotkit.control import channel
from wotkit.errors import WotkitError
from wotkit.readings.store import CastField, DropSensor, ForgetResends

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wotkit.auth.authenticator import Authenticator
    from wotkit.catalog.database import Catalog
    from wotkit.control.channel import Channel
    from wotkit.ingest.door import Door
    from wotkit.settings import Settings

DAY: Final = 86_400 * times.MICROSECONDS
USES_SECONDS: Final = 60
"""How often the last use of keys is written."""
SWEEP_SECONDS: Final = 3600
RETRY_SECONDS: Final = 60
"""After which a chore that failed is tried again, if it is not due before."""
STRAGGLERS_SECONDS: Final = 3600
"""How long a request may take that was accepted before its sensor was deleted."""

_log: Final = logging.getLogger(__name__)


class Housekeeping:
    """Runs the chores of one process."""

    def __init__(
        self,
        catalog: Catalog,
        door: Door,
        authenticator: Authenticator,
        channel: Channel,
        settings: Settings,
    ) -> None:
        self._catalog = catalog
        self._door = door
        self._authenticator = authenticator
        self._channel = channel
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; the first sweep finishes what a crash interrupted."""
        self._tasks = [
            asyncio.create_task(_repeat(SWEEP_SECONDS, self.sweep, at_once=True)),
            asyncio.create_task(_repeat(USES_SECONDS, self._authenticator.flush_uses)),
            asyncio.create_task(_repeat(self._channel.use_seconds, self._channel.note_uses)),
            asyncio.create_task(_repeat(channel.SWEEP_SECONDS, self._channel.sweep, at_once=True)),
        ]

    async def stop(self) -> None:
        """End the chores, and write the last uses of keys."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._authenticator.flush_uses()

    async def sweep(self) -> None:
        """Finish what the catalog notes as begun; forget what has had its time."""
        await self._drop()
        await self._cast()
        now = times.now()
        await self._door.apply(ForgetResends(now - int(self._settings.ingest.resend_days * DAY)))
        window = self._settings.auth.failure_window_seconds * times.MICROSECONDS
        await self._catalog.writing(logins.forget_before, now - window)
        # kept a while, so that a code or token that comes back is known, and ends its grant
        await self._catalog.writing(tokens.forget_before, now - DAY)
        await self._catalog.writing(devices.forget_before, now - DAY)
        await self._catalog.writing(audit.forget_before, now - self._settings.auth.audit_days * DAY)
        web = self._settings.web
        lifetimes = sessions.Lifetimes(idle=web.idle_seconds, absolute=web.absolute_seconds)
        await self._catalog.writing(sessions.forget, lifetimes)
        await self._catalog.writing(links.forget)
        await self._catalog.writing(mqtt_sessions.sweep)

    async def _drop(self) -> None:
        """Drop readings of deleted sensors, and later those that were on their way then."""
        settled = times.now() - STRAGGLERS_SECONDS * times.MICROSECONDS
        repeated = await self._catalog.reading(sensors.drops_to_repeat, settled)
        for sensor_id in await self._catalog.reading(sensors.pending_drops):
            await self._door.apply(DropSensor(sensor_id))
            await self._catalog.writing(sensors.readings_dropped, [sensor_id])
        for sensor_id in repeated:
            await self._door.apply(DropSensor(sensor_id))
            await self._catalog.writing(sensors.forget_drops, [sensor_id])

    async def _cast(self) -> None:
        """Cast stored values of declared fields where that was interrupted."""
        for cast in await self._catalog.reading(fields.pending_casts):
            await self._door.apply(CastField(*cast))
            await self._catalog.writing(fields.values_cast, cast)


async def _repeat(
    seconds: float, chore: Callable[[], Awaitable[None]], *, at_once: bool = False
) -> None:
    """Do a chore again and again; one that fails is logged and tried again soon."""
    if not at_once:
        await asyncio.sleep(seconds)
    retry = min(seconds, RETRY_SECONDS)
    while True:
        pause = retry
        try:
            await chore()
            pause = seconds
        except (WotkitError, OSError) as error:
            _log.warning("a chore failed and is tried again in %g s: %s", retry, error)
        except Exception:  # noqa: BLE001  # whatever it is, the next time may be better
            _log.exception("a chore failed and is tried again in %g s", retry)
        await asyncio.sleep(pause)
