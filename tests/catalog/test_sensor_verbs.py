"""What the catalog does with sensors and fields, without HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from wotkit.catalog import fields, groups, orgs, sensor_rows, sensors, subscriptions
from wotkit.catalog.audit import Actor
from wotkit.catalog.fields import Cast, NewField
from wotkit.catalog.group_forms import NewGroup
from wotkit.catalog.identity import ANONYMOUS, accounts_of, visible, writable
from wotkit.catalog.models import Audit, GroupSensor, Metadata, Subscription, Tag, rows
from wotkit.catalog.sensors import NewSensor, SensorChange
from wotkit.errors import (
    AlreadyExists,
    CannotPerform,
    ExtraneousField,
    InvalidFieldContent,
    InvalidObject,
    MissingScope,
    NotFound,
    ValidationFailed,
)

if TYPE_CHECKING:
    from wotkit.catalog import Catalog
    from wotkit.catalog.identity import Identity
    from wotkit.catalog.sensor_rows import SensorRow

HERE = Actor("alice", "192.0.2.1", "0123456789abcdef")


@pytest.fixture
def alice(make_user: Any) -> Identity:
    found: Identity = make_user("alice", team="garden")
    return found


@pytest.fixture
def bobby(alice: Identity, make_user: Any) -> Identity:
    assert alice.username == "alice"
    found: Identity = make_user("bobby", team="garden")
    return found


@pytest.fixture
def charlie(make_user: Any) -> Identity:
    found: Identity = make_user("charlie")
    return found


def new(name: str, **attributes: Any) -> NewSensor:
    return NewSensor(name=name, long_name="Long", description="About", **attributes)


@pytest.fixture
def add(catalog: Catalog) -> Any:
    def adding(identity: Identity, name: str, **attributes: Any) -> SensorRow:
        return catalog.write(sensors.create, identity, new(name, **attributes), HERE)

    return adding


def test_sensor_is_found_by_id_by_qualified_name_and_by_its_owner_by_name(
    catalog: Catalog, alice: Identity, charlie: Identity, add: Any
) -> None:
    row = add(alice, "greenhouse", visibility="PUBLIC")
    for identity, reference in (
        (alice, str(row.id)),
        (alice, "alice.greenhouse"),
        (alice, "greenhouse"),
        (charlie, "alice.greenhouse"),
        (ANONYMOUS, str(row.id)),
    ):
        found = catalog.read(sensors.find, identity, reference, visible(identity))
        assert (found.id, found.qualified) == (row.id, "alice.greenhouse")


@pytest.mark.parametrize(
    "reference", ["greenhouse", "charlie.greenhouse", "999", "9" * 40, "", "."]
)
def test_name_of_another_owners_sensor_finds_nothing(
    catalog: Catalog, alice: Identity, charlie: Identity, add: Any, reference: str
) -> None:
    add(alice, "greenhouse", visibility="PUBLIC")
    with pytest.raises(NotFound) as refusal:
        catalog.read(sensors.find, charlie, reference, visible(charlie))
    assert refusal.value.developer == (reference,)


def test_private_sensor_is_hidden_from_stranger_and_public(
    catalog: Catalog, alice: Identity, charlie: Identity, add: Any
) -> None:
    add(alice, "greenhouse")
    for identity in (charlie, ANONYMOUS):
        with pytest.raises(NotFound):
            catalog.read(sensor_rows.get, identity, "alice.greenhouse")


def test_public_sensor_of_another_cannot_be_written_to(
    catalog: Catalog, alice: Identity, charlie: Identity, add: Any
) -> None:
    add(alice, "greenhouse", visibility="PUBLIC")
    with pytest.raises(NotFound):
        catalog.read(sensors.find, charlie, "alice.greenhouse", writable(charlie))


def test_teammate_reads_and_changes_what_the_organization_owns(
    catalog: Catalog, alice: Identity, bobby: Identity, charlie: Identity, add: Any
) -> None:
    row = add(alice, "greenhouse", owner="garden")
    assert (row.owner, row.publisher) == ("garden", "alice")
    change = SensorChange(long_name="Bobby was here")
    catalog.write(sensors.change, bobby, "garden.greenhouse", change, HERE)
    assert catalog.read(sensor_rows.get, alice, str(row.id)).long_name == "Bobby was here"
    with pytest.raises(NotFound):
        catalog.write(sensors.change, charlie, str(row.id), change, HERE)


def test_nobody_creates_sensors_for_an_organization_it_is_no_member_of(
    catalog: Catalog, alice: Identity, charlie: Identity, add: Any
) -> None:
    for owner in ("garden", "alice", "nowhere"):
        with pytest.raises(NotFound, match=owner):
            add(charlie, "greenhouse", owner=owner)


def test_two_owners_may_use_one_name_and_one_owner_may_not_use_it_twice(
    alice: Identity, charlie: Identity, add: Any
) -> None:
    add(alice, "greenhouse")
    add(charlie, "greenhouse")
    with pytest.raises(AlreadyExists) as refusal:
        add(alice, "greenhouse")
    assert refusal.value.developer == ("the sensor 'alice.greenhouse' already exists",)
    assert "already exists" in refusal.value.more["name"]


def test_limited_key_sees_only_its_sensors_and_creates_none(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    one, other = add(alice, "greenhouse"), add(alice, "cellar", visibility="PUBLIC")
    key = msgspec.structs.replace(alice, key_id="k" * 16, sensors=frozenset({one.id}))
    assert catalog.read(sensor_rows.get, key, str(one.id)).name == "greenhouse"
    for verb in (sensor_rows.get, fields.list_for):
        with pytest.raises(NotFound):
            catalog.read(verb, key, str(other.id))
    with pytest.raises(NotFound):
        catalog.write(sensors.delete, key, str(other.id), HERE)
    with pytest.raises(MissingScope):
        add(key, "attic")
    with pytest.raises(MissingScope):
        catalog.write(sensors.create_many, key, [new("attic")], HERE)


def test_list_with_one_bad_sensor_creates_none(catalog: Catalog, alice: Identity, add: Any) -> None:
    add(alice, "cellar")
    for bad, error in (
        ([new("attic"), new("A")], ValidationFailed),
        ([new("attic"), new("cellar")], AlreadyExists),
        ([new("attic"), new("attic")], AlreadyExists),
        ([new("attic"), new("roof", owner="nobody")], NotFound),
    ):
        with pytest.raises(error) as refusal:
            catalog.write(sensors.create_many, alice, bad, HERE)
        if error is not NotFound:
            assert list(refusal.value.more) == ["1.name"]
        with pytest.raises(NotFound):
            catalog.read(sensor_rows.get, alice, "attic")


def test_deleted_sensor_takes_everything_along_and_leaves_a_note_for_its_readings(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    row = add(alice, "greenhouse", tags=["a"], metadata={"b": 1}, visibility="PUBLIC")

    def connect() -> None:
        subscriptions.subscribe(alice, "greenhouse", HERE)
        groups.create(alice, NewGroup(name="indoor", long_name="Indoor"), HERE)
        groups.add_sensor(alice, "indoor", str(row.id), HERE)

    catalog.write(connect)
    assert catalog.write(sensors.delete, alice, "greenhouse", HERE) == row.id
    assert catalog.read(sensors.pending_drops) == [row.id]
    for table in (Tag, Metadata, Subscription, GroupSensor):
        assert catalog.read(lambda table=table: rows(table.select(table.sensor))) == []
    catalog.write(sensors.readings_dropped, [row.id])
    assert catalog.read(sensors.pending_drops) == []


def test_id_of_a_deleted_sensor_is_never_given_to_another(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    first = add(alice, "greenhouse")
    catalog.write(sensors.delete, alice, "greenhouse", HERE)
    assert add(alice, "greenhouse").id > first.id


def test_refused_delete_leaves_no_note(
    catalog: Catalog, alice: Identity, charlie: Identity, add: Any
) -> None:
    add(alice, "greenhouse", visibility="PUBLIC")
    with pytest.raises(NotFound):
        catalog.write(sensors.delete, charlie, "alice.greenhouse", HERE)
    assert catalog.read(sensors.pending_drops) == []


def test_every_change_is_in_the_audit_log_with_who_made_it(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    add(alice, "greenhouse")
    field = NewField(name="lux", long_name="Light", type="NUMBER")

    def work() -> None:
        sensors.change(alice, "greenhouse", SensorChange(tags=["x"]), HERE)
        fields.put(alice, "greenhouse", field, HERE)
        fields.delete(alice, "greenhouse", "lux", HERE)
        sensors.delete(alice, "greenhouse", HERE)

    catalog.write(work)
    logged = catalog.read(
        lambda: rows(
            Audit.select(Audit.action, Audit.target, Audit.actor, Audit.key_id, Audit.address)
            .where(Audit.actor == "alice")
            .order_by(Audit.id)
        )
    )
    assert [row[0] for row in logged] == [
        "sensor.create",
        "sensor.change",
        "field.put",
        "field.delete",
        "sensor.delete",
    ]
    assert {row[1:] for row in logged} == {("alice.greenhouse", "alice", HERE.key_id, HERE.address)}


def test_refused_change_is_not_in_the_audit_log(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    add(alice, "greenhouse")
    with pytest.raises(InvalidFieldContent):
        catalog.write(
            sensors.change, alice, "greenhouse", SensorChange(tags=["x"], fields=[]), HERE
        )
    assert catalog.read(lambda: rows(Audit.select().where(Audit.action == "sensor.change"))) == []
    assert catalog.read(sensor_rows.get, alice, "greenhouse").tags == ()


def test_change_leaves_alone_what_it_does_not_name(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    before = add(alice, "greenhouse", tags=["b", "A"], metadata={"m": 2.5}, image_url="http://x/y")
    catalog.write(sensors.change, alice, "greenhouse", SensorChange(latitude=1.5), HERE)
    after = catalog.read(sensor_rows.get, alice, "greenhouse")
    assert after.latitude == 1.5
    assert msgspec.structs.replace(after, latitude=0.0) == before


def test_going_private_ends_subscriptions_and_staying_private_does_not(
    catalog: Catalog, alice: Identity, bobby: Identity, add: Any
) -> None:
    add(alice, "greenhouse", visibility="PUBLIC", owner="garden")
    for identity in (alice, bobby):
        catalog.write(subscriptions.subscribe, identity, "garden.greenhouse", HERE)
    row = catalog.read(sensor_rows.get, alice, "garden.greenhouse")
    assert row.subscribers == ["alice", "bobby"]
    private = SensorChange(visibility="PRIVATE")
    catalog.write(sensors.change, alice, "garden.greenhouse", private, HERE)
    assert catalog.read(sensor_rows.get, alice, "garden.greenhouse").subscribers == ()
    catalog.write(subscriptions.subscribe, bobby, "garden.greenhouse", HERE)
    catalog.write(sensors.change, alice, "garden.greenhouse", private, HERE)
    assert catalog.read(sensor_rows.get, alice, "garden.greenhouse").subscribers == ["bobby"]


def test_subscribing_twice_and_unsubscribing_twice_are_refused(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    add(alice, "greenhouse")
    catalog.write(subscriptions.subscribe, alice, "greenhouse", HERE)
    with pytest.raises(CannotPerform, match="already subscribed"):
        catalog.write(subscriptions.subscribe, alice, "greenhouse", HERE)
    catalog.write(subscriptions.unsubscribe, alice, "greenhouse", HERE)
    with pytest.raises(CannotPerform, match="not subscribed"):
        catalog.write(subscriptions.unsubscribe, alice, "greenhouse", HERE)


@pytest.mark.parametrize(
    "change", [SensorChange(id=77), SensorChange(name="other"), SensorChange(owner="garden")]
)
def test_id_name_and_owner_never_change(
    catalog: Catalog, alice: Identity, add: Any, change: SensorChange
) -> None:
    row = add(alice, "greenhouse")
    with pytest.raises(ExtraneousField, match="Cannot change the field"):
        catalog.write(sensors.change, alice, str(row.id), change, HERE)
    same = SensorChange(id=row.id, name="greenhouse", owner="alice")
    catalog.write(sensors.change, alice, str(row.id), same, HERE)


def test_new_fields_are_to_be_cast_and_known_ones_are_not(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    row = add(alice, "greenhouse")
    wanted = SensorChange(
        fields=[
            NewField(name="value", type="NUMBER"),
            NewField(name="message", type="NUMBER"),
            NewField(name="state", type="STRING"),
        ]
    )
    casts = catalog.write(sensors.change, alice, "greenhouse", wanted, HERE)
    assert casts == [Cast(row.id, "message", True), Cast(row.id, "state", False)]


def test_field_put_is_to_be_cast_when_new_when_retyped_and_when_sent_again(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    row = add(alice, "greenhouse")
    lux = NewField(name="lux", long_name="Light", type="NUMBER")

    def put(field: NewField) -> Cast | None:
        return catalog.write(fields.put, alice, "greenhouse", field, HERE)

    assert put(lux) == Cast(row.id, "lux", True)
    assert put(lux) == Cast(row.id, "lux", True)
    assert put(msgspec.structs.replace(lux, units="lx")) is None
    assert put(msgspec.structs.replace(lux, type="STRING")) == Cast(row.id, "lux", False)


def test_index_closes_up_after_a_deletion(catalog: Catalog, alice: Identity, add: Any) -> None:
    add(alice, "greenhouse")
    catalog.write(fields.delete, alice, "greenhouse", "lng", HERE)
    _, left = catalog.read(fields.list_for, alice, "greenhouse")
    assert [(field.name, field.index) for field in left] == [
        ("lat", 0),
        ("value", 1),
        ("message", 2),
    ]
    lux = NewField(name="lux", long_name="Light", type="NUMBER")
    catalog.write(fields.put, alice, "greenhouse", lux, HERE)
    assert catalog.read(fields.get, alice, "greenhouse", "lux")[1].index == 3


def test_sensor_has_no_more_fields_than_allowed(
    catalog: Catalog, alice: Identity, add: Any
) -> None:
    many = [NewField(name=f"f{i}", type="NUMBER") for i in range(fields.MAX_FIELDS)]
    add(alice, "greenhouse", fields=many)
    extra = NewField(name="extra", long_name="Extra", type="NUMBER")
    with pytest.raises(InvalidObject, match="one too many"):
        catalog.write(fields.put, alice, "greenhouse", extra, HERE)
    with pytest.raises(ValidationFailed, match="more than"):
        add(alice, "cellar", fields=[*many, extra])


def test_tags_that_differ_in_case_only_are_one(alice: Identity, add: Any) -> None:
    row = add(alice, "greenhouse", tags=["Indoor", "INDOOR", " climate "])
    assert row.tags == ["climate", "Indoor"]


def test_member_of_an_organization_is_known_by_it(catalog: Catalog, charlie: Identity) -> None:
    def work() -> int:
        org_id = orgs.create("roofers", "Roofers", HERE)
        orgs.add_member("roofers", "charlie", HERE)
        orgs.add_member("roofers", "charlie", HERE)
        return org_id

    org_id = catalog.write(work)
    assert catalog.read(accounts_of, charlie.user_id) == {charlie.user_id, org_id}
    for org, user in (("nowhere", "charlie"), ("roofers", "nobody")):
        with pytest.raises(NotFound):
            catalog.write(orgs.add_member, org, user, HERE)
    with pytest.raises(AlreadyExists, match="already taken"):
        catalog.write(orgs.create, "charlie", "Charlie Inc", HERE)


def test_group_name_is_unique_per_owner(catalog: Catalog, alice: Identity) -> None:
    indoor = NewGroup(name="indoor", long_name="Indoor")
    catalog.write(groups.create, alice, indoor, HERE)
    with pytest.raises(AlreadyExists, match="already exists"):
        catalog.write(groups.create, alice, indoor, HERE)
