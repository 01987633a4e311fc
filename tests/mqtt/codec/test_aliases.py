"""Topic aliases (MQTT 5, section 3.3.2.3.4)."""

from __future__ import annotations

import pytest

from wotkit.mqtt.codec import ProtocolError, Publish, PublishProperties, Reason, TopicAliases


def aliased(topic: str, alias: int) -> Publish:
    return Publish(topic, properties=PublishProperties(topic_alias=alias))


def test_alias_stands_for_the_topic_it_was_given_last() -> None:
    aliases = TopicAliases(2)
    assert aliases.topic(aliased("a", 1)) == "a"
    assert aliases.topic(aliased("", 1)) == "a"
    assert aliases.topic(aliased("b", 1)) == "b"
    assert aliases.topic(aliased("c", 2)) == "c"
    assert aliases.topic(aliased("", 1)) == "b"
    assert aliases.topic(Publish("d")) == "d"


def test_alias_above_the_maximum_is_refused() -> None:
    with pytest.raises(ProtocolError) as caught:
        TopicAliases(2).topic(aliased("a", 3))
    assert caught.value.reason is Reason.TOPIC_ALIAS_INVALID


def test_alias_that_was_never_given_a_topic_is_refused() -> None:
    with pytest.raises(ProtocolError) as caught:
        TopicAliases(2).topic(aliased("", 1))
    assert caught.value.reason is Reason.PROTOCOL_ERROR
