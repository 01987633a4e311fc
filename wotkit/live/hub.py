"""Tells the parts of this process which readings were just stored.

The door publishes after the commit, and after everybody who waited was told: nothing here can
delay or fail an acknowledgement. A subscriber is called on the event loop's thread; it takes note
and returns, and bounds what it keeps.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wotkit.readings.store import NewReading

    Subscriber = Callable[[Sequence[NewReading], frozenset[int]], None]
    Follower = Callable[[Sequence[NewReading], Sequence[range]], None]

_log: Final = logging.getLogger(__name__)


class Hub:
    """Passes what was stored to whoever asked for it, in this process."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._followers: list[Follower] = []

    @property
    def busy(self) -> bool:
        """Whether anybody listens: without, there is nothing to publish."""
        return bool(self._subscribers or self._followers)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber`` for every commit from now on."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Call it no more; one that is not subscribed is ignored."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)

    def follow(self, follower: Follower) -> None:
        """Call ``follower`` with the readings of every commit and their ids, as spans in order."""
        self._followers.append(follower)

    def unfollow(self, follower: Follower) -> None:
        """Call it no more; one that does not follow is ignored."""
        if follower in self._followers:
            self._followers.remove(follower)

    def publish(
        self,
        readings: Sequence[NewReading],
        rewritten: frozenset[int],
        spans: Sequence[range] = (),
    ) -> None:
        """Call every subscriber; one that fails is logged and harms nobody else.

        Args:
            readings: what one commit added, in the order of their ids.
            rewritten: ids of sensors of which readings were deleted, replaced or cast: what was
                known of them may not hold.
            spans: the ids of the readings, each span without gaps.
        """
        for subscriber in tuple(self._subscribers):
            _call(subscriber, readings, rewritten)
        if spans:
            for follower in tuple(self._followers):
                _call(follower, readings, spans)


def _call(listener: Callable[..., None], *what: Any) -> None:
    try:
        listener(*what)
    except Exception:  # noqa: BLE001  # the writer goes on, whatever a subscriber does
        _log.exception("a subscriber of the hub failed")
