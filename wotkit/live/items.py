"""What a live stream carries, each thing put into bytes once, for all who are sent it.

The position of an item is the id of a reading: whoever has the item has everything up to there,
and goes on behind it.
"""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from wotkit import strict_json
from wotkit.readings.form import Named, objects
from wotkit.readings.store import StoredReading

if TYPE_CHECKING:
    from wotkit.readings.store import Arrival


class End(Enum):
    """Why the server ends a stream; the value is the code that clients are told."""

    SLOW_READER = "slow_reader"
    REVOKED = "revoked"
    FORBIDDEN = "forbidden"
    SERVER_STOPPING = "server_stopping"


READING: Final = "reading"
READY: Final = "ready"
SENSORS: Final = "sensors"
HEARTBEAT: Final = "heartbeat"
END: Final = "end"


class Item:
    """Something that is sent."""

    def __init__(self, event: str, position: int, data: str) -> None:
        """Take JSON as data, without line feeds."""
        self.event = event
        self.position = position
        self.data = data

    @cached_property
    def sse(self) -> bytes:
        """An event of a ``text/event-stream`` (HTML standard, section 9.2)."""
        if self.event == HEARTBEAT:  # no event, but the position is taken over
            return b": heartbeat\nid: %d\n\n" % self.position
        return f"id: {self.position}\nevent: {self.event}\ndata: {self.data}\n\n".encode()

    @cached_property
    def text(self) -> str:
        """A message of a WebSocket."""
        return f'{{"event":"{self.event}","id":"{self.position}","data":{self.data}}}'


class LiveReading(Item):
    """A reading that was just stored, or that somebody missed."""

    def __init__(self, arrival: Arrival, name: str) -> None:
        """Take the reading and its sensor's ``owner.name``."""
        self.event = READING
        self.position = arrival.id
        self.arrival = arrival
        self.name = name
        self.size = len(arrival.data)

    @cached_property
    def data(self) -> str:  # type: ignore[override]  # made when it is first asked for
        """The reading as the API answers it."""
        sensor_id, ts, reading_id, data = self.arrival
        (found,) = objects(Named(sensor_id, self.name), [StoredReading(ts, reading_id, data)])
        return found


def notice(event: str, position: int, **data: Any) -> Item:
    """Return an item that is no reading."""
    return Item(event, position, strict_json.encode(data).decode())
