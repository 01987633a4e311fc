"""Who may go on following what, who is cut off, and what a stream costs."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.live.conftest import (
    HERE,
    Live,
    living,
    make_sensor,
    next_items,
    read_event,
    read_until,
    store_elsewhere,
)
from wotkit import times
from wotkit.auth import passwords, standing
from wotkit.catalog import Catalog, groups, keys, orgs, sensors, sessions, users
from wotkit.catalog.groups import NewGroup
from wotkit.catalog.identity import ANONYMOUS, READ
from wotkit.catalog.keys import KeyChange
from wotkit.catalog.models import Key
from wotkit.catalog.sensors import SensorChange
from wotkit.errors import InvalidQuery, NotFound, Overloaded, TooManyStreams
from wotkit.live.items import END, HEARTBEAT, READING, READY, SENSORS, End

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from wotkit.catalog.identity import Identity
    from wotkit.live.stream import Stream

SOON = 1.0
"""Within this many seconds a change of rights holds."""


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def ended(stream: Stream) -> tuple[str, float]:
    """Return the code with which a stream ends, and after how long."""
    began = time.monotonic()
    found = await read_event(stream, END)
    code: str = json.loads(found.data)["code"]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    stream.close()
    return code, time.monotonic() - began


async def values(stream: Stream, count: int) -> list[Any]:
    found = await read_until(
        stream, lambda items: sum(item.event == READING for item in items) >= count
    )
    return [json.loads(item.data)["value"] for item in found if item.event == READING]


async def key_of(
    live: Live, owner: Identity, *, sensors: list[str] | None = None
) -> standing.OfKey:
    secret = passwords.make_secret()
    change = KeyChange(name="reader", scopes=["read"], sensors=sensors)
    row = await live.catalog.writing(
        keys.create, owner, change, passwords.hash_secret(secret), HERE
    )
    return standing.OfKey(row.id, secret)


async def change(live: Live, owner: Identity, name: str, **wanted: Any) -> None:
    await live.catalog.writing(sensors.change, owner, name, SensorChange(**wanted), HERE)


def test_reading_is_as_the_api_answers_it(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            stream = await live.open(alice, "mine")
            (ready,) = await next_items(stream)
            assert (ready.event, ready.data) == (READY, '{"sensors":1}')
            (reading_id,) = await live.post(mine, 21.5)
            (found,) = await next_items(stream)
            assert json.loads(found.data) == {
                "id": reading_id,
                "sensor_id": mine,
                "sensor_name": "alice.mine",
                "timestamp": "1700000000000",
                "timestamp_iso": "2023-11-14T22:13:20.000Z",
                "value": 21.5,
            }
            assert found.sse == (
                f"id: {reading_id}\nevent: reading\ndata: {found.data}\n\n".encode()
            )
            assert json.loads(found.text) == {
                "event": "reading",
                "id": str(reading_id),
                "data": json.loads(found.data),
            }
            stream.close()

    run(work())


def test_reading_is_put_into_bytes_once_for_all_streams(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            opened = [await live.open(alice, "mine") for _ in range(3)]
            await live.post(mine, 1)
            found = [await read_event(stream, READING) for stream in opened]
            assert found[0] is found[1] is found[2]
            assert found[0].sse is found[2].sse
            for stream in opened:
                stream.close()

    run(work())


def test_only_what_matches_the_filters_is_followed(
    data: Path, alice: Identity, bobby: Identity
) -> None:
    async def work() -> None:
        async with living(data) as live:
            hot = make_sensor(live.catalog, alice, "warm", tags=["hot"])
            cold = make_sensor(live.catalog, alice, "cold", tags=["cold"])
            team = make_sensor(live.catalog, alice, "team", owner="garden", tags=["hot"])
            hidden = make_sensor(live.catalog, bobby, "hidden", tags=["hot"])
            group = NewGroup(name="pair", long_name="Pair", description="two")
            await live.catalog.writing(groups.create, alice, group, HERE)
            for name in ("alice.cold", "garden.team"):
                await live.catalog.writing(groups.add_sensor, alice, "pair", name, HERE)
            by_tag = await live.open(alice, tags="hot")
            by_group = await live.open(alice, groups="alice.pair")
            by_both = await live.open(alice, "garden.team", "warm", groups="pair", tags="HOT")
            for number, sensor_id in enumerate((hot, cold, team, hidden, hot, cold, team)):
                await live.post(sensor_id, number)
            assert await values(by_tag, 4) == [0, 2, 4, 6]
            assert await values(by_group, 4) == [1, 2, 5, 6]
            assert await values(by_both, 2) == [2, 6]
            for stream in (by_tag, by_group, by_both):
                stream.close()

    run(work())


def test_sensor_that_a_stranger_names_does_not_exist(
    data: Path, alice: Identity, charlie: Identity
) -> None:
    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine")
            for who in (charlie, ANONYMOUS):
                with pytest.raises(NotFound, match=r"alice\.mine"):
                    await live.open(who, "alice.mine")

    run(work())


def test_limited_key_follows_its_sensors_alone(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            ids = {name: make_sensor(live.catalog, alice, name) for name in ("mine", "other")}
            held = await key_of(live, alice, sensors=["mine"])
            limited = await live.catalog.reading(held.renew)
            assert limited is not None
            with pytest.raises(NotFound):
                await live.open(limited, "mine", "other", held=held)
            stream = await live.open(limited, held=held)
            await live.post(ids["other"], "hidden")
            await live.post(ids["mine"], "seen")
            assert await values(stream, 1) == ["seen"]
            await live.catalog.writing(
                keys.update,
                alice,
                held.key_id,
                KeyChange(name="reader", scopes=["read"], sensors=["other"]),
                HERE,
            )
            told = await read_event(stream, SENSORS)
            assert json.loads(told.data)["removed"] == [ids["mine"]]
            await live.post(ids["mine"], "hidden now")
            await live.post(ids["other"], "seen now")
            assert await values(stream, 1) == ["seen now"]
            stream.close()

    run(work())


def test_more_sensors_than_a_stream_may_follow_are_refused(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data, max_sensors=2) as live:
            for name in ("one1", "two2", "three"):
                make_sensor(live.catalog, alice, name)
            with pytest.raises(InvalidQuery, match="more than 2"):
                await live.open(alice)
            (await live.open(alice, "one1", "two2")).close()

    run(work())


def test_key_that_is_revoked_by_another_process_ends_its_streams(
    data: Path, alice: Identity
) -> None:
    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine")
            held, other = await key_of(live, alice), await key_of(live, alice)
            stream = await live.open(alice, "mine", held=held)
            kept = await live.open(alice, "mine", held=other)
            with closing(Catalog(data)) as elsewhere:
                elsewhere.write(keys.revoke, alice, held.key_id, HERE)
            code, seconds = await ended(stream)
            assert code == "revoked"
            assert seconds < SOON
            assert kept.code is None
            kept.close()

    run(work())


def test_key_that_expires_ends_its_streams(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine")
            held = await key_of(live, alice)
            soon = times.now() + times.MICROSECONDS // 2
            await live.catalog.writing(
                lambda: Key.update(expires=soon).where(Key.id == held.key_id).execute()
            )
            stream = await live.open(alice, "mine", held=held)
            code, seconds = await ended(stream)
            assert code == "revoked"
            assert 0.3 < seconds < 0.5 + SOON

    run(work())


def test_key_that_was_revoked_before_the_stream_was_open_ends_it(
    data: Path, alice: Identity
) -> None:
    """The catalog may change between the check of the credentials and the beginning."""

    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine")
            (await live.open(alice, "mine")).close()  # what watches the catalog runs
            held = await key_of(live, alice)
            await live.catalog.writing(keys.revoke, alice, held.key_id, HERE)
            await asyncio.sleep(0.6)
            assert (await ended(await live.open(alice, "mine", held=held)))[0] == "revoked"

    run(work())


def test_changed_password_and_disabled_user_end_streams(
    data: Path, alice: Identity, charlie: Identity
) -> None:
    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine", visibility="PUBLIC")
            of_alice = await live.open(alice, "mine")
            of_charlie = await live.open(charlie, "alice.mine")
            hashed = passwords.hash_password("another password", 4)
            await live.catalog.writing(users.set_password, "alice", hashed, HERE)
            await live.catalog.writing(users.set_enabled, "charlie", False, HERE)
            assert (await ended(of_alice))[0] == "revoked"
            assert (await ended(of_charlie))[0] == "revoked"

    run(work())


def test_browser_that_signs_out_ends_its_streams(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine")
            held = standing.OfSession("h" * 64, sessions.Lifetimes(idle=100, absolute=100))
            await live.catalog.writing(
                sessions.open_session, alice.user_id, held.secret_hash, "127.0.0.1", "tests"
            )
            stream = await live.open(alice, "mine", held=held)
            await asyncio.sleep(0.6)
            assert stream.code is None
            await live.catalog.writing(sessions.close, alice.user_id, held.secret_hash)
            code, seconds = await ended(stream)
            assert code == "revoked"
            assert seconds < SOON

    run(work())


def test_key_that_loses_the_scope_to_read_is_forbidden(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine")
            held = await key_of(live, alice)
            stream = await live.open(alice, "mine", held=held)
            await live.catalog.writing(
                keys.update, alice, held.key_id, KeyChange(name="reader", scopes=["write"]), HERE
            )
            assert (await ended(stream))[0] == "forbidden"

    run(work())


def test_sensor_made_private_is_lost_to_strangers_within_a_second(
    data: Path, alice: Identity, charlie: Identity
) -> None:
    async def work() -> None:
        async with living(data) as live:
            one, two = (
                make_sensor(live.catalog, alice, name, visibility="PUBLIC")
                for name in ("one1", "two2")
            )
            both = await live.open(charlie, "alice.one1", "alice.two2")
            only = await live.open(ANONYMOUS, "alice.one1")
            own = await live.open(alice, "one1")
            await change(live, alice, "one1", visibility="PRIVATE")
            code, seconds = await ended(only)
            assert code == "forbidden"
            assert seconds < SOON
            told = await read_event(both, SENSORS)
            assert json.loads(told.data) == {"sensors": 1, "added": [], "removed": [one]}
            await live.post(one, "secret")
            await live.post(two, "public")
            assert await values(both, 1) == ["public"]
            assert await values(own, 1) == ["secret"]
            both.close()
            own.close()

    run(work())


def test_sensor_is_lost_with_the_membership_and_comes_back_with_it(
    data: Path, alice: Identity, bobby: Identity
) -> None:
    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, bobby, "mine")
            team = make_sensor(live.catalog, alice, "team", owner="garden")
            stream = await live.open(bobby, "mine", "garden.team")
            (ready,) = await next_items(stream)
            with closing(Catalog(data)) as elsewhere:
                elsewhere.write(orgs.remove_members, "garden", ["bobby"], HERE)
            assert json.loads((await read_event(stream, SENSORS)).data)["removed"] == [team]
            await live.post(team, "not for bobby")
            await live.catalog.writing(orgs.add_members, "garden", ["bobby"], HERE)
            assert json.loads((await read_event(stream, SENSORS)).data)["added"] == [team]
            await live.post(team, "again")
            await live.post(mine, "mine")
            assert await values(stream, 2) == ["again", "mine"]
            assert ready.event == READY
            stream.close()

    run(work())


def test_deleted_sensor_ends_a_stream_of_it_alone(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine")
            stream = await live.open(alice, "mine")
            await live.catalog.writing(sensors.delete, alice, "mine", HERE)
            assert (await ended(stream))[0] == "forbidden"

    run(work())


def test_new_sensor_that_matches_is_followed(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            stream = await live.open(alice, tags="hot")
            assert (await next_items(stream))[0].data == '{"sensors":0}'
            late = make_sensor(live.catalog, alice, "late", tags=["hot"])
            assert json.loads((await read_event(stream, SENSORS)).data)["added"] == [late]
            await live.post(late, 1)
            assert await values(stream, 1) == [1]
            stream.close()

    run(work())


def test_slow_reader_is_cut_off_and_goes_on_behind_what_it_has(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data, queue_readings=5) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            stream = await live.open(alice, "mine")
            assert (await next_items(stream))[0].event == READY
            await live.post(mine, 0)
            assert await values(stream, 1) == [0]
            for value in range(1, 12):  # nobody reads meanwhile
                await live.post(mine, value)
            assert stream.code is End.SLOW_READER
            end = await read_event(stream, END)
            assert json.loads(end.data) == {"code": "slow_reader"}
            stream.close()
            again = await live.open(alice, "mine", since=end.position)
            assert await values(again, 11) == list(range(1, 12))
            again.close()
            assert live.metrics.ended == {"slow_reader": 1, "client_gone": 1}

    run(work())


def test_bytes_that_wait_are_bounded_and_one_large_reading_passes(
    data: Path, alice: Identity
) -> None:
    async def work() -> None:
        async with living(data, queue_bytes=1000) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            stream = await live.open(alice, "mine")
            assert (await next_items(stream))[0].event == READY
            await live.post(mine, "x" * 5000)
            assert [len(value) for value in await values(stream, 1)] == [5000]
            await live.post(mine, "x" * 600)
            await live.post(mine, "x" * 600)
            assert (await ended(stream))[0] == "slow_reader"

    run(work())


def test_client_that_takes_nothing_is_cut_off_by_force(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data, stall_seconds=0.3) as live:
            aborted = asyncio.Event()
            make_sensor(live.catalog, alice, "mine")
            stream = await live.open(alice, "mine", abort=aborted.set)
            await next_items(stream)  # it is being sent this, and never comes for more
            async with asyncio.timeout(5):
                await aborted.wait()
            assert stream.code is End.SLOW_READER
            stream.close()

    run(work())


def test_heartbeats_come_while_nothing_is_stored(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data, heartbeat_seconds=0.3) as live:
            make_sensor(live.catalog, alice, "mine")
            stream = await live.open(alice, "mine")
            began = time.monotonic()
            found = await read_until(stream, lambda items: len(items) == 4)
            assert [item.event for item in found] == [READY, *[HEARTBEAT] * 3]
            assert found[-1].sse == b": heartbeat\nid: 0\n\n"
            assert 0.8 < time.monotonic() - began < 4
            stream.close()

    run(work())


def test_streams_of_a_user_and_of_all_are_limited(
    data: Path, alice: Identity, bobby: Identity
) -> None:
    async def work() -> None:
        async with living(data, max_per_user=2, max_streams=3) as live:
            make_sensor(live.catalog, alice, "mine", visibility="PUBLIC")
            first = await live.open(alice, "mine")
            second = await live.open(alice, "mine")
            with pytest.raises(TooManyStreams) as refused:
                await live.open(alice, "mine")
            assert refused.value.retry_after
            third = await live.open(bobby, "alice.mine", account="2")
            with pytest.raises(Overloaded):
                await live.open(bobby, "alice.mine", account="2")
            first.close()
            first.close()
            fourth = await live.open(alice, "mine")
            for stream in (second, third, fourth):
                stream.close()
            assert not live.streams._streams
            assert not live.streams._accounts
            assert not live.streams._followers

    run(work())


def test_readings_of_another_process_arrive_while_this_one_stores(
    data: Path, alice: Identity
) -> None:
    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            stream = await live.open(alice, "mine")
            expected: list[int] = []
            for turn in range(20):
                expected += await live.post(mine, turn)
                if turn % 4 == 1:
                    expected += store_elsewhere(live.path, mine, "a", "b")
            (last,) = store_elsewhere(live.path, mine, "last")
            began = time.monotonic()
            found = await read_until(
                stream, lambda items: items[-1:] and items[-1].position >= last
            )
            assert time.monotonic() - began < SOON
            ids = [item.position for item in found if item.event == READING]
            assert ids == [*expected, last]
            stream.close()

    run(work())


def test_stop_ends_every_stream_and_takes_no_more(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            make_sensor(live.catalog, alice, "mine")
            aborted = asyncio.Event()
            reading = await live.open(alice, "mine")
            stuck = await live.open(alice, "mine", abort=aborted.set)
            await next_items(stuck)
            told = asyncio.create_task(ended(reading))
            began = time.monotonic()
            await live.streams.stop()
            assert time.monotonic() - began < 2
            assert (await told)[0] == "server_stopping"
            assert aborted.is_set()
            stuck.close()
            with pytest.raises(Overloaded, match="stopping"):
                await live.open(alice, "mine")

    run(work())


def test_nothing_listens_once_the_last_stream_is_gone(
    data: Path, alice: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wotkit.live.streams.LINGER_SECONDS", 0.1)

    async def work() -> None:
        async with living(data) as live:
            mine = make_sensor(live.catalog, alice, "mine")
            assert not live.hub.busy
            stream = await live.open(alice, "mine")
            assert live.hub.busy
            stream.close()
            assert live.streams._task is not None
            await asyncio.wait_for(live.streams._task, 5)
            assert not live.hub.busy
            await live.post(mine, "unheard")
            again = await live.open(alice, "mine")
            await live.post(mine, "heard")
            assert await values(again, 1) == ["heard"]
            again.close()

    run(work())


def test_credentials_asked_again_are_as_they_are_now(data: Path, alice: Identity) -> None:
    async def work() -> None:
        async with living(data) as live:
            held = await key_of(live, alice)
            found = await live.catalog.reading(held.renew)
            assert found is not None
            assert found.scopes == {READ}
            limited = msgspec.structs.replace(held, key_password="wrong")
            assert await live.catalog.reading(limited.renew) is None

    run(work())
