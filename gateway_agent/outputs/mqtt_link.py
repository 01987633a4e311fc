"""One MQTT 5 connection to the platform, kept up by a thread of its own.

Everything that the agent exchanges over MQTT goes through here: batches and their answers,
commands and results, the status with its last will. After every connect it subscribes again,
whatever the broker says about its session: durable subscriptions were seen to vanish.
"""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway_agent.backoff import Backoff
from gateway_agent.credentials import CredentialsError, CredentialSource

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE: Final = 30
_CONNECT_TIMEOUT: Final = 10.0
_STEP: Final = 0.2
_STEADY: Final = 10.0
"""Seconds after which a connection counts as one that works: before, each next one waits longer."""
_LARGEST_PACKET: Final = 256 * 1024
_SESSION_SECONDS: Final = 3600
_REFUSED: Final = 0x80
_TAKEN_OVER: Final = 0x8E
_DENIED: Final = frozenset({0x84, 0x85, 0x86, 0x87, 0x8C, 0x98})
"""CONNACK and DISCONNECT reasons that another key might change (MQTT 5, section 2.4)."""


@dataclass(frozen=True, slots=True)
class Message:
    """What came: the rest of its topic after the key id, and its decoded payload."""

    kind: str
    body: Mapping[str, Any]
    expires_in: float | None
    """Seconds until it is stale, by the broker's clock; None if it did not say."""
    done: Callable[[], None]
    """To be called when it need not come again."""


Receive = Callable[[Message], None]


