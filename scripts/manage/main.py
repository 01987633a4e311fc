"""The command line of the management scripts; see ``scripts/sensors``."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from platform_api import ApiError, Platform
from register import BadFile, read_sensors
from register import register as register_all
from silent import duration
from silent import silent as find_silent
from transfer import Progress, load
from transfer import export as export_readings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Turns what may go wrong into one clear line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (ApiError, BadFile, ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error


def _key(key: str | None, key_file: Path | None) -> str:
    text = key_file.read_text(encoding="utf-8").strip() if key_file else key or ""
    if ":" not in text:
        raise click.UsageError(
            "a key is needed: ID:PASSWORD in the variable WOTKIT_KEY, or in the file of --key-file"
        )
    return text


def _platform(url: str, key: str | None, key_file: Path | None) -> Platform:
    return Platform(url, _key(key, key_file))


def with_platform(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a server and a key."""
    command = click.option(
        "--key-file", type=click.Path(path_type=Path, exists=True), help="File with ID:PASSWORD."
    )(command)
    command = click.option("--key", envvar="WOTKIT_KEY", hidden=True)(command)
    return click.option(
        "--url",
        envvar="WOTKIT_URL",
        default="http://127.0.0.1:8080",
        show_default=True,
        help="Address of the server.",
    )(command)


@contextmanager
def _bar(label: str) -> Iterator[Callable[[Progress], None]]:
    """Show a progress bar on standard error; in a pipe or a log, nothing."""
    with click.progressbar(length=1, label=label, file=click.get_text_stream("stderr")) as bar:

        def report(progress: Progress) -> None:
            bar.length = max(progress.total, 1)
            bar.update(progress.done - bar.pos)

        yield report


@click.group(cls=Commands, context_settings=HELP)
def main() -> None:
    """Manage sensors and their readings through the API, with a key."""


@main.command(epilog="\b\nExample:\n  scripts/sensors register sensors.csv --update")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--update", is_flag=True, help="Bring sensors that exist up to date.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@with_platform
def register(
    file: Path, update: bool, as_json: bool, url: str, key: str | None, key_file: Path | None
) -> None:
    """Make the sensors of FILE: YAML (a list of sensors as the API has them) or CSV.

    A CSV file has the columns name, longName and description, and may have latitude, longitude,
    visibility, owner, imageUrl, tags (a;b) and fields (temperature:NUMBER:°C;remark:STRING).
    """
    platform = _platform(url, key, key_file)
    results = []
    for result in register_all(platform, read_sensors(file), update=update):
        results.append(result._asdict())
        if not as_json:
            click.echo(f"{result.name}: {result.outcome}")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    if any(result["failed"] for result in results):
        raise SystemExit(1)


@main.command(epilog="\b\nExample:\n  scripts/sensors export alice.greenhouse -o greenhouse.csv")
@click.argument("sensor")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: SENSOR.csv.")
@click.option("--start", help="From this time on, ISO 8601 or milliseconds.")
@click.option("--end", help="Until this time, included.")
@with_platform
def export(
    sensor: str,
    output: Path | None,
    start: str | None,
    end: str | None,
    url: str,
    key: str | None,
    key_file: Path | None,
) -> None:
    """Write the readings of SENSOR into a CSV file; run again, it goes on where it stopped."""
    target = output or Path(f"{sensor}.csv")
    with _bar(f"Export {sensor}") as report:
        count = export_readings(
            _platform(url, key, key_file), sensor, target, start=start, end=end, report=report
        )
    click.echo(f"{count} readings in {target}")


@main.command("import", epilog="\b\nExample:\n  scripts/sensors import greenhouse data.csv")
@click.argument("sensor")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@with_platform
def import_(sensor: str, file: Path, url: str, key: str | None, key_file: Path | None) -> None:
    """Send the rows of FILE to SENSOR; run again, it goes on, and stores no row twice.

    The column timestamp is needed; every other is a field. Without a declared field of its name a
    column is text.
    """
    _import(_platform(url, key, key_file), sensor, file)


