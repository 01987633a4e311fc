"""Messages to actuators as rows: who may send and receive, what is kept and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import TESTS
from wotkit import times
from wotkit.catalog import control, sensors
from wotkit.catalog.identity import ANONYMOUS
from wotkit.catalog.models import (
    ControlDelivery,
    ControlMessage,
    ControlSubscription,
    changed,
)
from wotkit.catalog.sensors import NewSensor
from wotkit.errors import NotFound
from wotkit.settings import ControlSettings

if TYPE_CHECKING:
    from tests.conftest import MakeUser
    from wotkit.catalog import Catalog
    from wotkit.catalog.identity import Identity

LIMITS = ControlSettings(redeliver_seconds=30)


class Stage(NamedTuple):
    """Alice's public lamp, with what the tests do to it."""

    catalog: Catalog
    alice: Identity
    sensor_id: int

    def subscribe(self) -> int:
        return self.catalog.write(control.subscribe, self.alice, "lamp", LIMITS)

    def send(self, body: str = "{}", expires: float | None = None) -> control.Sent:
        return self.catalog.write(control.send, ANONYMOUS, "alice.lamp", body, expires, LIMITS)

    def take(self, subscription: int) -> list[control.Message]:
        return self.catalog.write(control.take, self.alice, subscription, LIMITS)

    def count(self, model: Any) -> int:
        return self.catalog.read(lambda: int(model.select().count()))

    def age(self, subscription: int, seconds: float) -> None:
        """Pretend that a subscription was last used so long ago."""
        used = times.now() - int(seconds * times.MICROSECONDS)
        this = ControlSubscription.id == subscription
        self.catalog.write(lambda: changed(ControlSubscription.update(used=used).where(this)))


@pytest.fixture
def stage(catalog: Catalog, make_user: MakeUser) -> Stage:
    alice = make_user("alice")
    new = NewSensor(name="lamp", long_name="Lamp", description="A lamp", visibility="PUBLIC")
    row = catalog.write(sensors.create, alice, new, TESTS)
    return Stage(catalog, alice, row.id)


def test_plain_message_is_kept_only_while_somebody_waits_for_it(stage: Stage) -> None:
    assert stage.send() == control.Sent(None, stage.sensor_id, ())
    assert stage.count(ControlMessage) == 0
    first, second = stage.subscribe(), stage.subscribe()
    sent = stage.send('{"a":1}')
    assert sorted(sent.subscriptions) == [first, second]
    (message,) = stage.take(first)
    assert (message.id, message.sensor_id, message.values) == (sent.id, stage.sensor_id, {"a": 1})
    assert stage.count(ControlMessage) == 1
    stage.take(second)
    assert stage.count(ControlMessage) == 0
    assert stage.count(ControlDelivery) == 0


def test_at_most_a_hundred_are_handed_out_at_once_and_the_others_next(stage: Stage) -> None:
    subscription = stage.subscribe()
    for number in range(130):
        stage.send(f'{{"n":{number}}}')
    parts = [stage.take(subscription) for _ in range(3)]
    assert [len(part) for part in parts] == [100, 30, 0]
    assert [message.values["n"] for part in parts for message in part] == list(range(130))


def test_outlook_tells_what_can_be_taken_now_and_what_later(stage: Stage) -> None:
    subscription = stage.subscribe()

    def look() -> control.Outlook:
        return stage.catalog.read(control.look, stage.alice, subscription, LIMITS)

    assert look() == control.Outlook(ready=False, again=None)
    stage.send(expires=600)
    assert look().ready
    before = times.now()
    stage.take(subscription)
    outlook = look()
    assert not outlook.ready
    assert outlook.again is not None
    assert 0 <= outlook.again - before - 30 * times.MICROSECONDS < 5 * times.MICROSECONDS
    stage.send()
    assert look().ready


def test_message_that_another_may_take_is_left_to_it(stage: Stage, make_user: MakeUser) -> None:
    charlie = make_user("charlie")
    subscription = stage.subscribe()
    stage.send()
    with pytest.raises(NotFound):
        stage.catalog.write(control.take, charlie, subscription, LIMITS)
    found = stage.catalog.write(
        control.take_each, [(charlie, subscription), (stage.alice, subscription)], LIMITS
    )
    assert isinstance(found[0], NotFound)
    assert isinstance(found[1], list)
    assert len(found[1]) == 1


