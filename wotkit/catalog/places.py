"""Where sensors are: bounding boxes and circles on the globe, in degrees (WGS 84) and metres."""

from __future__ import annotations

from math import asin, cos, degrees, isnan, pi, radians, sin, sqrt
from typing import Any, Final

from msgspec import Struct

from wotkit.catalog.models import Sensor
from wotkit.errors import BoxOutOfBounds, BoxUpsideDown, InvalidQuery

MAX_LATITUDE: Final = 90.0
MAX_LONGITUDE: Final = 180.0
EARTH_RADIUS: Final = 6_371_008.8
"""The mean radius in metres (IUGG)."""


class Box(Struct, frozen=True):
    """Between two latitudes and two longitudes; with ``west > east`` it crosses 180 degrees."""

    north: float
    west: float
    south: float
    east: float

    def condition(self) -> Any:
        """Return the condition under which a sensor lies in the box, its edges included."""
        latitude = Sensor.latitude.between(self.south, self.north)
        if self.west <= self.east:
            return latitude & Sensor.longitude.between(self.west, self.east)
        return latitude & ((Sensor.longitude >= self.west) | (Sensor.longitude <= self.east))


class Circle(Struct, frozen=True):
    """All places within a distance (metres) of a point."""

    latitude: float
    longitude: float
    radius: float

    def box(self) -> Box:
        """Return a box around the circle (https://janmatuschek.de/LatitudeLongitudeBoundingCoordinates)."""
        angle = self.radius / EARTH_RADIUS
        north = self.latitude + degrees(angle)
        south = self.latitude - degrees(angle)
        if north >= MAX_LATITUDE or south <= -MAX_LATITUDE:
            return Box(
                min(north, MAX_LATITUDE), -MAX_LONGITUDE, max(south, -MAX_LATITUDE), MAX_LONGITUDE
            )
        spread = degrees(asin(min(1.0, sin(angle) / cos(radians(self.latitude)))))
        return Box(north, _wrap(self.longitude - spread), south, _wrap(self.longitude + spread))

    def contains(self, latitude: float, longitude: float) -> bool:
        """Return whether a point is in the circle, by the haversine formula."""
        phi, other = radians(self.latitude), radians(latitude)
        half_chord = (
            sin((other - phi) / 2) ** 2
            + cos(phi) * cos(other) * sin(radians(longitude - self.longitude) / 2) ** 2
        )
        return 2 * EARTH_RADIUS * asin(sqrt(min(1.0, half_chord))) <= self.radius


def parse_box(text: str) -> Box:
    """Return the box of ``North,West:South,East``.

    Raises:
        InvalidQuery: it is not of this form.
        BoxOutOfBounds: a coordinate is not on the globe.
        BoxUpsideDown: south lies above north.
    """
    north_west, _, south_east = text.partition(":")
    form = "is invalid: the form is North,West:South,East in degrees"
    north, west = _numbers(north_west, 2, "location", form)
    south, east = _numbers(south_east, 2, "location", form)
    for latitude, longitude in ((north, west), (south, east)):
        _check_on_globe(latitude, longitude, "location")
    if north < south:
        why = f"north {north:g} is smaller than south {south:g}"
        raise BoxUpsideDown(why, more={"location": why})
    return Box(north, west, south, east)


def parse_circle(text: str) -> Circle:
    """Return the circle of ``latitude,longitude,radius``, the radius in metres.

    Raises:
        InvalidQuery: it is not of this form.
        BoxOutOfBounds: the centre is not on the globe.
    """
    form = "is invalid: the form is latitude,longitude,radius in degrees and metres"
    latitude, longitude, radius = _numbers(text, 3, "near", form)
    _check_on_globe(latitude, longitude, "near")
    if radius < 0:
        raise InvalidQuery(more={"near": "is invalid: the radius is negative"})
    return Circle(latitude, longitude, min(radius, pi * EARTH_RADIUS))


def on_globe(latitude: float, longitude: float) -> bool:
    """Return whether these degrees are a place on the globe."""
    return (
        -MAX_LATITUDE <= latitude <= MAX_LATITUDE and -MAX_LONGITUDE <= longitude <= MAX_LONGITUDE
    )


def _check_on_globe(latitude: float, longitude: float, parameter: str) -> None:
    if not on_globe(latitude, longitude):
        why = f"{latitude:g},{longitude:g} is out of bounds"
        raise BoxOutOfBounds(why, more={parameter: why})


def _numbers(text: str, count: int, parameter: str, form: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or any(isnan(number) for number in numbers):
        raise InvalidQuery(more={parameter: form})
    return numbers


def _wrap(longitude: float) -> float:
    """Return a longitude beyond 180 degrees as the same meridian within them."""
    return (longitude + MAX_LONGITUDE) % (2 * MAX_LONGITUDE) - MAX_LONGITUDE
