"""What queries answer, and which make no sense."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from wotkit.gviz.errors import InvalidTableQuery, ProtocolError
from wotkit.gviz.evaluate import evaluate
from wotkit.gviz.grammar import parse
from wotkit.gviz.syntax import Type
from wotkit.gviz.table import Table, TableColumn


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).replace(tzinfo=None)


NOW = utc("2014-07-01T12:00:00")
COLUMNS = [
    TableColumn("name", Type.STRING, "Name"),
    TableColumn("dept", Type.STRING, "Dept"),
    TableColumn("salary", Type.NUMBER, "Salary"),
    TableColumn("hired", Type.DATETIME, "Hired"),
]
ROWS = [
    ("John", "Eng", 1000, utc("2005-03-19T12:05:01.234")),
    ("Dave", "Eng", 500, utc("2006-04-19T00:00:00")),
    ("Sally", "Eng", 600, utc("2005-10-10T23:59:59.999")),
    ("Ben", "Sales", 400, utc("2002-10-10T08:00:00")),
    ("Dana", "Sales", 350, utc("2004-09-08T08:00:00")),
    ("Mike", None, None, None),
]


def ask(query: str, rows: Any = ROWS) -> Table:
    return evaluate(parse(query), Table(COLUMNS, rows), NOW)


def cells(query: str, rows: Any = ROWS) -> list[list[Any]]:
    return [list(row) for row in ask(query, rows).rows]


def first(expression: str) -> Any:
    return cells(f"select {expression} limit 1")[0][0]


def names(condition: str) -> str:
    return " ".join(row[0] for row in cells(f"select name where {condition}"))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("year(hired)", 2005),
        ("month(hired)", 2),
        ("day(hired)", 19),
        ("hour(hired)", 12),
        ("minute(hired)", 5),
        ("second(hired)", 1),
        ("millisecond(hired)", 234),
        ("quarter(hired)", 1),
        ("dayOfWeek(hired)", 7),
        ("toDate(hired)", date(2005, 3, 19)),
        ("toDate(1403217936281)", date(2014, 6, 19)),
        ("toDate(1e300)", None),
        ("dateDiff(now(), hired)", 3391),
        ("dateDiff(date '2005-03-18', hired)", -1),
        ("now()", NOW),
        ("upper(name)", "JOHN"),
        ("lower(name)", "john"),
        ("hour(timeofday '9:05:01')", 9),
        ("salary * 2 - 1", 1999),
        ("salary / 3", pytest.approx(1000 / 3)),
        ("salary / 0", None),
        ("1e300 * 1e300", None),
        ("-1 - -1", 0),
        ("'text'", "text"),
    ],
)
def test_scalar_functions(expression: str, value: Any) -> None:
    assert first(expression) == value


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("salary >= 600", "John Sally"),
        ("600 > salary", "Dave Ben Dana"),
        ("salary != 400", "John Dave Sally Dana"),
        ("not salary = 400", "John Dave Sally Dana Mike"),
        ("salary is null", "Mike"),
        ("dept is not null and salary < 400", "Dana"),
        ("name contains 'a' or salary = 1000", "John Dave Sally Dana"),
        ("name starts with 'D'", "Dave Dana"),
        ("name ends with 'n'", "John Ben"),
        ("name matches 'D.*'", "Dave Dana"),
        ("name matches 'D'", ""),
        ("name like 'D_v%'", "Dave"),
        ("name like '%'", "John Dave Sally Ben Dana Mike"),
        ("name like '.*'", ""),
        ("hired < date '2004-09-08'", "Ben"),
        ("hired = datetime '2004-09-08 08:00:00'", "Dana"),
        ("toDate(hired) = date '2004-09-08'", "Dana"),
        ("year(hired) = 2005 and quarter(hired) = 4", "Sally"),
        ("name = upper(name)", ""),
    ],
)
def test_conditions(condition: str, found: str) -> None:
    assert names(condition) == found


def test_groups_come_in_the_order_of_their_keys_and_null_is_the_first() -> None:
    assert cells("select dept, sum(salary), count(name), max(name) group by dept") == [
        [None, None, 1, "Mike"],
        ["Eng", 2100, 3, "Sally"],
        ["Sales", 750, 2, "Dana"],
    ]


def test_groups_are_ordered_by_an_aggregation_that_is_selected() -> None:
    found = cells(
        "select dept, avg(salary) group by dept order by avg(salary) desc limit 1 offset 1"
    )
    assert found == [["Sales", 375]]


def test_pivot_makes_a_column_of_each_value() -> None:
    table = ask("select year(hired), sum(salary), count(name) group by year(hired) pivot dept")
    assert [column.id for column in table.columns] == [
        "year_hired",
        "null sum-salary",
        "Eng sum-salary",
        "Sales sum-salary",
        "null count-name",
        "Eng count-name",
        "Sales count-name",
    ]
    assert [list(row) for row in table.rows][1] == [2002, None, None, 400, None, None, 1]


def test_label_of_a_pivot_is_its_value_when_one_column_is_made_of_it() -> None:
    where = "where dept is not null"
    assert [column.label for column in ask(f"select sum(salary) {where} pivot dept").columns] == [
        "Eng",
        "Sales",
    ]
    labelled = ask(f"select sum(salary) {where} pivot dept label sum(salary) 'Pay'").columns
    assert [column.label for column in labelled] == ["Eng Pay", "Sales Pay"]


def test_nothing_to_aggregate_is_one_row_and_no_group_is_none() -> None:
    assert cells("select count(name), sum(salary)", []) == [[0, None]]
    assert cells("select dept, count(name) group by dept", []) == []


def test_null_is_less_than_any_value_in_an_order() -> None:
    order = "select name order by dept desc, salary"
    assert [row[0] for row in cells(order)] == ["Dana", "Ben", "Dave", "Sally", "John", "Mike"]


def test_columns_are_named_after_what_they_show() -> None:
    table = ask("select name, salary + 1, year(hired), upper(lower(name)) label name 'N'")
    assert [(column.id, column.label) for column in table.columns] == [
        ("name", "N"),
        ("sum_salary,1_", "(Salary + 1)"),
        ("year_hired", "year(Hired)"),
        ("upper_lower_name", "upper(lower(Name))"),
    ]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select nothing", "there is no column 'nothing'"),
        ("select Name", "there is no column 'Name'"),
        ("where count(name) = 1", "no aggregation may stand in WHERE"),
        ("select sum(salary) group by sum(salary)", "no aggregation may stand in GROUP BY"),
        ("select sum(salary) pivot sum(salary)", "no aggregation may stand in PIVOT"),
        ("group by dept", "GROUP BY needs an aggregation in SELECT"),
        ("select name pivot dept", "PIVOT needs an aggregation in SELECT"),
        ("select name, sum(salary)", "name must be added to GROUP BY"),
        ("select salary, sum(salary) group by salary", "is aggregated in SELECT and cannot be in"),
        ("select sum(salary) group by dept pivot dept", "both in GROUP BY and in PIVOT"),
        ("select sum(salary) order by name", "name in ORDER BY must be in SELECT"),
        ("select dept order by sum(salary)", "sum(salary) in ORDER BY must be in SELECT"),
        ("select sum(salary) pivot dept order by sum(salary)", "together with PIVOT"),
        ("select name, name", "name stands twice in SELECT"),
        ("label salary 'S' , salary 'T'", "salary stands twice in LABEL"),
        ("select name label dept 'D'", "dept in LABEL is not in SELECT"),
        ("select name format dept '#'", "dept in FORMAT is not in SELECT"),
        ("select sum(name)", "sum takes number, not string"),
        ("select upper(salary)", "upper takes string, not number"),
        ("select year(name)", "year takes date or datetime, not string"),
        ("select year()", "year takes 1 arguments, not 0"),
        ("select now(1)", "now() takes no arguments"),
        ("select name + 1", "+ takes number, not string"),
        ("where name = 1", "string cannot be compared with number"),
        ("where salary contains 'a'", "contains compares string with string"),
        ("where name matches dept", "matches wants a text in quotes"),
        ("where name matches '('", "is not a regular expression"),
    ],
)
def test_query_that_makes_no_sense_says_why(query: str, words: str) -> None:
    with pytest.raises(InvalidTableQuery) as caught:
        ask(query)
    assert words in caught.value.detail


def test_pivot_of_too_many_values_is_refused() -> None:
    rows = [(str(number), "Eng", number, None) for number in range(2000)]
    with pytest.raises(ProtocolError, match="2000 columns"):
        ask("select count(dept) pivot name", rows)


def test_no_format_leaves_formatted_values_out() -> None:
    assert ask("select salary format salary '0.0' options no_format").columns[0].form is None
    assert ask("select salary format salary '0.0' options no_values").no_values
