"""Reads what a request carries: its body within limits, and typed objects out of it."""

from __future__ import annotations

import functools
import math
import zlib
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
import zstandard
from msgspec import NODEFAULT, Struct

from wotkit import strict_json
from wotkit.edge import CUT_OFF
from wotkit.errors import (
    InvalidQuery,
    MalformedBody,
    TooLarge,
    UnsupportedMedia,
    ValidationFailed,
    WotkitError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon.asgi
    from msgspec.structs import FieldInfo

S = TypeVar("S", bound=Struct)

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW: Final = 8 << 20
"""Memory that a zstd body may ask for at least (RFC 9659 section 3)."""
_MEMBERS: Final = 256
"""Members or frames of a compressed body; each costs a copy of what follows it."""
_INTEGERS: Final = range(-(1 << 63), 1 << 63)
"""What a database can keep."""
FORM: Final = "application/x-www-form-urlencoded"
TOKEN_NAMES: Final = ("access_token", "oauth_token")
"""Under which a query or a form may carry an access token (RFC 6750 section 2.2)."""
_FORM_FIELDS: Final = 1000


async def read_body(req: falcon.asgi.Request, limit: int) -> bytes:
    """Return the body, decompressed.

    Raises:
        TooLarge: it has more than ``limit`` bytes, as sent or decompressed.
        UnsupportedMedia: it is encoded otherwise than with gzip or zstd.
        MalformedBody: it cannot be decompressed, or the client went away before its end.
    """
    known: bytes | None = req.context.get("body")
    if known is not None:
        return _within(known, limit)
    length = req.content_length
    if length is None:
        body = await _read_chunks(req, limit)
    elif length > limit:
        raise TooLarge(f"{length} bytes are more than {limit}")
    else:
        body = await req.stream.readall()
        if len(body) != length:
            raise MalformedBody(f"the body ended after {len(body)} of {length} bytes")
    encoding = req.get_header("content-encoding")
    return body if encoding is None else _decompress(body, encoding.strip().lower(), limit)


def _within(body: bytes, limit: int) -> bytes:
    """Return a body that was read before, with a limit of its own."""
    if len(body) > limit:
        raise TooLarge(f"{len(body)} bytes are more than {limit}")
    return body


async def _read_chunks(req: falcon.asgi.Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in req.stream:
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the body has more than {limit} bytes")
        chunks.append(chunk)
    if CUT_OFF in req.scope:
        raise MalformedBody(f"the body was cut off after {size} bytes")
    return b"".join(chunks)


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding == "identity":
        return body
    try:
        if encoding in {"gzip", "x-gzip"}:
            plain = _gunzip(body, limit)
        elif encoding == "zstd":
            plain = _unzstd(body, limit)
        else:
            raise UnsupportedMedia(f"Content-Encoding is {encoding!r}; use gzip, zstd or none")
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise MalformedBody(f"the body is not {encoding}: {error}") from None
    if len(plain) > limit:
        raise TooLarge(f"the decompressed body has more than {limit} bytes")
    return plain


def _gunzip(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit + 1
    for _ in range(_MEMBERS):
        stream = zlib.decompressobj(_GZIP)
        parts.append(stream.decompress(body, room))
        room -= len(parts[-1])
        if room > 0 and not stream.eof:
            raise EOFError("it ends too early")
        body = stream.unused_data
        if room <= 0 or not body:
            return b"".join(parts)
    raise EOFError("it has too many members")


def _unzstd(body: bytes, limit: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=max(_ZSTD_WINDOW, limit))
    with decompressor.stream_reader(body, read_across_frames=True) as reader:
        plain = reader.read(limit + 1)
    if len(plain) > limit:
        return plain
    # the reader does not tell a frame that was cut off; its size is known to be harmless now
    for _ in range(_MEMBERS):
        frame = decompressor.decompressobj()
        frame.decompress(body)
        if not frame.eof:
            raise EOFError("it ends too early")
        body = frame.unused_data
        if not body:
            return plain
    raise EOFError("it has too many frames")


async def client_gone(req: falcon.asgi.Request) -> None:
    """Return when the client has closed the connection; what is left of the body is skipped."""
    receive = req._receive  # noqa: SLF001  # the framework gives it to event streams only
    while (await receive())["type"] != "http.disconnect":
        pass


def media_type(req: falcon.asgi.Request) -> str:
    """Return the media type of the body without its parameters, in lower case."""
    return (req.content_type or "").partition(";")[0].strip().lower()


def is_form(req: falcon.asgi.Request, body: bytes) -> bool:
    """Return whether the body is a form and not JSON.

    A client that forgets the header, as curl does, sends JSON under the form's media type: what
    begins like JSON is JSON.

    Raises:
        UnsupportedMedia: it is said to be neither.
    """
    if _looks_like_json(body):
        return False
    kind = media_type(req)
    if kind == FORM:
        return True
    if kind and kind != "application/json" and not kind.endswith("+json") and kind != "text/plain":
        raise UnsupportedMedia(f"Content-Type is {kind!r}; use application/json or {FORM}")
    return False


def _looks_like_json(body: bytes) -> bool:
    return body.startswith((b"{", b"[")) or body.lstrip().startswith((b"{", b"["))


def parse_form(body: bytes) -> dict[str, str]:
    """Return the pairs of a form (WHATWG URL), without an access token among them.

    Raises:
        MalformedBody: it is not UTF-8, has too many pairs or a name twice.
    """
    pairs = _form_pairs(body)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedBody("the form has a name twice")
    return {name: value for name, value in found.items() if name not in TOKEN_NAMES}


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """Return the pairs of a body that is said to be a form; JSON has none.

    Raises:
        MalformedBody: the form is not UTF-8 or has too many pairs.
    """
    return [] if _looks_like_json(body) else _form_pairs(body)


def _form_pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FORM_FIELDS,
        )
    except ValueError as error:
        raise MalformedBody(f"the form cannot be read: {error}") from None


async def read_object(
    req: falcon.asgi.Request, kind: type[S], limit: int, *, error: type[WotkitError]
) -> S:
    """Return the JSON object of the body as a ``kind``; see :func:`convert`."""
    return convert(kind, strict_json.decode(await read_body(req, limit)), error)


def read_query(req: falcon.asgi.Request, kind: type[S]) -> S:
    """Return the query parameters as a ``kind``; of a parameter given twice the last counts.

    Raises:
        InvalidQuery: parameters are invalid; ``more`` names each.
    """
    params: dict[str, Any] = {
        name: value[-1] if isinstance(value, list) else value for name, value in req.params.items()
    }
    return convert(kind, params, InvalidQuery)


def convert(
    kind: type[S], value: Any, error: type[WotkitError] = ValidationFailed, prefix: str = ""
) -> S:
    """Return ``value``, a decoded JSON object, as a ``kind``.

    Unknown attributes are ignored; null counts as absent where the type has no null; texts that
    read as the wanted number or truth value are taken for it, as old clients send them.

    Raises:
        MalformedBody: it is not an object.
        WotkitError: of the class ``error``; ``more`` names every attribute that is wrong.
    """
    if not isinstance(value, dict):
        raise MalformedBody("a JSON object is expected")
    found, problems = _convert_each(kind, value)
    if problems:
        raise error(
            *(f"{prefix}{name} {why}" for name, why in problems.items()),
            more={f"{prefix}{name}": why for name, why in problems.items()},
        )
    return kind(**found)


@functools.cache
def _fields(kind: type[Struct]) -> tuple[FieldInfo, ...]:
    """Return the fields of a type; finding them out takes longer than all else in a request."""
    return msgspec.structs.fields(kind)


def _convert_each(kind: type[S], value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in _fields(kind):
        given = value.get(field.encode_name)
        if given is None:
            nullable = field.encode_name in value and _takes_null(field.type)
            if nullable:
                found[field.name] = None
            elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
                problems[field.encode_name] = "is required"
            continue
        try:
            found[field.name] = _storable(msgspec.convert(given, field.type, strict=False))
        except msgspec.ValidationError as wrong:
            problems[field.encode_name] = f"is invalid: {_reason(wrong)}"
    return found, problems


def _storable(value: Any) -> Any:
    """Return ``value``, unless it is one that only the lenient reading of a text lets pass."""
    if value is None:
        raise msgspec.ValidationError("Expected a value, got a text that reads `null`")
    if isinstance(value, float) and not math.isfinite(value):
        raise msgspec.ValidationError("Expected a finite number")
    if isinstance(value, int) and value not in _INTEGERS:
        raise msgspec.ValidationError("Expected an integer of 64 bits")
    return value


def _takes_null(kind: Any) -> bool:
    try:
        msgspec.convert(None, kind)
    except msgspec.ValidationError:
        return False
    return True


def _reason(wrong: msgspec.ValidationError) -> str:
    reason, _, place = str(wrong).partition(" - at `$")
    return f"{reason} at {place.rstrip('`')}" if place.rstrip("`") else reason
