"""Readings as JSON objects or as a form: a ``timestamp`` beside named values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from wotkit import strict_json, times
from wotkit.errors import MalformedBody, TooLarge, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping


class Parsed(Struct, frozen=True):
    """A reading as a client sent it."""

    ts: int | None
    """Microseconds since 1970 UTC; None means the server's clock."""
    values: dict[str, Any]


class Wrong(Struct, frozen=True):
    """Why an item is no reading: the field, and what is wrong with it."""

    problems: dict[str, str]


def parse_one(body: bytes) -> Parsed:
    """Parse a JSON object.

    Raises:
        MalformedBody: it is not one.
        ValidationFailed: its timestamp is no time.
    """
    return of_object(strict_json.decode(body))


def of_object(value: Any) -> Parsed:
    """Return the reading in a decoded object, which is used up.

    Raises:
        MalformedBody: it is not an object.
        ValidationFailed: its timestamp is no time.
    """
    found = of_item(value)
    if isinstance(found, Parsed):
        return found
    if type(value) is not dict:
        raise MalformedBody("a reading is a JSON object")
    raise ValidationFailed(
        *(f"{name} {wrong}" for name, wrong in found.problems.items()), more=found.problems
    )


def of_item(value: Any) -> Parsed | Wrong:
    """Return the reading in an item of a list, or what is wrong with it."""
    if type(value) is not dict:
        return Wrong({"reading": "is not a JSON object"})
    timestamp = value.pop("timestamp", None)
    if timestamp is None:
        return Parsed(None, value)
    try:
        return Parsed(times.parse(timestamp), value)
    except ValueError as error:
        return Wrong({"timestamp": str(error)})


def parse_list(body: bytes, limit: int) -> list[Any]:
    """Parse a JSON list of at most ``limit`` items; the items are for :func:`of_item`.

    Raises:
        MalformedBody: it is not a list, or empty.
        TooLarge: it is longer.
    """
    items = strict_json.decode(body)
    if type(items) is not list or not items:
        raise MalformedBody("a JSON list of readings is expected, with at least one")
    if len(items) > limit:
        raise TooLarge(f"{len(items)} readings are more than {limit}")
    return items


def of_form(pairs: Mapping[str, str]) -> Parsed:
    """Return the reading in the pairs of a form.

    Raises:
        ValidationFailed: its timestamp is no time.
    """
    values: dict[str, Any] = dict(pairs)
    if not values.get("timestamp"):
        values.pop("timestamp", None)
    return of_object(values)