@dataclass(frozen=True, slots=True)
class Publication:
    """What became of a message: `reason` is the other side's code, None when none came in time."""

    reason: int | None
    text: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the other side took the message; that does not mean that it is stored."""
        return self.reason is not None and self.reason < _REFUSED


class MqttLink:
    """Connects, subscribes, publishes; `publish` and `is_connected` may be used by any thread."""

    def __init__(
        self,
        url: SplitResult,
        client_id: str,
        credentials: CredentialSource,
        *,
        ca_file: Path | None,
        retry: Backoff,
        denied_retry: Backoff,
        keepalive: int = KEEPALIVE,
    ) -> None:
        """A dead connection is noticed after twice `keepalive` seconds.

        Raises OSError when the certificate authority cannot be read.
        """
        self._url = url
        self._client_id = client_id
        self._credentials = credentials
        self._retry = retry
        self._denied_retry = denied_retry
        self.keepalive = keepalive
        self._context: ssl.SSLContext | None = None
        if url.scheme == "mqtts":
            self._context = ssl.create_default_context(cafile=ca_file)
        self._receivers: dict[str, Receive] = {}
        self._hello: Callable[[], bytes] = lambda: b"online"
        self._will = b"offline"
        self._lock = threading.Condition()
        self._client: paho.Client | None = None
        self._key_id = ""
        self._subscribed = False
        self._subscribed_at: float | None = None
        self._answers: dict[int, Publication] = {}
        self._stopping = threading.Event()
        self._drop = threading.Event()
        self._log = logging.getLogger(__name__)
        self._thread = threading.Thread(target=self._run, name="mqtt-link", daemon=True)
        self.trouble: str | None = "not connected yet"
        """Why there is no connection; None while there is one."""
        self.is_denied = False
        """Whether the key was refused at the last attempt."""
        self.largest_packet = _LARGEST_PACKET
        """Bytes of the largest message that the other side takes."""
        self.last_contact = time.monotonic()
        """When the other side was last heard of, in monotonic time."""

    def receive(self, kind: str, receiver: Receive) -> None:
        """Have what comes on `{kind}`, such as `ack` or `commands/#`, given to `receiver`.

        To be said before `start`. The receiver must not wait, and sees to it that `done` is called.
        """
        self._receivers[kind] = receiver

    def introduce(self, hello: Callable[[], bytes], will: bytes) -> None:
        """Say what the status is after each connect, and when the agent is gone; before `start`."""
        self._hello, self._will = hello, will

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Say that the agent is gone, disconnect; False when the thread still hangs."""
        if self.is_connected:
            self.publish("status", self._will, min(1.0, timeout), retain=True)
        self._stopping.set()
        self._drop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection with its subscriptions."""
        return self._subscribed

    def reconnect(self) -> None:
        """Give the connection up: something on it does not answer."""
        self._drop.set()

    def publish(
        self, kind: str, payload: bytes, timeout: float, *, retain: bool = False
    ) -> Publication:
        """Publish with QoS 1 on the key's topic `{kind}`, and wait for the other side's reason."""
        deadline = time.monotonic() + timeout
        client = self._client
        if client is None or not self._subscribed:
            return Publication(None, self.trouble or "not connected")
        # Not under the lock: the library holds one of its own when it calls _on_publish.
        topic = f"wotkit/{self._key_id}/{kind}"
        sent = client.publish(topic, payload, qos=1, retain=retain)
        if sent.rc != paho.MQTT_ERR_SUCCESS:
            return Publication(None, paho.error_string(sent.rc))
        with self._lock:
            while client is self._client:
                if sent.mid in self._answers:
                    return self._answers.pop(sent.mid)
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._lock.wait(min(left, _STEP))
        return Publication(None, self.trouble or "no answer in time")

    # -- the link's own thread ------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._drop.clear()
            pause = self._live_once()
            if self._stopping.wait(pause if not self.is_denied else 0):
                return
            if self.is_denied:
                self._wait_for_credentials(pause)

    def _live_once(self) -> float:
        """One connection from its beginning to its end; seconds to wait before the next."""
        self.is_denied = False
        try:
            client = self._make_client()
            client.connect(
                self._url.hostname or "",
                self._url.port or PORTS[self._url.scheme],
                self.keepalive,
                clean_start=False,
                properties=_session(_SESSION_SECONDS),
            )
        except CredentialsError as error:
            self.is_denied = True
            self._note(str(error))
            return self._denied_retry.next_between()
        except (OSError, ValueError) as error:
            self._note(f"{type(error).__name__}: {error}")
            return self._retry.next()
        with self._lock:
            self._client = client
            self._answers.clear()
        self._serve(client)
        return self._denied_retry.next_between() if self.is_denied else self._retry.next()

    def _serve(self, client: paho.Client) -> None:
        deadline = time.monotonic() + _CONNECT_TIMEOUT
        self.trouble = None
        self._subscribed_at = None
        greeted = False
        client.loop_start()
        try:
            while not self._drop.wait(_STEP) and self.trouble is None:
                if self._subscribed and not greeted:
                    greeted = True
                    self._log.info("connected broker=%s", self._url.hostname)
                    self.publish("status", self._hello(), _CONNECT_TIMEOUT, retain=True)
                if not self._subscribed and time.monotonic() > deadline:
                    self._note("the broker does not answer")
                self._look_whether_steady()
        finally:
            with self._lock:
                self._client, self._subscribed = None, False
                self._lock.notify_all()
            client.disconnect()
            client.loop_stop()
        if self.trouble is None:
            self.trouble = "given up"

    def _look_whether_steady(self) -> None:
        since = self._subscribed_at
        if since is not None and time.monotonic() - since >= _STEADY:
            self._retry.reset()

    def _make_client(self) -> paho.Client:
        key = self._credentials.read()
        self._key_id = key.key_id
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_TIMEOUT
        client.username_pw_set(key.key_id, key.key_password)
        client.will_set(f"wotkit/{key.key_id}/status", self._will, qos=1, retain=True)
        if self._context is not None:
            client.tls_set_context(self._context)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _wait_for_credentials(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._credentials.changed():
            if self._stopping.wait(min(1.0, seconds)):
                return

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            self._log.warning("no MQTT connection reason=%r", trouble)
        self.trouble = trouble

    # -- called by paho's thread ----------------------------------------------------------

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            self.is_denied = reason.value in _DENIED
            self._note(f"the broker refuses: {reason}")
            return
        self.largest_packet = getattr(properties, "MaximumPacketSize", _LARGEST_PACKET)
        client.subscribe([(f"wotkit/{self._key_id}/{kind}", 1) for kind in self._receivers])

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.value >= _REFUSED]
        if refused:
            self.is_denied = True
            self._note(f"the broker refuses the subscription: {refused[0]}")
            return
        self.last_contact = time.monotonic()
        self._denied_retry.reset()
        self._subscribed_at = time.monotonic()
        self._subscribed = True

    def _on_disconnect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if client is self._client and self.trouble is None and not self._drop.is_set():
            self.is_denied = reason.value in _DENIED
            taken = f", by another client called {self._client_id}"
            self._note(f"disconnected: {reason}{taken if reason.value == _TAKEN_OVER else ''}")
        self._subscribed = False

    def _on_publish(
        self, client: paho.Client, _data: Any, mid: int, reason: Any, _properties: Any
    ) -> None:
        self.last_contact = time.monotonic()
        with self._lock:
            if client is self._client:
                self._answers[mid] = Publication(reason.value, str(reason))
            self._lock.notify_all()

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.last_contact = time.monotonic()
        kind = message.topic.removeprefix(f"wotkit/{self._key_id}/")
        receiver = self._receivers.get(kind) or self._receivers.get(kind.split("/")[0] + "/#")
        try:
            body = json.loads(message.payload)
        except (ValueError, RecursionError):
            body = None
        if receiver is None or not isinstance(body, dict):
            self._log.warning("message ignored topic=%s", kind)
            client.ack(message.mid, message.qos)
            return
        expires_in = getattr(message.properties, "MessageExpiryInterval", None)
        receiver(Message(kind, body, expires_in, lambda: _acknowledge(client, message)))


def _acknowledge(client: paho.Client, message: paho.MQTTMessage) -> None:
    """Let the broker forget a message; harmless when its connection is gone."""
    client.ack(message.mid, message.qos)


def _session(seconds: int) -> Properties:
    """The session survives short outages, so that commands wait."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # the library's
    properties.SessionExpiryInterval = seconds
    return properties
