"""Strict JSON (RFC 8259): what a reading may not contain is refused, and the error says where.

Refused: NaN and infinities, numbers beyond a double, lone surrogates and bad UTF-8, duplicate
names in one object, nesting deeper than the parser can follow, anything after the document.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

import msgspec

from wotkit.errors import MalformedBody, ValidationFailed

_decode: Final = msgspec.json.Decoder().decode
_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_LARGEST: Final = int(1.7976931348623157e308)
_DIGITS_OF_A_DOUBLE: Final = 300
_CLOSER_LOOK: Final = -(1 << 60)

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
        _check_names_and_numbers(body)
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


class _Huge(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateName(next(name for name in names if names.count(name) > 1))
    return found


def _double(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        raise _Huge(digits)
    return number


def _check_names_and_numbers(body: bytes) -> None:
    """Parse once more, with hooks for what the fast parser lets pass.

    Raises:
        ValidationFailed: naming the field.
    """
    text = body.decode("utf-8")
    try:
        json.loads(text, object_pairs_hook=_unique, parse_int=_double, parse_float=_double)
    except _DuplicateName as error:
        name = str(error)
        raise ValidationFailed(
            f"the name {name!r} stands twice in one object", more={name: "stands twice"}
        ) from None
    except _Huge as huge:
        digits = str(huge)
        place = len(text[: text.find(digits)].encode())
        field = _name_before(body, place)
        raise ValidationFailed(
            f"the number {digits[:40]} is beyond a double, at {_place(body, place)}",
            more={field: "is beyond a double"} if field else None,
        ) from None
    except RecursionError:
        raise MalformedBody("the JSON is nested too deeply") from None


def _refuse(body: bytes, error: Exception) -> NoReturn:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as bad:
        raise MalformedBody(
            f"the body is not UTF-8: byte 0x{body[bad.start]:02x} at {_place(body, bad.start)}"
            f"{_field_before(body, bad.start)}"
        ) from None
    if isinstance(error, RecursionError):
        raise MalformedBody("the JSON is nested too deeply") from None
    if isinstance(error, msgspec.ValidationError):
        _check_names_and_numbers(body)
    match = _BYTE.search(str(error))
    position = int(match[1]) if match else len(body)
    for name in ("NaN", "Infinity", "-Infinity"):
        if text.encode().startswith(name.encode(), position):
            raise MalformedBody(
                f"{name} is not a number in JSON (RFC 8259 section 6), at {_place(body, position)}"
                f"{_field_before(body, position)}"
            )
    why = str(error).removeprefix("JSON is malformed: ").split(" (byte")[0]
    raise MalformedBody(
        f"the body is not JSON: {why} at {_place(body, position)}{_field_before(body, position)}"
    )


def _place(body: bytes, position: int) -> str:
    before = body[:position]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return f"line {line} column {column}"


def _name_before(body: bytes, position: int) -> str:
    names = re.findall(rb'"((?:[^"\\]|\\.)*)"\s*:', body[:position])
    return names[-1].decode("utf-8", "replace") if names else ""


def _field_before(body: bytes, position: int) -> str:
    name = _name_before(body, position)
    return f", in the value of {name!r}" if name else ""
