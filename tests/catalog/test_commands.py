"""Messages to actuators on their way to MQTT sessions: who gets them, and until when they wait."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.conftest import TESTS
from wotkit import times
from wotkit.auth import credentials
from wotkit.catalog import commands, control, mqtt_sessions, sensors
from wotkit.catalog.models import ControlMessage, Key, MqttDelivery, MqttSession, changed
from wotkit.catalog.sensors import NewSensor
from wotkit.errors import MissingScope, NotFound, TooManySessions
from wotkit.settings import ControlSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeUser
    from wotkit.catalog import Catalog
    from wotkit.catalog.identity import Identity

LIMITS = ControlSettings()
MOST = 3
SECRET = "p" * 32


class Stage(NamedTuple):
    """Alice's lamp and pump, and her gateway's key."""

    catalog: Catalog
    alice: Identity
    charlie: Identity
    key: Identity

    def open(self, client: str = "gw", *, clean: bool = False) -> mqtt_sessions.Opened:
        assert self.key.key_id is not None
        key_id = self.key.key_id
        return self.catalog.write(
            lambda: mqtt_sessions.open_session(key_id, client, 60, MOST, clean=clean)
        )

    def follow(self, session: int, sensor: str | None = None, identity: Any = None) -> None:
        who = identity or self.key
        self.catalog.write(
            mqtt_sessions.subscribe_commands, who, session, f"commands/{sensor or '#'}", sensor, 1
        )

    def send(self, sensor: str = "lamp", expires: float | None = None) -> control.Sent:
        return self.catalog.write(control.send, self.alice, sensor, '{"on":1}', expires, LIMITS)

    def pending(self, session: int, after: int = 0) -> list[commands.Command]:
        return self.catalog.read(commands.pending, self.key, session, after, 100)

    def acknowledge(self, session: int, *messages: int | None) -> None:
        pairs = [(session, message) for message in messages if message is not None]
        self.catalog.write(commands.acknowledge, pairs)

    def count(self, model: Any) -> int:
        return self.catalog.read(lambda: int(model.select().count()))


@pytest.fixture
def stage(catalog: Catalog, make_user: MakeUser) -> Stage:
    alice, charlie = make_user("alice"), make_user("charlie")
    for name in ("lamp", "pump"):
        new = NewSensor(name=name, long_name=name, description=name, visibility="PRIVATE")
        catalog.write(sensors.create, alice, new, TESTS)
    return Stage(catalog, alice, charlie, make_key(catalog, alice, "0123456789abcdef"))


def make_key(catalog: Catalog, owner: Identity, key_id: str, scopes: str = "all") -> Identity:
    from wotkit.auth.passwords import hash_secret

    catalog.write(
        lambda: Key.insert(
            id=key_id, user=owner.user_id, name="gw", scopes=scopes,
            secret_hash=hash_secret(SECRET), created=times.now(),
        ).execute()
    )  # fmt: skip
    found = catalog.read(credentials.of_key, key_id, SECRET)
    assert found is not None
    return found


def test_message_waits_for_a_session_until_it_is_acknowledged(stage: Stage) -> None:
    session = stage.open().id
    stage.follow(session, "lamp")
    sent = stage.send()
    assert list(sent.sessions) == [session]
    for _ in range(2):
        (command,) = stage.pending(session)
        assert command.id == sent.id
        assert command.sensor == "alice.lamp"
        assert json.loads(command.body) == {"on": 1}
    stage.acknowledge(session, sent.id)
    assert stage.pending(session) == []
    assert stage.count(ControlMessage) == 0


def test_session_gets_what_it_asked_for(stage: Stage) -> None:
    one, every, none = stage.open("one").id, stage.open("every").id, stage.open("none").id
    stage.follow(one, "lamp")
    stage.follow(every)
    assert set(stage.send("lamp").sessions) == {one, every}
    assert set(stage.send("pump").sessions) == {every}
    assert stage.pending(none) == []


def test_overlapping_subscriptions_get_a_message_once(stage: Stage) -> None:
    session = stage.open().id
    stage.follow(session)
    stage.follow(session, "lamp")
    stage.send()
    assert len(stage.pending(session)) == 1


def test_another_ones_sensor_is_not_to_be_had(stage: Stage) -> None:
    session = stage.open().id
    with pytest.raises(NotFound):
        stage.follow(session, "alice.lamp", stage.charlie)


def test_key_without_control_gets_no_commands(stage: Stage) -> None:
    reader = make_key(stage.catalog, stage.alice, "fedcba9876543210", "read write")
    with pytest.raises(MissingScope):
        stage.follow(stage.open().id, "lamp", reader)


def test_strangers_session_gets_nothing_by_asking_for_all(stage: Stage) -> None:
    foreign = make_key(stage.catalog, stage.charlie, "fedcba9876543210")
    opened = stage.catalog.write(
        lambda: mqtt_sessions.open_session("fedcba9876543210", "gw", 60, MOST, clean=False)
    )
    stage.follow(opened.id, None, foreign)
    assert list(stage.send().sessions) == []


def test_limited_key_gets_nothing_of_other_sensors(stage: Stage) -> None:
    session = stage.open().id
    stage.follow(session)
    stage.catalog.write(lambda: changed(Key.update(limited=True)))
    assert list(stage.send().sessions) == []


def test_message_that_expires_comes_to_who_subscribes_later(stage: Stage) -> None:
    first = stage.open("first").id
    stage.follow(first)
    plain, expiring = stage.send(), stage.send(expires=60)
    later = stage.open("later").id
    stage.follow(later)
    assert [command.id for command in stage.pending(later)] == [expiring.id]
    assert [command.id for command in stage.pending(first)] == [plain.id, expiring.id]


def test_expired_message_is_never_delivered(stage: Stage) -> None:
    session = stage.open().id
    stage.follow(session)
    stage.send(expires=60)
    stage.catalog.write(lambda: changed(ControlMessage.update(expires=times.now() - 1)))
    assert stage.pending(session) == []
    stage.catalog.write(mqtt_sessions.sweep)
    assert stage.count(MqttDelivery) == 0


def test_key_that_lost_the_scope_to_control_gets_no_more(stage: Stage) -> None:
    session = stage.open().id
    stage.follow(session)
    stage.send()
    stage.catalog.write(lambda: changed(Key.update(scopes="read write")))
    now = stage.catalog.read(credentials.of_key, stage.key.key_id, SECRET)
    assert now is not None
    assert stage.catalog.read(commands.pending, now, session, 0, 100) == []


def test_last_second_of_a_message_is_a_second(stage: Stage) -> None:
    def left(microseconds: int) -> int | None:
        return commands.Command(1, "alice.lamp", "{}", times.now() + microseconds).seconds_left()

    assert left(-1) == 0
    assert left(500_000) == 1
    assert left(60_500_000) == 60
    assert commands.Command(1, "alice.lamp", "{}", None).seconds_left() is None


def test_message_that_a_session_has_acknowledged_is_not_offered_again(stage: Stage) -> None:
    session = stage.open().id
    stage.follow(session)
    sent = stage.send(expires=60)
    stage.follow(session, "lamp")
    assert [command.id for command in stage.pending(session)] == [sent.id]
    stage.acknowledge(session, sent.id)
    stage.follow(session)
    assert stage.pending(session) == []


def test_message_that_was_handed_out_and_not_acknowledged_is_offered(stage: Stage) -> None:
    asking = stage.catalog.write(control.subscribe, stage.key, "lamp", ControlSettings())
    sent = stage.send(expires=60)
    assert stage.catalog.write(control.take, stage.key, asking, ControlSettings())
    session = stage.open().id
    stage.follow(session)
    assert [command.id for command in stage.pending(session)] == [sent.id]


def test_unsubscribing_withdraws_what_waits(stage: Stage) -> None:
    session = stage.open().id
    stage.follow(session)
    stage.follow(session, "pump")
    stage.send("lamp")
    kept = stage.send("pump")
    assert stage.catalog.write(mqtt_sessions.unsubscribe, session, "commands/#")
    assert [command.id for command in stage.pending(session)] == [kept.id]
    assert not stage.catalog.write(mqtt_sessions.unsubscribe, session, "commands/#")


def test_session_goes_on_where_it_was(stage: Stage) -> None:
    first = stage.open()
    stage.follow(first.id)
    stage.catalog.write(mqtt_sessions.leave_session, first.id, 60)
    sent = stage.send()
    again = stage.open()
    assert again.present
    assert again.id == first.id
    assert [one.filter for one in again.subscriptions] == ["commands/#"]
    assert [command.id for command in stage.pending(again.id)] == [sent.id]


@pytest.mark.parametrize("how", ["clean", "expired", "dropped"])
def test_session_that_ended_has_nothing_left(stage: Stage, how: str) -> None:
    first = stage.open()
    stage.follow(first.id)
    stage.send()
    ends: dict[str, Callable[[], object]] = {
        "clean": lambda: None,
        "expired": lambda: changed(MqttSession.update(ends=times.now() - 1)),
        "dropped": lambda: mqtt_sessions.leave_session(first.id, 0),
    }
    stage.catalog.write(ends[how])
    again = stage.open(clean=how == "clean")
    assert not again.present
    assert again.id != first.id
    assert again.subscriptions == []
    assert stage.pending(again.id) == []


def test_sessions_of_a_key_are_bounded_and_room_is_made_by_those_that_ended(stage: Stage) -> None:
    for number in range(MOST):
        stage.open(str(number))
    with pytest.raises(TooManySessions):
        stage.open("one more")
    stage.catalog.write(lambda: changed(MqttSession.update(ends=times.now() - 1)))
    stage.open("one more")


def test_time_of_sessions_runs_after_the_server_was_killed(stage: Stage) -> None:
    stage.open()
    stage.catalog.write(mqtt_sessions.leave_all)
    ends = stage.catalog.read(lambda: MqttSession.get().ends)
    assert 55_000_000 < ends - times.now() <= 60_000_000


def test_result_is_kept_for_the_sender(stage: Stage) -> None:
    session = stage.open().id
    stage.follow(session)
    sent = stage.send(expires=60)
    assert sent.id is not None
    stage.catalog.write(commands.note_result, stage.key, sent.id, commands.ACCEPTED, "")
    stage.catalog.write(commands.note_result, stage.key, sent.id, commands.DONE, "3 s")
    progress = stage.catalog.read(control.progress, stage.alice, "lamp", sent.id)
    assert progress.status == control.ACKNOWLEDGED
    assert progress.said is not None
    assert progress.said[:2] == (commands.DONE, "3 s")
    assert progress.at <= progress.said.at <= times.now()
    with pytest.raises(NotFound):
        stage.catalog.write(commands.note_result, stage.charlie, sent.id, commands.DONE, "")


def test_status_is_what_was_said_last(stage: Stage) -> None:
    assert stage.catalog.read(mqtt_sessions.status, "0123456789abcdef") is None
    for payload in ("online", "offline"):
        stage.catalog.write(mqtt_sessions.set_status, "0123456789abcdef", payload)
    found = stage.catalog.read(mqtt_sessions.status, "0123456789abcdef")
    assert found is not None
    assert found[0] == "offline"
