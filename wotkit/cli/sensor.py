"""``wotkit sensor``: sensors, whoever owns them."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from wotkit import times
from wotkit.catalog import references, sensor_rows, sensors
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.catalog.fields import NUMBER, TYPES, NewField
from wotkit.catalog.identity import ANONYMOUS
from wotkit.catalog.models import Account, Sensor, rows
from wotkit.catalog.sensors import PRIVATE, PUBLIC, NewSensor
from wotkit.cli.acting import as_owner, as_user
from wotkit.cli.options import (
    iso_time,
    json_option,
    local_time,
    open_catalog,
    print_json,
    print_table,
    with_settings,
)
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import DropSensor

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.sensor_rows import SensorRow
    from wotkit.readings.store import Latest, Operation
    from wotkit.settings import Settings

LIST_EXAMPLES = """\b
Example:
  wotkit sensor list --owner alice --json --data ./wotkit-data
"""
CREATE_EXAMPLES = """\b
Examples:
  wotkit sensor create roof-temp --user alice --field "temperature:NUMBER:°C" --public
  wotkit sensor create door --user alice --owner garden-team --field state:STRING
"""
DELETE_EXAMPLES = """\b
Example:
  wotkit sensor delete alice.roof-temp --data ./wotkit-data
"""


@click.group()
def sensor() -> None:
    """List sensors, create them, delete them with their readings."""


@sensor.command("list", epilog=LIST_EXAMPLES)
@click.option("--owner", metavar="NAME", help="Only those of this user or organization.")
@json_option
@with_settings
def list_sensors(settings: Settings, owner: str | None, as_json: bool) -> None:
    """List sensors, private ones too."""

    def work() -> list[SensorRow]:
        query = Sensor.select(Sensor.id).join(Account, on=(Account.id == Sensor.owner))
        if owner is not None:
            query = query.where(Account.name == owner)
        ids = [sensor_id for (sensor_id,) in rows(query.order_by(Account.name, Sensor.name))]
        return sensor_rows.load(ids)

    with open_catalog(settings) as catalog:
        found = catalog.read(work)
    latest = _latest(settings, found)
    if as_json:
        print_json([_public(row, latest.get(row.id)) for row in found])
        return
    print_table(
        ("ID", "SENSOR", "VISIBILITY", "FIELDS", "LATEST READING", "LONG NAME"),
        [
            (
                str(row.id),
                f"{row.owner}.{row.name}",
                row.visibility.lower(),
                " ".join(field.name for field in row.fields),
                local_time(latest[row.id].ts) if row.id in latest else "-",
                row.long_name,
            )
            for row in found
        ],
        empty="There are no sensors; `wotkit sensor create` makes one.",
    )


@sensor.command(epilog=CREATE_EXAMPLES)
@click.argument("name")
@click.option("--user", "username", required=True, metavar="USER", help="Who publishes it.")
@click.option("--owner", metavar="ORG", help="An organization of the user that is to own it.")
@click.option("--long-name", help="What people call it. Default: the name.")
@click.option("--description", help="What it measures, and where. Default: the name.")
@click.option("--public", is_flag=True, help="Anybody may see it and its readings.")
@click.option("--latitude", type=float, default=0.0, help="Degrees north.")
@click.option("--longitude", type=float, default=0.0, help="Degrees east.")
@click.option("--tag", "tags", multiple=True, help="A tag; may be repeated.")
@click.option(
    "--field",
    "declared",
    multiple=True,
    metavar="NAME[:TYPE[:UNITS]]",
    help="A field of its readings, NUMBER or STRING; may be repeated. Default: lat, lng, value, "
    "message.",
)
@json_option
@with_settings
def create(
    settings: Settings,
    name: str,
    username: str,
    owner: str | None,
    long_name: str | None,
    description: str | None,
    public: bool,
    latitude: float,
    longitude: float,
    tags: tuple[str, ...],
    declared: tuple[str, ...],
    as_json: bool,
) -> None:
    """Create the sensor NAME (4 to 50 of a-z, 0-9, _ and -, a letter or _ first)."""
    new = NewSensor(
        name=name,
        long_name=long_name or name,
        description=description or name,
        owner=owner or UNSET,
        latitude=latitude,
        longitude=longitude,
        visibility=PUBLIC if public else PRIVATE,
        tags=list(tags),
        fields=[_field(text) for text in declared] or UNSET,
    )

    def work() -> SensorRow:
        return sensors.create(as_user(username), new, COMMAND_LINE)

    with open_catalog(settings) as catalog:
        row = catalog.write(work)
    if as_json:
        print_json(_public(row, None))
    else:
        click.echo(
            f"Created the {row.visibility.lower()} sensor {row.owner}.{row.name} ({row.id})."
        )


@sensor.command(epilog=DELETE_EXAMPLES)
@click.argument("reference", metavar="SENSOR")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings
def delete(settings: Settings, reference: str, yes: bool) -> None:
    """Delete SENSOR (OWNER.NAME or its id), and all of its readings."""

    def who() -> tuple[Identity, references.Found]:
        found = references.find(ANONYMOUS, reference, condition=True)
        ((owner_id,),) = rows(Sensor.select(Sensor.owner).where(Sensor.id == found.id))
        return as_owner(owner_id), found

    with open_catalog(settings) as catalog:
        owner, found = catalog.read(who)
        if not yes and sys.stdin.isatty():
            click.confirm(f"Delete {found.qualified} and all of its readings?", abort=True)
        sensor_id = catalog.write(sensors.delete, owner, str(found.id), COMMAND_LINE)
        _drop_readings(settings, sensor_id)
        catalog.write(sensors.readings_dropped, [sensor_id])
    click.echo(f"Deleted {found.qualified} and its readings.")


def _drop_readings(settings: Settings, sensor_id: int) -> None:
    path = settings.data_folder / FILE_NAME
    if not path.exists():
        return
    with closing(SqliteStore(path, busy_seconds=settings.storage.busy_seconds)) as store:
        rest: Operation | None = DropSensor(sensor_id)
        while rest is not None:
            rest = store.apply([rest], times.now())[0].rest


def _latest(settings: Settings, found: list[SensorRow]) -> dict[int, Latest]:
    path = settings.data_folder / FILE_NAME
    if not path.exists():
        return {}
    with closing(SqliteStore(path, busy_seconds=settings.storage.busy_seconds)) as store:
        return store.latest([row.id for row in found])


def _field(text: str) -> NewField:
    name, _, rest = text.partition(":")
    kind, _, units = rest.partition(":")
    kind = kind.upper() or NUMBER
    if kind not in TYPES:
        raise click.BadParameter(f"{kind} is neither NUMBER nor STRING", param_hint="--field")
    return NewField(name=name, type=kind, units=units)


def _public(row: SensorRow, latest: Latest | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "owner": row.owner,
        "publisher": row.publisher,
        "long_name": row.long_name,
        "description": row.description,
        "visibility": row.visibility,
        "latitude": row.latitude,
        "longitude": row.longitude,
        "tags": row.tags,
        "metadata": row.metadata,
        "fields": [
            {"name": field.name, "type": field.type, "units": field.units} for field in row.fields
        ],
        "created": iso_time(row.created),
        "latest_reading": None if latest is None else iso_time(latest.ts),
    }
