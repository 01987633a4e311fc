"""Strict JSON (RFC 8259): what a reading may not contain is refused, and the error says where.

Refused: NaN and infinities, numbers beyond a double, lone surrogates and bad UTF-8, duplicate
names in one object, nesting deeper than the parser can follow, anything after the document.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from wotkit.errors import MalformedBody, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

_decode: Final = msgspec.json.Decoder().decode
_LARGEST: Final = int(1.7976931348623157e308)
_DIGITS_OF_A_DOUBLE: Final = 300
_CLOSER_LOOK: Final = -(1 << 60)

_DESCRIBED: Final = 1 << 19
"""Bytes up to which an error names the field; the longer way there would hold up others."""

# possessive, and a text may end with the input: hostile bodies are scanned once, never again
_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?+\Z)'
_STRUCTURE: Final = re.compile(rb"(?P<text>" + _TEXT + rb")(?P<colon>\s*+:)?|[\[\]{},]", re.DOTALL)
_HALF_PAIR: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)

encode: Final = msgspec.json.Encoder().encode
"""The compact JSON bytes of a value."""


def decode(body: bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        MalformedBody: it is not JSON; with line and column.
        ValidationFailed: it is JSON, with a duplicate name or a number beyond a double; ``more``
            names the field.
    """
    try:
        value = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _refuse(body, error)
    if _may_hide_more(body, value):
        _look_closer(body)
    return value


def _may_hide_more(body: bytes, value: Any) -> bool:
    """Return whether a closer look for duplicate names and huge integers is due.

    Each member of an object has one colon outside its texts. In flat objects without escapes all
    colons are accounted for when there are as many as members plus those inside texts; a duplicate
    name leaves one over. So the common reading, and a list of them, is not parsed twice.
    """
    if b"\\" in body:
        return True
    if type(value) is dict:
        return _colons(value) != body.count(b":")
    if type(value) is list:
        colons = 0
        for item in value:
            if type(item) is not dict:
                return True
            colons += _colons(item)
        return colons != body.count(b":")
    return len(body) > _DIGITS_OF_A_DOUBLE


def _colons(members: dict[str, Any]) -> int:
    """Return how many colons a flat object has in JSON; far too few when it needs a closer look."""
    colons = len(members)
    for name, item in members.items():
        kind = type(item)
        if kind is str:
            colons += item.count(":")
        elif kind is int:
            if not -_LARGEST <= item <= _LARGEST:
                return _CLOSER_LOOK
        elif kind is list or kind is dict:
            return _CLOSER_LOOK
        if ":" in name:
            colons += name.count(":")
    return colons


class _DuplicateName(ValueError):
    pass


class _NotANumber(ValueError):
    pass


class _Huge(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        for name, _ in pairs:
            if found.pop(name, pairs) is pairs:
                raise _DuplicateName(name)
    return found


def _double(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        raise _Huge(digits)
    return number


def _constant(word: str) -> NoReturn:
    raise _NotANumber(word)


def _look_closer(body: bytes) -> None:
    """Parse with the standard library, whose hooks and positions tell more.

    Raises:
        MalformedBody: with line and column.
        ValidationFailed: naming the field.
    """
    text = body.decode("utf-8")
    try:
        json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_double,
            parse_float=_double,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        position = len(text[: error.pos].encode())
        why = error.msg.removesuffix(" at").rstrip(": ")
        raise _malformed(body, position, f"the body is not JSON: {why}") from None
    except _NotANumber as error:
        why = f"{error} is not a number in JSON (RFC 8259 section 6),"
        raise _malformed(body, _position(body, str(error)), why) from None
    except _DuplicateName as error:
        raise _duplicate(body, str(error)) from None
    except _Huge as error:
        raise _huge(body, str(error)) from None
    except RecursionError:
        raise MalformedBody("the JSON is nested too deeply") from None


def _refuse(body: bytes, error: Exception) -> NoReturn:
    """Say why the fast parser refused ``body``."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as bad:
        why = f"the body is not UTF-8: byte 0x{body[bad.start]:02x}"
        raise _malformed(body, bad.start, why) from None
    if isinstance(error, RecursionError):
        raise MalformedBody("the JSON is nested too deeply") from None
    _look_closer(body)
    # of all that the fast parser refuses, the standard library accepts only this
    half = next((m.start() for m in _HALF_PAIR.finditer(body) if m["half"]), len(body))
    raise _malformed(body, half, "the body is not JSON: half of a surrogate pair")


def _malformed(body: bytes, position: int, why: str) -> MalformedBody:
    field = _field(body, position)
    within = f", in the value of {field!r}" if field else ""
    return MalformedBody(f"{why} at {_place(body, position)}{within}")


def _huge(body: bytes, digits: str) -> ValidationFailed:
    position = _position(body, digits)
    field = _field(body, position)
    return ValidationFailed(
        f"the number {digits[:40]} is beyond a double, at {_place(body, position)}",
        more={field: "is beyond a double"} if field else None,
    )


def _duplicate(body: bytes, name: str) -> ValidationFailed:
    where, field = "", name[:100]
    if len(body) <= _DESCRIBED:
        seen: list[set[str]] = []
        for path, token in _walk(body, len(body)):
            if token[0] == b"{":
                seen.append(set())
            elif token[0] == b"}":
                seen.pop()
            elif token["colon"] and path[-1] in seen[-1]:
                where, field = f", again at {_place(body, token.start())}", _dotted(path)
                break
            elif token["colon"]:
                seen[-1].add(str(path[-1]))
    return ValidationFailed(
        f"the name {name[:100]!r} stands twice in one object{where}", more={field: "stands twice"}
    )


def _position(body: bytes, scalar: str) -> int:
    """Return where a number or a word stands for the first time outside texts."""
    wanted = re.escape(scalar[:400].encode())
    tokens = re.compile(_TEXT + rb"|(?<![0-9A-Za-z.+-])(?P<scalar>" + wanted + rb")", re.DOTALL)
    return next((m.start() for m in tokens.finditer(body) if m["scalar"]), len(body))


def _place(body: bytes, position: int) -> str:
    before = body[:position]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return f"line {line} column {column}"


def _walk(body: bytes, end: int) -> Iterator[tuple[list[str | int], re.Match[bytes]]]:
    """Yield each name and each sign of structure before ``end``, with the path that leads there.

    The path is one list, changed in place: a name or an index for each level.
    """
    path: list[str | int] = []
    for token in _STRUCTURE.finditer(body, 0, end):
        sign = token[0][:1]
        if sign == b"{":
            path.append("")
        elif sign == b"[":
            path.append(0)
        elif not path or (sign == b'"' and not token["colon"]):
            continue
        elif sign == b'"':
            path[-1] = _name(token["text"])
        elif sign == b",":
            path[-1] = path[-1] + 1 if isinstance(path[-1], int) else ""
        else:
            path.pop()
        yield path, token


def _name(quoted: bytes) -> str:
    try:
        return str(_decode(quoted))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return quoted[1:-1].decode("utf-8", "replace")


def _dotted(path: list[str | int]) -> str:
    return ".".join(str(part)[:100] for part in path[:10])


def _field(body: bytes, position: int) -> str:
    """Return the field whose value is at ``position``; in a list as ``index.field``."""
    if position > _DESCRIBED:
        return ""
    path: list[str | int] = []
    for path, _ in _walk(body, position):  # noqa: B007  # the last one counts
        pass
    return _dotted(path).strip(".")
