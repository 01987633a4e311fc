"""Posts signed JSON to an address that a user named, without being led where it should not go.

The name is looked up once, each address is checked, and the connection goes to the address that
was checked: a name that changes its address in between gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import socket
import ssl
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from wotkit import __version__, times
from wotkit.alerts.transports import DeliveryFailed

if TYPE_CHECKING:
    from wotkit.catalog.deliveries import Outgoing
    from wotkit.settings import AlertSettings

SIGNATURE: Final = "WoTKit-Signature"
DELIVERY: Final = "WoTKit-Delivery"
_LONGEST_LINE: Final = 8192
_MOST_LINES: Final = 100
_INTERIM: Final = range(100, 200)
_GOOD: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_PERMANENT: Final = range(400, 500)
_AGAIN: Final = frozenset({408, 429})
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind NAT64 (RFC 6052)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Target(NamedTuple):
    """Where a webhook goes."""

    host: str
    port: int
    secure: bool
    path: str
    authority: str


def parse(url: str) -> Target:
    """Return where a webhook goes.

    Raises:
        ValueError: saying what is wrong with the address, for the user to read.
    """
    if not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
        raise ValueError("must be ASCII without spaces; encode what is not")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http or https address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user name or password; the body is signed instead")
    secure = parts.scheme == "https"
    port = parts.port if parts.port is not None else (443 if secure else 80)
    if port == 0:
        raise ValueError("must have a port above 0")
    return Target(parts.hostname, port, secure, _path(parts), parts.netloc)


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def sign(secret: str, at: int, body: bytes) -> str:
    """Return the header that proves who sent a body, and when (seconds since 1970).

    It is ``t=SECONDS,v1=HEX`` with the HMAC-SHA256 (RFC 2104) of ``SECONDS.BODY``.
    """
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public Internet, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None:
            return is_public(address.sixtofour)
        if address.teredo is not None:
            return is_public(address.teredo[1])
        if address in _TRANSLATED:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class WebhookTransport:
    """Posts each message on a connection of its own."""

    def __init__(self, settings: AlertSettings) -> None:
        self._seconds = settings.webhook_seconds
        self._private = settings.webhook_private

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def send(self, message: Outgoing) -> str:
        """Post a message and return the status.

        Raises:
            DeliveryFailed: permanently by a refused address, a redirect or a status of 4xx other
                than 408 and 429.
        """
        try:
            target = parse(message.target)
        except ValueError as error:
            raise DeliveryFailed(f"the address {error}", permanent=True) from error
        body = message.body.encode()
        try:
            async with asyncio.timeout(self._seconds):
                address = await self._resolve(target)
                status = await self._post(target, address, _head(target, message, body) + body)
        except TimeoutError as error:
            reason = f"no answer within {self._seconds:g} s"
            raise DeliveryFailed(reason, permanent=False) from error
        except OSError as error:
            raise DeliveryFailed(f"{type(error).__name__}: {error}", permanent=False) from error
        if status in _GOOD:
            return f"answered {status}"
        if status in _REDIRECTS:
            raise DeliveryFailed(f"answered {status}: redirects are not followed", permanent=True)
        permanent = status in _PERMANENT and status not in _AGAIN
        raise DeliveryFailed(f"answered {status}", permanent=permanent)

    async def _resolve(self, target: Target) -> str:
        """Return the address to connect to."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise DeliveryFailed("the host's name is not one", permanent=True) from error
        for *_, place in found:
            text = str(place[0])
            if self._private or is_public(ipaddress.ip_address(text.partition("%")[0])):
                return text
        reason = "the address is private, loopback or link-local, and alerts.webhook_private is off"
        raise DeliveryFailed(reason, permanent=True)

    async def _post(self, target: Target, address: str, request: bytes) -> int:
        """Send a request and return the status of its answer."""
        reader, writer = await asyncio.open_connection(
            address,
            target.port,
            limit=_LONGEST_LINE,
            ssl=self._tls if target.secure else None,
            server_hostname=target.host if target.secure else None,
        )
        try:
            writer.write(request)
            await writer.drain()
            return await _status(reader)
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                await writer.wait_closed()


def _head(target: Target, message: Outgoing, body: bytes) -> bytes:
    now = times.now() // times.MICROSECONDS
    lines = (
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        f"User-Agent: WoTKit/{__version__}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"{DELIVERY}: {message.id}",
        f"{SIGNATURE}: {sign(message.secret, now, body)}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    """Return the status of an answer (RFC 9112 section 4), passing over interim ones."""
    for _ in range(_MOST_LINES):
        line = await _line(reader)
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise DeliveryFailed("the answer is not HTTP", permanent=False)
        status = int(rest[:3])
        if status not in _INTERIM:
            return status
        while await _line(reader):
            pass
    raise DeliveryFailed("the answer has no end", permanent=False)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\n")).strip()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise DeliveryFailed("the answer was cut off or too long", permanent=False) from error
