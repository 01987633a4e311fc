"""What holds when the server, its disk or its clients do not do as they should."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.mqtt.conftest import OPTIONS, SECONDS, Client, MqttServer, prepare, stalled_commits
from tests.mqtt.mqtt_wire import MqttWire, hello, ids, publishes
from tests.system.server_process import Key
from wotkit.mqtt.codec import (
    ConnAck,
    ConnectProperties,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    PubRec,
    Reason,
    SubAck,
    Subscribe,
    Subscription,
    Version,
    encode,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_acknowledged_while_commits_stall(own_server: MqttServer) -> None:
    key = own_server.add_key("alice")
    with MqttWire(own_server.mqtt_port) as wire:
        wire.connect(key, "gw")
        wire.socket.sendall(publishes(key, range(100)))
        assert ids(wire.take(PubAck, 100)) == list(range(1, 101))
        with stalled_commits(own_server):
            wire.socket.sendall(publishes(key, range(100, 200)))
            wire.hear_nothing(2)
            assert len(own_server.stored()) == 100
        assert ids(wire.take(PubAck, 100)) == list(range(101, 201))
    assert own_server.stored() == list(range(200))


@pytest.mark.parametrize("qos", [0, 1])
def test_memory_stays_bounded_while_commits_stall(tmp_path: Path, qos: int) -> None:
    limits = ("--set", "mqtt.max_pending=2000", "--set", "storage.busy_seconds=1")
    with MqttServer(tmp_path / "data", *OPTIONS, *limits) as server:
        prepare(server)
        key = server.add_key("alice")
        wires = [MqttWire(server.mqtt_port) for _ in range(10)]
        for number, wire in enumerate(wires):
            wire.connect(key, f"gw{number}")
            wire.socket.sendall(publishes(key, range(1)))
            wire.take(PubAck, 1)
        before = server.resident_mib()
        sent = [0] * len(wires)
        data = publishes(key, range(1, 1001), padding=1000, qos=qos)
        with stalled_commits(server):
            for number, wire in enumerate(wires):
                wire.socket.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    for _ in range(20):  # 20 MB each, which the server does not take
                        sent[number] += wire.socket.send(data)
            assert sum(sent) < 60_000_000
            assert server.resident_mib() - before < 60
        for wire in wires:
            wire.socket.settimeout(SECONDS)
            assert not qos or wire.next() is not None
        with Client(server, key) as client:
            assert client.publish("sensors/roof/data", "7") == 0
        for wire in wires:
            wire.socket.close()


def test_nothing_is_acknowledged_on_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    with MqttServer(small_disk / "data", *OPTIONS, log_folder=tmp_path) as server:
        prepare(server)
        key = server.add_key("alice")
        with MqttWire(server.mqtt_port) as wire:
            wire.connect(key, "gw")
            wire.socket.sendall(publishes(key, range(10)))
            wire.take(PubAck, 10)
            others = small_disk / "others"
            with contextlib.suppress(OSError), others.open("ab", buffering=0) as stream:
                while stream.write(bytes(4096)):
                    pass
            wire.socket.sendall(publishes(key, range(10, 60), padding=10_000))
            wire.hear_nothing(2)
            others.unlink()
            assert ids(wire.take(PubAck, 50)) == list(range(11, 61))
        assert server.stored() == list(range(60))


def test_wrong_password_reaches_nothing_of_a_client_that_is_connected(
    own_server: MqttServer,
) -> None:
    key = own_server.add_key("alice")
    wrong = Key(key.key_id, "wrong")
    other = own_server.add_key("charlie")
    kept = ConnectProperties(session_expiry_interval=600)
    with MqttWire(own_server.mqtt_port, Version.V5) as victim:
        victim.connect(key, "gw", clean_start=False, properties=kept)
        topic = f"wotkit/{key.key_id}"
        victim.send(Subscribe(1, (Subscription(f"{topic}/status", 1),)))
        victim.take(SubAck, 1)
        for thief_key in (wrong, other):
            with MqttWire(own_server.mqtt_port, Version.V5) as thief:
                thief.send(
                    hello(thief_key, "gw", Version.V5, clean_start=True),
                    Subscribe(1, (Subscription(f"{topic}/status", 1),)),
                    Publish(f"{topic}/status", b"stolen", 1, 2),
                    Publish(f"{topic}/sensors/roof/data", b"666", 1, 3),
                    Disconnect(),
                )
                while thief.next() is not None:
                    pass
        victim.send(PingReq())
        assert victim.next() == PingResp()
        victim.send(Publish(f"{topic}/status", b"mine", 1, 4))
        heard = [victim.next(), victim.next()]
        assert {type(each) for each in heard} == {PubAck, Publish}
        assert next(each.payload for each in heard if isinstance(each, Publish)) == b"mine"
    with MqttWire(own_server.mqtt_port, Version.V5) as again:
        assert again.connect(key, "gw", clean_start=False, properties=kept).session_present
    assert own_server.stored() == []


def test_rotated_key_is_disconnected_and_its_old_password_refused(server: MqttServer) -> None:
    key = server.add_key("alice")
    with Client(server, key) as client:
        client.publish("sensors/roof/data", "1")
        made = server.json("key", "rotate", key.key_id, "--overlap-hours", "0")
        assert client.disconnected.get(timeout=SECONDS).is_failure
    with MqttWire(server.mqtt_port) as wire:
        assert wire.connect(key, "gw").reason is not Reason.SUCCESS
    with MqttWire(server.mqtt_port) as wire:
        new = Key(key.key_id, made["key_password"])
        assert wire.connect(new, "gw").reason is Reason.SUCCESS


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_idle_connections_cost_little_memory(own_server: MqttServer, count: int) -> None:
    keys = [own_server.add_key("alice") for _ in range(-(-count // 1000))]
    with contextlib.ExitStack() as stack:
        warm = [MqttWire(own_server.mqtt_port) for _ in range(20)]
        for number, wire in enumerate(warm):
            stack.enter_context(wire).connect(keys[0], f"warm{number}")
        before = own_server.resident_mib()
        for number in range(count):
            wire = stack.enter_context(MqttWire(own_server.mqtt_port, Version.V5))
            wire.send(hello(keys[number // 1000], f"c{number}", Version.V5))
            wire.take(ConnAck, 1)
        grown = own_server.resident_mib() - before
        print(f"{grown:.1f} MiB for {count} connections, {grown * 1024 / count:.1f} KiB each")
        assert grown <= count * 100 / 5000 + 3


def test_a_thousand_clients_that_come_at_once_all_get_in(own_server: MqttServer) -> None:
    key = own_server.add_key("alice")
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        wires = []
        for number in range(1000):
            wire = stack.enter_context(MqttWire(own_server.mqtt_port))
            wire.send(hello(key, f"c{number}"))
            wires.append(wire)
        answers = [wire.next() for wire in wires]
        print(f"{time.monotonic() - began:.2f} s until the last of 1000 was in")
    assert {answer.reason for answer in answers if isinstance(answer, ConnAck)} == {Reason.SUCCESS}
    assert all(isinstance(answer, ConnAck) for answer in answers)


def test_subscriber_that_stops_reading_is_disconnected(tmp_path: Path) -> None:
    with MqttServer(tmp_path / "data", *OPTIONS, "--set", "mqtt.stall_seconds=1") as server:
        prepare(server)
        key = server.add_key("alice")
        with MqttWire(server.mqtt_port, Version.V5) as deaf, MqttWire(server.mqtt_port) as loud:
            deaf.connect(key, "deaf")
            loud.connect(key, "loud")

            def publish(first: int, count: int) -> None:
                for number in range(first, first + count, 50):
                    loud.socket.sendall(publishes(key, range(number, number + 50), padding=5000))
                    loud.take(PubAck, 50)

            publish(0, 4000)  # so that what the server keeps of readings anyway is there
            before = server.resident_mib()
            deaf.send(Subscribe(1, (Subscription(f"wotkit/{key.key_id}/live/alice.roof", 0),)))
            deaf.take(SubAck, 1)
            publish(4000, 4000)  # 20 MB, which is more than sockets hold
            time.sleep(2)
            assert server.resident_mib() - before < 30
            heard = 0
            while deaf.next() is not None:  # what was under way, then the end
                heard += 1
            assert heard < 4000


def test_client_that_asks_and_does_not_read_is_not_read_either(tmp_path: Path) -> None:
    with MqttServer(tmp_path / "data", *OPTIONS, "--set", "mqtt.stall_seconds=1") as server:
        prepare(server)
        key = server.add_key("alice")
        with MqttWire(server.mqtt_port) as wire:
            wire.connect(key, "gw")
            before = server.resident_mib()
            wire.socket.settimeout(SECONDS)
            with pytest.raises((ConnectionError, TimeoutError)):
                wire.socket.sendall(encode(PingReq(), Version.V311) * 50_000_000)
            assert server.resident_mib() - before < 30


def test_client_that_lost_its_state_loses_no_reading_of_qos_2(own_server: MqttServer) -> None:
    key = own_server.add_key("alice")
    topic = f"wotkit/{key.key_id}/sensors/roof/data"
    kept = ConnectProperties(session_expiry_interval=600)
    sent = [
        Publish(topic, b"1", 2, 7),
        Publish(topic, b"1", 2, 7, dup=True),  # the same again: it was not answered
        Publish(topic, b"2", 2, 7),  # of a client that begins anew, with ids it never released
        Publish(topic, b"2", 2, 7),
    ]
    for packet in sent:
        with MqttWire(own_server.mqtt_port, Version.V5) as wire:
            wire.connect(key, "gw", clean_start=False, properties=kept)
            wire.send(packet)
            assert wire.take(PubRec, 1)[0].reason is Reason.SUCCESS
    assert own_server.stored() == [1, 2, 2]


def test_packet_id_in_use_is_a_mistake_and_what_comes_again_is_not(own_server: MqttServer) -> None:
    key = own_server.add_key("alice")
    topic = f"wotkit/{key.key_id}/sensors/roof/data"
    with MqttWire(own_server.mqtt_port, Version.V5) as wire:
        wire.connect(key, "gw")
        wire.send(Publish(topic, b"1", 2, 7), Publish(topic, b"1", 2, 7, dup=True))
        wire.take(PubRec, 2)
        wire.send(Publish(topic, b"2", 2, 7))
        (end,) = wire.take(Disconnect, 1)
    assert end.reason is Reason.PROTOCOL_ERROR
    assert own_server.stored() == [1]
