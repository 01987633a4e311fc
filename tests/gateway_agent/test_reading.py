import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_agent.clock import Stamp
from gateway_agent.reading import InvalidReadingError, Sample, infer_fields, make_reading, title

STAMP = Stamp(1, 2, "boot", synced=True)


def test_fields_are_encoded_as_one_json_object() -> None:
    reading = make_reading(Sample("boiler", {"value": 21.5, "state": "on", "open": True}), STAMP)
    assert json.loads(reading.fields) == {"value": 21.5, "state": "on", "open": 1}


def test_value_that_is_no_number_is_left_out() -> None:
    reading = make_reading(Sample("boiler", {"bad": math.nan, "hot": math.inf, "good": 1}), STAMP)
    assert json.loads(reading.fields) == {"good": 1}


def test_text_with_half_a_character_can_be_sent() -> None:
    reading = make_reading(Sample("boiler", {"text": "hot \ud83d", "good": 1}), STAMP)
    assert json.loads(reading.fields) == {"text": "hot ?", "good": 1}


def test_integer_beyond_a_double_is_left_out() -> None:
    reading = make_reading(Sample("boiler", {"huge": 10**400, "good": 1}), STAMP)
    assert json.loads(reading.fields) == {"good": 1}


@pytest.mark.parametrize(
    ("sensor", "fields"),
    [
        ("boiler", {"value": math.nan}),
        ("boiler", {}),
        ("boiler", {"timestamp": 1}),
        ("boiler", {"seq": 1}),
        ("boiler", {"": 1}),
        ("Boiler", {"value": 1}),
        ("abc", {"value": 1}),
        ("boiler", {"value": None}),
        ("boiler", {"value": [1]}),
        ("boiler", {"half \ud800": 1}),
    ],
)
def test_reading_that_could_never_be_stored_is_refused(sensor: str, fields: dict) -> None:
    with pytest.raises(InvalidReadingError):
        make_reading(Sample(sensor, fields), STAMP)


def test_sensor_of_another_owner_may_be_named() -> None:
    assert make_reading(Sample("acme.boiler", {"value": 1}), STAMP).sensor == "acme.boiler"


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.floats() | st.integers()))
def test_encoded_fields_are_always_ascii_json(fields: dict) -> None:
    try:
        reading = make_reading(Sample("boiler", fields), STAMP)
    except InvalidReadingError:
        return
    assert reading.fields.isascii()
    assert json.loads(reading.fields).keys() <= fields.keys()


def test_fields_of_an_undeclared_sensor_are_inferred_from_a_reading() -> None:
    number, text = infer_fields('{"net_rx":1.5,"state":"on"}')
    assert (number.name, number.long_name, number.type) == ("net_rx", "Net rx", "NUMBER")
    assert text.type == "STRING"


def test_title_of_a_name_without_letters_is_the_name() -> None:
    assert title("__") == "__"


@pytest.mark.parametrize("bookmark", ["half \ud800", 7, {}])
def test_bookmark_that_cannot_be_stored_is_refused(bookmark: object) -> None:
    with pytest.raises(InvalidReadingError, match="bookmark"):
        make_reading(Sample("boiler", {"value": 1}, bookmark=bookmark), STAMP)


@pytest.mark.parametrize("wall_us", [2**63, 253_402_300_800_000_000, -(2**63)])
def test_reading_of_a_time_that_cannot_be_sent_is_refused(wall_us: int) -> None:
    stamp = Stamp(wall_us, 2, "boot", synced=True)
    with pytest.raises(InvalidReadingError, match="time"):
        make_reading(Sample("boiler", {"value": 1}, stamp), STAMP)
