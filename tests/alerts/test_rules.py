"""What conditions mean, what messages say, and when an alert would have fired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit.alerts.rules import (
    LONGEST_MESSAGE,
    Event,
    Rule,
    SensorValues,
    message,
    replay,
    snapshot,
)
from wotkit.catalog.alert_rules import ConditionRow, RuleRow
from wotkit.readings.store import Latest

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = 1_000_000
CELLAR, ATTIC = 1, 2


def condition(
    operator: str,
    value: Any = None,
    *,
    field: str = "t",
    sensor: int = CELLAR,
    seconds: float | None = None,
) -> ConditionRow:
    name = {CELLAR: "alice.cellar", ATTIC: "alice.attic"}[sensor]
    return ConditionRow(
        sensor_id=sensor, sensor=name, field=field, operator=operator, value=value, seconds=seconds
    )


def alert(*conditions: ConditionRow, template: str = "", in_progress: bool = False) -> RuleRow:
    return RuleRow(
        alert_id=7,
        owner_id=1,
        name="too warm",
        long_name="Too warm",
        template=template,
        send_email=False,
        email="",
        webhook="",
        since=0,
        in_progress=in_progress,
        conditions=conditions,
    )


def known(*readings: dict[str, Any]) -> SensorValues:
    """The values of a sensor after readings of second 1, 2 and so on."""
    found = SensorValues()
    for number, values in enumerate(readings, 1):
        found.add(number * SECOND, values, number * SECOND)
    return found


def holds(operator: str, value: Any, *readings: dict[str, Any]) -> bool:
    return Rule(alert(condition(operator, value))).holds({CELLAR: known(*readings)}, 9 * SECOND)


@pytest.mark.parametrize(
    ("operator", "below", "equal", "above"),
    [
        ("LT", True, False, False),
        ("LE", True, True, False),
        ("GT", False, False, True),
        ("GE", False, True, True),
        ("EQ", False, True, False),
        ("NEQ", True, False, True),
    ],
)
def test_numbers_are_compared_as_the_operator_says(
    operator: str, below: bool, equal: bool, above: bool
) -> None:
    for value, expected in ((4.5, below), (5, equal), (5.0, equal), ("5", equal), (6, above)):
        assert holds(operator, 5, {"t": value}) is expected, value
        assert holds(operator, "5", {"t": value}) is expected, value


@pytest.mark.parametrize("operator", ["LT", "LE", "GT", "GE", "EQ", "NEQ"])
def test_field_that_never_had_a_value_meets_no_comparison(operator: str) -> None:
    assert not holds(operator, 5)
    assert not holds(operator, 5, {"other": 5})
    assert not holds(operator, 5, {"t": None})


def test_texts_are_equal_or_not_and_never_above_or_below_a_number() -> None:
    assert holds("EQ", "open", {"t": "open"})
    assert not holds("EQ", "open", {"t": "Open"})
    assert holds("NEQ", "open", {"t": "shut"})
    assert not holds("NEQ", "open", {"other": "shut"})
    assert holds("NEQ", 5, {"t": "shut"})
    for operator in ("LT", "LE", "GT", "GE", "EQ"):
        assert not holds(operator, 5, {"t": "shut"})


def test_comparison_goes_by_the_last_value_the_field_had() -> None:
    assert holds("GT", 5, {"t": 6}, {"other": 1})
    assert holds("GT", 5, {"t": 6}, {"t": None})
    assert not holds("GT", 5, {"t": 6}, {"t": 5})


def test_null_goes_by_the_newest_reading() -> None:
    for readings, null in (
        ([{"t": 1}], False),
        ([{"t": None}], True),
        ([{"t": 1}, {"u": 1}], True),
    ):
        assert holds("NULL", None, *readings) is null
        assert holds("NOTNULL", None, *readings) is not null
    assert not holds("NULL", None)
    assert not holds("NOTNULL", None)


def test_silence_is_counted_from_the_last_reading_or_the_last_change() -> None:
    rule = Rule(alert(condition("NODATA", seconds=5)))
    for values, last in ((SensorValues(), 0), (known({"t": 1}, {"t": 1}), 2)):
        assert not rule.holds({CELLAR: values}, (last + 5) * SECOND - 1)
        assert rule.holds({CELLAR: values}, (last + 5) * SECOND)


def test_all_conditions_have_to_hold_together() -> None:
    rule = Rule(alert(condition("GT", 5), condition("LT", 1, field="u", sensor=ATTIC)))
    assert rule.holds({CELLAR: known({"t": 6}), ATTIC: known({"u": 0})}, 0)
    assert not rule.holds({CELLAR: known({"t": 5}), ATTIC: known({"u": 0})}, 0)
    assert not rule.holds({CELLAR: known({"t": 6}), ATTIC: known({"u": 1})}, 0)
    assert not rule.holds({CELLAR: known({"t": 6})}, 0)
    assert not Rule(alert()).holds({}, 0)


def test_late_reading_changes_only_what_it_is_the_newest_of() -> None:
    values = known({"t": 1}, {"t": 2})
    values.add(SECOND + 1, {"t": 99, "u": 3}, 5 * SECOND)
    assert (values.fields, values.newest, values.updated) == (
        {"t": 2, "u": 3},
        {"t": 2},
        5 * SECOND,
    )


def test_values_are_loaded_as_of_before_what_is_gone_through() -> None:
    fields: dict[str, tuple[Any, int]] = {"t": (1, 5), "u": (2, 9)}
    latest = Latest(9, 1, b'{"u":2}', 10, fields)
    whole, part = SensorValues.load(latest), SensorValues.load(latest, before=9)
    assert (whole.fields, whole.newest) == ({"t": 1, "u": 2}, {"u": 2})
    assert (part.fields, part.newest) == ({"t": 1}, None)
    assert SensorValues.load(None).fields == {}


readings = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.dictionaries(st.sampled_from("tu"), st.one_of(st.none(), st.integers(0, 3))),
    ),
    max_size=12,
)


@given(readings)
def test_values_are_those_of_the_newest_reading_that_has_them(
    came: list[tuple[int, dict[str, Any]]],
) -> None:
    values = SensorValues()
    for ts, fields in came:
        values.add(ts, fields, ts)
    in_order = sorted(came, key=lambda one: one[0])  # of the same instant, in order of arrival
    expected: dict[str, Any] = {}
    for _, fields in in_order:
        expected.update({name: value for name, value in fields.items() if value is not None})
    assert values.fields == expected
    assert values.newest == (in_order[-1][1] if in_order else None)


def text(template: str, *conditions: ConditionRow, **fields: Any) -> str:
    row = alert(*(conditions or (condition("GT", 5),)), template=template)
    values = {CELLAR: known(fields), ATTIC: known({"t": "cold"})}
    return message(row, snapshot(Rule(row), values, 0))


def test_template_is_filled_with_fields_and_names() -> None:
    filled = text("${t} and ${u} on ${sensor}: ${alert} at ${timestamp}", t=6.5, u="wet")
    assert filled == "6.5 and wet on alice.cellar: too warm at 1970-01-01T00:00:00.000Z"


def test_unknown_and_broken_placeholders_stay_as_they_are() -> None:
    template = "${v} ${} $t {t} ${t ${${t}}"
    assert text(template, t=1) == "${v} ${} $t {t} ${t ${1}"


def test_value_of_a_template_is_not_filled_again() -> None:
    assert text("${t}", t="${u}", u="secret") == "${u}"


def test_field_of_two_sensors_is_the_first_conditions_unless_named() -> None:
    both = (condition("GT", 5), condition("EQ", "cold", sensor=ATTIC))
    assert text("${t} ${alice.attic.t}", *both, t=6) == "6 cold"


def test_message_without_a_template_says_what_holds() -> None:
    several = (condition("GT", 5), condition("NULL", field="u"), condition("NODATA", seconds=60))
    assert text("", *several, t=6) == (
        "alice.cellar: t GT 5 (it is 6)\nalice.cellar: u NULL\nalice.cellar: no data for 60 s"
    )


def test_message_is_bounded() -> None:
    assert len(text("${t}" * 100, t="x" * 10_000)) == LONGEST_MESSAGE


def run(row: RuleRow, start: int, end: int, *events: tuple[float, int, dict[str, Any]]) -> Any:
    values = {CELLAR: SensorValues(), ATTIC: SensorValues()}
    made = [Event(int(at * SECOND), sensor, fields) for at, sensor, fields in events]
    found = replay(row, values, made, start * SECOND, end * SECOND)
    return [
        (one.began.at / SECOND, None if one.ended is None else one.ended / SECOND) for one in found
    ]


def test_replay_says_when_it_begins_and_ends() -> None:
    values = [1, 6, 7, 2, 9]
    events = [(at, CELLAR, {"t": value}) for at, value in enumerate(values, 1)]
    assert run(alert(condition("GT", 5)), 0, 10, *events) == [(2, 4), (5, None)]


def test_replay_begins_with_what_was_known_before() -> None:
    row = alert(condition("GT", 5))
    values = {CELLAR: known({"t": 6})}
    events = [Event(3 * SECOND, CELLAR, {"t": 7}), Event(4 * SECOND, CELLAR, {"t": 1})]
    assert replay(row, values, events, 2 * SECOND, 9 * SECOND) == []


def test_replay_finds_silence_between_readings_and_at_the_end() -> None:
    row = alert(condition("NODATA", seconds=5))
    events = [(at, CELLAR, {"t": 1}) for at in (1, 2, 10, 12)]
    assert run(row, 0, 30, *events) == [(7, 10), (17, None)]


def test_replay_waits_for_silence_of_one_sensor_while_another_speaks() -> None:
    row = alert(condition("NODATA", seconds=5), condition("NODATA", seconds=1, sensor=ATTIC))
    events = [(1, CELLAR, {"t": 1}), *((at, ATTIC, {"t": 1}) for at in (6.5, 7, 7.5, 8))]
    assert run(row, 0, 20, *events) == [(6, 6.5), (9, None)]


@given(st.lists(st.integers(0, 9), max_size=30))
def test_replay_fires_once_for_each_run_above_the_limit(values: Sequence[int]) -> None:
    events = [(at, CELLAR, {"t": value}) for at, value in enumerate(values, 1)]
    above = [value > 5 for value in values]
    began = [at for at, up in enumerate(above, 1) if up and not (at > 1 and above[at - 2])]
    assert [at for at, _ in run(alert(condition("GT", 5)), 0, 99, *events)] == began
