"""The patterns of FORMAT, as ICU shows them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit.gviz.errors import InvalidTableQuery
from wotkit.gviz.patterns import compile_pattern
from wotkit.gviz.syntax import Type

MOMENT = datetime(2014, 6, 9, 0, 5, 6, 281_000, tzinfo=UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("pattern", "value", "text"),
    [
        ("#,##0.00", 1234567.891, "1,234,567.89"),
        ("#,##0.00", -0.001, "0.00"),
        ("#,##0.00", -1234.5, "-1,234.50"),
        ("0", 2.5, "2"),
        ("0", 3.5, "4"),
        ("#", 0, "0"),
        ("#.##", 0.5, ".5"),
        ("0.##", 7, "7"),
        ("000", 7, "007"),
        ("0.0%", 0.1234, "12.3%"),
        ("$#,##0", 1e6, "$1,000,000"),
        ("0 'C'", 21, "21 C"),
        ("0.0°", 21.55, "21.6°"),
        ("#,##0;(#,##0)", -1500, "(1,500)"),
        ("0.00E0", 12345, "1.23E4"),
        ("0.0E+00", 0.00012, "1.2E-04"),
        ("0", 1e300, "1" + "0" * 300),
        ("'#'0", 5, "#5"),
    ],
)
def test_number(pattern: str, value: float, text: str) -> None:
    assert compile_pattern(Type.NUMBER, pattern)(value) == text


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd HH:mm:ss.SSS", "2014-06-09 00:05:06.281"),
        ("d.M.yy", "9.6.14"),
        ("EEE, d MMM yyyy", "Mon, 9 Jun 2014"),
        ("EEEE MMMM", "Monday June"),
        ("h:mm a", "12:05 AM"),
        ("k K", "24 0"),
        ("HH 'o''clock'", "00 o'clock"),
        ("D Q", "160 2"),
        ("HH:mm z", "00:05 UTC"),
        ("yyyy-MM-dd'T'HH:mm:ssX", "2014-06-09T00:05:06Z"),
    ],
)
def test_date_and_time(pattern: str, text: str) -> None:
    assert compile_pattern(Type.DATETIME, pattern)(MOMENT) == text


def test_other_types() -> None:
    assert compile_pattern(Type.DATE, "dd/MM/yyyy")(date(2014, 6, 9)) == "09/06/2014"
    assert compile_pattern(Type.TIMEOFDAY, "H:mm")(time(9, 5)) == "9:05"
    assert compile_pattern(Type.BOOLEAN, "yes:no")(False) == "no"


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        (Type.NUMBER, ""),
        (Type.NUMBER, "abc"),
        (Type.NUMBER, "0#"),
        (Type.NUMBER, "0.0.0"),
        (Type.NUMBER, "#,"),
        (Type.DATE, "HH"),
        (Type.TIMEOFDAY, "yyyy"),
        (Type.DATETIME, "yyyy 'open"),
        (Type.DATETIME, "W"),
        (Type.BOOLEAN, "yes"),
        (Type.STRING, "x"),
        (Type.NUMBER, "0" * 101),
    ],
)
def test_pattern_that_is_not_supported_is_told(kind: Type, pattern: str) -> None:
    with pytest.raises(InvalidTableQuery):
        compile_pattern(kind, pattern)


@given(
    st.text("#0,.;%E+' a-yMdHhmsS", max_size=12),
    st.sampled_from([Type.NUMBER, Type.DATETIME]),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_other_text_is_refused_or_formats(pattern: str, kind: Type, number: float) -> None:
    value: Any = number if kind is Type.NUMBER else MOMENT
    try:
        form = compile_pattern(kind, pattern)
    except InvalidTableQuery:
        return
    assert isinstance(form(value), str)
