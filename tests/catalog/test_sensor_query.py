"""Which sensors each filter finds; every case also the way that many sensors are searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wotkit.auth import credentials
from wotkit.catalog import Catalog, groups, orgs, sensor_query, sensors, subscriptions, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.group_forms import NewGroup
from wotkit.catalog.identity import ANONYMOUS
from wotkit.catalog.sensor_query import SensorQuery, Slice
from wotkit.catalog.sensors import NewSensor
from wotkit.errors import BoxOutOfBounds, BoxUpsideDown, InvalidMetadataQuery, InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wotkit.catalog.identity import Identity

HERE = Actor("tests", "127.0.0.1")
ALL = Slice(limit=100)


@pytest.fixture(params=["as few", "as many"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Search as a small platform does, and as one with very many sensors does."""
    kind: str = request.param
    if kind == "as many":
        monkeypatch.setattr(sensor_query, "COMMON", 0)
    return kind


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """One catalog for all tests here, which only read."""
    found = Catalog(tmp_path_factory.mktemp("data"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def people(catalog: Catalog) -> dict[str, Identity]:
    def work() -> dict[str, Identity]:
        for name in ("alice", "bobby", "charlie"):
            users.create(users.NewUser(username=name, password_hash="none"), HERE)
        orgs.create("garden", "Garden", HERE)
        for name in ("alice", "bobby"):
            orgs.add_member("garden", name, HERE)
        found = {"public": ANONYMOUS}
        for name in ("alice", "bobby", "charlie"):
            candidate = credentials.candidate(name)
            assert candidate is not None
            found[name] = candidate.identity
        return found

    return catalog.write(work)


@pytest.fixture(scope="module")
def ids(catalog: Catalog, people: dict[str, Identity]) -> dict[str, int]:
    """Sensors of Alice, of the organization and of Charlie; the names say what is special."""
    alice, charlie = people["alice"], people["charlie"]

    def add(identity: Identity, name: str, **attributes: Any) -> int:
        texts = {"long_name": "Long", "description": "About"} | attributes
        return sensors.create(identity, NewSensor(name=name, **texts), HERE).id

    def work() -> dict[str, int]:
        found = {
            "attic": add(
                alice,
                "attic",
                visibility="PUBLIC",
                tags=["Indoor", "hot"],
                metadata={"model": "SHT41", "height": 2.5, "floor": 3.0},
                latitude=53.35,
                longitude=-6.26,
            ),
            "cellar": add(
                alice,
                "cellar",
                tags=["indoor", "COLD"],
                metadata={"model": "SHT31", "odd": "a:b*c;d\\e"},
                long_name="Under 100% of the house",
                latitude=53.36,
                longitude=-6.25,
            ),
            "roof": add(
                alice,
                "roof_",
                owner="garden",
                visibility="PUBLIC",
                tags=["Outdoor", "hot"],
                description="On the HOUSE",
                latitude=-17.0,
                longitude=179.9,
            ),
            "pond": add(
                charlie,
                "pond",
                visibility="PUBLIC",
                tags=["outdoor", "cold"],
                metadata={"model": "sht41", "wet": True},
                latitude=-17.0,
                longitude=-179.9,
            ),
            "safe": add(charlie, "safe", tags=["indoor"], metadata={"model": "SHT41"}),
        }
        subscriptions.subscribe(people["bobby"], "garden.roof_", HERE)
        subscriptions.subscribe(people["bobby"], "charlie.pond", HERE)
        water = groups.create(
            charlie, NewGroup(name="water", long_name="Water", visibility="PUBLIC"), HERE
        )
        groups.add_sensor(charlie, str(water.id), str(found["pond"]), HERE)
        groups.add_sensor(charlie, str(water.id), str(found["safe"]), HERE)
        groups.create(alice, NewGroup(name="house", long_name="House"), HERE)
        groups.add_sensor(alice, "house", str(found["attic"]), HERE)
        return found

    return catalog.write(work)


@pytest.fixture
def find(
    catalog: Catalog, people: dict[str, Identity], ids: dict[str, int], size: str
) -> Callable[..., list[str]]:
    """Return the names of sensors that somebody finds."""
    assert size
    names = {sensor_id: name for name, sensor_id in ids.items()}

    def finding(who: str, busy: set[str] | None = None, **query: Any) -> list[str]:
        active = None if busy is None else {ids[name] for name in busy}
        page = catalog.read(sensor_query.page, people[who], SensorQuery(**query), ALL, active)
        assert not page.more
        return [names[row.id] for row in page.sensors]

    return finding


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("public", "attic roof pond"),
        ("charlie", "attic roof pond safe"),
        ("bobby", "attic roof pond"),
        ("alice", "attic cellar roof pond"),
    ],
)
def test_everybody_finds_what_is_public_or_its_own(find: Any, who: str, expected: str) -> None:
    assert find(who) == expected.split()


