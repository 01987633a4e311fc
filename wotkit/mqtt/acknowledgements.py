"""Acknowledgements of what a client published, in the order in which it was published.

The standard wants PUBACKs in the order of the PUBLISHes (section 4.6); readings are committed in
batches, refusals are known at once. So each publish takes its place here when it comes, and what is
ready is sent as far as nothing before it is still under way.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Place:
    """Where the acknowledgement of one or several publishes will stand."""

    __slots__ = ("answer", "count", "since")

    def __init__(self) -> None:
        self.count = 0
        """How many publishes it answers."""
        self.since = 0.0
        """When they were read, in the event loop's time."""
        self.answer: bytes | None = None
        """What is to be sent, once it is known; empty where there is nothing to send."""


class Acknowledgements:
    """Those of one connection."""

    __slots__ = ("_places", "_write", "under_way")

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._places: deque[Place] = deque()
        self.under_way = 0
        """Publishes that wait for their acknowledgement."""

    def place(self, count: int = 1) -> Place:
        """Take the next place, for so many publishes."""
        place = Place()
        place.count = count
        self.under_way += count
        self._places.append(place)
        return place

    def more(self, place: Place) -> None:
        """Have a place, which must be the last, stand for one more publish."""
        place.count += 1
        self.under_way += 1

    def ready(self, place: Place, answer: bytes) -> None:
        """Say what a place's acknowledgement is, and send all that can be sent."""
        place.answer = answer
        places, parts = self._places, []
        while places and places[0].answer is not None:
            first = places.popleft()
            self.under_way -= first.count
            if first.answer:
                parts.append(first.answer)
        if parts:
            self._write(b"".join(parts))