def test_subscription_ends_when_it_is_not_used_and_takes_its_messages_along(stage: Stage) -> None:
    used, unused = stage.subscribe(), stage.subscribe()
    stage.send()
    stage.age(unused, 316)
    stage.age(used, 299)
    with pytest.raises(NotFound):
        stage.take(unused)
    assert len(stage.take(used)) == 1
    assert stage.send().subscriptions == [used]
    stage.catalog.write(control.sweep, LIMITS)
    assert stage.count(ControlSubscription) == 1
    assert stage.count(ControlDelivery) == 1
    assert stage.count(ControlMessage) == 1


def test_noted_use_keeps_a_subscription(stage: Stage) -> None:
    subscription = stage.subscribe()
    stage.age(subscription, 299)
    stage.catalog.write(control.note_uses, {subscription})
    stage.age(stage.subscribe(), 400)
    stage.catalog.write(control.sweep, LIMITS)
    assert stage.count(ControlSubscription) == 1
    assert stage.take(subscription) == []


def test_sweep_keeps_an_expired_message_for_its_sender_for_an_hour(stage: Stage) -> None:
    stage.send(expires=600)
    for hours, left in ((0.9, 1), (1.1, 0)):
        expired = times.now() - int(hours * 3600 * times.MICROSECONDS)
        stage.catalog.write(lambda at=expired: changed(ControlMessage.update(expires=at)))
        stage.catalog.write(control.sweep, LIMITS)
        assert stage.count(ControlMessage) == left


def test_deleted_sensor_takes_its_channel_along(stage: Stage) -> None:
    subscription = stage.subscribe()
    stage.send()
    stage.catalog.write(sensors.delete, stage.alice, "lamp", TESTS)
    for model in (ControlSubscription, ControlMessage, ControlDelivery):
        assert stage.count(model) == 0
    with pytest.raises(NotFound):
        stage.take(subscription)


def test_watch_tells_the_last_message_and_recipients_who_it_is_for(stage: Stage) -> None:
    watch = stage.catalog.watch_messages()
    assert watch.revision() == 0
    first = stage.subscribe()
    assert watch.revision() == 0, "a subscription is no message"
    one = stage.send()
    assert watch.revision() == one.id
    second = stage.subscribe()
    two = stage.send()
    assert watch.revision() == two.id
    assert one.id is not None
    assert sorted(stage.catalog.read(control.recipients, 0)) == [first, second]
    stage.take(first)
    assert stage.catalog.read(control.recipients, one.id) == [second]
    watch.close()


Step = tuple[str, int]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "send expiring", "take", "acknowledge", "subscribe"]),
            st.integers(0, 2),
        ),
        max_size=25,
    )
)
def test_every_subscription_gets_what_a_simple_model_says(stage: Stage, steps: list[Step]) -> None:
    """The model: per subscription a list of plain messages, and the open ones with acks."""
    numbers: list[int] = []
    waiting: dict[int, list[int]] = {}
    to_acknowledge: dict[int, list[int]] = {}
    answered: set[int] = set()
    expiring: list[int] = []
    stage.catalog.write(lambda: changed(ControlMessage.delete()))
    stage.catalog.write(lambda: changed(ControlSubscription.delete()))
    for verb, which in steps:
        if verb == "subscribe":
            number = stage.subscribe()
            numbers.append(number)
            waiting[number] = [each for each in expiring if each not in answered]
            to_acknowledge[number] = []
        elif verb.startswith("send"):
            sent = stage.send(expires=600 if verb == "send expiring" else None)
            assert sorted(sent.subscriptions) == sorted(numbers)
            if sent.id is not None:
                for number in numbers:
                    waiting[number].append(sent.id)
                if verb == "send expiring":
                    expiring.append(sent.id)
        elif numbers and verb == "take":
            number = numbers[which % len(numbers)]
            assert [message.id for message in stage.take(number)] == waiting[number]
            to_acknowledge[number] += [each for each in waiting[number] if each in expiring]
            waiting[number] = []
        elif numbers:
            number = numbers[which % len(numbers)]
            given_ids = to_acknowledge[number]
            done = stage.catalog.write(control.acknowledge, stage.alice, number, given_ids, LIMITS)
            assert done == sorted(given_ids)
            answered |= set(given_ids)
