"""What the standards say of a connection, packet by packet, and no client library shows."""

from __future__ import annotations

import json
import socket
import sqlite3
import struct
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.mqtt.conftest import OPTIONS, MqttServer, prepare
from tests.mqtt.mqtt_wire import MqttWire, hello
from tests.system.server_process import PASSWORD, wait_until
from wotkit.mqtt.codec import (
    ConnAck,
    ConnectProperties,
    Disconnect,
    DisconnectProperties,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    PublishProperties,
    PubRec,
    Reason,
    SubAck,
    Subscribe,
    SubscribeProperties,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
    WillProperties,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.server_process import Key

ALICE = ("alice", PASSWORD)
V5 = Version.V5
KEPT = ConnectProperties(session_expiry_interval=600)
BOTH = pytest.mark.parametrize("version", list(Version), ids=["3.1.1", "5"])


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttServer]:
    """A server with limits that a test can reach."""
    limits = (
        "max_packet_bytes=2048", "receive_maximum=3", "connect_seconds=0.5",
        "max_connections_per_key=2", "max_session_seconds=100", "max_subscriptions=3",
        "max_keep_alive_seconds=5", "max_sessions_per_key=2",
    )  # fmt: skip
    options = [word for limit in limits for word in ("--set", f"mqtt.{limit}")]
    options += ["--set", "live.queue_readings=5"]
    with MqttServer(tmp_path_factory.mktemp("strict") / "data", *OPTIONS, *options) as found:
        prepare(found)
        yield found


def topic(key: Key, rest: str) -> str:
    return f"wotkit/{key.key_id}/{rest}"


def data(key: Key, value: bytes, packet_id: int, sensor: str = "roof", **rest: Any) -> Publish:
    return Publish(topic(key, f"sensors/{sensor}/data"), value, 1, packet_id, **rest)


def ask(wire: MqttWire, key: Key, *rest: str, qos: int = 1, **options: Any) -> tuple[Reason, ...]:
    wanted = tuple(Subscription(topic(key, each), qos, **options) for each in rest)
    wire.send(Subscribe(1, wanted))
    (answer,) = wire.take(SubAck, 1)
    reasons: tuple[Reason, ...] = answer.reasons
    return reasons


def command(server: MqttServer, number: int, sensor: str = "pump", **pairs: Any) -> int:
    url = f"{server.url}/api/v1/sensors/alice.{sensor}/message"
    answer = httpx.post(url, json={"n": str(number), **pairs}, auth=ALICE)
    assert answer.is_success, answer.text
    return int(answer.json().get("id", 0)) if answer.content else 0


def number_of(publish: Any) -> int:
    assert isinstance(publish, Publish), publish
    return int(json.loads(publish.payload)["message"]["n"])


def kept_filters(server: MqttServer, key: Key) -> list[str]:
    with sqlite3.connect(f"file:{server.data}/catalog.db?mode=ro", uri=True) as connection:
        found = connection.execute(
            "SELECT topic_filter FROM mqtt_subscription s JOIN mqtt_session m"
            " ON m.id = s.session_id WHERE m.key_id = ? ORDER BY 1",
            (key.key_id,),
        ).fetchall()
    return [name for (name,) in found]


# What comes in one piece


@BOTH
@pytest.mark.parametrize("parting", ["disconnect", "silence"])
def test_client_that_says_everything_at_once_and_leaves_is_heard(
    server: MqttServer, version: Version, parting: str
) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as watcher:
        watcher.connect(key, "watcher")
        ask(watcher, key, "status")
        values = [time.time() + number for number in range(3)]
        payloads = [str(value).encode() for value in values]
        with MqttWire(server.mqtt_port, version) as wire:
            wire.send(
                hello(key, "hasty", version, will=Will(topic(key, "status"), b"offline")),
                data(key, payloads[0], 1),
                data(key, payloads[1], 2, "pump"),
                Publish(topic(key, "sensors/roof/data"), payloads[2]),
                Publish(topic(key, "status"), b"left"),
                *([Disconnect()] if parting == "disconnect" else []),
            )
        wait_until(lambda: set(values) <= set(server.stored()), 5, "stored")
        heard = [watcher.next()]
        if parting == "silence":
            heard.append(watcher.next())
        assert [getattr(each, "payload", None) for each in heard] == [b"left", b"offline"][
            : len(heard)
        ]
        watcher.send(PingReq())
        assert watcher.next() == PingResp()


