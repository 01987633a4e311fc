"""Who is connected, in memory: forgotten when the program ends."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from connection import Connection, Pending

MOST: Final = 1000
"""Browsers that are remembered; beyond, the one that was away longest is forgotten."""
IDLE_SECONDS: Final = 12 * 3600


@dataclass
class Browser:
    """What is known of one browser."""

    pending: Pending | None = None
    """The round that has begun and has not come back."""
    connection: Connection | None = None
    user: str = ""
    seen: float = field(default_factory=time.monotonic)


class Browsers:
    """Browsers by the random id in their cookie; may be used by several threads."""

    def __init__(self) -> None:
        self._known: dict[str, Browser] = {}
        self._lock = threading.Lock()

    def add(self, browser: Browser) -> str:
        """Remember a browser and return its new id."""
        browser_id = secrets.token_urlsafe(32)
        with self._lock:
            self._known[browser_id] = browser
            while len(self._known) > MOST:
                del self._known[min(self._known, key=lambda each: self._known[each].seen)]
        return browser_id

    def get(self, browser_id: str) -> Browser:
        """Return what is known of a browser; of a stranger, nothing."""
        now = time.monotonic()
        with self._lock:
            found = self._known.get(browser_id)
            if found is None or now - found.seen > IDLE_SECONDS:
                self._known.pop(browser_id, None)
                return Browser()
            found.seen = now
            return found

    def forget(self, browser_id: str) -> None:
        """Forget a browser, if it is known."""
        with self._lock:
            self._known.pop(browser_id, None)
