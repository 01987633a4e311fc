"""What the server publishes to a client: packet ids, the client's limits, what waits to be sent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from wotkit.mqtt.codec import PacketTooLarge, Publish, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.mqtt.codec import Version

LARGEST_ID: Final = 65_535
OVERHEAD: Final = 64
"""Bytes a waiting message takes beside its payload, roughly."""


class Full(Exception):
    """The client does not take what it is sent."""


class Outgoing:
    """Messages of one connection to its client."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        version: Version,
        *,
        receive_maximum: int,
        max_packet: int | None,
        max_bytes: int,
    ) -> None:
        self._write = write
        self._version = version
        self._free = receive_maximum
        self._max_packet = max_packet
        self._max_bytes = max_bytes
        self._next_id = 0
        self._in_flight: dict[int, int | None] = {}
        """Packet id to the id of the command that it carries."""
        self._waiting: deque[tuple[Publish, int | None]] = deque()
        self._bytes = 0

    @property
    def free(self) -> int:
        """How many messages above QoS 0 the client takes now (MQTT 5, section 4.9)."""
        return self._free

    @property
    def commands(self) -> int:
        """How many commands are not acknowledged."""
        return sum(command is not None for command in self._in_flight.values()) + sum(
            command is not None for _, command in self._waiting
        )

    def publish(self, message: Publish, command: int | None = None) -> bool:
        """Send a message, or have it wait until the client takes more.

        Returns whether it was; one beyond the client's maximum packet size is not.

        Raises:
            Full: too much waits already.
        """
        if not message.qos:
            return self._send(message)
        if not self._free:
            self._bytes += len(message.payload) + OVERHEAD
            if self._bytes > self._max_bytes:
                raise Full
            self._waiting.append((message, command))
            return True
        return self._send_with_id(message, command)

    def acknowledged(self, packet_id: int) -> int | None:
        """Note a PUBACK; return the command that it acknowledges, if it does.

        Raises:
            KeyError: nothing was sent with this packet id.
        """
        command = self._in_flight.pop(packet_id)
        self._free += 1
        while self._free and self._waiting:
            message, waiting = self._waiting.popleft()
            self._bytes -= len(message.payload) + OVERHEAD
            self._send_with_id(message, waiting)
        return command

    def _send_with_id(self, message: Publish, command: int | None) -> bool:
        packet_id = self._take_id()
        numbered = Publish(
            message.topic,
            message.payload,
            message.qos,
            packet_id,
            message.retain,
            properties=message.properties,
        )
        self._in_flight[packet_id] = command
        self._free -= 1
        if self._send(numbered):
            return True
        del self._in_flight[packet_id]
        self._free += 1
        return False

    def _take_id(self) -> int:
        while True:
            self._next_id = self._next_id % LARGEST_ID + 1
            if self._next_id not in self._in_flight:
                return self._next_id

    def _send(self, message: Publish) -> bool:
        try:
            self._write(encode(message, self._version, self._max_packet))
        except PacketTooLarge:
            return False
        return True
