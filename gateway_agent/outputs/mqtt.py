"""Delivery over MQTT: batches on `ingest`, the platform's own answers on `ack`.

A broker's PUBACK only says that the broker has the message. What leaves the spool does so by the
platform's answer, which comes after its commit.
"""

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from gateway_agent.outputs.base import Answer, Denied, Later, Refused, TooLarge
from gateway_agent.outputs.encoding import acknowledgement, encode_batch
from gateway_agent.outputs.mqtt_link import Message, MqttLink
from gateway_agent.spool import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOM_FOR_TOPIC: Final = 256
_NOT_AUTHORIZED: Final = 0x87
_PACKET_TOO_LARGE: Final = 0x95
_PAYLOAD_INVALID: Final = 0x99


class MqttOutput:
    """Publishes batches and waits for the platform's answer."""

    in_use = "mqtt"

    def __init__(self, link: MqttLink, timeout: float) -> None:
        """`timeout` is the longest wait for the platform's answer, in seconds."""
        self._link = link
        self._timeout = timeout
        self._arrived = threading.Condition()
        self._answers: dict[str, Mapping[str, Any]] = {}
        link.receive("ack", self._on_ack)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._link.is_connected

    def send(self, batch: Batch) -> Answer:
        """Publish a batch. Only the platform's answer that names a position counts as stored."""
        if not self._link.is_connected:
            reason = f"MQTT: {self._link.trouble}"
            return Denied(reason) if self._link.is_denied else Later(reason)
        body = encode_batch(batch)
        if len(body) > self._link.largest_packet - _ROOM_FOR_TOPIC:
            return TooLarge(f"{len(body)} bytes are more than MQTT takes")
        deadline = time.monotonic() + self._timeout
        with self._arrived:
            self._answers.clear()
        publication = self._link.publish("ingest", body, self._timeout)
        if not publication.is_taken:
            if publication.reason is None:
                self._link.reconnect()
            return _refusal(publication.reason, publication.text)
        return self._await(batch, deadline)

    def close(self) -> None:
        """Say goodbye and disconnect."""
        self._link.stop(2.0)

    def _await(self, batch: Batch, deadline: float) -> Answer:
        with self._arrived:
            while self._link.is_connected:
                found = acknowledgement(self._answers.pop(batch.stream, None), batch)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    return Later("MQTT: the broker took the batch, the platform does not answer")
                self._arrived.wait(min(left, 0.2))
        return Later(f"MQTT: {self._link.trouble}")

    def _on_ack(self, message: Message) -> None:
        message.done()
        with self._arrived:
            self._answers[str(message.body.get("stream", ""))] = message.body
            self._arrived.notify_all()


def _refusal(reason: int | None, text: str) -> Answer:
    if reason == _PAYLOAD_INVALID:
        return Refused("400", f"MQTT: {text}")
    if reason == _PACKET_TOO_LARGE:
        return TooLarge(f"MQTT: {text}")
    if reason == _NOT_AUTHORIZED:
        return Denied(f"MQTT: {text}")
    return Later(f"MQTT: {text}")
