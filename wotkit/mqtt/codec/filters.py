"""Topic names and topic filters (section 4.7 of both standards; shared ones 4.8.2 of version 5)."""

from __future__ import annotations

from typing import Final, NamedTuple

from wotkit.mqtt.codec.wire import MOST_TEXT

SHARE: Final = "$share/"


class Shared(NamedTuple):
    """A shared subscription: the name of the share, and the filter proper."""

    name: str
    filter: str


def valid_topic(topic: str) -> bool:
    """Return whether a text may be published to ([MQTT-4.7.0-1], [MQTT-4.7.3-1] to [-3])."""
    return bool(topic) and not ("\0" in topic or "#" in topic or "+" in topic) and _fits(topic)


def valid_filter(topic_filter: str, *, sharing: bool = True) -> bool:
    """Return whether a text may be subscribed to ([MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1]).

    With ``sharing`` what begins with ``$share/`` must be a shared subscription
    ([MQTT-4.8.2-1], [MQTT-4.8.2-2]); 3.1.1 does not know these.
    """
    if not topic_filter or "\0" in topic_filter or not _fits(topic_filter):
        return False
    if sharing and topic_filter.startswith(SHARE):
        name, slash, topic_filter = topic_filter.removeprefix(SHARE).partition("/")
        if not (name and slash and topic_filter) or "#" in name or "+" in name:
            return False
    if "#" not in topic_filter and "+" not in topic_filter:
        return True
    *levels, last = topic_filter.split("/")
    return all(level == "+" or not _wild(level) for level in levels) and (
        last in {"#", "+"} or not _wild(last)
    )


def shared(topic_filter: str) -> Shared | None:
    """Return the parts of a valid filter that is a shared subscription, or None."""
    if not topic_filter.startswith(SHARE):
        return None
    name, _, inner = topic_filter.removeprefix(SHARE).partition("/")
    return Shared(name, inner)


def matches(topic_filter: str, topic: str) -> bool:
    """Return whether a valid filter matches a valid topic name.

    Wildcards at the beginning leave out topics that begin with ``$`` ([MQTT-4.7.2-1]), and nothing
    is normalized ([MQTT-4.7.3-4]). Of a shared subscription give the filter proper.
    """
    if topic_filter == topic:
        return True
    if topic[:1] == "$" and topic_filter[:1] in {"#", "+"}:
        return False
    levels = topic.split("/")
    wanted = topic_filter.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place == len(levels) or level not in {"+", levels[place]}:
            return False
    return len(wanted) == len(levels)


def _wild(level: str) -> bool:
    return "#" in level or "+" in level


def _fits(topic: str) -> bool:
    # a character has at most four bytes
    if len(topic) * 4 <= MOST_TEXT:
        return True
    try:
        return len(topic.encode()) <= MOST_TEXT
    except UnicodeEncodeError:
        return False
