"""Topic names and filters: validity, matching, shares (section 4.7; 4.8.2 of version 5)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mqtt.codec.strategies import filters, shared_filters, topics
from wotkit.mqtt.codec import Shared, matches, shared, valid_filter, valid_topic


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        # the examples of sections 4.7.1.2 and 4.7.1.3
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/#", "sport"),
        ("#", "sport"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("+/tennis/#", "sport/tennis"),
        # of 4.7.2
        ("$SYS/#", "$SYS/monitor/Clients"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        # and more
        ("a/b", "a/b"),
        ("+", "a"),
        ("/", "/"),
        ("+/+", "/"),
        ("a/+/c", "a//c"),
        ("a/#", "a/$b"),
        ("+/$b", "a/$b"),
    ],
)
def test_filter_matches(topic_filter: str, topic: str) -> None:
    assert matches(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("#", "$SYS/monitor/Clients"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ("+", "$SYS"),
        ("a", "A"),
        ("a/b", "a"),
        ("a", "a/b"),
        ("a/b/#", "a/c"),
        ("é", "e\u0301"),  # [MQTT-4.7.3-4]: nothing is normalized
        ("a", "a/"),
        ("a/", "a"),
    ],
)
def test_filter_does_not_match(topic_filter: str, topic: str) -> None:
    assert not matches(topic_filter, topic)


def as_expression(topic_filter: str) -> str:
    """A filter as a regular expression: the same rules, told in another way."""
    if topic_filter == "#":
        return r"(?!\$).*"
    inner = topic_filter.removesuffix("/#")
    found = "/".join("[^/]*" if level == "+" else re.escape(level) for level in inner.split("/"))
    if topic_filter.startswith("+"):
        found = r"(?!\$)" + found
    return found if inner == topic_filter else found + "(/.*)?"


@given(filters, topics)
def test_matching_is_what_the_rules_say(topic_filter: str, topic: str) -> None:
    expected = re.fullmatch(as_expression(topic_filter), topic, re.DOTALL) is not None
    assert matches(topic_filter, topic) is expected


@given(topics, st.data())
def test_filter_made_of_a_topic_matches_it(topic: str, data: st.DataObject) -> None:
    levels = topic.split("/")
    wild = [data.draw(st.sampled_from([level, "+"])) for level in levels]
    keep = data.draw(st.integers(1, len(levels)))
    expected = not (topic.startswith("$") and wild[0] == "+")
    assert matches("/".join(wild), topic) is expected
    assert matches("/".join([*wild[:keep], "#"]), topic) is expected


@given(filters)
def test_filters_that_keep_the_rules_are_valid(topic_filter: str) -> None:
    assert valid_filter(topic_filter)
    assert valid_topic(topic_filter) is not ("#" in topic_filter or "+" in topic_filter)


@given(shared_filters)
def test_shares_come_apart(topic_filter: str) -> None:
    assert valid_filter(topic_filter)
    found = shared(topic_filter)
    assert found is not None
    assert topic_filter == f"$share/{found.name}/{found.filter}"
    assert valid_filter(found.filter)


def test_share_is_an_ordinary_filter_in_3_1_1() -> None:
    assert valid_filter("$share/g", sharing=False)
    assert not valid_filter("$share/g")
    assert shared("$share/g/a/#") == Shared("g", "a/#")
    assert shared("share/g/a") is None


@pytest.mark.parametrize("name", ["", "a\0", "a+", "#", "a/+/b", "ä" * 32_768, "\ud800" * 20_000])
def test_topic_is_not_valid(name: str) -> None:
    assert not valid_topic(name)


@pytest.mark.parametrize("name", ["/", "a", " ", "a//b", "$SYS", "x" * 65_535, "ä" * 32_767])
def test_topic_is_valid(name: str) -> None:
    assert valid_topic(name)
    assert valid_filter(name)


@pytest.mark.parametrize("name", ["a\0", "x" * 65_536, "sport/tennis#", "sport+", "#/a", "+a"])
def test_filter_is_not_valid(name: str) -> None:
    assert not valid_filter(name)
