"""What ``wotkit doctor`` looks at where gateways speak MQTT: ports, certificate, broker."""

from __future__ import annotations

import errno
import secrets
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wotkit.cli.checkups import (
    ANSWER_SECONDS,
    FAIL,
    OK,
    WARN,
    Finding,
    answers_as_wotkit,
    reachable,
    why_not_bound,
)
from wotkit.config import ConfigError
from wotkit.mqtt.broker import broker_of
from wotkit.mqtt.codec import (
    CodecError,
    ConnAck,
    Connect,
    ConnectProperties,
    Decoder,
    Disconnect,
    Reason,
    Sender,
    Version,
    encode,
)
from wotkit.mqtt.listening import DEFAULT_PORT, tls_context
from wotkit.mqtt.refusals import NO_SUCH_METHOD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wotkit.mqtt.broker import Broker
    from wotkit.settings import MqttSettings, Settings

EXPIRES_SOON: Final = timedelta(days=14)
NAME: Final = "mqtt"
TLS: Final = "mqtt tls"
BROKER: Final = "mqtt broker"
_NO_ANSWER: Final = "it does not answer as MQTT does"


def mqtt(settings: Settings) -> Iterator[Finding]:
    """Check what serves gateways, and what is connected to."""
    if settings.mqtt.enabled:
        yield from _listener(settings)
    else:
        yield Finding(NAME, OK, "the server does not speak it (mqtt.enabled)")
    if settings.mqtt.broker_url:
        yield from _broker(settings.mqtt)


def _listener(settings: Settings) -> Iterator[Finding]:
    host = settings.mqtt.host or settings.server.host
    yield from _port(settings, host, settings.mqtt.port, None)
    if settings.mqtt.tls_certificate:
        yield from _certificate(settings.mqtt)
        yield from _port(settings, host, settings.mqtt.tls_port, _trusting())


def _port(
    settings: Settings, host: str, number: int, context: ssl.SSLContext | None
) -> Iterator[Finding]:
    """Check that a port is free for the server to start, or that a server answers there."""
    name = f"{NAME} port {number}" if context is None else f"{TLS} port {number}"
    option = "--mqtt-port (the setting mqtt.port)" if context is None else "mqtt.tls_port"
    problem = why_not_bound(host, number)
    if problem is None:
        if number and answers_as_wotkit(settings.server.host, settings.server.port):
            text = "the server runs, and nothing listens here"
            yield Finding(name, WARN, text, "It has said at its start which port it took.")
        else:
            yield Finding(name, OK, f"free at {host}")
    elif problem.errno != errno.EADDRINUSE:
        yield Finding(name, FAIL, f"{host}: {problem.strerror}", f"Take another with {option}.")
    elif _is_wotkit(host, number, context):
        yield Finding(name, OK, "a WoTKit server answers CONNECT here")
    elif number == DEFAULT_PORT and context is None:
        text = f"another program holds it at {host}, so the server takes any other"
        yield Finding(name, WARN, text, f"Stop that program, or choose with {option}.")
    else:
        advice = f"Stop that program, or take another with {option}."
        yield Finding(name, FAIL, f"another program holds it at {host}", advice)


def _is_wotkit(host: str, number: int, context: ssl.SSLContext | None) -> bool:
    """Return whether a WoTKit server answers CONNECT.

    It is asked for a way to sign in that does not exist, which it refuses before it looks at any
    credentials, so nothing is counted as a failed login.
    """
    asked = Connect(
        _client_id(), properties=ConnectProperties(authentication_method="wotkit-doctor")
    )
    try:
        answer = _connack(reachable(host), number, context, asked)
    except (OSError, CodecError):
        return False
    wanted = (Reason.BAD_AUTHENTICATION_METHOD, NO_SUCH_METHOD)
    return (answer.reason, answer.properties.reason_string) == wanted


def _certificate(settings: MqttSettings) -> Iterator[Finding]:
    try:
        tls_context(settings)
        ends = _ends(Path(settings.tls_certificate))
    except (OSError, ValueError) as error:
        text = f"certificate or key cannot be used: {error}"
        yield Finding(TLS, FAIL, text, "Correct mqtt.tls_certificate and mqtt.tls_key.")
        return
    left = ends - datetime.now(UTC)
    shown = ends.strftime("%Y-%m-%d %H:%M UTC")
    if left <= timedelta(0):
        yield Finding(TLS, FAIL, f"the certificate has expired, at {shown}", "Renew it.")
    elif left < EXPIRES_SOON:
        text = f"the certificate expires in {left.days} days, at {shown}"
        yield Finding(TLS, WARN, text, "Renew it, and restart the server.")
    else:
        yield Finding(TLS, OK, f"the certificate is good until {shown}")


def _ends(certificate: Path) -> datetime:
    """Return when the first of a chain of certificates, or of its issuers, expires.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    from cryptography import x509

    chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    return min(each.not_valid_after_utc for each in chain)


def _broker(settings: MqttSettings) -> Iterator[Finding]:
    """Sign in at the broker as the bridge does, but for the client id, and leave."""
    try:
        broker = broker_of(settings)
    except ConfigError as error:
        for mistake in error.mistakes:
            yield Finding(BROKER, FAIL, mistake, "Correct mqtt.broker_url.")
        return
    assert broker is not None
    try:
        answer = _signed_in(broker, settings)
    except (OSError, CodecError) as error:
        text = f"{broker} cannot be reached: {error}"
        yield Finding(BROKER, FAIL, text, "Start it, or correct the settings mqtt.broker_*.")
        return
    if answer.reason is Reason.SUCCESS:
        yield Finding(BROKER, OK, f"{broker} lets the bridge in")
    else:
        text = f"{broker} does not let the bridge in: {answer.reason.name.lower()}"
        yield Finding(BROKER, FAIL, text, "Correct mqtt.broker_user and mqtt.broker_password.")


def _signed_in(broker: Broker, settings: MqttSettings) -> ConnAck:
    context = None
    if broker.tls:
        context = ssl.create_default_context(cafile=settings.broker_ca or None)
    asked = Connect(
        _client_id(),
        username=broker.user or None,
        password=broker.password.encode() if broker.user else None,
    )
    return _connack(broker.host, broker.port, context, asked)


def _connack(host: str, number: int, context: ssl.SSLContext | None, asked: Connect) -> ConnAck:
    """Connect, and return the answer.

    Raises:
        OSError: nobody is there, or not in time; or what answers does not speak MQTT.
        CodecError: the same.
    """
    decoder = Decoder(Version.V5, max_packet=65_536, sender=Sender.SERVER)
    with socket.create_connection((host, number), ANSWER_SECONDS) as plain:
        wire = plain if context is None else context.wrap_socket(plain, server_hostname=host)
        with wire:
            wire.sendall(encode(asked, Version.V5))
            while data := wire.recv(4096):
                for packet in decoder.feed(data):
                    if not isinstance(packet, ConnAck):
                        raise OSError(_NO_ANSWER)
                    with suppress(OSError):
                        wire.sendall(encode(Disconnect(), Version.V5))
                    return packet
    raise OSError(_NO_ANSWER)


def _trusting() -> ssl.SSLContext:
    """Return a context for the own port: whose certificate it has is looked at elsewhere."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _client_id() -> str:
    return f"wotkit-doctor-{secrets.token_hex(4)}"
