"""Topic aliases (MQTT 5, section 3.3.2.3.4): numbers that stand for topics on one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wotkit.mqtt.codec.errors import ProtocolError
from wotkit.mqtt.codec.reasons import Reason

if TYPE_CHECKING:
    from wotkit.mqtt.codec.packets import Publish


class TopicAliases:
    """The aliases that the other side has made; they end with the connection ([MQTT-3.3.2-7])."""

    __slots__ = ("_maximum", "_topics")

    def __init__(self, maximum: int) -> None:
        """Take the topic alias maximum that was sent: how many topics are kept at most."""
        self._maximum = maximum
        self._topics: dict[int, str] = {}

    def topic(self, publish: Publish) -> str:
        """Return the topic that a message is published to, and note its alias.

        Raises:
            ProtocolError: the alias is beyond the maximum (0x94), or nobody has made it.
        """
        alias = publish.properties.topic_alias
        if alias is None:
            return publish.topic
        if alias > self._maximum:
            raise ProtocolError(
                f"the topic alias {alias} is above {self._maximum}", Reason.TOPIC_ALIAS_INVALID
            )
        if publish.topic:
            self._topics[alias] = publish.topic
            return publish.topic
        topic = self._topics.get(alias)
        if topic is None:
            raise ProtocolError(f"the topic alias {alias} was never given a topic")
        return topic
