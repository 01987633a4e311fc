"""Sends what waits to be sent, and tries again what failed and may succeed."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final

from wotkit import times
from wotkit.alerts.transports import DeliveryFailed
from wotkit.catalog import deliveries
from wotkit.errors import WotkitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wotkit.alerts.transports import Transport
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.deliveries import Outgoing
    from wotkit.settings import Settings

AT_ONCE: Final = 8
GROWTH: Final = 3
LONGEST_WAIT_SECONDS: Final = 3600.0
POLL_SECONDS: Final = 30.0
"""How often to look although nothing was heard: another process may have left something."""
_JITTER: Final = 0.2
_MARGIN_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 5.0
_SMTP_STEPS: Final = 6

_log: Final = logging.getLogger(__name__)


class Courier:
    """Sends messages of any process; each is claimed, so that one process at a time has it."""

    def __init__(
        self, catalog: Catalog, transports: Mapping[str, Transport], settings: Settings
    ) -> None:
        self._catalog = catalog
        self._transports = transports
        self._attempts = settings.alerts.attempts
        self._retry = settings.alerts.retry_seconds
        # longer than any attempt can take, so that nobody else tries meanwhile
        longest = max(settings.alerts.webhook_seconds, settings.mail.seconds * _SMTP_STEPS)
        self._claim_seconds = longest + _MARGIN_SECONDS
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with what an earlier process left."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """End; what was not sent stays, and is sent after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """Look for messages now."""
        self._awake.set()

    async def _work(self) -> None:
        while True:
            self._awake.clear()
            pause = _RETRY_SECONDS
            try:
                while await self.send_due():
                    pass
                pause = await self._pause()
            except (WotkitError, OSError) as error:
                _log.warning("messages of alerts have to wait: %s", error)
            except Exception:  # noqa: BLE001  # the next time may be better
                _log.exception("messages of alerts have to wait")
            try:
                async with asyncio.timeout(pause):
                    await self._awake.wait()
            except TimeoutError:
                continue

    async def _pause(self) -> float:
        due = await self._catalog.reading(deliveries.next_due)
        if due is None:
            return POLL_SECONDS
        return min(max((due - times.now()) / times.MICROSECONDS, 0.0) + 0.001, POLL_SECONDS)

    async def send_due(self) -> int:
        """Try what is due, several at once, and return how many that were."""
        due = await self._catalog.reading(deliveries.next_due)
        if due is None or due > times.now():
            return 0
        claimed = await self._catalog.writing(deliveries.claim, AT_ONCE, self._claim_seconds)
        async with asyncio.TaskGroup() as group:
            for message in claimed:
                group.create_task(self._try(message))
        return len(claimed)

    async def _try(self, message: Outgoing) -> None:
        try:
            outcome = await self._transports[message.channel].send(message)
        except Exception as error:  # noqa: BLE001  # one message harms no other
            failure = error if isinstance(error, DeliveryFailed) else _mistake(error)
            again = None if failure.permanent else self._again(message.attempts)
            _log.warning(
                "delivery %d of alert %d by %s failed%s: %s",
                message.id,
                message.alert_id,
                message.channel,
                " for good" if again is None else "",
                failure.reason,
            )
            await self._catalog.writing(deliveries.failed, message, failure.reason, again)
        else:
            await self._catalog.writing(deliveries.sent, message, outcome)

    def _again(self, attempts: int) -> int | None:
        """Return when to try again after so many attempts; None: never."""
        if attempts >= self._attempts:
            return None
        seconds = min(self._retry * GROWTH ** (attempts - 1), LONGEST_WAIT_SECONDS)
        seconds *= 1 + _JITTER * secrets.randbelow(1000) / 1000
        return times.now() + int(seconds * times.MICROSECONDS)


def _mistake(error: Exception) -> DeliveryFailed:
    _log.error("a delivery failed in a way that was not foreseen", exc_info=error)
    return DeliveryFailed("the server made a mistake; its log has the cause", permanent=False)
