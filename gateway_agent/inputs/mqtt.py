"""Readings of other devices, published on a broker of their own."""

import contextlib
import re
import ssl
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, unquote

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway_agent.clock import Stamp
from gateway_agent.inputs.base import SENSOR_EXPECTED, Context, Failure, Kind, sensor_name
from gateway_agent.inputs.points import Points, field_from, sensor_from
from gateway_agent.inputs.record_config import RecordConfig
from gateway_agent.inputs.records import Novelty, Record, RecordParser, declared
from gateway_agent.inputs.stream import StreamInput
from gateway_agent.reading import SENSOR_NAME, Sample, SensorSpec
from gateway_agent.settings import (
    Setting,
    WrongSetting,
    address,
    choice,
    duration,
    path,
    text,
    texts,
    whole,
)

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE: Final = 30
_CONNECT_TIMEOUT: Final = 10.0
_LARGEST_PAYLOAD: Final = 256 * 1024
_REFUSED: Final = 0x80
_LEVEL: Final = re.compile(r"\{(\d+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttConfig(RecordConfig):
    """`type = "mqtt"`: messages on topics of any broker."""

    url: Annotated[
        SplitResult,
        Setting(
            address("mqtt", "mqtts"),
            "mqtt://user:password@host:1883, or mqtts:// for TLS; the password is never logged",
        ),
    ]
    topic: Annotated[
        tuple[str, ...], Setting(texts, "topics to subscribe to; + stands for one level, # for all")
    ]
    sensor: Annotated[
        str | None,
        Setting(
            text(),
            "sensor that gets the readings; {1}, {2} … is what the first, second … + or # in the "
            "topic stands for; {gateway id}-{input name} if left out",
        ),
    ] = None
    field: Annotated[
        str | None,
        Setting(text(), "format number: field that gets the value; {1} … as in sensor"),
    ] = None
    retained: Annotated[
        Literal["skip", "take"],
        Setting(
            choice("skip", "take"),
            "what to do with messages that the broker kept from before: their time is not known",
        ),
    ] = "skip"
    qos: Annotated[int, Setting(whole(0, 1), "quality of service of the subscription")] = 0
    client_id: Annotated[
        str | None, Setting(text(), "client id; gateway id and input name if left out")
    ] = None
    password_file: Annotated[
        Path | None, Setting(path, "file with the password, instead of one in url")
    ] = None
    ca_file: Annotated[
        Path | None, Setting(path, "certificate authority of the broker, if not a public one")
    ] = None
    interval: Annotated[
        float,
        Setting(
            duration(0, 31 * 86_400), "shortest time between two readings of a sensor; 0s: all"
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        """Raises WrongSetting as RecordConfig does, and for topics that are none."""
        RecordConfig.__post_init__(self)
        if not self.url.hostname:
            raise WrongSetting("url", "has no host")
        wildcards = [topic.count("+") + topic.count("#") for topic in self.topic]
        for topic in self.topic:
            if not re.fullmatch(r"(?:(?:[^+#/]*|\+)/)*(?:[^+#/]*|\+|#)", topic):
                raise WrongSetting("topic", f"+ and # stand for whole levels, # last: {topic!r}")
        for name in ("sensor", "field"):
            for level in _LEVEL.findall(getattr(self, name) or ""):
                if not 1 <= int(level) <= min(wildcards):
                    raise WrongSetting(name, f"{{{level}}}: no such + or # in every topic")
        named = self.sensor is not None and not _LEVEL.search(self.sensor)
        if named and not SENSOR_NAME.fullmatch(self.sensor or ""):
            raise WrongSetting("sensor", f"expected {SENSOR_EXPECTED}, or {{1}} in it")
        if self.field is not None and self.format != "number":
            raise WrongSetting("field", 'is only for format "number"; points name fields otherwise')


@dataclass(frozen=True, slots=True)
class _Message:
    topic: str
    payload: bytes
    retained: bool
    stamp: Stamp


class MqttInput(StreamInput):
    """Subscribes, and reads from the broker only as fast as readings are stored."""

    def __init__(self, config: MqttConfig, context: Context) -> None:
        super().__init__(context, config.interval)
        self._config = config
        self._parser = RecordParser(config)
        self._novelty = Novelty()
        self._sensor = sensor_name(context.gateway_id, config, None)
        self._client: paho.Client | None = None
        self._arrived: deque[_Message] = deque()
        self._trouble: str | None = None
        self._subscribed = False

    def open(self) -> None:
        """Raises OSError when nobody listens, ConnectionError when the broker refuses."""
        self._trouble, self._subscribed = None, False
        self._arrived.clear()
        self._client = client = self._make_client()
        parts = self._config.url
        client.connect(parts.hostname or "", parts.port or _PORTS[parts.scheme], _KEEPALIVE)
        deadline = time.monotonic() + _CONNECT_TIMEOUT
        while not self._subscribed:
            self._turn(0.2)
            if time.monotonic() > deadline:
                raise ConnectionError("the broker does not answer")
            if self._context.stopping.is_set():
                return

    def sensors(self) -> Sequence[SensorSpec]:
        config = self._config
        if config.sensor is not None and (_LEVEL.search(config.sensor) or not config.point):
            return []
        points = tuple(
            point if point.sensor or not config.sensor else replace(point, sensor=config.sensor)
            for point in config.point
        )
        named = Points(self._context.gateway_id, config, points)
        return declared(config, named, f"From the broker {config.url.hostname}")

    def receive(self, timeout: float) -> Iterable[Sample | Failure]:
        """Raises ConnectionError when the broker is gone."""
        self._turn(timeout)
        while self._arrived:
            yield from self._samples(self._arrived.popleft())

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError, ValueError):
                client.disconnect()

    def _turn(self, timeout: float) -> None:
        assert self._client is not None
        result = self._client.loop(timeout)
        if self._trouble is not None:
            raise ConnectionError(self._trouble)
        if result != paho.MQTT_ERR_SUCCESS:
            raise ConnectionError(f"the broker is gone: {paho.error_string(result)}")

    def _make_client(self) -> paho.Client:
        config = self._config
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id or f"{self._context.gateway_id}-{config.name}",
            clean_session=True,
            protocol=paho.MQTTv311,
        )
        client.connect_timeout = _CONNECT_TIMEOUT
        if config.url.username is not None:
            client.username_pw_set(unquote(config.url.username), self._password())
        if config.url.scheme == "mqtts":
            cafile = None if config.ca_file is None else str(config.ca_file)
            client.tls_set_context(ssl.create_default_context(cafile=cafile))
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _password(self) -> str | None:
        if self._config.password_file is not None:
            return self._config.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        password = self._config.url.password
        return None if password is None else unquote(password)

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._trouble = f"the broker refuses: {reason}"
        else:
            client.subscribe([(topic, self._config.qos) for topic in self._config.topic])

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        for topic, reason in zip(self._config.topic, reasons, strict=False):
            if reason.value >= _REFUSED:
                self._trouble = f"the broker refuses the topic {topic}"
        self._subscribed = True

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        stamp = self._context.clock.stamp()
        self._arrived.append(
            _Message(message.topic, bytes(message.payload), bool(message.retain), stamp)
        )

    def _samples(self, message: _Message) -> Iterator[Sample | Failure]:
        if message.retained and self._config.retained == "skip":
            return
        if not message.payload:
            return  # an empty message only removes a retained one
        if len(message.payload) > _LARGEST_PAYLOAD:
            yield Failure(f"{message.topic}: a message of {len(message.payload)} bytes")
            return
        try:
            records = self._parser.parse(message.payload.decode())
        except ValueError as error:
            yield Failure(f"{message.topic}: {error}")
            return
        levels = _levels(self._config.topic, message.topic)
        sensor = self._sensor
        if self._config.sensor is not None:
            sensor = _filled(self._config.sensor, levels)
            sensor = ".".join(map(sensor_from, sensor.split(".", 1)))
        for record in records:
            if self._novelty.is_new(record, message.topic):
                named = self._with_field(record, levels)
                yield from named.samples(sensor, self._context.clock, message.stamp)

    def _with_field(self, record: Record, levels: Sequence[str]) -> Record:
        if self._config.field is None:
            return record
        name = field_from(_filled(self._config.field, levels))
        values = {
            sensor: {name: next(iter(fields.values()))} for sensor, fields in record.values.items()
        }
        return replace(record, values=values)


def _filled(template: str, levels: Sequence[str]) -> str:
    return _LEVEL.sub(lambda level: levels[int(level[1]) - 1], template)


def _levels(filters: Sequence[str], topic: str) -> list[str]:
    """What the wildcards stand for in the first filter that a topic fits."""
    for wanted in filters:
        pattern = re.escape(wanted).replace(r"\+", "([^/]*)").replace("/\\#", "(?:/(.*))?")
        match = re.fullmatch(pattern.replace(r"\#", "(.*)"), topic)
        if match is not None:
            return [group or "" for group in match.groups()]
    return [""] * max(wanted.count("+") + wanted.count("#") for wanted in filters)


KIND: Final = Kind(MqttConfig, MqttInput)
