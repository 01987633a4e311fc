"""Holds the table of topics: what a key may publish and subscribe to, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit.mqtt.topics import (
    PUBLISHED,
    SUBSCRIBED,
    Kind,
    Topic,
    name_of,
    publishable,
    receivable,
    subscribable,
)

KEY = "0123456789abcdef"
OTHER = "fedcba9876543210"
OWN = f"wotkit/{KEY}/"


@pytest.mark.parametrize(
    ("name", "kind", "sensor"),
    [
        ("sensors/roof/data", Kind.DATA, "roof"),
        ("sensors/alice.roof/data", Kind.DATA, "alice.roof"),
        ("sensors/17/data", Kind.DATA, "17"),
        ("data", Kind.DATA, None),
        ("ingest", Kind.INGEST, None),
        ("status", Kind.STATUS, None),
        ("results", Kind.RESULTS, None),
    ],
)
def test_key_publishes_to_its_own_topics(name: str, kind: Kind, sensor: str | None) -> None:
    assert publishable(KEY, OWN + name) == Topic(KEY, kind, sensor)
    assert publishable(OTHER, OWN + name) is None


@pytest.mark.parametrize(
    ("topic_filter", "kind", "sensor"),
    [
        ("ack", Kind.ACK, None),
        ("errors", Kind.ERRORS, None),
        ("status", Kind.STATUS, None),
        ("commands/pump", Kind.COMMANDS, "pump"),
        ("commands/#", Kind.COMMANDS, None),
        ("commands/+", Kind.COMMANDS, None),
        ("live/roof", Kind.LIVE, "roof"),
    ],
)
def test_key_subscribes_to_its_own_topics(
    topic_filter: str, kind: Kind, sensor: str | None
) -> None:
    assert subscribable(KEY, OWN + topic_filter) == Topic(KEY, kind, sensor)
    assert subscribable(OTHER, OWN + topic_filter) is None


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "wotkit", "wotkit/", f"wotkit/{KEY}", OWN, f"/{OWN}data", "$SYS/broker/uptime",
        f"WOTKIT/{KEY}/data", f"wotkit//{KEY}/data", OWN + "data/", OWN + "Data", OWN + "nothing",
        OWN + "sensors/data", OWN + "sensors//data", OWN + "sensors/a/b/data",
        OWN + "sensors/roof/data/more", OWN + "sensors/roof", OWN + "sensors/+/data",
        OWN + "sensors/#", OWN + "ingest/1", "wotkit/+/data", "wotkit/#/data", "#", "+",
        OWN + "ack", OWN + "errors", OWN + "commands/pump", OWN + "live/roof",
    ],
)  # fmt: skip
def test_nothing_else_is_published_to(name: str) -> None:
    assert publishable(KEY, name) is None


@pytest.mark.parametrize(
    "topic_filter",
    [
        "", "#", "+", "+/+", "wotkit/#", "wotkit/+/ack", "wotkit/+/commands/#", OWN + "#",
        OWN + "+", OWN + "live/#", OWN + "live/+", OWN + "live", OWN + "commands",
        OWN + "commands/", OWN + "commands/a/b", OWN + "commands/a/#", OWN + "commands/pu+",
        OWN + "commands/pump#", OWN + "data", OWN + "sensors/roof/data", OWN + "ingest",
        OWN + "results", "$SYS/#", f"$share/group/{OWN}commands/#",
    ],
)  # fmt: skip
def test_nothing_else_is_subscribed_to(topic_filter: str) -> None:
    assert subscribable(KEY, topic_filter) is None


def test_brokers_deliver_only_names_without_wildcards() -> None:
    assert receivable(KEY, OWN + "commands/pump") == Topic(KEY, Kind.COMMANDS, "pump")
    assert receivable(KEY, OWN + "commands/#") is None
    assert receivable(OTHER, OWN + "commands/pump") is None
    assert receivable(KEY, OWN + "data") is None


LEVEL = st.text(st.characters(exclude_characters="/+#\x00"), min_size=1, max_size=20)


@given(LEVEL, LEVEL, st.sampled_from(Kind))
def test_names_mean_what_they_were_made_from(key_id: str, sensor: str, kind: Kind) -> None:
    of_sensor = sensor if kind in {Kind.DATA, Kind.COMMANDS, Kind.LIVE} else None
    name = name_of(key_id, kind, of_sensor)
    meant = Topic(key_id, kind, of_sensor)
    assert publishable(key_id, name) == (meant if kind in PUBLISHED else None)
    assert subscribable(key_id, name) == (meant if kind in SUBSCRIBED else None)


@given(st.text(max_size=60), st.sampled_from([KEY, ""]))
def test_no_text_reaches_what_is_not_the_keys(text: str, key_id: str) -> None:
    for found in (publishable(key_id, text), subscribable(key_id, text)):
        assert found is None or text.startswith(f"wotkit/{key_id}/")