def test_of_two_that_come_at_once_with_one_id_the_second_stays(server: MqttServer) -> None:
    key = server.add_key("alice")
    for _ in range(5):
        wires = [MqttWire(server.mqtt_port, V5) for _ in range(4)]
        for wire in wires:
            wire.send(hello(key, "twin", V5, clean_start=False, properties=KEPT))
        for wire in wires:
            assert isinstance(wire.next(), ConnAck)
        for wire in wires:
            wire.send(PingReq())
        answers = [wire.next() for wire in wires]
        assert answers.count(PingResp()) == 1, answers
        for wire in wires:
            wire.socket.close()


def test_packets_before_connect_and_a_second_connect_end_the_connection(
    server: MqttServer, key: Key
) -> None:
    with MqttWire(server.mqtt_port) as wire:
        wire.send(data(key, b"1", 1))
        assert not isinstance(wire.next(), PubAck)
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "twice")
        wire.send(hello(key, "twice", V5))
        (end,) = wire.take(Disconnect, 1)
        assert end.reason is Reason.PROTOCOL_ERROR


# Limits


def test_limits_are_told_and_hold(strict: MqttServer) -> None:
    key = strict.add_key("alice")
    with MqttWire(strict.mqtt_port, V5) as wire:
        wanted = ConnectProperties(session_expiry_interval=1000)
        told = wire.connect(key, "", keep_alive=0, properties=wanted).properties
        assert told.server_keep_alive == 5
        assert told.session_expiry_interval == 100
        assert told.receive_maximum == 3
        assert told.maximum_packet_size == 2048
        assert told.assigned_client_identifier
        wire.send(data(key, b'"' + b"x" * 3000 + b'"', 1))
        assert wire.take(Disconnect, 1)[0].reason is Reason.PACKET_TOO_LARGE


