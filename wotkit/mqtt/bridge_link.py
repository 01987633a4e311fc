"""One connection to a broker, by paho-mqtt, whose thread hands over to the event loop.

It ends with its TCP connection and is not used again: what was not acknowledged on it, in either
direction, is forgotten here, since the broker and the catalog know it better. So an
acknowledgement can never reach another connection, where its packet id may mean something else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from wotkit.mqtt.topics import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paho.mqtt.reasoncodes import ReasonCode

    from wotkit.mqtt.broker import Broker
    from wotkit.settings import MqttSettings

CONNECT_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 30
QUEUED: Final = 10_000
"""Messages to the broker that may wait for their acknowledgement; beyond it they are not sent."""
NEW_ONLY: Final = 2
"""Retained messages are not wanted: as readings they would come again with every connection."""

MESSAGES: Final = ("data", "sensors/+/data", "sensors/+/+/data", "ingest", "results")
"""What keys publish. A broker that names topics with dots makes two levels of ``alice.roof``."""
STATUS: Final = "status"

_log: Final = logging.getLogger(__name__)


class Refused(Exception):
    """The broker does not let the bridge in, or not subscribe."""


class Handlers(NamedTuple):
    """What is called on the event loop's thread."""

    received: Callable[[Link, Sequence[MQTTMessage]], None]
    published: Callable[[int, int], None]
    """With the id that :meth:`Link.publish` returned, and the broker's reason code."""


class Link:
    """A connection; to be used on the event loop's thread."""

    def __init__(self, broker: Broker, settings: MqttSettings, handlers: Handlers) -> None:
        self._loop = asyncio.get_running_loop()
        self._broker = broker
        self._settings = settings
        self._handlers = handlers
        self._arrived: deque[MQTTMessage] = deque()
        self._due = False
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self.ended = asyncio.Event()
        self.shared = False
        """Whether the subscriptions are shared with other servers."""
        self._client = self._make()

    def _make(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._settings.broker_client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if self._broker.user:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.tls:
            client.tls_set(self._settings.broker_ca or None)
        client.connect_timeout = CONNECT_SECONDS
        client.max_queued_messages_set(QUEUED)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        return client

    async def open(self) -> None:
        """Connect and subscribe.

        Raises:
            OSError: the broker cannot be reached.
            TimeoutError: it does not answer.
            Refused: it does not let the bridge in.
        """
        properties = _properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._settings.max_session_seconds
        properties.ReceiveMaximum = self._settings.broker_in_flight

        def connect() -> None:
            self._client.connect(
                self._broker.host,
                self._broker.port,
                KEEP_ALIVE_SECONDS,
                clean_start=False,
                properties=properties,
            )

        await self._loop.run_in_executor(None, connect)
        self._client.loop_start()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._ready
        except BaseException:
            await self.close()
            raise

    def acknowledge(self, message: MQTTMessage) -> None:
        """Tell the broker that it may forget a message."""
        if message.qos:
            self._client.ack(message.mid, message.qos)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        expires_seconds: int | None = None,
        correlation: bytes | None = None,
    ) -> int | None:
        """Send a message with QoS 1; return its id, None when too much waits already."""
        properties = _properties(PacketTypes.PUBLISH)
        if expires_seconds is not None:
            properties.MessageExpiryInterval = expires_seconds
        if correlation is not None:
            properties.CorrelationData = correlation
        sent = self._client.publish(topic, payload, qos=1, properties=properties)
        if sent.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return None
        return sent.mid

    async def close(self) -> None:
        """End the connection; the broker keeps the session."""

        def stop() -> None:
            self._client.disconnect()
            self._client.loop_stop()

        await self._loop.run_in_executor(None, stop)
        self.ended.set()

    # On paho's thread

    def _on_connect(
        self,
        client: Client,
        _userdata: Any,
        _flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._call(self._fail, Refused(f"it answers: {reason}"))
            return
        available = getattr(properties, "SharedSubscriptionAvailable", 1)
        self.shared = self._settings.broker_shared and bool(available)
        # whatever the broker says of the session: subscriptions have been seen to be lost with it
        share = f"$share/{ROOT}/" if self.shared else ""
        wanted = SubscribeOptions(qos=1, retainHandling=NEW_ONLY)
        filters = [(f"{share}{ROOT}/+/{tail}", wanted) for tail in MESSAGES]
        filters.append((f"{ROOT}/+/{STATUS}", SubscribeOptions(qos=1)))
        client.subscribe(filters)

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: Any,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._call(self._fail, Refused(f"it refuses subscriptions: {', '.join(refused)}"))
        else:
            self._call(self._succeed)

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._arrived.append(message)
        if not self._due:
            self._due = True
            self._call(self._hand_over)

    def _on_publish(
        self,
        _client: Client,
        _userdata: Any,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._call(self._handlers.published, mid, reason.value)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: Any,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._call(self._fail, Refused(f"it ended the connection: {reason}"))
        self._call(self.ended.set)

    def _call(self, work: Callable[..., Any], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(work, *arguments)
        except RuntimeError:  # the loop has ended, and with it everybody who wanted to know
            _log.debug("the event loop has ended before the connection to the broker")

    # On the event loop's thread again

    def _fail(self, error: Exception) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)

    def _succeed(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _hand_over(self) -> None:
        self._due = False
        count = len(self._arrived)
        self._handlers.received(self, [self._arrived.popleft() for _ in range(count)])


def _properties(kind: int) -> Properties:
    return Properties(kind)  # type: ignore[no-untyped-call]  # paho's own oversight
