from __future__ import annotations

import shlex
import stat
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from wotkit import strict_json, times
from wotkit.auth import credentials, passwords
from wotkit.catalog import Catalog, keys, references, sensors, users
from wotkit.catalog.audit import COMMAND_LINE
from wotkit.catalog.identity import ANONYMOUS, visible
from wotkit.demo import DemoImpossible, guide, prepare, temperatures
from wotkit.errors import NotFound
from wotkit.readings.sqlite import FILE_NAME, SqliteStore
from wotkit.readings.store import Range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeUser
    from wotkit.demo.build import Demo

STEP = 12
"""The stand-in has every so many hours of the year; all of them only where time is measured."""
COUNT = 365 * 24 // STEP
YEAR = timedelta(days=366)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for vega_datasets: the same files and form, made-up temperatures."""
    folder = tmp_path / "site" / "vega_datasets" / "_data"
    folder.mkdir(parents=True)
    fill(folder, STEP)
    (folder.parent / "__init__.py").write_text("import pandas", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder.parents[1]))
    return folder


def fill(folder: Path, step: int) -> None:
    start = datetime(2010, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=number) for number in range(0, 365 * 24, step)]
    seattle = [f"{hour:%Y/%m/%d %H:%M},{32 + hour.month}" for hour in hours]
    francisco = [f"{50 + hour.month},{hour:%Y/%m/%d %H:%M:%S}" for hour in hours]
    (folder / "seattle-temps.csv").write_text("\n".join(["date,temp", *seattle]), encoding="utf-8")
    (folder / "sf-temps.csv").write_text("\n".join(["temp,date", *francisco]), encoding="utf-8")


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temperatures, "PACKAGE", "vega_datasets_that_is_not_there")


@pytest.fixture
def store(catalog: Catalog, data: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(data / FILE_NAME)) as found:
        yield found


@pytest.fixture
def demo(catalog: Catalog, store: SqliteStore, data: Path, package: Path) -> Demo:
    return prepare(catalog, store, data, bcrypt_cost=4)


def again(catalog: Catalog, store: SqliteStore, data: Path) -> Demo:
    return prepare(catalog, store, data, bcrypt_cost=4)


def sensor(catalog: Catalog, reference: str) -> int:
    def work() -> int:
        found = credentials.candidate("demo")
        assert found is not None
        return references.find(found.identity, reference, visible(found.identity)).id

    return catalog.read(work)


def test_printed_user_and_key_are_good(demo: Demo, catalog: Catalog) -> None:
    made = demo.credentials
    found = catalog.read(credentials.candidate, made.user)
    assert found is not None
    assert passwords.verify_password(made.password, found.password_hash)
    identity = catalog.read(credentials.of_key, made.key_id, made.key_password)
    assert identity is not None
    assert identity.username == "demo"
    assert demo.key_password_file.read_text(encoding="utf-8").strip() == made.key_password


def test_files_with_credentials_are_private(demo: Demo, data: Path) -> None:
    for name in ("demo-credentials", "demo-key-password"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600


def test_year_of_each_city_ends_within_the_last_hours(
    demo: Demo, catalog: Catalog, store: SqliteStore
) -> None:
    now = times.now()
    assert demo.readings_added == 2 * COUNT
    for reference in ("demo.seattle-temperature", "demo-team.san-francisco-temperature"):
        found = store.read(Range(sensor_id=sensor(catalog, reference)))
        assert len({reading.ts for reading in found}) == COUNT
        assert now - (STEP + 1) * 3600 * times.MICROSECONDS < found[-1].ts <= now
        assert found[0].ts > now - YEAR // timedelta(microseconds=1)


def test_temperatures_are_celsius_of_the_same_month(
    demo: Demo, catalog: Catalog, store: SqliteStore
) -> None:
    found = store.read(Range(sensor_id=sensor(catalog, "demo.seattle-temperature")))
    for reading in found[:: COUNT // 50]:
        local = datetime.fromtimestamp(reading.ts / times.MICROSECONDS, temperatures.PACIFIC)
        assert strict_json.decode(reading.data) == {"value": round(local.month * 5 / 9, 2)}


def test_loading_is_quick(catalog: Catalog, store: SqliteStore, data: Path, package: Path) -> None:
    fill(package, step=1)
    started = time.perf_counter()
    assert prepare(catalog, store, data, bcrypt_cost=4).readings_added == 2 * 365 * 24
    assert time.perf_counter() - started < 2


def test_second_start_adds_nothing(
    demo: Demo, catalog: Catalog, store: SqliteStore, data: Path
) -> None:
    before = catalog.read(keys.list_all), catalog.read(users.list_all)
    second = again(catalog, store, data)
    assert second.readings_added == 0
    assert second.credentials == demo.credentials
    assert (catalog.read(keys.list_all), catalog.read(users.list_all)) == before


def test_history_comes_later_when_the_package_does(
    no_package: None,
    catalog: Catalog,
    store: SqliteStore,
    data: Path,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = again(catalog, store, data)
    assert first.history_missing
    assert first.readings_added == 0
    assert "not installed" in guide.text(first, "http://127.0.0.1:8080")
    monkeypatch.setattr(temperatures, "PACKAGE", "vega_datasets")
    second = again(catalog, store, data)
    assert not second.history_missing
    assert second.readings_added == 2 * COUNT


def test_deleted_demo_sensor_does_not_come_back(
    demo: Demo, catalog: Catalog, store: SqliteStore, data: Path
) -> None:
    found = catalog.read(credentials.candidate, "demo")
    assert found is not None
    catalog.write(sensors.delete, found.identity, "seattle-temperature", COMMAND_LINE)
    again(catalog, store, data)
    with pytest.raises(NotFound):
        sensor(catalog, "demo.seattle-temperature")


def test_revoked_key_is_replaced(
    demo: Demo, catalog: Catalog, store: SqliteStore, data: Path
) -> None:
    found = catalog.read(credentials.candidate, "demo")
    assert found is not None
    catalog.write(keys.revoke, found.identity, demo.credentials.key_id, COMMAND_LINE)
    made = again(catalog, store, data).credentials
    assert made.key_id != demo.credentials.key_id
    assert made.password == demo.credentials.password
    assert catalog.read(credentials.of_key, made.key_id, made.key_password) is not None


def test_changed_password_is_not_printed_as_if_it_were_good(
    demo: Demo, catalog: Catalog, store: SqliteStore, data: Path
) -> None:
    other = passwords.hash_password("another good one", 4)
    catalog.write(users.set_password, "demo", other, COMMAND_LINE)
    second = again(catalog, store, data)
    assert second.password_changed
    text = guide.text(second, "http://127.0.0.1:8080")
    assert demo.credentials.password not in text
    assert "changed" in text


def test_user_demo_of_somebody_else_stays_alone(
    catalog: Catalog, store: SqliteStore, data: Path, make_user: MakeUser
) -> None:
    make_user("demo")
    with pytest.raises(DemoImpossible, match="--data"):
        again(catalog, store, data)
    assert catalog.read(keys.list_all) == []


def test_stranger_sees_public_sensors_only(demo: Demo, catalog: Catalog) -> None:
    def sees(reference: str) -> bool:
        try:
            references.find(ANONYMOUS, reference, visible(ANONYMOUS))
        except NotFound:
            return False
        return True

    assert catalog.read(sees, "demo.seattle-temperature")
    assert catalog.read(sees, "demo.greenhouse")
    assert not catalog.read(sees, "demo.cellar")
    assert not catalog.read(sees, "demo-team.san-francisco-temperature")


def test_teammate_sees_what_the_team_owns(demo: Demo, catalog: Catalog) -> None:
    mate = catalog.read(credentials.candidate, "demo-teammate")
    assert mate is not None
    assert passwords.verify_password(demo.credentials.teammate_password, mate.password_hash)
    reference = "demo-team.san-francisco-temperature"
    assert catalog.read(references.find, mate.identity, reference, visible(mate.identity))
    with pytest.raises(NotFound):
        catalog.read(references.find, mate.identity, "demo.cellar", visible(mate.identity))


def test_guide_has_three_commands_to_paste(demo: Demo) -> None:
    lines = guide.text(demo, "http://127.0.0.1:8099").splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("  curl") or "init" in line]
    post, read, agent = commands
    credentials_of_key = f"{demo.credentials.key_id}:{demo.credentials.key_password}"
    assert credentials_of_key in post
    assert credentials_of_key in read
    assert strict_json.decode(post[post.index("-d") + 1].encode()) == {
        "temperature": 21.5,
        "humidity": 48,
    }
    assert read[-1] == f"{post[-1]}?beforeE=5"
    assert agent[agent.index("--url") + 1] == "http://127.0.0.1:8099/api"
    assert demo.credentials.key_password not in agent
    assert agent[0].startswith(sys.prefix) or agent[0] == ".venv/bin/gateway-agent"


@pytest.mark.parametrize(
    "now", ["2026-01-01T07:59:59Z", "2026-01-01T08:00:00Z", "2028-02-29T12:00:00Z"]
)
def test_moved_year_never_reaches_into_the_future(now: str) -> None:
    start = datetime(2010, 1, 1, tzinfo=temperatures.PACIFIC)
    year = [temperatures.Temperature(start + timedelta(hours=n), float(n)) for n in range(8760)]
    end = times.parse(now)
    moved = temperatures.moved_to_end_at(year, end)
    stamps = [ts for ts, _ in moved]
    assert len(set(stamps)) == 8760
    assert end - 25 * 3600 * times.MICROSECONDS < stamps[-1] <= end
    assert stamps[0] > end - YEAR // timedelta(microseconds=1)
