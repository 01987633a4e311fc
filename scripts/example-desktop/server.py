"""HTTP as far as this program needs it, on nothing but the standard library."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

TIMEOUT: Final = 30
"""Seconds to wait for the server."""
LARGEST: Final = 16 * 1024 * 1024
"""Bytes of an answer; a larger one is cut off, and then it is no JSON."""


class Trouble(Exception):
    """What the user has to be told; the text says all."""


class Unreachable(Trouble):
    """The server does not answer now, which says nothing about the permission."""


class Answer(NamedTuple):
    """What the server answers."""

    status: int
    body: Any
    """Decoded JSON; None where there is none."""
    challenge: str = ""
    """The header WWW-Authenticate."""


class _NoRedirects(HTTPRedirectHandler):
    """Tokens go to the server they are for; urllib would send them wherever it is told to go."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect."""


class Server:
    """One WoTKit server, by its address."""

    def __init__(self, address: str) -> None:
        """Take the address, without a path.

        Raises:
            Trouble: tokens would travel in clear to another machine.
        """
        parts = urlsplit(address)
        loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
            raise Trouble(f"{address} must be an https address, or one of this machine")
        self.address = address.rstrip("/")
        self._opener = build_opener(_NoRedirects)
        self._about: dict[str, Any] = {}

    def endpoint(self, name: str) -> str:
        """Return an address that the server says of itself (RFC 8414), such as the token's.

        Raises:
            Trouble: it is no WoTKit server, or cannot be reached.
        """
        if not self._about:
            found = self.request(f"{self.address}/.well-known/oauth-authorization-server")
            if found.status != HTTPStatus.OK or not isinstance(found.body, dict):
                raise Trouble(f"{self.address} does not say that it is a WoTKit server")
            if found.body.get("issuer") != self.address:
                raise Trouble(f"{self.address} says that it is {found.body.get('issuer')}")
            self._about = found.body
        return str(self._about[f"{name}_endpoint"])

    def post(self, name: str, **form: str) -> Answer:
        """Send a form to an endpoint.

        Raises:
            Trouble: as :meth:`endpoint`.
        """
        return self.request(self.endpoint(name), form)

    def request(self, url: str, form: dict[str, str] | None = None, token: str = "") -> Answer:
        """GET, or POST if there is a form.

        Raises:
            Unreachable: there is no answer.
        """
        headers = {"Accept": "application/json", "User-Agent": "wotkit-example-desktop"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if form is None else urlencode(form).encode()
        wanted = Request(url, data, headers)  # noqa: S310  # __init__ has looked at the scheme
        try:
            try:
                answer = self._opener.open(wanted, timeout=TIMEOUT)
            except HTTPError as error:  # a refusal, which is an answer too
                answer = error
            with answer:
                challenge = answer.headers.get("WWW-Authenticate", "")
                return Answer(answer.status, _decoded(answer.read(LARGEST)), challenge)
        except (OSError, HTTPException) as error:
            raise Unreachable(f"{self.address} cannot be reached: {error}") from error


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
