"""What the store does of a query changes nothing of its answer."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit import strict_json, times
from wotkit.api.v1 import data_table
from wotkit.gviz.errors import ProtocolError
from wotkit.gviz.evaluate import evaluate
from wotkit.gviz.grammar import parse
from wotkit.gviz.plan import plan
from wotkit.gviz.request import TableRequest
from wotkit.ingest.directory import Target
from wotkit.readings.sqlite import SqliteStore
from wotkit.readings.store import Append, FieldColumn, NewReading, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wotkit.gviz.table import Table

FIELDS = (FieldColumn("value", number=True), FieldColumn("näme's", number=False))
NOW = datetime(2026, 11, 21, tzinfo=UTC).replace(tzinfo=None)
START = times.parse("1969-12-31T22:00:00.000001Z")
VALUES = [None, 0, -1.5, 3, 1e300, 1 << 60, "text", True, [1]]
NAMES = [None, "", "a", "B", "ä", "a'b", "%", 5, False, {"a": 1}]


def reading(sensor_id: int, ts: int, **values: Any) -> NewReading:
    kept = {name: value for name, value in values.items() if value is not None}
    return NewReading(sensor_id=sensor_id, ts=ts, data=strict_json.encode(kept), values=kept)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """A store with 200 readings of sensor 1, each 40 minutes after the last, around 1970."""
    with closing(SqliteStore(tmp_path_factory.mktemp("data") / "readings.db")) as found:
        readings = [
            reading(
                1,
                START + number * 2_400_000_000,
                **{"value": VALUES[number % 9], "näme's": NAMES[number % 10], "other": number},
            )
            for number in range(200)
        ]
        found.apply([Append(readings=readings)], START)
        yield found


def source(*, most: int = 1000, reverse: bool = False, **bounds: Any) -> Any:
    what = Range(sensor_id=1, reverse=reverse, limit=most + 1, **bounds)
    target = Target(1, "alice.home", None)  # type: ignore[arg-type]  # nothing is checked
    return data_table._Source(target, FIELDS, what, most, latest=False)


def in_memory(store: SqliteStore, query: str, reverse: bool) -> Table:
    asked = source(reverse=reverse)
    columns = asked.columns(None)
    return evaluate(parse(query), asked.table(columns, asked.what, store.read(asked.what)), NOW)


def flat(table: Table) -> tuple[Any, Any]:
    columns = [(column.id, column.type, column.label) for column in table.columns]
    return columns, [
        [pytest.approx(cell, rel=1e-9) if isinstance(cell, float) else cell for cell in row]
        for row in table.rows
    ]


CONDITIONS = st.sampled_from(
    [
        "value > 0",
        "1.5 > value",
        "value != 3",
        "value = 3",
        "`näme's` = 'a'",
        "`näme's` < 'b'",
        "`näme's` contains \"'\"",
        "`näme's` contains ''",
        "`näme's` != ''",
        "`näme's` starts with 'a'",
        "value is null",
        "not value > 0",
        "(value > 0 or value < -1)",
        "timestamp >= date '1970-01-02'",
        "timestamp < datetime '1970-01-03 10:00:00.000001'",
        "datetime '1970-01-01 00:40:00.000001' = timestamp",
        "timestamp != date '1970-01-02'",
        "hour(timestamp) > 12",
        "sensor_id = 1",
    ]
)
WHERE = st.lists(CONDITIONS, max_size=3).map(
    lambda parts: f"where {' and '.join(parts)} " if parts else ""
)
ROWS = st.builds(
    "select timestamp, value, `näme's` {}{}limit {} offset {}".format,
    WHERE,
    st.sampled_from(
        ["", "order by timestamp ", "order by timestamp desc ", "order by value, timestamp "]
    ),
    st.integers(0, 30),
    st.integers(0, 30),
)
KEYS = st.sampled_from(
    [
        *("year", "month", "day", "hour", "minute", "toDate", "quarter"),
        *("`näme's`", "value"),
    ]
).map(lambda key: key if key in {"`näme's`", "value"} else f"{key}(timestamp)")
AGGREGATES = st.lists(
    st.sampled_from(
        [
            *("count(timestamp)", "min(timestamp)", "max(timestamp)", "count(`näme's`)"),
            *("max(`näme's`)", "min(value)", "max(value)", "sum(value)", "avg(value)"),
            *("count(value)", "max(value) - min(value)", "count(sensor_id)"),
        ]
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


@st.composite
def grouped(draw: Any) -> str:
    """A query with aggregations; some make no sense."""
    keys = draw(st.lists(KEYS, max_size=2, unique=True))
    pivot = draw(st.none() | KEYS)
    select = ", ".join([*keys, *draw(AGGREGATES)])
    by = f"group by {', '.join(keys)} " if keys else ""
    pivoted = f"pivot {pivot} " if pivot else ""
    return f"select {select} {draw(WHERE)}{by}{pivoted}limit {draw(st.integers(0, 20))}"


@given(ROWS | grouped(), st.booleans())
def test_answer_is_that_of_the_query_in_memory(
    store: SqliteStore, query: str, reverse: bool
) -> None:
    expected = answer(lambda: in_memory(store, query, reverse))
    asked = source(reverse=reverse)
    assert answer(lambda: data_table._table(store, asked, parse(query), NOW)) == expected


def answer(table: Callable[[], Table]) -> Any:
    """Return what a table shows, or why there is none."""
    try:
        return flat(table())
    except ProtocolError as error:
        return error.detail


def test_conditions_and_groups_are_left_to_the_store() -> None:
    fields = {field.name: field for field in FIELDS}
    what = Range(sensor_id=1, limit=1001)
    asked = parse("where timestamp > date '1970-01-02' and value > 1 order by timestamp limit 5")
    found = plan(asked, what, fields)
    assert found.complete
    assert found.what.after is not None
    assert (len(found.tests), found.what.limit) == (1, 5)
    asked = parse("select hour(timestamp), avg(value) group by hour(timestamp)")
    assert plan(asked, what, fields).keys is not None
    asked = parse("select avg(value) where not value > 1")
    assert plan(asked, what, fields).keys is None
    assert not plan(asked, what, fields).complete


def test_name_that_sql_cannot_have_is_left_to_memory() -> None:
    odd = FieldColumn('a"b', number=True)
    found = plan(parse('select sum(`a"b`) where `a"b` > 1'), Range(sensor_id=1), {'a"b': odd})
    assert found.tests == ()
    assert found.keys is None


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select value where not value > 1", None),
        ("select value", None),
        ("select count(timestamp)", [[200]]),
        ("select value where value = 3 and timestamp > date '1970-01-05'", "some"),
        ("select timestamp order by timestamp desc limit 1", "some"),
        ("select count(value) group by minute(timestamp), timestamp", None),
    ],
)
def test_only_what_must_be_loaded_counts_for_the_limit(
    store: SqliteStore, query: str, rows: Any
) -> None:
    if rows is None:
        with pytest.raises(ProtocolError) as caught:
            data_table._table(store, source(most=50), parse(query), NOW)
        assert caught.value.reason == "other"
        assert "query.max_table_readings" in caught.value.detail
        return
    found = data_table._table(store, source(most=50), parse(query), NOW).rows
    assert found == rows or (rows == "some" and 0 < len(found) < 50)


def test_hostile_pattern_takes_no_time(store: SqliteStore) -> None:
    store.apply([Append(readings=[reading(2, 0, **{"näme's": "a" * 60_000})])], 0)
    asked = source()._replace(what=Range(sensor_id=2, limit=1001))
    begin = time.monotonic()
    for condition in ("matches '(a+)+b'", "like '%a%a%a%a%a%a%b'"):
        query = parse(f"select `näme's` where `näme's` {condition}")
        assert data_table._table(store, asked, query, NOW).rows == []
    assert time.monotonic() - begin < 5


def test_answer_of_a_query_that_makes_no_sense_says_so(store: SqliteStore) -> None:
    request = TableRequest(plain=True)
    found = data_table._made(store, source(), "select nothing", request, times.now())
    assert b'"reason":"invalid_query"' in found.body
