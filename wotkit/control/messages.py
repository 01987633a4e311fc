"""What a message to an actuator is made of, whichever way it comes in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from wotkit import strict_json, times
from wotkit.errors import TooLarge, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wotkit.catalog.control import Message
    from wotkit.settings import ControlSettings

EXPIRES: Final = "expires"
ID: Final = "id"


def prepare(pairs: Mapping[str, Any], settings: ControlSettings) -> tuple[str, float | None]:
    """Return a message as it is kept, and after how many seconds it expires, if it does.

    Raises:
        ValidationFailed: ``expires`` is no number of seconds, or a name is the server's.
        TooLarge: it is over the limit.
    """
    values = dict(pairs)
    expires = _seconds(values.pop(EXPIRES, None), settings.max_expires_seconds)
    if expires is not None and ID in values:
        raise _refusal(ID, "is invalid: the server gives a message that expires its id")
    body = strict_json.encode(values)
    if len(body) > settings.max_message_bytes:
        raise TooLarge(
            f"the message has {len(body)} bytes; at most control.max_message_bytes, "
            f"{settings.max_message_bytes}, are taken"
        )
    return body.decode(), expires


def shown(message: Message) -> dict[str, Any]:
    """Return a message as a client gets it: the pairs that were sent, and what the server adds."""
    added = {"timestamp": times.to_iso(message.at), "sensor_id": message.sensor_id}
    if message.expires is not None:
        added |= {ID: message.id, EXPIRES: times.to_iso(message.expires)}
    return message.values | added


def _seconds(given: Any, most: float) -> float | None:
    if given is None:
        return None
    try:
        seconds = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 < seconds <= most:
        raise _refusal(EXPIRES, f"is invalid: a number of seconds, at most {most:g}")
    return seconds


def _refusal(name: str, why: str) -> ValidationFailed:
    return ValidationFailed(f"{name} {why}", more={name: why})
