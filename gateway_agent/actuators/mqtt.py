"""Devices behind a broker of their own, such as switched sockets."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, unquote

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway_agent.actuators.base import Actuator, ActuatorConfig, Kind, Value, plain_text
from gateway_agent.settings import Setting, WrongSetting, address, duration, flag, path, text

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttConfig(ActuatorConfig):
    """`type = "mqtt"`: a message on a topic of any broker."""

    url: Annotated[
        SplitResult,
        Setting(
            address("mqtt", "mqtts"),
            "mqtt://user:password@host:1883, or mqtts:// for TLS; the password is never logged",
        ),
    ]
    topic: Annotated[str, Setting(text(r"[^+#\0]+", "a topic without + and #"), "topic")]
    payload: Annotated[
        str, Setting(text(r"(?s).+"), "the message; {value} in it is the value asked for")
    ] = "{value}"
    retain: Annotated[bool, Setting(flag, "have the broker keep the message")] = False
    ca_file: Annotated[
        Path | None, Setting(path, "certificate authority of the broker, if not a public one")
    ] = None
    timeout: Annotated[float, Setting(duration(0.1, 60), "longest wait for the broker")] = 5.0

    def __post_init__(self) -> None:
        """Raises WrongSetting as every actuator does, and for an address without host."""
        if not self.url.hostname:
            raise WrongSetting("url", "has no host")
        ActuatorConfig.__post_init__(self)

    def accept(self, raw: object) -> Value:
        return plain_text(raw)


class MqttActuator(Actuator):
    """Connects for each command, so that nothing is kept up in between."""

    def __init__(self, config: MqttConfig) -> None:
        self._config = config

    def apply(self, value: Value) -> str:
        config = self._config
        client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.connect_timeout = config.timeout
        if config.url.username is not None:
            password = config.url.password
            client.username_pw_set(
                unquote(config.url.username), None if password is None else unquote(password)
            )
        if config.url.scheme == "mqtts":
            cafile = None if config.ca_file is None else str(config.ca_file)
            client.tls_set_context(ssl.create_default_context(cafile=cafile))
        client.connect(config.url.hostname or "", config.url.port or _PORTS[config.url.scheme])
        client.loop_start()
        try:
            payload = config.payload.replace("{value}", str(value))
            sent = client.publish(config.topic, payload, qos=1, retain=config.retain)
            sent.wait_for_publish(config.timeout)
            if not sent.is_published():
                raise ConnectionError("the broker does not take the message")
        finally:
            client.disconnect()
            client.loop_stop()
        return "published"


KIND: Final = Kind(MqttConfig, MqttActuator)
