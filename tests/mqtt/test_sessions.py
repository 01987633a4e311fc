"""Sessions and what they subscribe to, where one ends and the next begins."""

from __future__ import annotations

import socket
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from tests.mqtt.conftest import OPTIONS, MqttServer, prepare, tls_options
from tests.mqtt.mqtt_wire import MqttWire, hello
from tests.mqtt.test_comings import busy_catalog
from tests.mqtt.test_protocol import ask, command, kept_filters, number_of, topic
from tests.system.server_process import wait_until
from wotkit.mqtt.codec import (
    ConnAck,
    ConnectProperties,
    PubAck,
    Publish,
    Reason,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.certificates import Certificate
    from tests.system.server_process import Key

V5 = Version.V5
KEPT = ConnectProperties(session_expiry_interval=600)


@pytest.fixture(scope="module")
def narrow(
    tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[MqttServer]:
    """A server with TLS that waits a second for CONNECT, and has two streams for a user."""
    limits = ("--set", "live.max_per_user=2", "--set", "mqtt.connect_seconds=1")
    options = (*OPTIONS, *tls_options(certificate), *limits)
    with MqttServer(tmp_path_factory.mktemp("narrow") / "data", *options) as found:
        prepare(found)
        yield found


def waiting(server: MqttServer, key: Key) -> int:
    """How many commands the sessions of a key have not acknowledged."""
    with sqlite3.connect(f"file:{server.data}/catalog.db?mode=ro", uri=True) as connection:
        query = (
            "SELECT count(*) FROM mqtt_delivery d JOIN mqtt_session s ON s.id = d.session_id"
            " WHERE s.key_id = ?"
        )
        (count,) = connection.execute(query, (key.key_id,)).fetchone()
    return int(count)


def all_commands(key: Key) -> Subscribe:
    return Subscribe(1, (Subscription(topic(key, "commands/#"), 1),))


def test_filter_that_stands_twice_takes_the_place_of_one_stream(narrow: MqttServer) -> None:
    key = narrow.add_key("alice")
    with MqttWire(narrow.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        for _ in range(4):
            granted = ask(wire, key, "live/roof", "live/roof", qos=0)
            assert granted == (Reason.SUCCESS, Reason.SUCCESS)


def test_tls_client_that_does_not_begin_is_closed(narrow: MqttServer) -> None:
    with socket.create_connection(("127.0.0.1", narrow.tls_port), timeout=5) as client:
        assert client.recv(1) == b""


@pytest.mark.parametrize("version", list(Version), ids=["3.1.1", "5"])
def test_session_that_was_not_to_be_kept_is_not_taken_over(
    server: MqttServer, version: Version
) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, version) as wire, MqttWire(server.mqtt_port, version) as again:
        wire.connect(key, "gw", clean_start=True)
        ask(wire, key, "commands/#")
        answer = again.connect(key, "gw", clean_start=False)
        assert (answer.reason, answer.session_present) == (Reason.SUCCESS, False)
        command(server, 1)
        again.hear_nothing(0.5)


def test_client_that_takes_over_in_the_middle_of_a_subscription_gets_its_commands(
    server: MqttServer,
) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw", clean_start=False, properties=KEPT)
        ask(wire, key, "commands/#")
    for number in range(4):
        with MqttWire(server.mqtt_port, V5) as wire, MqttWire(server.mqtt_port, V5) as again:
            wire.connect(key, "gw", clean_start=False, properties=KEPT)
            with busy_catalog(server):
                wire.send(all_commands(key))
                time.sleep(0.35)  # who waits for long looks less often, so the next one is first
                again.send(hello(key, "gw", V5, clean_start=False, properties=KEPT))
                time.sleep(0.03)
            (answer,) = again.take(ConnAck, 1)
            assert answer.session_present
            time.sleep(0.1)
            command(server, number)
            (got,) = again.take(Publish, 1)
            assert number_of(got) == number
            again.send(PubAck(got.packet_id))
            wait_until(lambda: waiting(server, key) == 0, 5, "noted")


def test_command_that_was_acknowledged_does_not_come_again_while_the_catalog_is_busy(
    server: MqttServer,
) -> None:
    key = server.add_key("alice")
    for number in range(3):
        with MqttWire(server.mqtt_port, V5) as wire, MqttWire(server.mqtt_port, V5) as again:
            wire.connect(key, "gw", clean_start=False, properties=KEPT)
            ask(wire, key, "commands/#")
            command(server, number)
            (got,) = wire.take(Publish, 1)
            assert number_of(got) == number
            with busy_catalog(server):
                wire.send(PubAck(got.packet_id))
                time.sleep(0.35)  # who waits for long looks less often, so the next one is first
                again.send(hello(key, "gw", V5, clean_start=False, properties=KEPT))
                time.sleep(0.03)
            again.take(ConnAck, 1)
            again.hear_nothing(0.3)
            wait_until(lambda: waiting(server, key) == 0, 5, "noted")


def test_subscription_that_comes_too_late_leaves_the_session_of_the_next_alone(
    server: MqttServer,
) -> None:
    key = server.add_key("alice")
    for number in range(4):
        with MqttWire(server.mqtt_port, V5) as wire, MqttWire(server.mqtt_port, V5) as again:
            wire.connect(key, f"gw{number}")
            with busy_catalog(server):
                wire.send(all_commands(key))
                time.sleep(0.1)
                again.send(hello(key, f"gw{number}", V5, properties=KEPT))
                time.sleep(0.1)
            again.take(ConnAck, 1)
            ask(again, key, "commands/pump")
            command(server, number)
            (got,) = again.take(Publish, 1)
            assert number_of(got) == number
            again.send(PubAck(got.packet_id))


def test_subscription_that_could_not_go_on_can_be_ended(server: MqttServer) -> None:
    key = server.add_key("charlie")
    with server.wire(server.add_key("alice")) as alice:
        body = {"name": "hidden", "longName": "S", "description": "s", "visibility": "PUBLIC"}
        assert alice.post("/api/v2/sensors", body).status == 201
        with MqttWire(server.mqtt_port, V5) as wire:
            wire.connect(key, "gw", properties=KEPT)
            assert ask(wire, key, "live/alice.hidden", qos=0) == (Reason.SUCCESS,)
        assert alice.put("/api/v2/sensors/alice.hidden", {"visibility": "PRIVATE"}).status == 204
    with MqttWire(server.mqtt_port, V5) as wire:
        assert wire.connect(key, "gw", clean_start=False, properties=KEPT).session_present
        wire.send(Unsubscribe(2, (topic(key, "live/alice.hidden"),)))
        assert wire.take(UnsubAck, 1)[0].reasons == (Reason.SUCCESS,)
        assert kept_filters(server, key) == []


def test_lower_qos_of_a_later_subscription_counts(server: MqttServer) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        ask(wire, key, "commands/pump", qos=1)
        ask(wire, key, "commands/pump", qos=0)
        command(server, 1)
        (got,) = wire.take(Publish, 1)
        assert (number_of(got), got.qos) == (1, 0)


@pytest.mark.parametrize("number", [1 << 63, 10**30, -1])
def test_result_of_a_command_that_cannot_be_is_refused(server: MqttServer, number: int) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        payload = f'{{"id": {number}, "state": "done"}}'.encode()
        wire.send(Publish(topic(key, "results"), payload, 1, 7))
        (answer,) = wire.take(PubAck, 1)
        assert answer.reason is Reason.PAYLOAD_FORMAT_INVALID


@pytest.mark.parametrize("wanted", [None, True, False])
def test_client_that_wants_no_explanations_gets_none(
    server: MqttServer, wanted: bool | None
) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        asked = ConnectProperties(request_problem_information=wanted)
        wire.connect(key, "gw", properties=asked)
        wire.send(Publish(topic(key, "sensors/roof/data"), b"{", 1, 7))
        (answer,) = wire.take(PubAck, 1)
        assert answer.reason is Reason.PAYLOAD_FORMAT_INVALID
        told = answer.properties.reason_string, answer.properties.user_properties
        assert all(told) if wanted is not False else not any(told)


def test_foreign_topics_of_one_client_are_logged_once(server: MqttServer) -> None:
    key = server.add_key("alice")
    with MqttWire(server.mqtt_port, V5) as wire:
        wire.connect(key, "gw")
        wire.send(*[Publish("wotkit/foreign/data", b"1", 1, number) for number in range(1, 10)])
        for answer in wire.take(PubAck, 9):
            assert answer.reason is Reason.NOT_AUTHORIZED
    assert server.log.count(f"key {key.key_id} may not publish") == 1
