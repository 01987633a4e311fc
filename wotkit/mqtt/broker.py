"""The broker before the platform, if there is one: where it is, and how the bridge signs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from wotkit.config import ConfigError

if TYPE_CHECKING:
    from wotkit.settings import MqttSettings

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class Broker(NamedTuple):
    """Where a broker is."""

    host: str
    port: int
    tls: bool
    user: str
    password: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{host}:{self.port}"


def broker_of(settings: MqttSettings) -> Broker | None:
    """Return the broker of the settings; None without one.

    Raises:
        ConfigError: the address cannot be read.
    """
    if not settings.broker_url:
        return None
    try:
        parts = urlsplit(settings.broker_url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise _wrong() from None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise _wrong()
    return Broker(
        parts.hostname,
        port,
        parts.scheme == "mqtts",
        settings.broker_user or unquote(parts.username or ""),
        settings.broker_password or unquote(parts.password or ""),
    )


def _wrong() -> ConfigError:
    return ConfigError(["mqtt.broker_url: the form is mqtt://host:port or mqtts://host:port"])
