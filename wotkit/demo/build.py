"""Makes the demo in a data folder, once; a later start finds it and changes nothing."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from wotkit import strict_json, times
from wotkit.auth import credentials, passwords
from wotkit.catalog import keys, orgs, references, sensors, users
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.catalog.identity import visible
from wotkit.catalog.keys import KeyChange
from wotkit.demo import content, temperatures
from wotkit.errors import NotFound
from wotkit.readings.store import Append, NewReading

if TYPE_CHECKING:
    from pathlib import Path

    from wotkit.catalog import Catalog
    from wotkit.readings.store import Store

CREDENTIALS_FILE: Final = "demo-credentials"
KEY_PASSWORD_FILE: Final = "demo-key-password"  # noqa: S105  # the name of a file


class DemoImpossible(Exception):
    """The data folder has a user ``demo`` that the demo did not make."""


class Credentials(Struct, kw_only=True):
    """What the demo's users sign in with, as the file in the data folder has it."""

    user: str
    password: str
    teammate: str
    teammate_password: str
    key_id: str
    key_password: str


class Demo(Struct, frozen=True, kw_only=True):
    """The demo as it is now."""

    credentials: Credentials
    key_password_file: Path
    password_changed: bool
    """Whether somebody gave the user another password since."""
    readings_added: int
    history_missing: bool
    """Whether the package with the temperatures is not installed."""


def prepare(catalog: Catalog, store: Store, folder: Path, *, bcrypt_cost: int) -> Demo:
    """Make whatever of the demo is not there yet.

    To be called before the server opens, which is then the store's only writer.

    Raises:
        DemoImpossible: the data folder has a user ``demo`` of its own.
        StoreError: the readings cannot be stored.
    """
    found = _read(folder / CREDENTIALS_FILE)
    candidate = catalog.read(credentials.candidate, content.USER)
    if candidate is None:
        made = _new_credentials()
        hashes = [
            passwords.hash_password(password, bcrypt_cost)
            for password in (made.password, made.teammate_password)
        ]
        found = catalog.write(_make, made, hashes, folder)
    elif found is None:
        raise DemoImpossible(
            f"{folder} has a user {content.USER!r} that the demo did not make; "
            "start the demo with another data folder: --data DIR"
        )
    elif catalog.read(credentials.of_key, found.key_id, found.key_password) is None:
        found = catalog.write(_make_key, found, folder)
    changed = candidate is not None and not passwords.verify_password(
        found.password, candidate.password_hash
    )
    added, missing = _add_history(catalog, store)
    return Demo(
        credentials=found,
        key_password_file=folder / KEY_PASSWORD_FILE,
        password_changed=changed,
        readings_added=added,
        history_missing=missing,
    )


def _new_credentials() -> Credentials:
    return Credentials(
        user=content.USER,
        password=passwords.make_secret()[:16],
        teammate=content.TEAMMATE,
        teammate_password=passwords.make_secret()[:16],
        key_id="",
        key_password="",
    )


def _make(made: Credentials, hashes: list[str], folder: Path) -> Credentials:
    """Make users, team, key and sensors; a unit of work."""
    for name, password_hash in zip((made.user, made.teammate), hashes, strict=True):
        new = users.NewUser(username=name, password_hash=password_hash, first_name="Demo")
        users.create(new, COMMAND_LINE)
    orgs.create(content.TEAM, "Demo team", COMMAND_LINE)
    orgs.add_member(content.TEAM, made.user, COMMAND_LINE, role=orgs.ADMIN)
    orgs.add_member(content.TEAM, made.teammate, COMMAND_LINE)
    demo = credentials.candidate(made.user)
    assert demo is not None
    for sensor in content.sensors():
        sensors.create(demo.identity, sensor, COMMAND_LINE)
    return _make_key(made, folder)


def _make_key(made: Credentials, folder: Path) -> Credentials:
    """Make a key and write the files; a unit of work.

    The files are written before the commit, so that a user who exists has them.
    """
    demo = credentials.candidate(made.user)
    assert demo is not None
    secret = passwords.make_secret()
    row = keys.create(
        demo.identity, KeyChange(name="Demo"), passwords.hash_secret(secret), COMMAND_LINE
    )
    complete = structs.replace(made, key_id=row.id, key_password=secret)
    lines = [f'{name} = "{value}"\n' for name, value in structs.asdict(complete).items()]
    _write_private(folder / CREDENTIALS_FILE, "".join(lines))
    _write_private(folder / KEY_PASSWORD_FILE, f"{secret}\n")
    return complete


def _add_history(catalog: Catalog, store: Store) -> tuple[int, bool]:
    """Add the cities' year to sensors without readings; return how many, and whether it lacks."""
    now = times.now()
    added = 0
    for reference, file_name in content.CITIES.items():
        sensor_id = catalog.read(_find, reference)
        if sensor_id is None or store.latest([sensor_id]):
            continue
        year = temperatures.read(file_name)
        if year is None:
            return added, True
        moved = temperatures.moved_to_end_at(year, now)
        store.apply([Append([_reading(sensor_id, *hour) for hour in moved])], now)
        added += len(moved)
    return added, False


def _reading(sensor_id: int, ts: int, celsius: float) -> NewReading:
    values = {"value": celsius}
    return NewReading(sensor_id, ts, strict_json.encode(values), values)


def _find(reference: str) -> int | None:
    demo = credentials.candidate(content.USER)
    if demo is None:
        return None
    try:
        return references.find(demo.identity, reference, visible(demo.identity)).id
    except NotFound:
        return None


def _read(path: Path) -> Credentials | None:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        return Credentials(**found)
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise DemoImpossible(f"{path} cannot be read: {error}") from error


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
