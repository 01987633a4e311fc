"""Who may ask the internal questions: brokers, known by their address or by a secret."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from typing import TYPE_CHECKING, Final

from wotkit.api.caller import address_of
from wotkit.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import falcon.asgi

HEADER: Final = "X-WoTKit-Secret"
TOLD: Final = 100
"""Addresses that are logged as refused at most, each once."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_log: Final = logging.getLogger(__name__)


class Gate:
    """Lets brokers in."""

    def __init__(self, addresses: Iterable[str], secret: str) -> None:
        """Take addresses or networks, and the secret; an empty one lets nobody in.

        Raises:
            ConfigError: one is no address.
        """
        self._networks = [_network(each) for each in addresses]
        self._secret = secret.encode()
        self._told: set[str] = set()

    def admits(self, req: falcon.asgi.Request) -> bool:
        """Return whether a request comes from a broker."""
        address = address_of(req)
        given = (req.get_header(HEADER) or "").encode("utf-8", "replace")
        if self._secret and hmac.compare_digest(given, self._secret):
            return True
        if self._is_known(address) and not _came_through_unknown_proxy(req, address):
            return True
        if address not in self._told and len(self._told) < TOLD:
            self._told.add(address)
            _log.warning(
                "%s asks as a broker and is neither in mqtt.authorizer_addresses nor has the "
                "secret; it is told to deny",
                address,
            )
        return False

    def _is_known(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        return any(address in network for network in self._networks)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError([f"mqtt.authorizer_addresses: {error}"]) from None


def _came_through_unknown_proxy(req: falcon.asgi.Request, address: str) -> bool:
    """Return whether a proxy has passed the request on that the server does not trust.

    Then the address is the proxy's, which is often this machine, and anybody may be behind it.
    """
    if req.get_header("Forwarded") is not None:
        return True
    forwarded = req.get_header("X-Forwarded-For")
    if forwarded is None:
        return False
    return address not in {part.strip() for part in forwarded.split(",")}