def test_publishes_beyond_the_receive_maximum_end_a_connection_of_version_5(
    strict: MqttServer,
) -> None:
    key = strict.add_key("alice")
    with MqttWire(strict.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        wire.send(data(key, b"1", 1))
        wire.take(PubAck, 1)
        wire.send(*[data(key, b"2", number) for number in range(1, 60)])
        found = wire.next()
        while isinstance(found, PubAck):
            found = wire.next()
    assert isinstance(found, Disconnect)
    assert found.reason is Reason.RECEIVE_MAXIMUM_EXCEEDED
    with MqttWire(strict.mqtt_port) as wire:  # which has no such limit: it has to wait
        wire.connect(key, "gw")
        wire.send(*[data(key, b"2", number) for number in range(1, 60)])
        assert [each.packet_id for each in wire.take(PubAck, 59)] == list(range(1, 60))


def test_connections_of_a_key_are_limited(strict: MqttServer) -> None:
    key = strict.add_key("alice")
    wires = [MqttWire(strict.mqtt_port, V5) for _ in range(3)]
    assert [wire.connect(key, f"c{n}").reason for n, wire in enumerate(wires)] == [
        *(Reason.SUCCESS, Reason.SUCCESS, Reason.QUOTA_EXCEEDED)
    ]
    with MqttWire(strict.mqtt_port, V5) as again:  # in the place of one of them
        assert again.connect(key, "c1").reason is Reason.SUCCESS
        assert wires[1].next().reason is Reason.SESSION_TAKEN_OVER
    for wire in wires:
        wire.socket.close()


def test_connections_of_a_key_that_come_at_once_are_limited_alike(strict: MqttServer) -> None:
    key = strict.add_key("alice")
    with ExitStack() as stack:
        wires = [stack.enter_context(MqttWire(strict.mqtt_port, V5)) for _ in range(20)]
        for number, wire in enumerate(wires):
            wire.send(hello(key, f"c{number}", V5))
        answers = [wire.next() for wire in wires]
    reasons = Counter(answer.reason for answer in answers if isinstance(answer, ConnAck))
    assert reasons == {Reason.SUCCESS: 2, Reason.QUOTA_EXCEEDED: 18}


def test_kept_sessions_of_a_key_are_limited(strict: MqttServer) -> None:
    key = strict.add_key("alice")
    for number, reason in enumerate((Reason.SUCCESS, Reason.SUCCESS, Reason.QUOTA_EXCEEDED)):
        with MqttWire(strict.mqtt_port, V5) as wire:
            assert wire.connect(key, f"c{number}", properties=KEPT).reason is reason
            if reason is Reason.SUCCESS:
                wire.send(Disconnect())
                assert wire.next() is None


def test_connection_that_says_nothing_is_closed(strict: MqttServer) -> None:
    began = time.monotonic()
    with MqttWire(strict.mqtt_port) as wire:
        assert wire.next() is None
    assert time.monotonic() - began > 0.4


def test_silent_client_is_disconnected_and_one_that_pings_is_not(strict: MqttServer) -> None:
    key = strict.add_key("alice")
    with MqttWire(strict.mqtt_port, V5) as silent, MqttWire(strict.mqtt_port) as lively:
        silent.connect(key, "silent", keep_alive=1)
        lively.connect(key, "lively", keep_alive=1)
        for _ in range(10):
            lively.send(PingReq())
            assert lively.next() == PingResp()
            time.sleep(0.25)
        assert silent.take(Disconnect, 1)[0].reason is Reason.KEEP_ALIVE_TIMEOUT


# Subscriptions


def test_every_filter_is_answered_for_itself(server: MqttServer, key: Key) -> None:
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        wire.send(
            Subscribe(
                7,
                (
                    Subscription(topic(key, "errors"), 2),
                    Subscription(f"$share/all/{topic(key, 'commands/#')}", 1),
                    Subscription("$SYS/#", 0),
                    Subscription(topic(key, "live/alice.nothing"), 0),
                    Subscription(topic(key, "errors"), 0),
                ),
            )
        )
        (answer,) = wire.take(SubAck, 1)
        assert answer.packet_id == 7
        assert answer.reasons == (
            Reason.GRANTED_QOS_1,
            Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
            Reason.NOT_AUTHORIZED,
            Reason.NOT_AUTHORIZED,
            Reason.SUCCESS,
        )
        wire.send(data(key, b'{"value": "warm"}', 1))
        heard = {type(each): each for each in (wire.next(), wire.next())}
        assert heard[Publish].qos == 0  # the second subscription stands for the first
        wire.send(PingReq())
        assert wire.next() == PingResp()  # and there is one message
        wire.send(Unsubscribe(8, (topic(key, "errors"), topic(key, "errors"), "never/asked")))
        (answer,) = wire.take(UnsubAck, 1)
        missing = Reason.NO_SUBSCRIPTION_EXISTED
        assert answer.reasons == (Reason.SUCCESS, missing, missing)


def test_shared_subscription_of_3_1_1_is_refused(server: MqttServer, key: Key) -> None:
    with MqttWire(server.mqtt_port) as wire:
        wire.connect(key, "gw")
        wire.send(Subscribe(1, (Subscription(f"$share/all/{topic(key, 'commands/#')}", 1),)))
        assert wire.take(SubAck, 1)[0].reasons == (Reason.UNSPECIFIED_ERROR,)


def test_subscription_identifier_is_a_mistake(server: MqttServer, key: Key) -> None:
    with MqttWire(server.mqtt_port, V5) as wire:
        assert wire.connect(key, "gw").properties.subscription_identifiers_available is False
        wanted = (Subscription(topic(key, "errors"), 1),)
        wire.send(Subscribe(1, wanted, SubscribeProperties(subscription_identifier=3)))
        reason = wire.take(Disconnect, 1)[0].reason
    assert reason is Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED


def test_what_was_refused_is_not_kept_in_the_session(strict: MqttServer) -> None:
    key = strict.add_key("alice", "--scope", "write")
    with MqttWire(strict.mqtt_port, V5) as wire:
        wire.connect(key, "gw", properties=KEPT)
        for number in range(5):
            assert ask(wire, key, f"live/alice.s{number}") == (Reason.NOT_AUTHORIZED,)
        assert ask(wire, key, "live/alice.roof", "commands/#") == (Reason.NOT_AUTHORIZED,) * 2
        assert ask(wire, key, "errors", "ack", "status") == (Reason.GRANTED_QOS_1,) * 3
        assert kept_filters(strict, key) == [
            topic(key, each) for each in ("ack", "errors", "status")
        ]


def test_subscriptions_of_a_session_are_limited(strict: MqttServer) -> None:
    key = strict.add_key("alice")
    with MqttWire(strict.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        assert ask(wire, key, "errors", "ack", "status", "commands/#", "ack") == (
            *(Reason.GRANTED_QOS_1,) * 3,
            Reason.QUOTA_EXCEEDED,
            Reason.GRANTED_QOS_1,
        )


def test_status_comes_as_the_options_of_the_subscription_say(server: MqttServer) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        wire.send(Publish(topic(key, "status"), b"online", 1, 1))
        wire.take(PubAck, 1)
        ask(wire, key, "status", retain_handling=2)
        ask(wire, key, "status", retain_handling=1)
        ask(wire, key, "status", no_local=True)
        (kept,) = wire.take(Publish, 1)
        assert (kept.payload, kept.retain) == (b"online", True)
        wire.send(PubAck(kept.packet_id), Publish(topic(key, "status"), b"mine", 1, 2))
        wire.take(PubAck, 1)
        with MqttWire(server.mqtt_port, V5) as other:
            other.connect(key, "other")
            other.send(Publish(topic(key, "status"), b"theirs", 1, 1))
            other.take(PubAck, 1)
        (heard,) = wire.take(Publish, 1)
        assert (heard.payload, heard.retain) == (b"theirs", False)


def test_limited_key_reaches_its_sensors_alone(server: MqttServer) -> None:
    key = server.add_key("alice", "--sensor", "alice.roof")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        assert ask(wire, key, "live/alice.roof") == (Reason.GRANTED_QOS_1,)
        assert ask(wire, key, "live/alice.pump", "commands/pump") == (Reason.NOT_AUTHORIZED,) * 2
        wire.send(data(key, b"1", 1, "pump"))
        assert wire.take(PubAck, 1)[0].reason is Reason.NOT_AUTHORIZED


# Publishes


def test_alias_stands_for_its_topic_also_in_what_is_refused(server: MqttServer, key: Key) -> None:
    with MqttWire(server.mqtt_port, V5) as wire:
        assert wire.connect(key, "gw").properties.topic_alias_maximum == 16
        ask(wire, key, "errors", qos=0)
        alias = PublishProperties(topic_alias=3, correlation_data=b"nine")
        name = topic(key, "data")
        good = b'[{"sensor": "roof", "value": 71.5}]'
        wire.send(Publish(name, good, 1, 1, properties=alias))
        assert wire.take(PubAck, 1)[0].reason is Reason.SUCCESS
        wire.send(Publish("", b'[{"sensor": "roof", "value": "x"}]', 1, 2, properties=alias))
        heard = {type(each): each for each in (wire.next(), wire.next())}
        assert heard[PubAck].reason is Reason.PAYLOAD_FORMAT_INVALID
        assert json.loads(heard[Publish].payload)["topic"] == name
        assert heard[Publish].properties.correlation_data == b"nine"
        wire.send(Publish("", good, 2, 3, properties=alias))
        assert wire.take(PubRec, 1)[0].reason is Reason.SUCCESS
        wire.send(Publish("", good, 1, 4, properties=PublishProperties(topic_alias=4)))
        assert wire.take(Disconnect, 1)[0].reason is Reason.PROTOCOL_ERROR
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        wire.send(Publish(name, good, 1, 1, properties=PublishProperties(topic_alias=17)))
        assert wire.take(Disconnect, 1)[0].reason is Reason.TOPIC_ALIAS_INVALID


HOSTILE = [
    b'[{"sensor": "%s", "value": 1}]' % (b"x" * 100_000),
    b'[{"sensor": "a\\u0000b", "value": 1}]',
    b'{"stream": "%s"}' % (b"y" * 100_000),
]


@pytest.mark.parametrize("payload", HOSTILE)
def test_refusal_names_the_reason_whatever_the_client_has_sent(
    server: MqttServer, key: Key, payload: bytes
) -> None:
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        wire.send(Publish(topic(key, "data"), payload, 1, 1))
        (answer,) = wire.take(PubAck, 1)
        assert answer.reason >= Reason.UNSPECIFIED_ERROR
        names = {name for name, _ in answer.properties.user_properties}
        assert names == {"developerMessage"}
        name = topic(key, f"sensors/{'z' * 65_000}/data")
        wire.send(Publish(name, b"1", 1, 2))
        assert wire.take(PubAck, 1)[0].packet_id == 2


def test_retained_reading_is_a_reading(server: MqttServer, key: Key) -> None:
    value = time.time()
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        wire.send(data(key, str(value).encode(), 1, retain=True))
        assert wire.take(PubAck, 1)[0].reason is Reason.SUCCESS
        ask(wire, key, "live/alice.roof")
        wire.send(PingReq())
        assert wire.next() == PingResp()
    assert server.stored()[-1] == value


def test_key_that_publishes_too_fast_has_to_wait_and_loses_nothing(tmp_path: Path) -> None:
    limits = ("--set", "ingest.rate=20", "--set", "ingest.burst=5")
    with MqttServer(tmp_path / "data", *OPTIONS, *limits) as server:
        prepare(server)
        key = server.add_key("alice")
        with MqttWire(server.mqtt_port, V5) as wire:
            wire.connect(key, "gw")
            began = time.monotonic()
            wire.send(*[data(key, b"%d" % number, number) for number in range(1, 21)])
            answers = wire.take(PubAck, 20)
            assert time.monotonic() - began > 0.7
        assert [(each.packet_id, each.reason) for each in answers] == [
            (number, Reason.SUCCESS) for number in range(1, 21)
        ]
        assert server.stored() == list(range(1, 21))


# Commands


def test_client_gets_as_many_commands_as_it_takes_and_none_that_has_expired(
    server: MqttServer,
) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw", properties=ConnectProperties(receive_maximum=1))
        ask(wire, key, "commands/pump")
        command(server, 1)
        (first,) = wire.take(Publish, 1)
        assert first.properties.message_expiry_interval is None
        command(server, 2, expires=1)
        command(server, 3, expires=100)
        time.sleep(1.2)
        wire.send(PubAck(first.packet_id))
        (second,) = wire.take(Publish, 1)
        assert number_of(second) == 3
        assert 90 < second.properties.message_expiry_interval < 100
        wire.send(PubAck(second.packet_id), PingReq())
        assert wire.next() == PingResp()


def test_command_that_was_acknowledged_does_not_come_again(server: MqttServer) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        ask(wire, key, "commands/pump")
        command(server, 1, expires=100)
        (got,) = wire.take(Publish, 1)
        wire.send(PubAck(got.packet_id))
        wait_until(lambda: server.waiting_commands() == 0, 5, "noted")
        ask(wire, key, "commands/pump")
        wire.send(Disconnect())
        assert wire.next() is None
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        ask(wire, key, "commands/pump")
        command(server, 2)
        assert number_of(wire.next()) == 2


def test_new_subscription_gets_what_was_sent_before_the_last_command(server: MqttServer) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        ask(wire, key, "commands/pump")
        command(server, 1, "roof", expires=100)
        command(server, 2, "pump", expires=100)
        (second,) = wire.take(Publish, 1)
        assert number_of(second) == 2
        ask(wire, key, "commands/roof")
        (first,) = wire.take(Publish, 1)
        assert number_of(first) == 1
        command(server, 3, "pump")
        (third,) = wire.take(Publish, 1)
        assert number_of(third) == 3
        wire.send(*[PubAck(each.packet_id) for each in (first, second, third)])
        wait_until(lambda: server.waiting_commands() == 0, 5, "noted")


def test_command_larger_than_the_client_takes_is_not_sent_and_not_kept(server: MqttServer) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw", properties=ConnectProperties(maximum_packet_size=300))
        ask(wire, key, "commands/pump")
        command(server, 1, note="x" * 400)
        command(server, 2)
        got = wire.next()
        assert number_of(got) == 2
        wire.send(PubAck(got.packet_id))
        wait_until(lambda: server.waiting_commands() == 0, 5, "none takes the room of others")


# Sessions


def test_expiry_given_at_the_end_holds(server: MqttServer) -> None:
    key = server.add_key("alice")

    def visit(seconds: int, **options: Any) -> tuple[bool, Any]:
        """Connect, leave with an expiry; return whether there was a session, and the answer."""
        with MqttWire(server.mqtt_port, V5) as wire:
            present = wire.connect(key, "gw", clean_start=False, **options).session_present
            wire.send(Disconnect(properties=DisconnectProperties(seconds)))
            return present, wire.next()

    assert visit(300, properties=KEPT) == (False, None)
    assert visit(0, properties=KEPT) == (True, None)
    wait_until(lambda: not sessions(server, key), 5, "forgotten")
    present, answer = visit(300)
    assert not present
    assert answer.reason is Reason.PROTOCOL_ERROR


def sessions(server: MqttServer, key: Key) -> int:
    with sqlite3.connect(f"file:{server.data}/catalog.db?mode=ro", uri=True) as connection:
        query = "SELECT count(*) FROM mqtt_session WHERE key_id = ?"
        (count,) = connection.execute(query, (key.key_id,)).fetchone()
    return int(count)


# Wills


def vanish(wire: MqttWire) -> None:
    """End the connection as a broken network does."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.socket.close()


@pytest.mark.parametrize(
    ("delay", "clean", "spoken"),
    [(0, False, True), (60, False, False), (60, True, True)],
    ids=["at once", "session goes on", "session ends"],
)
@pytest.mark.parametrize("before", ["there", "gone"])
def test_will_of_a_client_that_comes_again(
    server: MqttServer, delay: int, clean: bool, spoken: bool, before: str
) -> None:
    key = server.add_key("alice")
    if before == "gone" and not delay:
        return  # it has spoken already
    will = Will(
        topic(key, "status"), b"will", 1, properties=WillProperties(will_delay_interval=delay)
    )
    with MqttWire(server.mqtt_port, V5) as watcher, MqttWire(server.mqtt_port, V5) as again:
        watcher.connect(key, "watcher")
        ask(watcher, key, "status", qos=0)
        wire = MqttWire(server.mqtt_port, V5)
        wire.connect(key, "gw", properties=KEPT, will=will)
        if before == "gone":
            vanish(wire)
            wait_until(lambda: ended(server, "lost"), 5, "noticed")
        again.connect(key, "gw", clean_start=clean, properties=KEPT)
        again.send(Publish(topic(key, "status"), b"back", 1, 1))
        again.take(PubAck, 1)
        expected = [b"will", b"back"] if spoken else [b"back"]
        assert [watcher.next().payload for _ in expected] == expected  # type: ignore[union-attr]
        watcher.send(PingReq())
        assert watcher.next() == PingResp()
        wire.socket.close()


def ended(server: MqttServer, reason: str) -> bool:
    return (
        f'wotkit_mqtt_ended_total{{reason="{reason}"}}' in httpx.get(f"{server.url}/metrics").text
    )


def test_will_of_a_revoked_key_is_not_done(server: MqttServer) -> None:
    key = server.add_key("alice")
    value = time.time()
    will = Will(topic(key, "sensors/roof/data"), str(value).encode(), 1)
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw", will=will)
        server.command("key", "revoke", key.key_id)
        assert wire.take(Disconnect, 1)[0].reason is Reason.ADMINISTRATIVE_ACTION
        assert wire.next() is None
    other = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        will = Will(topic(other, "sensors/roof/data"), str(value + 1).encode(), 1)
        wire.connect(other, "gw", will=will)
        wire.send(Disconnect(Reason.DISCONNECT_WITH_WILL_MESSAGE))
        assert wire.next() is None
    wait_until(lambda: server.stored()[-1] == value + 1, 5, "said by who said so")
    assert value not in server.stored()


def test_will_that_waits_is_done_when_the_server_stops(own_server: MqttServer) -> None:
    key = own_server.add_key("alice")
    delay = WillProperties(will_delay_interval=60)
    will = Will(topic(key, "sensors/roof/data"), b"77", 1, properties=delay)
    with MqttWire(own_server.mqtt_port, V5) as wire:
        wire.connect(key, "gw", properties=KEPT, will=will)
    wait_until(lambda: ended(own_server, "lost"), 5, "noticed")
    assert own_server.stored() == []
    assert own_server.stop() == 0
    assert own_server.stored() == [77]


def test_will_for_a_foreign_topic_refuses_the_connection(server: MqttServer, key: Key) -> None:
    other = server.add_key("charlie")
    with MqttWire(server.mqtt_port, V5) as wire:
        will = Will(topic(other, "status"), b"offline")
        assert wire.connect(key, "gw", will=will).reason is Reason.NOT_AUTHORIZED


# Live


def test_live_topic_ends_when_the_sensor_is_hidden_or_deleted(server: MqttServer) -> None:
    key = server.add_key("charlie")
    with server.wire(server.add_key("alice")) as alice, MqttWire(server.mqtt_port, V5) as wire:
        body = {
            "name": "fleeting", "longName": "F", "description": "f", "visibility": "PUBLIC",
        }  # fmt: skip
        answer = alice.post("/api/v2/sensors", body)
        assert answer.status == 201, answer.body
        path = "/api/v2/sensors/alice.fleeting"
        wire.connect(key, "gw")
        assert ask(wire, key, "live/alice.fleeting") == (Reason.GRANTED_QOS_1,)
        assert alice.post(f"{path}/data", {"value": 1}).status == 201
        assert json.loads(wire.next().payload)["value"] == 1  # type: ignore[union-attr]
        assert alice.put(path, {"visibility": "PRIVATE"}).status == 204
        wait_until(lambda: live_streams(server) == 0, 5, "ended")
        assert alice.post(f"{path}/data", {"value": 2}).status == 201
        assert ask(wire, key, "live/alice.fleeting") == (Reason.NOT_AUTHORIZED,)
        assert alice.put(path, {"visibility": "PUBLIC"}).status == 204
        assert ask(wire, key, "live/alice.fleeting") == (Reason.GRANTED_QOS_1,)
        assert alice.post(f"{path}/data", {"value": 3}).status == 201
        assert json.loads(wire.next().payload)["value"] == 3  # type: ignore[union-attr]
        assert alice.call("DELETE", path).status == 204
        wait_until(lambda: live_streams(server) == 0, 5, "ended")
        assert ask(wire, key, "live/alice.fleeting") == (Reason.NOT_AUTHORIZED,)


def test_client_that_cannot_follow_live_is_told_so_by_the_end(strict: MqttServer) -> None:
    key = strict.add_key("alice")
    with MqttWire(strict.mqtt_port, V5) as wire, MqttWire(strict.mqtt_port, V5) as other:
        wire.connect(key, "gw")
        assert ask(wire, key, "live/alice.roof") == (Reason.GRANTED_QOS_1,)
        other.connect(key, "other")
        other.send(data(key, json.dumps([{"value": 1}] * 50).encode(), 1))
        assert other.take(PubAck, 1)[0].reason is Reason.SUCCESS
        found = wire.next()
        while isinstance(found, Publish):
            found = wire.next()
    assert isinstance(found, Disconnect)
    assert found.reason is Reason.QUOTA_EXCEEDED


def live_streams(server: MqttServer) -> int:
    text = httpx.get(f"{server.url}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith("wotkit_live_streams ")]
    return int(float(line.split()[1]))
