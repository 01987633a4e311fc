import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_agent.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("5m", 300), ("500ms", 0.5), ("1h30m", 5400), ("2d", 172_800), ("1.5s", 1.5)],
)
def test_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "5", "s", "5 s", "-1s", "1s 2", "5x", "1e3s", "1,5s"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="5s"):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=10**15))
def test_written_duration_reads_back_the_same(microseconds: int) -> None:
    assert parse_duration(format_duration(microseconds / 1e6)) == microseconds / 1e6


@given(st.text(max_size=12))
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text) >= 0


def test_nothing_is_written_as_zero_seconds() -> None:
    assert format_duration(0) == "0s"
