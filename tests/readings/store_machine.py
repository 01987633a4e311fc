"""Random operations on a readings store that two processes would share, against the model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.readings.model import Model
from wotkit import strict_json
from wotkit.readings.store import (
    Append,
    CastField,
    Delete,
    DropSensor,
    ForgetResends,
    NewReading,
    Operation,
    Outcome,
    Probe,
    Range,
    Replace,
    Resend,
    Store,
    StreamBatch,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SENSORS = (1, 2, 3)
NAMES = ("a", "b", "é")
VALUES = (
    st.none()
    | st.integers(-2, 2)
    | st.sampled_from(["5", " 1.5", "x", "", "1e999", 'say "a":1'])
    | st.sampled_from([0.5, True, False, 10**30, {"a": 1}, ["b", {"a": None}]])
)
times = st.integers(0, 6)
both = st.tuples(times, times).map(sorted)
ids = st.integers(0, 60)


@st.composite
def readings(draw: st.DrawFn, sensor_id: int | None = None, most: int = 4) -> list[NewReading]:
    one = st.builds(
        lambda sensor, ts, values: NewReading(sensor, ts, strict_json.encode(values), values),
        st.sampled_from(SENSORS) if sensor_id is None else st.just(sensor_id),
        times,
        st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
    )
    return draw(st.lists(one, max_size=most))


resends = st.none() | st.builds(
    Resend,
    st.sampled_from(["key:1", "user:1"]),
    st.sampled_from(["k", "l"]),
    st.sampled_from([b"1", b"2"]),
)


@st.composite
def stream_appends(draw: st.DrawFn) -> Append:
    numbers = draw(st.lists(st.integers(1, 8), unique=True).map(sorted))
    refused = [number for number in numbers if draw(st.integers(0, 3)) == 0]
    kept = [number for number in numbers if number not in refused]
    new = draw(readings(most=0)) + [
        reading for _ in kept for reading in draw(readings(most=1).filter(bool))
    ]
    stream = draw(st.sampled_from(["s", "t"]))
    through = max(numbers, default=0)
    return Append(new, stream=StreamBatch(1, stream, kept, through, refused))


@st.composite
def replaces(draw: st.DrawFn) -> Replace:
    sensor_id = draw(st.sampled_from(SENSORS))
    new = draw(readings(sensor_id))
    operation = Replace(sensor_id, new, resend=draw(resends), answer=b"replaced")
    if new and draw(st.booleans()):
        operation.first = min(reading.ts for reading in new)
        operation.last = max(reading.ts for reading in new)
    return operation


operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(
        lambda new, resend, answer: Append(new, resend, answer=answer),
        readings(),
        resends,
        st.sampled_from([b"", b"201 []"]),
    ),
    stream_appends(),
    replaces(),
    st.builds(Probe),
)
deletes = st.builds(lambda s, t: Delete(s, *t), st.sampled_from(SENSORS), both) | st.builds(
    Delete, st.sampled_from(SENSORS), times, times, ids, ids
)
few = st.none() | st.integers(0, 5)
ranges = st.fixed_dictionaries(
    {
        "sensor_id": st.sampled_from(SENSORS),
        "after": st.none() | st.tuples(times, st.integers(0, 60)),
        "through": st.none() | st.tuples(times, st.integers(0, 60) | st.just((1 << 63) - 1)),
        "reverse": st.booleans(),
        "offset": st.integers(0, 5),
        "limit": few,
    }
)
counts = st.fixed_dictionaries({"newest": few}) | st.fixed_dictionaries({"oldest": few})


class StoreMachine(RuleBasedStateMachine):
    """Two stores on the same place, as a server and a command line have them."""

    def __init__(self, open_store: Callable[[Path], Store]) -> None:
        super().__init__()
        self.open = open_store
        self.folder = Path(tempfile.mkdtemp())
        self.stores = [open_store(self.folder), open_store(self.folder)]
        self.model = Model()
        self.now = 100

    def _apply(self, which: int, wanted: list[Operation]) -> list[Any]:
        self.now += 1
        outcomes = self.stores[which].apply(wanted, self.now)
        assert len(outcomes) == len(wanted)
        for operation, outcome in zip(wanted, outcomes, strict=True):
            expected = self.model.apply(operation, self.now, outcome.first_id)
            assert outcome.kind is expected.kind
            assert outcome.stored == expected.stored
            if isinstance(operation, Delete):
                assert self._deleted(which, outcome) == expected.deleted
            assert outcome.answer == expected.answer
            assert outcome.acked_through == expected.acked_through
        return outcomes

    def _deleted(self, which: int, outcome: Outcome) -> int:
        """Finish a deletion, part by part, and return how many readings went."""
        deleted = outcome.deleted
        while outcome.rest is not None:
            (outcome,) = self.stores[which].apply([outcome.rest], self.now)
            deleted += outcome.deleted
        return deleted

    @rule(which=st.integers(0, 1), wanted=st.lists(operations, min_size=1, max_size=4))
    def apply(self, which: int, wanted: list[Operation]) -> None:
        self._apply(which, wanted)

    @rule(which=st.integers(0, 1), before=st.lists(operations, max_size=2), delete=deletes)
    def delete(self, which: int, before: list[Operation], delete: Delete) -> None:
        self._apply(which, [*before, delete])

    @rule(which=st.integers(0, 1), new=readings(most=1))
    def append_one(self, which: int, new: list[NewReading]) -> None:
        self._apply(which, [Append(new)])

    @rule(
        which=st.integers(0, 1),
        sensor_id=st.sampled_from(SENSORS),
        field=st.sampled_from(NAMES),
        number=st.booleans(),
    )
    def cast(self, which: int, sensor_id: int, field: str, number: bool) -> None:
        (outcome,) = self._apply(which, [CastField(sensor_id, field, number)])
        while outcome.rest is not None:
            self.latest_is_what_a_scan_of_the_store_says(sensor_id)
            (outcome,) = self.stores[which].apply([outcome.rest], self.now)

    def latest_is_what_a_scan_of_the_store_says(self, sensor_id: int) -> None:
        """Check the invariant while a cast is half done."""
        scan = Model()
        found = self.stores[0].read(Range(sensor_id=sensor_id))
        stored = [(ts, number, strict_json.decode(data)) for ts, number, data in found]
        scan.readings[sensor_id] = stored
        scan.updated = self.model.updated
        latest = scan.latest(sensor_id)
        assert self.stores[0].latest([sensor_id]) == ({} if latest is None else {sensor_id: latest})

    @rule(which=st.integers(0, 1), sensor_id=st.sampled_from(SENSORS))
    def drop(self, which: int, sensor_id: int) -> None:
        (outcome,) = self._apply(which, [DropSensor(sensor_id)])
        while outcome.rest is not None:
            (outcome,) = self.stores[which].apply([outcome.rest], self.now)

    @rule(which=st.integers(0, 1), age=st.integers(0, 5))
    def forget_resends(self, which: int, age: int) -> None:
        self._apply(which, [ForgetResends(self.now - age)])

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.stores[which].close()
        self.stores[which] = self.open(self.folder)

    @rule(wanted=ranges, count=counts)
    def read(self, wanted: dict[str, Any], count: dict[str, int | None]) -> None:
        what = Range(**wanted, **count)
        expected = self.model.read(what)
        assert self.stores[0].read(what) == expected
        assert list(self.stores[1].stream(what)) == expected

    @rule(wanted=ranges, most=st.integers(0, 9))
    def count(self, wanted: dict[str, Any], most: int) -> None:
        between = Range(
            sensor_id=wanted["sensor_id"], after=wanted["after"], through=wanted["through"]
        )
        expected = min(most, len(self.model.read(between)))
        assert self.stores[0].count(Range(**wanted), most) == expected

    @rule(sensor_id=st.sampled_from(SENSORS), reading_id=ids)
    def find(self, sensor_id: int, reading_id: int) -> None:
        held = self.model.read(Range(sensor_id=sensor_id))
        expected = next((reading for reading in held if reading.id == reading_id), None)
        assert self.stores[0].find(sensor_id, reading_id) == expected

    @invariant()
    def store_holds_what_the_model_does(self) -> None:
        for sensor_id in SENSORS:
            what = Range(sensor_id=sensor_id)
            assert self.stores[1].read(what) == self.model.read(what)
        latest = {s: self.model.latest(s) for s in SENSORS}
        known = {s: found for s, found in latest.items() if found is not None}
        assert self.stores[0].latest(SENSORS) == known
        assert self.stores[1].newest(SENSORS) == {s: known[s][:2] for s in known}
        cutoff = self.now - 2
        active = {s for s, found in known.items() if found.updated >= cutoff}
        assert self.stores[0].active(cutoff) == active
        for stream in ("s", "t", "unknown"):
            through = self.model.streams.get((1, stream), (0, set()))[0]
            assert self.stores[1].acked_through(1, stream) == through

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)