FOUND_BY_ALICE = [
    ({"scope": "contributed"}, "attic cellar roof"),
    ({"scope": "subscribed"}, ""),
    ({"tags": "indoor"}, "attic cellar"),
    ({"tags": "HOT"}, "attic roof"),
    ({"tags": "indoor,outdoor"}, "attic cellar roof pond"),
    ({"tags": "indoor,outdoor;cold"}, "cellar pond"),
    ({"tags": " indoor ; hot "}, "attic"),
    ({"tags": "indoor;"}, "attic cellar"),
    ({"tags": "indoor;outdoor"}, ""),
    ({"tags": "nothing"}, ""),
    ({"tags": ""}, "attic cellar roof pond"),
    ({"owners": "alice"}, "attic cellar"),
    ({"owners": "charlie, garden"}, "roof pond"),
    ({"owners": "nobody"}, ""),
    ({"orgs": "garden"}, "roof"),
    ({"orgs": "alice"}, ""),
    ({"orgs": "garden", "owners": "alice"}, ""),
    ({"visibility": "PUBLIC"}, "attic roof pond"),
    ({"visibility": "private"}, "cellar"),
    ({"visibility": "Public"}, "attic roof pond"),
    ({"visibility": "whatever"}, ""),
    ({"private": True}, "cellar"),
    ({"private": False}, "attic roof pond"),
    ({"private": False, "visibility": "private"}, ""),
    ({"text": "att"}, "attic"),
    ({"text": "house"}, "cellar roof"),
    ({"text": "100%"}, "cellar"),
    ({"text": "0_%"}, ""),
    ({"text": "f_"}, "roof"),
    ({"text": ""}, "attic cellar roof pond"),
    ({"metadata": "model"}, "attic cellar pond"),
    ({"metadata": "model:SHT41"}, "attic"),
    ({"metadata": "model:SHT*"}, "attic cellar"),
    ({"metadata": "model:*1"}, "attic cellar pond"),
    ({"metadata": "model:*H*4*"}, "attic"),
    ({"metadata": "model:"}, ""),
    ({"metadata": "model:*"}, "attic cellar pond"),
    ({"metadata": "model:S?T41"}, ""),
    ({"metadata": "model:[S]HT*"}, ""),
    ({"metadata": "height:2.5"}, "attic"),
    ({"metadata": "floor:3"}, "attic"),
    ({"metadata": "wet:true"}, "pond"),
    ({"metadata": "model;odd"}, "cellar"),
    ({"metadata": r"odd:a\:b\*c\;d\\e"}, "cellar"),
    ({"metadata": r"odd:a\:b\**"}, "cellar"),
    ({"metadata": r"odd:a\:b\*"}, ""),
    ({"metadata": "mod"}, ""),
    ({"groups": "house"}, "attic"),
    ({"groups": "alice.house,charlie.water"}, "attic pond"),
    ({"groups": "water"}, "pond"),
    ({"groups": "1"}, "pond"),
    ({"groups": "bobby.water"}, ""),
    ({"groups": "nothing"}, ""),
    ({"groups": " , "}, "attic cellar roof pond"),
    ({"location": "54,-7:53,-6"}, "attic cellar"),
    ({"location": "53.35,-6.26:53.35,-6.26"}, "attic"),
    ({"location": "0,179:-20,-179"}, "roof pond"),
    ({"location": "0,-179:-20,179"}, ""),
    ({"location": "60,179:50,-179"}, ""),
    ({"near": "53.35,-6.26,10"}, "attic"),
    ({"near": "53.35,-6.26,1400"}, "attic cellar"),
    ({"near": "53.35,-6.26,1200"}, "attic"),
    ({"near": "-17,180,11000"}, "roof pond"),
    ({"near": "-17,-179.9,22000"}, "roof pond"),
    ({"near": "90,0,99999999"}, "attic cellar roof pond"),
    ({"tags": "hot", "owners": "alice", "text": "att", "near": "53,-6,90000"}, "attic"),
]


@pytest.mark.parametrize(("query", "expected"), FOUND_BY_ALICE)
def test_filter_finds_what_it_says(find: Any, query: dict[str, Any], expected: str) -> None:
    assert find("alice", **query) == expected.split()


