"""What a key may do with a topic: the one table that the listener, the bridge and brokers go by.

Every topic begins with ``wotkit/{key id}/``, so that the same names work behind a broker that does
not tell its subscribers who published. A key reaches its own topics only; whatever is not in the
table is refused. Whether the key may do what a message asks for, such as write to the sensor, is
decided where the message is handled.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

ROOT: Final = "wotkit"
MOST_LEVELS: Final = 5


class Kind(Enum):
    """What travels on a topic."""

    DATA = "data"
    """Readings, of the sensor in the topic or, without one, of those in the readings."""
    INGEST = "ingest"
    """A gateway's batch of a numbered stream."""
    ACK = "ack"
    """The answer to such a batch."""
    ERRORS = "errors"
    """What was refused on the data topics."""
    STATUS = "status"
    """Whether the gateway is there."""
    COMMANDS = "commands"
    """Messages to a sensor, which is an actuator."""
    RESULTS = "results"
    """What became of commands."""
    LIVE = "live"
    """Readings as they are stored."""


PUBLISHED: Final = frozenset({Kind.DATA, Kind.INGEST, Kind.STATUS, Kind.RESULTS})
"""What a key may publish."""
SUBSCRIBED: Final = frozenset({Kind.ACK, Kind.ERRORS, Kind.STATUS, Kind.COMMANDS, Kind.LIVE})
"""What a key may subscribe to."""
ANY: Final = frozenset({"#", "+"})
"""Levels that stand for every sensor, where a filter may have them."""

_PLAIN: Final = {kind.value: kind for kind in Kind if kind not in {Kind.COMMANDS, Kind.LIVE}}
_OF_SENSOR: Final = {kind.value: kind for kind in (Kind.COMMANDS, Kind.LIVE)}


class Topic(NamedTuple):
    """A topic, or a filter, of one key."""

    key_id: str
    kind: Kind
    sensor: str | None = None
    """The id or name of a sensor; None where the topic has none, or a filter means any."""


def publishable(key_id: str, name: str) -> Topic | None:
    """Return what a topic name means when this key publishes to it; None when it must not."""
    found = _parse(name)
    if found is None or found.key_id != key_id or found.kind not in PUBLISHED:
        return None
    return found


def subscribable(key_id: str, topic_filter: str) -> Topic | None:
    """Return what a topic filter means when this key subscribes to it; None when it must not.

    Wildcards are allowed in the place of the sensor of ``commands``, and nowhere else.
    """
    found = _parse(topic_filter)
    if found is None or found.key_id != key_id or found.kind not in SUBSCRIBED:
        return None
    if found.sensor in ANY:
        return found._replace(sensor=None) if found.kind is Kind.COMMANDS else None
    return found


def receivable(key_id: str, name: str) -> Topic | None:
    """Return what a topic name means when this key is to receive from it; None when it must not.

    For brokers that ask at every delivery: a name without wildcards, of a kind it may subscribe to.
    """
    found = _parse(name)
    if found is None or found.key_id != key_id or found.kind not in SUBSCRIBED:
        return None
    return None if found.sensor in ANY else found


def name_of(key_id: str, kind: Kind, sensor: str | None = None) -> str:
    """Return the topic name on which something travels.

    ``data`` of a sensor is ``sensors/{sensor}/data``; ``commands`` and ``live`` end with it.
    """
    if kind is Kind.DATA and sensor is not None:
        return f"{ROOT}/{key_id}/sensors/{sensor}/{kind.value}"
    tail = "" if sensor is None else f"/{sensor}"
    return f"{ROOT}/{key_id}/{kind.value}{tail}"


def _parse(text: str) -> Topic | None:
    """Return a topic of the table; sensors may be wildcards, which callers look at."""
    levels = text.split("/", MOST_LEVELS)
    if len(levels) < 3 or levels[0] != ROOT:  # noqa: PLR2004  # root, key, kind
        return None
    key_id, rest = levels[1], levels[2:]
    if not key_id or key_id in ANY:
        return None
    match rest:
        case [word] if word in _PLAIN:
            return Topic(key_id, _PLAIN[word])
        case [word, sensor] if word in _OF_SENSOR and _is_level(sensor):
            return Topic(key_id, _OF_SENSOR[word], sensor)
        case ["sensors", sensor, Kind.DATA.value] if _is_level(sensor) and sensor not in ANY:
            return Topic(key_id, Kind.DATA, sensor)
    return None


def _is_level(text: str) -> bool:
    """Return whether a level names something, or is a wildcard by itself."""
    return bool(text) and (text in ANY or not any(wildcard in text for wildcard in ANY))
