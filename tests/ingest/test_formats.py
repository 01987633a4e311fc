"""Parsers of readings: bytes to a time and values, or a fault with its field."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit import strict_json, times
from wotkit.errors import MalformedBody, TooLarge, ValidationFailed
from wotkit.ingest.formats import readings
from wotkit.ingest.formats.readings import Parsed, Wrong


def test_timestamp_is_taken_out_of_the_values() -> None:
    parsed = readings.parse_one(b'{"t":1,"timestamp":"2014-06-19T22:45:36.281Z"}')
    assert parsed == Parsed(1_403_217_936_281_000, {"t": 1})
    assert readings.parse_one(b'{"t":1,"timestamp":null}') == Parsed(None, {"t": 1})


@pytest.mark.parametrize("body", [b"[]", b"1", b'"t"', b"null", b'[{"t":1}]'])
def test_reading_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody, match="a reading is a JSON object"):
        readings.parse_one(body)


@pytest.mark.parametrize("timestamp", ["yesterday", "", True, [], {}, 1e300, "2020-13-01T00:00Z"])
def test_timestamp_that_is_no_time_is_named(timestamp: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        readings.of_object({"t": 1, "timestamp": timestamp})
    assert list(caught.value.more) == ["timestamp"]
    found = readings.of_item({"t": 1, "timestamp": timestamp})
    assert isinstance(found, Wrong)
    assert list(found.problems) == ["timestamp"]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"5", b"null"])
def test_list_of_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody, match="with at least one"):
        readings.parse_list(body, 10)


def test_list_is_bounded() -> None:
    assert len(readings.parse_list(b"[1,2,3]", 3)) == 3
    with pytest.raises(TooLarge, match="4 readings are more than 3"):
        readings.parse_list(b"[1,2,3,4]", 3)
    assert readings.of_item(5) == Wrong({"reading": "is not a JSON object"})


def test_form_values_stay_texts_and_an_empty_timestamp_is_none() -> None:
    form = {"value": "5", "note": "", "timestamp": ""}
    assert readings.of_form(form) == Parsed(None, {"value": "5", "note": ""})
    assert readings.of_form({"v": "1", "timestamp": "1000"}) == Parsed(1_000_000, {"v": "1"})


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused_by_the_catalogue(body: bytes) -> None:
    for parse in (readings.parse_one, lambda given: readings.parse_list(given, 5)):
        with suppress(MalformedBody, ValidationFailed, TooLarge):
            parse(body)


@given(
    st.integers(times.EARLIEST // 1000, times.LATEST // 1000),
    st.dictionaries(st.text(max_size=5).filter(lambda n: n != "timestamp"), st.integers(-9, 9)),
)
def test_encoded_reading_is_parsed_back(millis: int, values: dict[str, int]) -> None:
    for timestamp in (millis, str(millis), times.to_iso(millis * 1000)):
        body = strict_json.encode({**values, "timestamp": timestamp})
        assert readings.parse_one(body) == Parsed(millis * 1000, values)
