"""What a reading may hold: checked against the sensor's fields, each fault with its field."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit import strict_json
from wotkit.ingest.fields import FieldChecks
from wotkit.settings import IngestSettings

LIMITS = IngestSettings(max_fields=5, max_name_length=10, max_text_length=20, max_depth=3)
DECLARED = [("t", "NUMBER", False), ("name", "STRING", False)]


def check(values: dict[str, Any], *more: tuple[str, str, bool]) -> dict[str, str] | None:
    return FieldChecks([*DECLARED, *more], LIMITS).check(values)


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ({"t": 5}, {"t": 5}),
        ({"t": -0.5, "name": "x"}, {"t": -0.5, "name": "x"}),
        ({"t": "21.5"}, {"t": 21.5}),
        ({"t": " 21 "}, {"t": 21}),
        ({"t": "-1e3"}, {"t": -1000.0}),
        ({"name": 5}, {"name": "5"}),
        ({"name": 0.5}, {"name": "0.5"}),
        ({"name": True}, {"name": "true"}),
        ({"t": None, "name": None}, {"t": None, "name": None}),
        ({"other": "21.5"}, {"other": "21.5"}),
        ({"other": [1, {"a": None}]}, {"other": [1, {"a": None}]}),
        ({"id": 4, "sensor_id": 5, "sensor_name": "a.b", "t": 1}, {"t": 1}),
        ({"name": "x" * 20}, {"name": "x" * 20}),
        ({"o" * 10: "y" * 20}, {"o" * 10: "y" * 20}),
        ({"é": False}, {"é": False}),
    ],
)
def test_good_values_are_brought_to_their_types(values: Any, stored: Any) -> None:
    assert check(values) is None
    assert values == stored
    assert {name: type(value) for name, value in values.items()} == {
        name: type(value) for name, value in stored.items()
    }


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"t": "warm"}, "t", "expected NUMBER, got 'warm'"),
        ({"t": ""}, "t", "expected NUMBER"),
        ({"t": "1e999"}, "t", "expected NUMBER"),
        ({"t": "9" * 5000}, "t", "expected NUMBER"),
        ({"t": "NaN"}, "t", "expected NUMBER"),
        ({"t": "0x10"}, "t", "expected NUMBER"),
        ({"t": "1_000"}, "t", "expected NUMBER"),
        ({"t": True}, "t", "expected NUMBER, got True"),
        ({"t": [1]}, "t", "expected NUMBER"),
        ({"t": {"a": 1}}, "t", "expected NUMBER"),
        ({"name": ["x"]}, "name", "expected STRING"),
        ({"name": "x" * 21}, "name", "more than 20 characters"),
        ({"name": 10**30}, "name", "more than 20 characters"),
        ({"other": "x" * 21}, "other", "more than 20 characters"),
        ({"other": ["a", "x" * 21]}, "other", "a text of more than 20 characters"),
        ({"other": [[[[]]]]}, "other", "nested more than 3 levels deep"),
        ({"other": {"a": {"b": {"c": {}}}}}, "other", "nested more than 3 levels deep"),
        ({"o" * 11: 1}, "o" * 11, "name of 11 characters"),
        ({"o" * 300: 1}, "o" * 100, "name of 300 characters"),
        ({"": 1}, "", "name of 0 characters"),
        ({}, "value", "at least one field"),
        ({"id": 7}, "value", "at least one field"),
        ({str(n): n for n in range(6)}, "fields", "are 6, more than 5"),
    ],
)
def test_bad_value_is_refused_with_its_field(values: Any, field: str, words: str) -> None:
    problems = check(values)
    assert problems is not None
    assert list(problems) == [field]
    assert words in problems[field]
    assert len(problems[field]) < 120


def test_every_fault_is_named_at_once() -> None:
    problems = check({"t": "x", "name": [], "o": "y" * 21}, ("need", "NUMBER", True))
    assert problems is not None
    assert set(problems) == {"t", "name", "o", "need"}


@pytest.mark.parametrize("values", [{"t": 1}, {"t": 1, "need": None}, {}])
def test_required_field_is_named_when_it_is_missing_or_null(values: dict[str, Any]) -> None:
    problems = check(values, ("need", "NUMBER", True))
    assert problems is not None
    assert problems["need"] == "is required"


def test_required_field_that_is_there_is_enough() -> None:
    assert check({"need": 0}, ("need", "NUMBER", True)) is None
    assert check({"need": ""}, ("need", "STRING", True)) is None


def test_very_deep_value_is_refused_without_recursion() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    problems = check({"other": value})
    assert problems == {"other": "is nested more than 3 levels deep"}
    while value:  # taken apart level by level: freeing it whole would recurse
        value = value.pop()


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=25)
)
json_values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3)
)


@given(
    st.dictionaries(
        st.sampled_from(["t", "name", "id", "timestamp"]) | st.text(max_size=12), json_values
    ),
    st.booleans(),
)
def test_what_passes_is_of_its_type_within_limits_and_passes_again(
    values: dict[str, Any], required: bool
) -> None:
    checks = FieldChecks([("t", "NUMBER", required), ("name", "STRING", False)], LIMITS)
    given_names = set(values)
    problems = checks.check(values)
    assert set(values) <= given_names
    if problems is not None:
        assert problems
        return
    assert 0 < len(values) <= 5
    assert not set(values) & {"id", "sensor_id", "sensor_name"}
    assert values.get("t") is None or type(values["t"]) in {int, float}
    assert values.get("name") is None or type(values["name"]) is str
    assert not required or math.isfinite(values["t"])
    assert all(0 < len(name) <= 10 for name in values)
    again = json.loads(strict_json.encode(values))
    assert checks.check(dict(again)) is None
    assert strict_json.encode(again) == strict_json.encode(values)
