"""The query language: what is written is read again, and nothing else is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit.gviz.errors import InvalidTableQuery
from wotkit.gviz.grammar import DEPTH, FUNCTIONS, STEPS, parse
from wotkit.gviz.printing import write_query
from wotkit.gviz.syntax import (
    AGGREGATES,
    Aggregate,
    AllOf,
    AnyOf,
    Call,
    Column,
    Comparison,
    IsNull,
    Literal,
    Not,
    Query,
    Sort,
    Type,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def made(kind: Callable[..., Any], *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(*parts).map(lambda found: kind(*found))


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="'"), max_size=8) | st.text(
    st.characters(codec="utf-8", exclude_characters='"'), max_size=8
)
COLUMNS = made(
    Column,
    st.sampled_from(["value", "timestamp", "Order", "select", "date", "max", "year", "no", "a b"])
    | st.text(st.characters(codec="utf-8", exclude_characters="`"), min_size=1, max_size=5),
)
LITERALS = st.one_of(
    made(Literal, st.just(Type.STRING), TEXTS),
    made(Literal, st.just(Type.NUMBER), st.integers(-(1 << 60), 1 << 60)),
    made(Literal, st.just(Type.NUMBER), st.floats(allow_nan=False, allow_infinity=False)),
    made(Literal, st.just(Type.BOOLEAN), st.booleans()),
    made(Literal, st.just(Type.DATE), st.dates()),
    made(Literal, st.just(Type.TIMEOFDAY), st.times()),
    made(Literal, st.just(Type.DATETIME), st.datetimes()),
)
EXPRESSIONS = st.recursive(
    COLUMNS | LITERALS | made(Aggregate, st.sampled_from(AGGREGATES), COLUMNS),
    lambda inner: (
        made(Call, st.sampled_from("+-*/"), st.tuples(inner, inner))
        | made(Call, st.sampled_from(FUNCTIONS), st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "contains", "starts with", "ends with", "matches"]
CONDITIONS = st.recursive(
    made(Comparison, st.sampled_from([*OPERATORS, "like"]), EXPRESSIONS, EXPRESSIONS)
    | made(IsNull, EXPRESSIONS),
    lambda inner: (
        made(Not, inner)
        | made(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | made(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=4,
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[arg-type,misc]  # mypy counts no parts


def some(items: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, max_size=3).map(tuple)


QUERIES = st.fixed_dictionaries(
    {
        "select": st.none() | st.lists(EXPRESSIONS, min_size=1, max_size=3).map(tuple),
        "where": st.none() | CONDITIONS,
        "group": some(EXPRESSIONS),
        "pivot": some(EXPRESSIONS),
        "order": some(made(Sort, EXPRESSIONS, st.booleans())),
        "limit": st.none() | st.integers(0, 10_000),
        "offset": st.integers(0, 10_000),
        "labels": some(st.tuples(EXPRESSIONS, TEXTS)),
        "formats": some(st.tuples(EXPRESSIONS, TEXTS)),
        "no_values": st.booleans(),
        "no_format": st.booleans(),
    }
).map(lambda parts: Query(**parts))
MARKS = "( ) , * + - / = != < > ' \" `"
NAMES = "value sum avg year now timestamp date true 'x' '2014-01-01' 1 2.5 1e999 \u00e9 \x00"
CLAUSES = "select where group by pivot order limit offset label format options desc no_values"
OTHERS = "and or not is null contains starts with like"
WORDS = st.lists(
    st.sampled_from(f"{MARKS} {NAMES} {CLAUSES} {OTHERS}".split(" ")), max_size=20
).map(" ".join)


@given(QUERIES)
def test_query_that_is_written_is_read_again(query: Query) -> None:
    assert parse(write_query(query)) == query


@given(st.text(max_size=60) | WORDS | WORDS.map(lambda words: f"select {words}"))
def test_anything_else_is_an_invalid_query_and_nothing_worse(text: str) -> None:
    try:
        query = parse(text)
    except InvalidTableQuery:
        return
    assert parse(write_query(query)) == query


def test_every_clause_is_read_in_any_case() -> None:
    assert parse(
        "SELECT Sum(value), year(`timestamp`) Where a = 1 and not b <> 'x' GROUP by year(timestamp)"
        " pivot message Order By a DESC, b asc LIMIT 5 offset 6 label sum(value) 'S' "
        'format sum(value) "#" options NO_VALUES no_format'
    ) == Query(
        select=(Aggregate("sum", Column("value")), Call("year", (Column("timestamp"),))),
        where=AllOf(
            (
                Comparison("=", Column("a"), Literal(Type.NUMBER, 1)),
                Not(Comparison("!=", Column("b"), Literal(Type.STRING, "x"))),
            )
        ),
        group=(Call("year", (Column("timestamp"),)),),
        pivot=(Column("message"),),
        order=(Sort(Column("a"), descending=True), Sort(Column("b"))),
        limit=5,
        offset=6,
        labels=((Aggregate("sum", Column("value")), "S"),),
        formats=((Aggregate("sum", Column("value")), "#"),),
        no_values=True,
        no_format=True,
    )


@pytest.mark.parametrize("empty", ["", "  \n", "select *"])
def test_nothing_asked_is_everything(empty: str) -> None:
    assert parse(empty) == Query()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("date '2014-06-19'", date(2014, 6, 19)),
        ("timeofday '9:05:01.25'", time(9, 5, 1, 250_000)),
        ("datetime '2014-06-19 22:45:36.281'", utc(2014, 6, 19, 22, 45, 36, 281_000)),
        ("timestamp '2014-06-19 22:45:36'", utc(2014, 6, 19, 22, 45, 36)),
        ("'it''", None),
        ("-.5", -0.5),
        ("1e3", 1000.0),
        ("TRUE", True),
        ('"it\'s"', "it's"),
    ],
)
def test_literals(text: str, value: Any) -> None:
    if value is None:
        with pytest.raises(InvalidTableQuery, match="has no end"):
            parse(f"where a = {text}")
        return
    where = parse(f"where a = {text}").where
    assert isinstance(where, Comparison)
    assert isinstance(where.right, Literal)
    assert where.right.value == value


def test_products_bind_closer_than_sums_and_both_to_the_left() -> None:
    assert write_query(parse("select a - b - c * d / e")) == ("select ((a - b) - ((c * d) / e))")
    assert write_query(parse("where a = 1 or b = 2 and c = 3")) == (
        "where (a = 1) or ((b = 2) and (c = 3))"
    )


def test_word_of_the_language_is_a_column_where_it_can_be_nothing_else() -> None:
    assert parse("select timestamp, date, max label timestamp 'Time', date 'Day'") == Query(
        select=(Column("timestamp"), Column("date"), Column("max")),
        labels=((Column("timestamp"), "Time"), (Column("date"), "Day")),
    )
    assert parse("label dateDiff(a, date '2014-01-01') 'Age'").labels[0][0] == Call(
        "dateDiff", (Column("a"), Literal(Type.DATE, date(2014, 1, 1)))
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select", "the end of the query at position 7 was not expected; wanted a column"),
        ("select a b", "'b' at position 10"),
        ("where a", "wanted a comparison"),
        ("where a is 5", "wanted null"),
        ("where (a = 1", "wanted ')'"),
        ("where a starts 'x'", "wanted with"),
        ("group a", "wanted by"),
        ("limit -1", "wanted a whole number"),
        ("limit 1.5", "wanted a whole number"),
        ("select median(a)", "there is no function 'median'"),
        ("select sum(a + 1)", "wanted ')'"),
        ("select sum(sum(a))", "wanted ')'"),
        ("select order", "'order' at position 8"),
        ("label a", "wanted a text"),
        ("options none", "wanted no_values or no_format"),
        ("where a = date '2014-02-30'", "day is out of range"),
        ("where a = date '2014'", "has not the form yyyy-MM-dd"),
        ("where a = 1e999", "too large"),
        ("where a ~ 1", "'~' at position 9"),
        ("limit 1 where a = 1", "wanted the next clause"),
        ("select a, " + "a + " * 250 + "a", f"at most {STEPS} operators"),
        ("where " + "(" * 5000, f"at most {DEPTH} levels"),
        ("where " + "not " * 2000, f"at most {DEPTH} levels"),
        ("select " + "(" * 5000, f"at most {DEPTH} levels"),
        ("select " + "upper(" * 1000, f"at most {DEPTH} levels"),
        ("select " + "a" * 10_000, "at most 10000 characters"),
    ],
)
def test_mistake_is_told_with_its_place(query: str, words: str) -> None:
    with pytest.raises(InvalidTableQuery) as caught:
        parse(query)
    assert words in caught.value.detail
