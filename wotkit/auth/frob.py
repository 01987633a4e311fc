"""Signed calls of the older handshake: who signed them, and for whom they act.

A signature is over the names and values of all parameters, in order of name, and then the name of
the method: as lower-case hex the MD5 of that text with the secret after it (``api_sig``), or the
HMAC-SHA256 (RFC 2104) of that text with the secret as its key (``api_sig_sha256``). MD5 is there
for programs that know nothing else.

Plain functions; those that ask the catalog are for units of work.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from msgspec import Struct

from wotkit.auth import credentials, sealing
from wotkit.catalog import apps
from wotkit.errors import InvalidQuery, Unauthenticated, WrongSignature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wotkit.catalog.identity import Identity
    from wotkit.catalog.models import App

API_KEY: Final = "api_key"
TOKEN: Final = "auth_token"  # noqa: S105  # the name of a parameter
MD5: Final = "api_sig"
SHA256: Final = "api_sig_sha256"
CREDENTIALS: Final = frozenset({TOKEN, API_KEY, MD5, SHA256})
"""What a signed call has beside its own parameters."""
AUTHORIZE: Final = ""
"""The name of the method in the address of the page: it is signed without one."""
_API: Final = "/api/"
_MAX_PARAMETERS: Final = 1000


class Call(Struct, frozen=True):
    """A call with its signatures."""

    params: dict[str, str]
    """All parameters of query and form."""
    method: str
    """The name of the method, as it is signed."""


def read_call(query: bytes, form: Iterable[tuple[str, str]], method: str) -> Call:
    """Return a call with the parameters of its query and of its form.

    Raises:
        InvalidQuery: the query cannot be read, or a parameter stands twice: what would be signed?
    """
    try:
        pairs = parse_qsl(
            query.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise InvalidQuery("the query is not UTF-8 or has too many parameters") from None
    params: dict[str, str] = {}
    for name, value in [*pairs, *form]:
        if name in params:
            raise InvalidQuery(more={name: "is there twice"})
        params[name] = value
    return Call(params, method)


def method_of(path: str) -> str:
    """Return the name of the method that a path of the API stands for: what follows ``/api/``."""
    return path.removeprefix(_API)


def signatures(call: Call, secret: str) -> dict[str, str]:
    """Return the signatures that a call has to have, by the name of their parameter."""
    signed = sorted(name for name in call.params if name not in {MD5, SHA256})
    text = "".join(f"{name}{call.params[name]}" for name in signed) + call.method
    plain, key = text.encode(), secret.encode()
    return {
        MD5: hashlib.md5(plain + key, usedforsecurity=False).hexdigest(),
        SHA256: hmac.digest(key, plain, "sha256").hex(),
    }


def signer(call: Call, secret_key: str) -> App:
    """Return the application that signed a call; a unit of work.

    Where both signatures are sent, both must be right. They are compared in constant time.

    Raises:
        WrongSignature: there is no such application, it may not sign, or this is not its signature.
    """
    app = apps.by_client_id(call.params.get(API_KEY, ""))
    if app is None:
        raise WrongSignature("no application has this api_key; it is the client id")
    if not app.allow_frob:
        raise WrongSignature("the application's owner has not switched the handshake on")
    if app.signing_secret is None:
        raise WrongSignature("the application has no signing secret; its owner can make one")
    try:
        secret = sealing.open_sealed(app.signing_secret, secret_key, about=app.client_id)
    except sealing.CannotOpen:
        raise WrongSignature(
            "the application's signing secret cannot be read any more, since this server has "
            "another secret key; its owner can make a new one"
        ) from None
    _compare(call, secret)
    return app


def _compare(call: Call, secret: str) -> None:
    sent = [name for name in (MD5, SHA256) if name in call.params]
    if not sent:
        raise WrongSignature(f"{SHA256} or {MD5} is missing")
    expected = signatures(call, secret)
    good = [
        hmac.compare_digest(call.params[name].encode("utf-8"), expected[name].encode())
        for name in sent
    ]
    if not all(good):
        raise WrongSignature(
            "the signature is wrong; it is over the names and values of all other parameters in "
            f"order of name, and the method's name, which is {call.method!r}"
        )


def caller(call: Call, secret_key: str) -> Identity:
    """Return for whom a signed call acts, with a token from the handshake; a unit of work.

    Raises:
        Unauthenticated: the signature or the token is wrong, or the token expired or was revoked.
    """
    try:
        app = signer(call, secret_key)
    except WrongSignature as wrong:
        raise Unauthenticated(*wrong.developer, token=True) from None
    found = credentials.of_signed_token(call.params.get(TOKEN, ""), app.client_id)
    if found is None:
        raise Unauthenticated("auth_token is wrong, expired or revoked", token=True)
    return found
