from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit import strict_json
from wotkit.catalog.control import Message
from wotkit.control import messages
from wotkit.errors import TooLarge, ValidationFailed
from wotkit.settings import ControlSettings

LIMITS = ControlSettings(max_message_bytes=100, max_expires_seconds=60)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 80), 1 << 80) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=10), values, max_size=5))
def test_pairs_arrive_as_they_were_sent(pairs: dict[str, Any]) -> None:
    for reserved in ("expires", "timestamp", "sensor_id"):
        pairs.pop(reserved, None)
    body, expires = messages.prepare(pairs, ControlSettings())
    assert expires is None
    message = Message(1, 7, 1_000_000, None, strict_json.decode(body.encode()))
    shown = messages.shown(message)
    assert shown == pairs | {"timestamp": "1970-01-01T00:00:01.000Z", "sensor_id": 7}


@pytest.mark.parametrize(("given_seconds", "seconds"), [(60, 60), ("0.5", 0.5), (1.5, 1.5)])
def test_expires_is_a_number_of_seconds(given_seconds: Any, seconds: float) -> None:
    assert messages.prepare({"expires": given_seconds, "a": 1}, LIMITS) == ('{"a":1}', seconds)


def test_expires_of_null_is_none() -> None:
    assert messages.prepare({"expires": None}, LIMITS) == ("{}", None)


@pytest.mark.parametrize(
    "wrong", [0, -1, 60.1, float("nan"), float("inf"), True, "soon", "", [], {}, 10**400]
)
def test_expires_of_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        messages.prepare({"expires": wrong}, LIMITS)
    assert caught.value.more == {"expires": "is invalid: a number of seconds, at most 60"}


def test_message_is_measured_as_it_is_kept() -> None:
    assert len(messages.prepare({"a": "x" * 92}, LIMITS)[0]) == 100
    with pytest.raises(TooLarge, match="101 bytes"):
        messages.prepare({"a": "x" * 93}, LIMITS)
    with pytest.raises(TooLarge):
        messages.prepare({"a": "ü" * 47}, LIMITS)


def test_message_that_expires_shows_its_id_and_when() -> None:
    shown = messages.shown(Message(17, 7, 0, 60_000_000, {"a": 1, "sensor_id": "mine"}))
    assert shown == {
        "a": 1,
        "sensor_id": 7,
        "timestamp": "1970-01-01T00:00:00.000Z",
        "id": 17,
        "expires": "1970-01-01T00:01:00.000Z",
    }
