"""HTTP requests as bytes, the same for every loader (RFC 9112)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as in a URL."""
        return f"{self.host}:{self.port}"


def request(
    method: str, path: str, address: Address, body: bytes, headers: Mapping[str, str]
) -> bytes:
    """Return a request that keeps its connection open."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def basic(user: str, password: str) -> str:
    """Return the value of ``Authorization`` (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