def test_follower_finds_what_it_follows_and_stranger_contributed_nothing(find: Any) -> None:
    assert find("bobby", scope="subscribed") == ["roof", "pond"]
    assert find("bobby", scope="contributed") == []
    assert find("public", scope="subscribed") == []
    assert find("public", scope="contributed") == []


def test_filter_never_shows_what_is_hidden(find: Any) -> None:
    for query in (
        {"owners": "charlie"},
        {"tags": "indoor", "owners": "charlie"},
        {"metadata": "model:SHT41", "owners": "charlie"},
        {"groups": "charlie.water"},
        {"visibility": "private"},
        {"private": True},
        {"text": "safe"},
    ):
        assert "safe" not in find("bobby", **query)
        assert "cellar" not in find("charlie", **query)


def test_private_group_of_another_finds_nothing(find: Any) -> None:
    assert find("charlie", groups="alice.house") == []
    assert find("public", groups="house") == []


def test_active_and_inactive_share_out_all_sensors(find: Any) -> None:
    busy = {"cellar", "pond", "safe"}
    assert find("alice", busy, active=True) == ["cellar", "pond"]
    assert find("alice", busy, active=False) == ["attic", "roof"]
    assert find("alice", set(), active=True) == []
    assert find("alice", set(), active=False) == ["attic", "cellar", "roof", "pond"]
    assert find("alice", busy, active=True, near="53.3,-6.2,90000") == ["cellar"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"metadata": "a:b:c"}, InvalidMetadataQuery),
        ({"location": "0,0:1,1"}, BoxUpsideDown),
        ({"location": "99,0:1,1"}, BoxOutOfBounds),
        ({"location": "here"}, InvalidQuery),
        ({"near": "here"}, InvalidQuery),
        ({"text": "a" * 2001}, InvalidQuery),
        ({"metadata": "a:" + "*" * 2000}, InvalidQuery),
        ({"tags": ";".join("a" * 101)}, InvalidQuery),
        ({"metadata": ";".join("a" * 101)}, InvalidQuery),
        ({"groups": ",".join("a" * 101)}, InvalidQuery),
    ],
)
def test_malformed_or_oversized_filter_is_refused(
    find: Any, query: dict[str, Any], error: Any
) -> None:
    with pytest.raises(error):
        find("alice", **query)


@pytest.mark.parametrize(
    "query",
    [
        {"text": ";" * 2000},
        {"tags": ";".join("a" * 100), "metadata": ";".join("a" * 100)},
        {"groups": ",".join("1" * 100), "owners": ",".join("a" * 100)},
        {"metadata": "a:" + "*" * 1900},
    ],
)
def test_largest_filter_that_is_allowed_is_answered(find: Any, query: dict[str, Any]) -> None:
    assert find("alice", **query) == []


@pytest.mark.parametrize("cursor", ["", "nonsense", "YWZ0ZXI6", "YWZ0ZXI6LTE", "YWZ0ZXI6MQ==", "é"])
def test_cursor_of_other_making_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidQuery) as refusal:
        sensor_query.read_cursor(cursor)
    assert "cursor" in refusal.value.more


@given(st.integers(0, 1 << 62))
def test_cursor_is_read_as_it_was_made(after: int) -> None:
    assert sensor_query.read_cursor(sensor_query.make_cursor(after)) == after


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    query=st.sampled_from([query for query, _ in FOUND_BY_ALICE]),
    limit=st.integers(1, 6),
    who=st.sampled_from(["alice", "bobby", "charlie", "public"]),
)
def test_pages_joined_are_the_whole_list(
    catalog: Catalog,
    people: dict[str, Identity],
    ids: dict[str, int],
    size: str,
    query: dict[str, Any],
    limit: int,
    who: str,
) -> None:
    assert size
    assert ids
    asked = SensorQuery(**query)
    whole = [row.id for row in catalog.read(sensor_query.page, people[who], asked, ALL).sensors]
    by_cursor: list[int] = []
    by_offset: list[int] = []
    after, more = 0, True
    while more:
        page = catalog.read(sensor_query.page, people[who], asked, Slice(limit, after=after))
        skipped = Slice(limit, offset=len(by_offset))
        by_offset += [
            row.id for row in catalog.read(sensor_query.page, people[who], asked, skipped).sensors
        ]
        by_cursor += [row.id for row in page.sensors]
        more = page.more
        if more:
            assert len(page.sensors) == limit
            after = sensor_query.read_cursor(sensor_query.make_cursor(by_cursor[-1]))
    assert by_cursor == by_offset == whole
