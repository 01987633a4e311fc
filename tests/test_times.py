from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wotkit import times

MOMENTS = st.integers(times.EARLIEST, times.LATEST)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(MOMENTS)
@example(times.EARLIEST)
@example(times.LATEST)
@example(0)
@example(-1)
@example(999)
@example(1_000)
def test_iso_form_reads_back_as_the_same_microsecond(micros: int) -> None:
    text = times.to_iso(micros)
    assert times.parse(text) == micros
    assert len(text) == (27 if micros % 1_000 else 24)
    assert datetime.fromisoformat(text) == EPOCH + timedelta(microseconds=micros)


@given(
    MOMENTS, st.sampled_from(["UTC", "Asia/Tokyo", "America/Chicago", "Pacific/Kiritimati", None])
)
@example(times.EARLIEST, "America/Chicago")
@example(times.LATEST, "Asia/Tokyo")
@example(times.LATEST, "UTC")
@example(times.LATEST, None)
def test_time_has_a_form_in_every_zone(micros: int, name: str | None) -> None:
    found = times.in_zone(micros, None if name is None else ZoneInfo(name))
    assert found - EPOCH == timedelta(microseconds=micros)
    assert found.strftime("%Z")


@given(MOMENTS, st.sampled_from(["", "000"]))
def test_common_form_and_a_rarer_one_name_the_same_instant(micros: int, zeros: str) -> None:
    text = times.to_iso(micros).removesuffix("Z") + zeros
    assert times.parse(f"{text}Z") == times.parse(f" {text.replace('T', ' ')}+00:00") == micros


@pytest.mark.parametrize("day", ["2026-02-29", "2026-13-01", "2026-00-10", "0000-01-01"])
def test_day_that_is_not_is_refused_in_the_common_form(day: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        times.parse(f"{day}T10:00:00.000Z")


@given(st.lists(MOMENTS | st.integers(0, 200_000_000), max_size=20))
@example([59_999_999, 60_000_000, 59_999_999, -1, 0])
@example([times.EARLIEST, 86_399_999_999, 86_400_000_000, times.LATEST])
def test_many_times_are_written_as_each_alone_in_any_order(moments: list[int]) -> None:
    assert times.to_iso_all(moments) == [times.to_iso(micros) for micros in moments]


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001  # hypothesis adds the zone
    st.integers(-1439, 1439),
    st.sampled_from(["{:02}:{:02}", "{:02}{:02}"]),
)
def test_any_offset_names_the_same_instant(naive: datetime, minutes: int, zone_form: str) -> None:
    zone = zone_form.format(*divmod(abs(minutes), 60))
    text = f"{naive.isoformat()}{'-' if minutes < 0 else '+'}{zone}"
    expected = naive.replace(tzinfo=timezone(timedelta(minutes=minutes))) - EPOCH
    assert times.parse(text) == expected // timedelta(microseconds=1)


@given(st.integers(times.EARLIEST // 1_000, times.LATEST // 1_000))
def test_milliseconds_are_taken_as_number_and_as_digits(millis: int) -> None:
    assert times.parse(millis) == times.parse(str(millis)) == millis * 1_000


@given(st.integers(0, 4_102_444_800_000_000))
def test_fraction_of_a_millisecond_is_the_same_as_number_and_as_text(micros: int) -> None:
    millis = micros / 1_000
    assert times.parse(millis) == times.parse(f"{millis:.3f}") == micros


@pytest.mark.parametrize(
    "text",
    [
        "2014-06-19T22:45:36.281Z",
        "2014-06-19t22:45:36.281z",
        "2014-06-19 22:45:36,281",
        "2014-06-19T22:45:36.281000000Z",
        "2014-06-19T22:45:36.281",
        "2014-06-20T00:45:36.281+02:00",
        "2014-06-20T00:45:36.281+02",
        "2014-06-19T17:15:36.281 -0530",
        "  2014-06-19T22:45:36.281Z ",
        "1403217936281",
        "1403217936281.0",
        1403217936281,
        1403217936281.0,
    ],
)
def test_lenient_forms_of_one_instant_agree(text: object) -> None:
    assert times.parse(text) == 1_403_217_936_281_000


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2014-06-19T2:45Z", "2014-06-19T02:45:00.000Z"),
        ("2014-06-19T2:45:01.5Z", "2014-06-19T02:45:01.500Z"),
        ("2014-06-19", "2014-06-19T00:00:00.000Z"),
        ("2014-06-19T02:45:01.000001Z", "2014-06-19T02:45:01.000001Z"),
        ("2014-06-19T02:45:01.0000019Z", "2014-06-19T02:45:01.000001Z"),
        ("-1", "1969-12-31T23:59:59.999Z"),
        (0.001, "1970-01-01T00:00:00.000001Z"),
        ("0.001", "1970-01-01T00:00:00.000001Z"),
        ("1403217936281.75", "2014-06-19T22:45:36.281750Z"),
        ("-0.5", "1969-12-31T23:59:59.999500Z"),
    ],
)
def test_parts_left_out_are_zero(text: object, meant: str) -> None:
    assert times.to_iso(times.parse(text)) == meant


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "yesterday",
        "2014-13-01",
        "2014-02-30T00:00:00Z",
        "2014-06-19T24:00:00Z",
        "2014-06-19T22:60:00Z",
        "2014-06-19T22:45:61Z",
        "2014-06-19T22:45:36+24:00",
        "2014-06-19T22:45:36+05:99",
        "2014-06-19T22:45:36 02:00",
        "2014-06-19T22:45:36.Z",
        "2014-06-19T22:45:36Z\nDELETE",
        "2014-06-19T22:45:36ZZ",
        "٢٠١٤-٠٦-١٩",
        "١٤٠٣",
        "1_000",
        "1e3",
        "9" * 18,
        "9" * 5000,
        "0000-01-01",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        times.LATEST // 1_000 + 1,
        times.EARLIEST // 1_000 - 1,
        10**400,
        1e300,
        math.inf,
        -math.inf,
        math.nan,
        True,
        None,
        [],
        {},
        b"2014-06-19",
    ],
    ids=repr,
)
def test_what_is_no_time_is_refused_with_a_short_reason(value: object) -> None:
    with pytest.raises(ValueError, match=r"must be|is outside|is neither|is not a time") as caught:
        times.parse(value)
    assert len(str(caught.value)) < 160


@given(st.text(max_size=30) | st.from_regex(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\Z"))
def test_text_is_a_time_in_range_or_a_value_error(text: str) -> None:
    try:
        micros = times.parse(text)
    except ValueError:
        return
    assert times.EARLIEST <= micros <= times.LATEST


def test_now_is_the_clock_in_microseconds() -> None:
    before = datetime.now(UTC)
    now = times.now()
    after = datetime.now(UTC)
    assert before - timedelta(microseconds=1) <= EPOCH + timedelta(microseconds=now) <= after
