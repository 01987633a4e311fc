"""What the demo consists of."""

from __future__ import annotations

from typing import Final

from wotkit.catalog.fields import NUMBER, STRING, NewField
from wotkit.catalog.sensors import PRIVATE, PUBLIC, NewSensor

USER: Final = "demo"
TEAMMATE: Final = "demo-teammate"
TEAM: Final = "demo-team"

CITIES: Final = {
    f"{USER}.seattle-temperature": "seattle-temps.csv",
    f"{TEAM}.san-francisco-temperature": "sf-temps.csv",
}
"""Sensors with a year of readings, and the file that has them."""
TO_POST: Final = f"{USER}.greenhouse"
"""The sensor that the printed commands post to."""


def sensors() -> list[NewSensor]:
    """Return the sensors of the demo."""
    return [
        NewSensor(
            name="seattle-temperature",
            long_name="Temperature in Seattle",
            description=_of_a_city("Seattle"),
            latitude=47.6062,
            longitude=-122.3321,
            visibility=PUBLIC,
            tags=["temperature", "weather", "Seattle"],
            metadata={"source": "NOAA", "country": "US", "year": 2010},
            fields=[_temperature("value")],
        ),
        NewSensor(
            name="san-francisco-temperature",
            owner=TEAM,
            long_name="Temperature in San Francisco",
            description=_of_a_city("San Francisco"),
            latitude=37.7749,
            longitude=-122.4194,
            visibility=PRIVATE,
            tags=["temperature", "weather", "San Francisco"],
            metadata={"source": "NOAA", "country": "US", "year": 2010},
            fields=[_temperature("value")],
        ),
        NewSensor(
            name="greenhouse",
            long_name="Greenhouse",
            description="Has no readings yet: post some.",
            latitude=49.2606,
            longitude=-123.246,
            visibility=PUBLIC,
            tags=["temperature", "humidity", "garden"],
            metadata={"floor": 0, "indoor": True},
            fields=[
                _temperature("temperature"),
                NewField(name="humidity", long_name="Relative humidity", type=NUMBER, units="%"),
                NewField(name="note", long_name="Note", type=STRING),
            ],
        ),
        NewSensor(
            name="cellar",
            long_name="Cellar",
            description="A private sensor without readings.",
            latitude=49.2606,
            longitude=-123.246,
            visibility=PRIVATE,
            tags=["humidity"],
            metadata={"floor": -1, "indoor": True},
            fields=[
                NewField(name="humidity", long_name="Relative humidity", type=NUMBER, units="%"),
            ],
        ),
    ]


def _temperature(name: str) -> NewField:
    return NewField(name=name, long_name="Temperature", type=NUMBER, units="°C")


def _of_a_city(city: str) -> str:
    return (
        f"Hourly temperatures of {city} in 2010, from NOAA's public data as the package "
        "vega_datasets has them; converted from °F to °C, and moved by whole years to the one that "
        "ended when this demo was made."
    )
