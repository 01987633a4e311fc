"""Limits how often a key, an application of a user, or a user may write (token bucket)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from wotkit.errors import RateLimited

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity
    from wotkit.settings import IngestSettings

BUCKETS: Final = 100_000
"""Callers remembered at most; beyond it all start with a full bucket again."""


class RateLimiter:
    """One token bucket for each caller; of one process, so each worker allows the rate."""

    def __init__(self, settings: IngestSettings) -> None:
        self._rate = settings.rate
        self._burst = float(settings.burst)
        self._buckets: dict[str | int, tuple[float, float]] = {}
        """Caller to tokens left and the monotonic time of that count."""

    def take(self, identity: Identity) -> None:
        """Take one token of the caller.

        Raises:
            RateLimited: there is none left.
        """
        if not self._rate:
            return
        caller = identity.key_id or identity.grant_id or identity.username
        now = time.monotonic()
        tokens, at = self._buckets.get(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        if tokens < 1:
            self._buckets[caller] = (tokens, now)
            raise RateLimited(
                f"more than {self._rate:g} requests a second (in bursts, {self._burst:g} at once)",
                retry_after=(1 - tokens) / self._rate,
            )
        if len(self._buckets) >= BUCKETS:
            self._buckets.clear()
        self._buckets[caller] = (tokens - 1, now)