def _import(platform: Platform, sensor: str, file: Path) -> None:
    with _bar(f"Import {file.name}") as report:
        rejected = load(platform, sensor, file, report=report)
    for row, reason in rejected:
        click.echo(f"{file}: row {row}: {reason}", err=True)
    click.echo(f"{sensor} has every row of {file}" + (", but those above" if rejected else ""))
    if rejected:
        raise SystemExit(1)


@main.command(
    epilog="\b\nExample:\n  scripts/sensors copy greenhouse --to https://other.example "
    "--to-key-file other.key"
)
@click.argument("sensors", nargs=-1, required=True)
@click.option("--to", required=True, help="Address of the server to copy to.")
@click.option("--to-key", envvar="WOTKIT_TO_KEY", hidden=True)
@click.option(
    "--to-key-file", type=click.Path(path_type=Path, exists=True), help="File with ID:PASSWORD."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where readings are kept on the way; with it, a copy that stopped goes on.",
)
@with_platform
def copy(
    sensors: tuple[str, ...],
    to: str,
    to_key: str | None,
    to_key_file: Path | None,
    folder: Path | None,
    url: str,
    key: str | None,
    key_file: Path | None,
) -> None:
    """Copy SENSORS with their readings to another server, into the account of its key."""
    source, target = _platform(url, key, key_file), _platform(to, to_key, to_key_file)
    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        for reference in sensors:
            _copy(source, target, reference, place)


def _copy(source: Platform, target: Platform, reference: str, place: Path) -> None:
    sensor = source.sensor(reference)
    wanted = ("name", "longName", "description", "latitude", "longitude", "visibility", "tags")
    made = {name: sensor[name] for name in (*wanted, "metadata") if name in sensor}
    made["fields"] = [
        {name: field[name] for name in ("name", "longName", "type", "required", "units")}
        for field in sensor["fields"]
    ]
    (result,) = register_all(target, [made], update=False)
    if result.failed:
        raise ApiError(0, 0, f"{reference}: {result.outcome}")
    click.echo(f"{reference}: {result.outcome}")
    file = place / f"{sensor['owner']}.{sensor['name']}.csv"
    if not file.exists():
        with _bar(f"Export {reference}") as report:
            export_readings(source, reference, file, report=report)
    _import(target, sensor["name"], file)


@main.command(epilog="\b\nExample:\n  scripts/sensors silent --for 1h --tags outdoor")
@click.option("--for", "limit", default="1h", show_default=True, help="90s, 15m, 6h, 2d, 1w.")
@click.option("--tags", help="Only sensors with these tags, as in the API.")
@click.option("--owners", help="Sensors of these owners, instead of yours.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@with_platform
def silent(
    limit: str,
    tags: str | None,
    owners: str | None,
    as_json: bool,
    url: str,
    key: str | None,
    key_file: Path | None,
) -> None:
    """List sensors that sent nothing for a while; exits with 1 when there are any."""
    found = list(
        find_silent(
            _platform(url, key, key_file),
            duration(limit),
            tags=tags,
            owners=owners,
            scope=None if owners else "contributed",
        )
    )
    if as_json:
        rows = [
            {"sensor": each.name, "last": each.last and each.last.isoformat()} for each in found
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for each in found:
            click.echo(f"{each.name}  {_ago(each.last)}")
        if not found:
            click.echo(f"Every sensor sent something in the last {limit}.")
    if found:
        raise SystemExit(1)


def _ago(last: datetime | None) -> str:
    if last is None:
        return "never sent anything"
    silent_for = str(datetime.now(UTC) - last).partition(".")[0]
    return f"silent for {silent_for}, since {last.astimezone():%Y-%m-%d %H:%M:%S %Z}"


if __name__ == "__main__":
    main()
