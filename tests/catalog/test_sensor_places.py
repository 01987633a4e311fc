"""Boxes and circles on the globe."""

from __future__ import annotations

from math import cos, degrees, radians

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit.catalog.places import EARTH_RADIUS, Box, Circle, parse_box, parse_circle
from wotkit.errors import BoxOutOfBounds, BoxUpsideDown, InvalidQuery


def test_box_is_north_west_south_east() -> None:
    assert parse_box("49.3,-123.3:49.1,-122.9") == Box(49.3, -123.3, 49.1, -122.9)


def test_box_with_south_above_north_is_refused() -> None:
    with pytest.raises(BoxUpsideDown, match="smaller than"):
        parse_box("10,0:20,10")


@pytest.mark.parametrize(
    "text", ["91,0:0,0", "0,-181:0,0", "0,0:-91,0", "0,0:0,180.5", "inf,0:0,0"]
)
def test_box_beyond_the_globe_is_refused(text: str) -> None:
    with pytest.raises(BoxOutOfBounds, match="out of bound"):
        parse_box(text)


@pytest.mark.parametrize("text", ["", "1,2", "1,2:3", "1,2:3,4:5,6", "a,b:c,d", "nan,0:0,0"])
def test_malformed_box_is_refused_naming_the_parameter(text: str) -> None:
    with pytest.raises(InvalidQuery) as refusal:
        parse_box(text)
    assert "North,West:South,East" in refusal.value.more["location"]


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a,b,c", "0,0,nan", "0,0,-1"])
def test_malformed_circle_is_refused_naming_the_parameter(text: str) -> None:
    with pytest.raises(InvalidQuery) as refusal:
        parse_circle(text)
    assert "near" in refusal.value.more


def test_circle_around_no_place_is_refused() -> None:
    with pytest.raises(BoxOutOfBounds):
        parse_circle("90.1,0,5")


def test_distance_is_along_the_surface() -> None:
    vancouver = Circle(49.2827, -123.1207, 196_000)
    assert vancouver.contains(47.6062, -122.3321)  # Seattle, 195.3 km away
    assert not Circle(49.2827, -123.1207, 194_500).contains(47.6062, -122.3321)


def test_circle_reaches_across_the_date_line() -> None:
    fiji = Circle(-17.0, 179.9, 50_000)
    assert fiji.contains(-17.0, -179.9)
    assert _in_box(fiji.box(), -17.0, -179.9)


_latitudes = st.floats(-90, 90)
_longitudes = st.floats(-180, 180)


@given(
    st.builds(Circle, _latitudes, _longitudes, st.floats(0, 3.2 * EARTH_RADIUS)),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_box_of_a_circle_holds_all_of_it(circle: Circle, up: float, right: float) -> None:
    reach = degrees(circle.radius / EARTH_RADIUS)
    latitude = max(-90.0, min(90.0, circle.latitude + up * reach))
    narrow = max(0.01, cos(radians(latitude)))
    longitude = (circle.longitude + right * reach / narrow + 180) % 360 - 180
    if circle.contains(latitude, longitude):
        assert _in_box(circle.box(), latitude, longitude)


def _in_box(box: Box, latitude: float, longitude: float) -> bool:
    tiny = 1e-6  # degrees: a tenth of a metre
    if not box.south - tiny <= latitude <= box.north + tiny:
        return False
    if box.west <= box.east:
        return box.west - tiny <= longitude <= box.east + tiny
    return longitude >= box.west - tiny or longitude <= box.east + tiny
