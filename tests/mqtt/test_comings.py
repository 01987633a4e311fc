"""Clients that come and go while the catalog has no time for them."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from tests.mqtt.conftest import OPTIONS, MqttServer, prepare, stalled_commits
from tests.mqtt.mqtt_wire import MqttWire, hello
from tests.system.server_process import wait_until
from wotkit.mqtt.codec import (
    ConnAck,
    ConnectProperties,
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRel,
    Reason,
    SubAck,
    Subscribe,
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

V5 = Version.V5
KEPT = ConnectProperties(session_expiry_interval=600)


@contextlib.contextmanager
def busy_catalog(server: MqttServer) -> Iterator[sqlite3.Connection]:
    """Let nothing else be written: another process is about to."""
    with contextlib.closing(sqlite3.connect(server.data / "catalog.db")) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        yield other
        other.execute("COMMIT")


def ends(server: MqttServer, key: Key) -> list[int | None]:
    """Until when the sessions of a key are kept; None while their clients are connected."""
    with sqlite3.connect(f"file:{server.data}/catalog.db?mode=ro", uri=True) as connection:
        query = "SELECT ends FROM mqtt_session WHERE key_id = ?"
        return [until for (until,) in connection.execute(query, (key.key_id,))]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttServer]:
    """A server that does not wait long for the catalog."""
    options = ("--set", "storage.busy_seconds=0.5")
    with MqttServer(tmp_path_factory.mktemp("hasty") / "data", *OPTIONS, *options) as found:
        prepare(found)
        yield found


def test_first_client_is_served_when_the_catalog_has_time(tmp_path: Path) -> None:
    options = ("--set", "storage.busy_seconds=0.2")
    with MqttServer(tmp_path / "data", *OPTIONS, *options) as server:
        prepare(server)
        key = server.add_key("alice")
        with MqttWire(server.mqtt_port, V5) as wire:
            with busy_catalog(server):
                wire.send(hello(key, "gw", V5))
                time.sleep(1)
            assert wire.take(ConnAck, 1)[0].reason is Reason.SUCCESS


def test_client_that_cannot_be_let_in_again_has_gone(hasty: MqttServer) -> None:
    key = hasty.add_key("alice")
    delay = WillProperties(will_delay_interval=1)
    will = Will(f"wotkit/{key.key_id}/sensors/roof/data", b"77", 1, properties=delay)
    with MqttWire(hasty.mqtt_port, V5) as wire, MqttWire(hasty.mqtt_port, V5) as again:
        wire.connect(key, "gw", properties=KEPT, will=will)
        assert ends(hasty, key) == [None]
        with busy_catalog(hasty):
            answer = again.connect(key, "gw", clean_start=False, properties=KEPT)
            assert answer.reason is Reason.SERVER_UNAVAILABLE
        assert wire.take(Disconnect, 1)[0].reason is Reason.SESSION_TAKEN_OVER
    wait_until(lambda: None not in ends(hasty, key), 5, "noted that it has gone")
    wait_until(lambda: hasty.stored() == [77], 5, "its will is done")


def test_that_a_client_has_gone_is_noted_when_the_catalog_has_time(hasty: MqttServer) -> None:
    key = hasty.add_key("alice")
    with MqttWire(hasty.mqtt_port, V5) as wire:
        wire.connect(key, "gw", properties=KEPT)
        with busy_catalog(hasty):
            wire.send(Disconnect())
            assert wire.next() is None
            time.sleep(1)
            assert ends(hasty, key) == [None]
    wait_until(lambda: None not in ends(hasty, key), 10, "noted that it has gone")


def test_others_are_answered_while_it_cannot_be_noted_that_many_clients_have_gone(
    hasty: MqttServer,
) -> None:
    key, other = hasty.add_key("alice"), hasty.add_key("alice")
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(MqttWire(hasty.mqtt_port, V5)) for _ in range(60)]
        for number, wire in enumerate(wires):
            wire.connect(key, f"gw{number}", properties=KEPT)
        with busy_catalog(hasty):
            for wire in wires:
                wire.send(Disconnect())
            for wire in wires:
                assert wire.next() is None
            began = time.monotonic()
            with hasty.wire(other) as http:
                assert http.get("/api/v2/sensors").status == 200
            assert time.monotonic() - began < 2
    wait_until(lambda: None not in ends(hasty, key), 10, "noted that they have gone")


def test_that_a_client_has_gone_is_not_noted_once_it_is_back(server: MqttServer) -> None:
    key = server.add_key("alice")
    for _ in range(5):
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(MqttWire(server.mqtt_port, V5)) for _ in range(4)]
            for number, wire in enumerate(wires[:2]):
                wire.connect(key, f"gw{number}", clean_start=False, properties=KEPT)
            with busy_catalog(server):
                for number, (wire, again) in enumerate(zip(wires[:2], wires[2:], strict=True)):
                    wire.send(Disconnect())
                    assert wire.next() is None
                    time.sleep(0.15)
                    again.send(hello(key, f"gw{number}", V5, clean_start=False, properties=KEPT))
                time.sleep(0.15)
            for wire in wires[2:]:
                (answer,) = wire.take(ConnAck, 1)
                assert (answer.reason, answer.session_present) == (Reason.SUCCESS, True)
            time.sleep(0.3)
            assert ends(server, key) == [None, None]
        wait_until(lambda: None not in ends(server, key), 5, "noted that they have gone")


def test_key_that_is_changed_while_its_client_comes_in_is_disconnected(
    server: MqttServer,
) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as other, MqttWire(server.mqtt_port, V5) as wire:
        other.connect(server.add_key("charlie"), "other")
        with busy_catalog(server) as catalog:
            catalog.execute("UPDATE key SET secret_hash = '' WHERE id = ?", (key.key_id,))
            wire.send(hello(key, "gw", V5, properties=KEPT))
            time.sleep(1)  # it is verified, and waits for its session
            catalog.execute("COMMIT")
            catalog.execute("BEGIN IMMEDIATE")
            time.sleep(0.7)  # the change is noticed
        assert wire.take(ConnAck, 1)[0].reason is Reason.SUCCESS
        assert wire.take(Disconnect, 1)[0].reason is Reason.ADMINISTRATIVE_ACTION


def test_will_is_done_when_the_catalog_has_time(hasty: MqttServer) -> None:
    key = hasty.add_key("alice")
    topic = f"wotkit/{key.key_id}/status"
    with MqttWire(hasty.mqtt_port, V5) as wire, MqttWire(hasty.mqtt_port, V5) as other:
        other.connect(key, "other")
        wire.connect(key, "gw", will=Will(topic, b"offline", 1))
        with busy_catalog(hasty):
            wire.socket.close()
            time.sleep(1)
        wait_until(lambda: said(hasty, key) == ["offline"], 10, "its will is done")


def test_what_a_client_asks_for_is_done_when_the_catalog_has_time(hasty: MqttServer) -> None:
    key = hasty.add_key("alice")
    with MqttWire(hasty.mqtt_port, V5) as wire:
        wire.connect(key, "gw", properties=KEPT)
        wanted = f"wotkit/{key.key_id}/status"
        wire.send(Subscribe(1, (Subscription(wanted, 1),)))
        wire.take(SubAck, 1)
        with busy_catalog(hasty):
            wire.send(Unsubscribe(2, (wanted,)))
            time.sleep(1)
        assert wire.take(UnsubAck, 1)[0].reasons == (Reason.SUCCESS,)
        with stalled_commits(hasty):
            wire.send(PubRel(3))
            time.sleep(1)
        wire.take(PubComp, 1)


def said(server: MqttServer, key: Key) -> list[str]:
    """What gateways of a key have said of themselves."""
    with sqlite3.connect(f"file:{server.data}/catalog.db?mode=ro", uri=True) as connection:
        query = "SELECT payload FROM mqtt_status WHERE key_id = ?"
        return [payload for (payload,) in connection.execute(query, (key.key_id,))]


def test_status_that_was_taken_back_is_not_kept(server: MqttServer) -> None:
    key = server.add_key("alice")
    topic = f"wotkit/{key.key_id}/status"
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        for packet_id, payload in enumerate((b"online", b""), 1):
            wire.send(Publish(topic, payload, 1, packet_id, retain=True))
            wire.take(PubAck, 1)
        wire.send(Subscribe(1, (Subscription(topic, 1),)))
        wire.take(SubAck, 1)
        wire.hear_nothing(0.5)


def test_live_topics_count_with_the_other_streams_of_the_user(tmp_path: Path) -> None:
    limit = ("--set", "live.max_per_user=1")
    with MqttServer(tmp_path / "data", *OPTIONS, *limit) as server:
        prepare(server)
        key = server.add_key("alice")
        with MqttWire(server.mqtt_port, V5) as wire, server.wire(key) as http:
            wire.connect(key, "gw")
            wanted = Subscription(f"wotkit/{key.key_id}/live/alice.roof", 0)
            wire.send(Subscribe(1, (wanted,)))
            assert wire.take(SubAck, 1)[0].reasons == (Reason.SUCCESS,)
            assert http.get("/api/v2/stream?sensors=alice.roof").status == 429
