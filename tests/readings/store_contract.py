"""What every readings store promises; a form of it inherits :class:`StoreContract`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.readings.model import Model, new
from tests.readings.store_machine import StoreMachine
from wotkit.readings.store import (
    Append,
    CastField,
    Delete,
    DropSensor,
    ForgetResends,
    Kind,
    Operation,
    Outcome,
    Probe,
    Range,
    Replace,
    Resend,
    Store,
    StoreError,
    StreamBatch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_000_000_000
LAST_ID = (1 << 63) - 1


def apply(store: Store, *operations: Operation, now: int = NOW) -> list[Outcome]:
    return store.apply(operations, now)


def stored(store: Store, sensor_id: int = 1) -> list[tuple[int, bytes]]:
    return [(ts, data) for ts, _, data in store.read(Range(sensor_id=sensor_id))]


class StoreContract:
    """Inherit it and say how the store is opened."""

    SCRIPT: str
    """Python source: ``open(folder)`` for a process of its own."""

    def open(self, folder: Path) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        found = self.open(tmp_path)
        yield found
        found.close()

    # The order of storing

    def test_readings_come_in_the_order_of_storing_whatever_their_times(self, store: Store) -> None:
        apply(store, Append([new(1, 30, n=0), new(2, 10, n=1), new(1, 20, n=2)]))
        apply(store, Append([new(3, 5, n=3)]))
        found = store.since(0, 100)
        assert [reading.ts for reading in found.readings] == [30, 10, 20, 5]
        assert [reading.sensor_id for reading in found.readings] == [1, 2, 1, 3]
        assert found.readings[0].data == b'{"n":0}'
        assert found.through == found.readings[-1].id == store.last_id()
        assert not found.more

    def test_paging_in_the_order_of_storing_meets_each_reading_once(self, store: Store) -> None:
        apply(store, Append([new(n % 3, 100 - n, n=n) for n in range(25)]))
        met: list[bytes] = []
        after, more = 0, True
        while more:
            page = store.since(after, 4, [0, 2])
            assert len(page.readings) <= 4
            met += [reading.data for reading in page.readings]
            after, more = page.through, page.more
        assert met == [b'{"n":%d}' % n for n in range(25) if n % 3 != 1]
        assert after == store.last_id()

    def test_readings_of_other_sensors_are_passed_over(self, store: Store) -> None:
        apply(store, Append([new(1, n, n=n) for n in range(10)]))
        page = store.since(0, 6, [2])
        assert (page.readings, page.more) == ([], True)
        rest = store.since(page.through, 6, [2])
        assert (rest.readings, rest.through, rest.more) == ([], store.last_id(), False)

    def test_there_is_nothing_after_the_last(self, store: Store) -> None:
        assert store.last_id() == 0
        assert store.since(0, 10).readings == []
        apply(store, Append([new(1, 1, n=1)]))
        found = store.since(store.last_id(), 10)
        assert (found.readings, found.through, found.more) == ([], store.last_id(), False)

    def test_what_replaces_a_reading_is_stored_later(self, store: Store) -> None:
        apply(store, Append([new(1, 10, n=1), new(1, 20, n=2)]))
        last = store.last_id()
        apply(store, Replace(1, [new(1, 10, n=3)]))
        assert [reading.data for reading in store.since(last, 10).readings] == [b'{"n":3}']
        assert [reading.data for reading in store.since(0, 10).readings] == [b'{"n":2}', b'{"n":3}']

    # Random operations

    def test_store_agrees_with_the_model_whatever_is_done(self) -> None:
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis' own
            lambda: StoreMachine(self.open),
            settings=settings(
                max_examples=40,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=checks,
            ),
        )

    # Readings

    def test_every_combination_of_a_range_reads_what_the_model_does(self, store: Store) -> None:
        model, rnd = Model(), random.Random(4)
        readings = [new(1, rnd.randrange(5), n=n) for n in range(20)]
        (outcome,) = apply(store, Append(readings))
        model.apply(Append(readings), NOW, outcome.first_id)
        middle = (2, outcome.first_id + 9)
        bounds = (None, (-1, 0), (1, LAST_ID), middle, (9, 0))
        for after, through, newest, oldest, reverse, offset, limit in product(
            bounds, bounds, (None, 0, 3, 50), (None, 4), (False, True), (0, 2), (None, 0, 3)
        ):
            if newest is not None and oldest is not None:
                continue
            what = Range(
                sensor_id=1,
                after=after,
                through=through,
                newest=newest,
                oldest=oldest,
                reverse=reverse,
                offset=offset,
                limit=limit,
            )
            assert store.read(what) == model.read(what), what

    def test_times_before_1970_and_at_the_ends_of_what_has_a_form_are_kept(
        self, store: Store
    ) -> None:
        ends = [-62_135_596_800_000_000, -1, 0, 253_402_300_799_999_999]
        apply(store, Append([new(1, ts, at=ts) for ts in reversed(ends)]))
        assert [ts for ts, _ in stored(store)] == ends
        assert store.latest([1])[1].ts == ends[-1]

    def test_data_comes_back_byte_for_byte(self, store: Store) -> None:
        data = '{"é€😀":"\\u0000\\n\\"","n":1e-7,"big":123456789012345678901234567890}'.encode()
        values = {"é€😀": '\x00\n"', "n": 1e-7, "big": 123456789012345678901234567890}
        reading = new(1, 5)
        reading = type(reading)(1, 5, data, values)
        apply(store, Append([reading]))
        assert stored(store) == [(5, data)]
        assert store.latest([1])[1].fields == {name: (v, 5) for name, v in values.items()}

    @pytest.mark.parametrize("count", [1, 127, 128, 129, 255, 256, 257, 700, 3001])
    def test_batch_of_any_size_is_stored_whole_and_in_order(self, store: Store, count: int) -> None:
        apply(store, Append([new(9, 0, warm=True)]))
        readings = [new(1 + n % 3, n // 5, n=n) for n in range(count)]
        outcomes = apply(store, *(Append([reading]) for reading in readings))
        assert [outcome.stored for outcome in outcomes] == [1] * count
        ids = [outcome.first_id for outcome in outcomes]
        assert ids == sorted(set(ids))
        (again,) = apply(store, Append([new(2, -1, late=1), *readings]))
        assert again.stored == count + 1
        assert again.first_id > ids[-1]
        found = [store.read(Range(sensor_id=sensor_id)) for sensor_id in (1, 2, 3)]
        assert sum(map(len, found)) == 2 * count + 1
        for sensor_id, rows in zip((1, 2, 3), found, strict=True):
            assert [row[:2] for row in rows] == sorted(row[:2] for row in rows)
            if rows:
                latest = store.latest([sensor_id])[sensor_id]
                assert (latest.ts, latest.id, latest.data) == rows[-1]

    def test_stream_yields_more_than_a_page_and_stops_at_the_limit(self, store: Store) -> None:
        apply(store, Append([new(1, n // 700, n=n) for n in range(2500)]))
        everything = store.read(Range(sensor_id=1))
        assert list(store.stream(Range(sensor_id=1))) == everything
        assert list(store.stream(Range(sensor_id=1, limit=1500))) == everything[:1500]
        some = Range(sensor_id=1, after=everything[99][:2], through=everything[2200][:2])
        assert list(store.stream(some)) == everything[100:2201]
        assert list(store.stream(Range(sensor_id=2))) == []

    def test_latest_of_very_many_sensors_is_answered(self, store: Store) -> None:
        apply(store, Append([new(n, n, n=n) for n in range(1, 1300)]))
        latest = store.latest(range(3000))
        assert {n: found.fields for n, found in latest.items()} == {
            n: {"n": (n, n)} for n in range(1, 1300)
        }
        assert store.latest([]) == {}

    # Latest values

    def test_null_in_the_newest_reading_leaves_the_value_before_it(self, store: Store) -> None:
        apply(store, Append([new(1, 1, t=21, u=5)]))
        apply(store, Append([new(1, 2, t=None, u=6)]))
        assert store.latest([1])[1].fields == {"t": (21, 1), "u": (6, 2)}

    def test_deletion_of_the_newest_reveals_what_was_before(self, store: Store) -> None:
        apply(store, Append([new(1, 1, t=1, u=1), new(1, 2, t=2), new(1, 3, v=3)]))
        apply(store, Delete(1, 2, 3))
        latest = store.latest([1])[1]
        assert (latest.ts, latest.data) == (1, b'{"t":1,"u":1}')
        assert latest.fields == {"t": (1, 1), "u": (1, 1)}
        apply(store, Delete(1, 0, 9))
        assert store.latest([1]) == {}
        assert store.active(0) == set()

    def test_late_reading_makes_a_sensor_active_and_leaves_the_newest(self, store: Store) -> None:
        apply(store, Append([new(1, 5, t=5)]), now=10)
        apply(store, Append([new(1, 3, t=3, u=3)]), now=20)
        latest = store.latest([1])[1]
        assert (latest.ts, latest.updated) == (5, 20)
        assert latest.fields == {"t": (5, 5), "u": (3, 3)}
        assert (store.active(20), store.active(21)) == ({1}, set())

    # Casts and drops, in parts

    def test_cast_in_parts_reaches_every_reading(self, store: Store) -> None:
        count = 50
        apply(store, Append([new(1, n // 4, t=str(n), u="x") for n in range(count)]))
        apply(store, Append([new(1, 99, u="y")]))
        rest: Operation | None = CastField(1, "t", number=True)
        parts = 0
        while rest is not None:
            (outcome,) = apply(store, rest)
            rest, parts = outcome.rest, parts + 1
        assert parts > 1
        rows = stored(store)[:-1]
        assert [data for _, data in rows] == [b'{"t":%d,"u":"x"}' % n for n in range(count)]
        assert store.latest([1])[1].fields["t"] == (count - 1, (count - 1) // 4)

    def test_drop_in_parts_takes_everything_of_one_sensor_alone(self, store: Store) -> None:
        apply(store, Append([new(s, n // 4, n=n) for n in range(50) for s in (1, 2)]))
        rest: Operation | None = DropSensor(1)
        parts = 0
        while rest is not None:
            (outcome,) = apply(store, rest)
            rest, parts = outcome.rest, parts + 1
        assert parts > 1
        assert (stored(store, 1), len(stored(store, 2))) == ([], 50)
        assert set(store.latest([1, 2])) == {2}
        apply(store, DropSensor(1), DropSensor(77))

    # Resends

    def test_resend_is_known_within_its_batch_and_after_a_restart(self, tmp_path: Path) -> None:
        first = Resend("key:a", "1", b"body")
        once = Append([new(1, 1)], first, answer=b"201")
        with closing(self.open(tmp_path)) as store:
            kinds = [outcome.kind for outcome in apply(store, once, once)]
            assert kinds == [Kind.STORED, Kind.REPLAYED]
        with closing(self.open(tmp_path)) as store:
            other = Append([new(1, 2)], first._replace(fingerprint=b"other"))
            stranger = Append([new(1, 3)], first._replace(caller="key:b"))
            replay, mismatch, apart = apply(store, once, other, stranger)
            assert (replay.kind, replay.answer) == (Kind.REPLAYED, b"201")
            assert (mismatch.kind, apart.kind) == (Kind.MISMATCH, Kind.STORED)
            assert [ts for ts, _ in stored(store)] == [1, 3]

    def test_forgotten_resend_key_is_new_again(self, store: Store) -> None:
        once = Append([new(1, 1)], Resend("c", "k", b"f"))
        apply(store, once, now=100)
        apply(store, ForgetResends(100))
        assert apply(store, once)[0].kind is Kind.REPLAYED
        apply(store, ForgetResends(101))
        assert apply(store, once)[0].kind is Kind.STORED
        assert len(stored(store)) == 2

    # Streams of gateways

    def test_refused_number_is_stored_when_it_comes_again_and_is_right(self, store: Store) -> None:
        def batch(kept: list[int], refused: list[int], through: int) -> Append:
            position = StreamBatch(7, "gw", kept, through, refused)
            return Append([new(1, n, seq=n) for n in kept], stream=position)

        assert apply(store, batch([1, 3], [2], 3))[0].acked_through == 3
        assert apply(store, batch([], [], 0))[0].acked_through == 3  # asks for the position
        assert apply(store, batch([1, 2, 3], [], 3))[0].stored == 1
        assert apply(store, batch([1, 2, 3], [], 3))[0].stored == 0
        assert apply(store, batch([9], [], 9))[0].acked_through == 9  # a gap is the gateway's own
        assert [ts for ts, _ in stored(store)] == [1, 2, 3, 9]
        assert (store.acked_through(7, "gw"), store.acked_through(8, "gw")) == (9, 0)

    # Failure

    def test_failing_operation_leaves_nothing_of_its_batch(self, store: Store) -> None:
        apply(store, Append([new(1, 1, a=1)]))
        before = self.everything(store)
        for poison in self.poisons():
            good = Append([new(1, 2, a=2)], Resend("c", "k", b"f"), StreamBatch(1, "s", [1], 1))
            change = Replace(1, [new(1, 1, a=9)])
            for batch in ([good, poison], [good, change, poison], [poison, good]):
                with pytest.raises(Exception):  # noqa: B017, PT011  # whatever the engine says
                    store.apply(batch, NOW)
                assert self.everything(store) == before
        outcome, replay = apply(store, good, good)
        assert (outcome.stored, outcome.acked_through, replay.kind) == (1, 1, Kind.REPLAYED)
        assert store.latest([1])[1].fields == {"a": (2, 2)}

    @staticmethod
    def poisons() -> list[Operation]:
        """Return operations that no store can do."""
        broken: Any = object()
        return [
            Append([new(1, 1 << 70)]),
            Append([new(1, 3, a=1), broken]),
            Append([new(1, 4)], stream=StreamBatch(1, "s", [1, 2], 2)),
        ]

    @staticmethod
    def everything(store: Store) -> Any:
        return (
            store.read(Range(sensor_id=1)),
            store.latest([1, 2]),
            store.active(0),
            store.acked_through(1, "s"),
        )

    def test_probe_changes_nothing_and_size_is_told(self, store: Store) -> None:
        apply(store, Append([new(1, 1)]))
        before = self.everything(store)
        apply(store, Probe())
        assert self.everything(store) == before
        assert store.size_bytes() > 0

    def test_newer_store_is_refused_by_name_and_stays_as_it_is(self, tmp_path: Path) -> None:
        with closing(self.open(tmp_path)) as store:
            apply(store, Append([new(1, 1)]))
        self.make_newer(tmp_path)
        with pytest.raises(StoreError, match="newer version"):
            self.open(tmp_path)

    def make_newer(self, folder: Path) -> None:
        raise NotImplementedError

    # Killed

    def test_what_was_acknowledged_survives_kill_9(self, tmp_path: Path) -> None:
        rnd = random.Random(9)
        acknowledged: dict[int, int] = {}
        for turn in range(4):
            acknowledged |= self.killed(tmp_path, turn, rnd.uniform(0.02, 0.25))
            with closing(self.open(tmp_path)) as store:
                rows = store.read(Range(sensor_id=1))
                assert set(acknowledged.items()) <= {(ts, number) for ts, number, _ in rows}
                assert len({number for _, number, _ in rows}) == len(rows)
                newest = rows[-1].ts
                assert store.latest([1])[1].fields == {"n": (newest, newest)}
                assert store.acked_through(1, "s") == len(rows)  # stream and readings as one
        assert len(acknowledged) > 4

    def killed(self, folder: Path, turn: int, seconds: float) -> dict[int, int]:
        """Kill a process that appends and tells; return time and id of what it told."""
        process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT + _APPENDS, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline()]  # it is under way
        assert lines[0], f"turn {turn}: the process did not start"
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate()
        told = (lines[0] + rest).split("\n")[:-1]  # the last line may be half a line
        return {int(ts): int(number) for ts, number in (line.split() for line in told)}


_APPENDS = """
import sys
from pathlib import Path
from wotkit.readings.store import Append, NewReading, StreamBatch
store = open(Path(sys.argv[1]))
n = store.acked_through(1, "s")
while True:
    n += 1
    reading = NewReading(1, n, b'{"n":%d}' % n, {"n": n})
    (outcome,) = store.apply([Append([reading], stream=StreamBatch(1, "s", [n], n))], n)
    print(n, outcome.first_id, flush=True)
"""
