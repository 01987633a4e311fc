"""What an application sent, read strictly, and what it is answered; no framework is known here."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote_plus

from msgspec import Struct

from wotkit.catalog.app_checks import WEB

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.models import App
    from wotkit.settings import Settings

FORM: Final = "application/x-www-form-urlencoded"
PARAMETERS: Final = 100
"""Parameters one request may have."""


class Answer(Struct, frozen=True, kw_only=True):
    """What an application is told: a JSON object with its status."""

    body: dict[str, Any]
    status: int = 200
    retry_after: float | None = None


class Rejected(Exception):
    """A request that is wrong in its form (RFC 6749 section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.answer = Answer(body=refusal(error, description), status=status)


def refusal(error: str, description: str) -> dict[str, str]:
    """Return an error in OAuth's shape."""
    return {"error": error, "error_description": description}


class Call(Struct, frozen=True, kw_only=True):
    """A request of an application to one of the addresses that programs call."""

    params: dict[str, str]
    """Of the form; those without a value are left out, and so is the client's secret."""
    secret: str | None
    """What the client authenticates with."""
    address: str
    """Where the request came from."""
    issuer: str
    settings: Settings
    user: Identity | None = None
    """Whose name and password were verified, in the flow that has them."""
    verified_at: int = 0
    """When that began, in microseconds since 1970 UTC."""

    @property
    def client_id(self) -> str:
        """The client id; empty where there is none."""
        return self.params.get("client_id", "")


def is_confidential(app: App) -> bool:
    """Return whether an application can keep a secret."""
    return app.kind == WEB


def read_call(
    body: bytes,
    media: str,
    query: str,
    authorization: str | None,
    *,
    address: str,
    issuer: str,
    settings: Settings,
) -> Call:
    """Return the request of an application.

    Raises:
        Rejected: its form, its parameters or its authentication cannot be read.
    """
    if query:
        raise Rejected("invalid_request", "Parameters belong into the body, not into the address.")
    if media != FORM:
        raise Rejected("invalid_request", f"The body must be a form: {FORM}.")
    params = pairs(body)
    secret = params.pop("client_secret", None)
    if authorization is not None:
        client_id, password = _basic(authorization)
        if secret is not None:
            raise Rejected("invalid_request", "The client authenticates in two ways at once.")
        if params.setdefault("client_id", client_id) != client_id:
            raise Rejected("invalid_client", "Two different client ids were sent.", 401)
        secret = password or secret
    return Call(params=params, secret=secret, address=address, issuer=issuer, settings=settings)


def pairs(encoded: bytes | str) -> dict[str, str]:
    """Return the parameters of a form or query; those without a value are left out (section 3.2).

    Raises:
        Rejected: they cannot be read, or a name stands twice.
    """
    try:
        text = encoded.decode("ascii") if isinstance(encoded, bytes) else encoded
        _check_escapes(text)
        found = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS)
    except ValueError:
        raise Rejected("invalid_request", "The parameters cannot be read.") from None
    params = dict(found)
    if len(params) != len(found):
        raise Rejected("invalid_request", "A parameter was sent twice.")
    if "scope" in params:
        params["scope"] = " ".join(dict.fromkeys(params["scope"].split()))
    return {name: value for name, value in params.items() if value}


def _check_escapes(text: str) -> None:
    for piece in text.split("%")[1:]:
        int(piece[:2], 16)
        if not piece[:2].isalnum() or len(piece) == 1:
            raise ValueError("a broken escape")


def _basic(header: str) -> tuple[str, str]:
    """Return client id and secret of an Authorization header (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError("not Basic")
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        name, colon, password = decoded.partition(":")
        if not colon or not name:
            raise ValueError("no colon, or no name")
        return unquote_plus(name, errors="strict"), unquote_plus(password, errors="strict")
    except (binascii.Error, ValueError):
        raise Rejected("invalid_client", "The Authorization header cannot be read.", 401) from None
