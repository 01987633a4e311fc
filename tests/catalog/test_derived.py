"""What triggers keep: the text index of sensors and the uses of tags."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wotkit.catalog import Catalog, audit, engine_derived, sensor_query, sensors, tags
from wotkit.catalog.models import CURRENT, Sensor, TagUse, changed, rows
from wotkit.catalog.sensor_query import SensorQuery, Slice
from wotkit.catalog.sensors import NewSensor, SensorChange

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeUser
    from wotkit.catalog.identity import Identity

HERE = audit.COMMAND_LINE


def add(identity: Identity, name: str, **attributes: Any) -> int:
    texts = {"long_name": "Long", "description": "About"} | attributes
    return sensors.create(identity, NewSensor(name=name, **texts), HERE).id


def found(identity: Identity, text: str) -> list[str]:
    page = sensor_query.page(identity, SensorQuery(text=text), Slice(limit=100))
    return [row.name for row in page.sensors]


def counted(identity: Identity) -> dict[str, int]:
    return {row.name: row.count for row in tags.page(identity, SensorQuery(), 100, 0).tags}


@pytest.fixture
def alice(make_user: MakeUser) -> Identity:
    return make_user("alice")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api-data", "api-data-test other"),
        ("data-test", "api-data-test"),
        ("API-Data-Te", "api-data-test"),
        ("data glasshouse", "api-data-test"),
        ("house glass", "api-data-test"),
        ("te glass", "api-data-test"),
        ("é", "other"),
        ("CAFÉ", "other"),
        ('say "hi"', "other"),
        ('"hi" OR glass', ""),
        ("glass*", ""),
        ("na", "api-data-test other"),
        ("nothing", ""),
        ("data\0", ""),
        ("t\0", ""),
        ("  ", "api-data-test other"),
    ],
)
def test_words_and_parts_of_words_are_found(
    catalog: Catalog, alice: Identity, text: str, expected: str
) -> None:
    def work() -> list[str]:
        add(alice, "api-data-test", long_name="North Glasshouse", description="ordinary")
        add(alice, "other", long_name="café api-data", description='I say "hi" to Nadia')
        return found(alice, text)

    assert catalog.write(work) == expected.split()


@given(st.text(max_size=20))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_text_is_searched_for(catalog: Catalog, alice: Identity, text: str) -> None:
    """Whatever it means to the index, it is no more than text."""
    text = text.encode("utf-8", "replace").decode()  # as it comes out of an address
    assert catalog.read(found, alice, text) == []


def test_index_follows_changes_and_deletion(catalog: Catalog, alice: Identity) -> None:
    catalog.write(add, alice, "sensor", description="under the roof")
    assert catalog.read(found, alice, "roof") == ["sensor"]
    change = SensorChange(description="in the cellar")
    catalog.write(sensors.change, alice, "sensor", change, HERE)
    assert catalog.read(found, alice, "roof") == []
    assert catalog.read(found, alice, "cellar") == ["sensor"]
    catalog.write(sensors.delete, alice, "sensor", HERE)
    assert catalog.read(found, alice, "cellar") == []
    catalog.write(add, alice, "another", description="on the roof")
    # compares the index with the table, and fails where they differ
    check = "INSERT INTO sensor_text (sensor_text, rank) VALUES ('integrity-check', 1)"
    catalog.write(lambda: CURRENT.execute_sql(check))


def test_what_a_catalog_without_triggers_missed_is_derived_at_the_next_start(
    data: Path, catalog: Catalog, alice: Identity
) -> None:
    def work() -> None:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'derive%'"
        for (name,) in CURRENT.execute_sql(triggers).fetchall():
            CURRENT.execute_sql(f"DROP TRIGGER {name}")
        add(alice, "sensor", tags=["Roof"], description="under the roof")

    catalog.write(work)
    assert catalog.read(found, alice, "roof") == []
    with closing(Catalog(data)) as again:
        assert again.read(found, alice, "roof") == ["sensor"]
        assert again.read(counted, alice) == {"Roof": 1}


def test_tags_of_a_cascade_are_counted_off(catalog: Catalog, alice: Identity) -> None:
    catalog.write(add, alice, "first", tags=["Roof", "warm"], visibility="PUBLIC")
    catalog.write(add, alice, "second", tags=["roof"])
    assert catalog.read(counted, alice) == {"roof": 2, "warm": 1}
    catalog.write(changed, Sensor.delete().where(Sensor.name == "second"))
    assert catalog.read(counted, alice) == {"Roof": 1, "warm": 1}
    catalog.write(changed, Sensor.delete().where(Sensor.name == "first"))
    assert catalog.read(rows, TagUse.select()) == []


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "tag", "show", "hide", "delete"]),
        st.integers(0, 3),
        st.sets(st.sampled_from(["warm", "cold", "wet"])),
    ),
    max_size=12,
)


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(operations=OPERATIONS)
def test_uses_are_what_counting_finds_after_any_changes(
    catalog: Catalog, alice: Identity, operations: list[tuple[str, int, set[str]]]
) -> None:
    def apply(verb: str, name: str, labels: set[str], known: set[str]) -> None:
        if verb == "add" and name not in known:
            add(alice, name, tags=sorted(labels))
            known.add(name)
        elif name not in known:
            return
        elif verb == "tag":
            sensors.change(alice, name, SensorChange(tags=sorted(labels)), HERE)
        elif verb in {"show", "hide"}:
            visibility = "PUBLIC" if verb == "show" else "PRIVATE"
            sensors.change(alice, name, SensorChange(visibility=visibility), HERE)
        elif verb == "delete":
            sensors.delete(alice, name, HERE)
            known.remove(name)

    def work() -> None:
        known: set[str] = set()
        for verb, number, labels in operations:
            apply(verb, f"sensor-{number}", labels, known)
        kept = rows(TagUse.select().order_by(TagUse.scope, TagUse.folded))
        CURRENT.execute_sql("DROP TRIGGER derive_tags_insert")
        engine_derived.keep(CURRENT)
        assert kept == rows(TagUse.select().order_by(TagUse.scope, TagUse.folded))
        changed(Sensor.delete())

    catalog.write(work)
