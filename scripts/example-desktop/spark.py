#!/usr/bin/env python3
"""Reads and posts sensor readings from a terminal; see README.md beside this."""

from __future__ import annotations

import argparse
import io
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import device_flow
from account import Account, signed_in
from server import Server, Trouble
from sparkline import sparkline
from token_file import TokenFile, default_path

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST: Final = 1000


def login(given: argparse.Namespace) -> None:
    """Sign in: show a code, and wait until the user has typed it in somewhere else."""
    file = TokenFile(given.token_file)
    if file.read() is not None:
        raise Trouble("You are signed in already. Run logout first.")
    if not given.client_id:
        raise Trouble("login needs --client-id, as the server gave it to the application")
    server = Server(given.server)
    asked = device_flow.begin(server, given.client_id, given.scope)
    say(f"Open {asked['verification_uri']} in any browser, and type in this code:")
    say(f"\n    {asked['user_code']}\n")
    say(f"It is good for {asked['expires_in'] / 60:.0f} minutes. Waiting …")
    token = device_flow.wait(server, given.client_id, asked)
    file.write(signed_in(server.address, given.client_id, token))
    say(f"Signed in, with the scope: {token['scope']}")


def sensors(given: argparse.Namespace) -> None:
    """List the user's sensors."""
    attributes = "name,owner,longName,lastUpdate"
    found = Account(TokenFile(given.token_file)).call(
        "sensors", scope="contributed", fields=attributes, limit=str(MOST)
    )
    if not found:
        say("You have no sensors yet.")
    for sensor in found:
        when = _moment(sensor["lastUpdate"]) if "lastUpdate" in sensor else "no readings yet"
        say(f"{sensor['owner']}.{sensor['name']}  {sensor['longName']}  ({when})")


def plot(given: argparse.Namespace) -> None:
    """Draw the last readings of one field."""
    account = Account(TokenFile(given.token_file))
    path = _path(given.sensor)
    field = _field(account.call(path), given.field)
    found = account.call(f"{path}/data", recent_n=str(given.count))["data"]["data"]
    readings = [reading for reading in found if _is_number(reading.get(field["name"]))]
    if not readings:
        say(f"No readings of {field['name']} yet.")
        return
    values = [float(reading[field["name"]]) for reading in readings]
    say(sparkline(values))
    when = _moment(readings[-1]["timestamp_iso"])
    numbers = f"lowest {min(values):g}, highest {max(values):g}, latest {values[-1]:g}"
    say(f"{field['name']}: {numbers} {field['units']}".rstrip() + f" ({when})")


def post(given: argparse.Namespace) -> None:
    """Post one reading, of now."""
    form = dict(text.partition("=")[::2] for text in given.value)
    Account(TokenFile(given.token_file)).call(f"{_path(given.sensor)}/data", form)
    say("Stored.")


def logout(given: argparse.Namespace) -> None:
    """Sign out, at the server too."""
    Account(TokenFile(given.token_file)).sign_out()
    say("Signed out.")


def say(text: str) -> None:
    """Print at once, without what could move the cursor: names are chosen by others."""
    print(_plain(text), flush=True)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _path(sensor: str) -> str:
    if not sensor.strip("."):
        raise Trouble("There is no such sensor")
    return f"sensors/{quote(sensor, safe='')}"


def _field(sensor: Any, wanted: str | None) -> Any:
    fields = [field for field in sensor["fields"] if field["type"] == "NUMBER"]
    fields.sort(key=lambda field: "value" not in field)  # those that have a value come first
    for field in fields:
        if wanted in {None, field["name"]}:
            return field
    names = ", ".join(field["name"] for field in fields) or "none"
    raise Trouble(f"The sensor has these fields that are numbers: {names}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _moment(text: str) -> str:
    """Return a time of the API's as the clock on the wall shows it."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")


def _assignment(text: str) -> str:
    if not text.partition("=")[0] or "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Reads and posts sensor readings, by OAuth2.")
    parser.add_argument(
        "--token-file", type=Path, default=default_path(), help="where the tokens are kept"
    )
    parser.add_argument("--server", default="http://127.0.0.1:8080", help="address, for login")
    parser.add_argument("--client-id", help="of the application, for login")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (login, sensors, plot, post, logout):
        command = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        if run is login:
            command.add_argument("--scope", default="read write", help="what to ask for")
        if run in {plot, post}:
            command.add_argument("sensor", help="its name, or OWNER.NAME")
        if run is plot:
            command.add_argument("--field", help="the first that has values, if not given")
            command.add_argument("--count", type=_count, default=60, help="readings at most")
        if run is post:
            command.add_argument("value", nargs="+", type=_assignment, help="FIELD=VALUE")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without blocks shows question marks
    given = _parser().parse_args(arguments)
    try:
        given.run(given)
    except (Trouble, OSError) as trouble:  # OSError: the token file
        print(_plain(f"spark: {trouble}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nspark: stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
