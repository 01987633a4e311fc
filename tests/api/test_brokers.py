"""Brokers of every kind are told who may connect and which topics a client may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.api.conftest import PASSWORD, running, settings_for
from wotkit.catalog import keys
from wotkit.catalog.audit import Actor
from wotkit.catalog.models import LoginFailure, rows
from wotkit.settings import MqttSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.api.conftest import Client, MakeKey, People
    from wotkit.catalog import Catalog
    from wotkit.settings import Settings

HERE = Actor("tests", "127.0.0.1")
FROM_TESTS = "192.0.2.0/24"
"""Where the test's client is, as the server sees it."""
UNKNOWN = "fedcba9876543210"
GOOD: dict[str, tuple[int, Any]] = {
    "rabbitmq": (200, "allow"),
    "emqx": (200, {"result": "allow", "is_superuser": False}),
    "vernemq": (200, {"result": "ok"}),
    "go-auth": (200, {"Ok": True, "Error": ""}),
}
BAD: dict[str, tuple[int, Any]] = {
    "rabbitmq": (200, "deny"),
    "emqx": (200, {"result": "deny", "is_superuser": False}),
    "vernemq": (200, {"result": {"error": "not_allowed"}}),
    "go-auth": (403, {"Ok": False, "Error": "not allowed"}),
}
PRODUCTS = tuple(GOOD)


@pytest.fixture
def settings(data: Path) -> Settings:
    known = MqttSettings(authorizer_addresses=(FROM_TESTS,))
    return msgspec.structs.replace(settings_for(data), mqtt=known)


@pytest.fixture
def key(make_key: MakeKey, people: People) -> tuple[str, str]:
    return make_key(people.alice, scopes=["write"])


def ask(client: Client, product: str, question: str, **given: Any) -> httpx.Response:
    """Ask as the product does: RabbitMQ with a form, the others with JSON."""
    body = {"data": given} if product == "rabbitmq" else {"json": given}
    return client.call("POST", f"/internal/mqtt/{product}/{question}", **body)


def answered(answer: httpx.Response) -> tuple[int, Any]:
    if answer.headers["content-type"].startswith("text/plain"):
        return answer.status_code, answer.text
    return answer.status_code, answer.json()


def login(client: Client, product: str, name: str, password: str, **more: Any) -> Any:
    question = {
        "rabbitmq": "user",
        "emqx": "authentication",
        "vernemq": "auth_on_register",
        "go-auth": "user",
    }[product]
    return answered(ask(client, product, question, username=name, password=password, **more))


def publish(client: Client, product: str, name: str, topic: str) -> Any:
    """Ask whether a client may publish."""
    question, given = {
        "rabbitmq": (
            "topic",
            {
                "vhost": "/",
                "resource": "topic",
                "name": "amq.topic",
                "permission": "write",
                "routing_key": topic.replace("/", "."),
            },
        ),
        "emqx": ("authorization", {"topic": topic, "action": "publish"}),
        "vernemq": ("auth_on_publish", {"topic": topic, "qos": 1, "payload": "MjEuNQ=="}),
        "go-auth": ("acl", {"topic": topic, "acc": 2, "clientid": "x"}),
    }[product]
    return answered(ask(client, product, question, username=name, **given))


def subscribe(client: Client, product: str, name: str, topic: str) -> Any:
    """Ask whether a client may subscribe."""
    question, given = {
        "rabbitmq": (
            "topic",
            {
                "vhost": "/",
                "resource": "topic",
                "name": "amq.topic",
                "permission": "read",
                "routing_key": topic.replace("/", ".").replace("+", "*"),
            },
        ),
        "emqx": ("authorization", {"topic": topic, "action": "subscribe"}),
        "vernemq": ("auth_on_subscribe", {"topics": [{"topic": topic, "qos": 1}]}),
        "go-auth": ("acl", {"topic": topic, "acc": "4", "clientid": "x"}),
    }[product]
    return answered(ask(client, product, question, username=name, **given))


@pytest.mark.parametrize("product", PRODUCTS)
class TestEveryProduct:
    def test_key_with_its_password_is_let_in(
        self, client: Client, key: tuple[str, str], product: str
    ) -> None:
        assert login(client, product, *key) == GOOD[product]

    def test_whoever_is_no_good_key_is_kept_out(
        self, client: Client, key: tuple[str, str], product: str
    ) -> None:
        for name, password in (
            (key[0], "wrong"),
            (key[0], ""),
            (UNKNOWN, key[1]),
            ("", ""),
            ("alice", PASSWORD),  # a user's password is not for gateways
            ("alice\ud800".encode("utf-8", "replace").decode(), "x"),
        ):
            assert login(client, product, name, password) == BAD[product], name

    def test_own_topics_are_allowed_and_nothing_else(
        self, client: Client, key: tuple[str, str], product: str
    ) -> None:
        own = f"wotkit/{key[0]}"
        for tail in ("sensors/roof/data", "sensors/alice.roof/data", "data", "ingest", "results"):
            assert publish(client, product, key[0], f"{own}/{tail}") == GOOD[product], tail
        for tail in ("commands/+", "commands/#", "commands/alice.roof", "ack", "errors", "status"):
            assert subscribe(client, product, key[0], f"{own}/{tail}") == GOOD[product], tail
        for topic in (
            f"{own}/ack",
            f"{own}/commands/roof",
            f"{own}/sensors/+/data",
            f"{own}/live/roof",
            f"wotkit/{UNKNOWN}/data",
            "somewhere/else",
            "",
        ):
            assert publish(client, product, key[0], topic) == BAD[product], topic
        for topic in ("#", "wotkit/#", "wotkit/+/ack", f"{own}/#", f"{own}/data", f"{own}/live/a"):
            assert subscribe(client, product, key[0], topic) == BAD[product], topic

    def test_revoked_key_is_refused_everything_from_the_next_question_on(
        self,
        client: Client,
        catalog: Catalog,
        people: People,
        key: tuple[str, str],
        product: str,
    ) -> None:
        topic = f"wotkit/{key[0]}/data"
        assert login(client, product, *key) == GOOD[product]
        assert publish(client, product, key[0], topic) == GOOD[product]
        catalog.write(keys.revoke, people.alice, key[0], HERE)
        assert login(client, product, *key) == BAD[product]
        assert publish(client, product, key[0], topic) == BAD[product]
        assert subscribe(client, product, key[0], f"wotkit/{key[0]}/ack") == BAD[product]

    def test_junk_is_a_denial_in_the_products_form(self, client: Client, product: str) -> None:
        for question in ("user", "auth_on_subscribe", "authorization", "acl", "nonsense"):
            for body in (b"", b"{", b"[1]", b"\xff\xfe", b'{"username": 3, "topics": 1}'):
                answer = client.call("POST", f"/internal/mqtt/{product}/{question}", content=body)
                assert answered(answer) == BAD[product], (question, body)
        answer = client.call(
            "POST",
            f"/internal/mqtt/{product}/user",
            content=b"x",
            headers={"content-encoding": "br"},
        )
        assert answered(answer) == BAD[product]

    def test_somebody_elsewhere_is_told_to_deny(
        self, data: Path, key: tuple[str, str], product: str
    ) -> None:
        with running(settings_for(data)) as stranger:
            assert login(stranger, product, *key) == BAD[product]
            assert publish(stranger, product, key[0], f"wotkit/{key[0]}/data") == BAD[product]

    def test_key_with_many_failures_is_never_locked_out(
        self, client: Client, key: tuple[str, str], product: str
    ) -> None:
        for _ in range(60):
            assert login(client, product, key[0], "wrong") == BAD[product]
        assert login(client, product, *key) == GOOD[product]


@pytest.fixture
def with_secret(data: Path, people: People) -> Iterator[Client]:
    assert people
    secret = MqttSettings(secret_for_brokers="swordfish", authorizer_addresses=())
    with running(msgspec.structs.replace(settings_for(data), mqtt=secret)) as found:
        yield found


def test_broker_elsewhere_is_known_by_its_secret(with_secret: Client, key: tuple[str, str]) -> None:
    body = {"username": key[0], "password": key[1]}
    for secret, expected in (("swordfish", "allow"), ("", "deny"), ("Swordfish", "deny")):
        answer = with_secret.call(
            "POST",
            "/internal/mqtt/emqx/authentication",
            json=body,
            headers={"X-WoTKit-Secret": secret},
        )
        assert answer.json()["result"] == expected, secret


def test_whoever_comes_through_an_untrusted_proxy_is_told_to_deny(
    client: Client, key: tuple[str, str]
) -> None:
    body = {"username": key[0], "password": key[1]}
    for headers, expected in (
        ({"X-Forwarded-For": "203.0.113.9"}, "deny"),
        ({"Forwarded": "for=203.0.113.9"}, "deny"),
        ({"X-Forwarded-For": "192.0.2.7, 203.0.113.9"}, "allow"),  # the proxy was believed
    ):
        answer = client.call(
            "POST", "/internal/mqtt/emqx/authentication", json=body, headers=headers
        )
        assert answer.json()["result"] == expected, headers


def test_failures_count_for_the_clients_address_and_not_for_the_brokers(
    client: Client, catalog: Catalog, key: tuple[str, str]
) -> None:
    login(client, "emqx", key[0], "wrong", peerhost="203.0.113.9")
    login(client, "go-auth", key[0], "wrong")

    def counted() -> set[str]:
        return {subject for (subject,) in rows(LoginFailure.select(LoginFailure.subject))}

    assert catalog.read(counted) == {"address:203.0.113.9", "address:broker 192.0.2.7"}


def test_go_auth_is_answered_when_it_asks_with_a_form(client: Client, key: tuple[str, str]) -> None:
    form = {"username": key[0], "topic": f"wotkit/{key[0]}/ack", "acc": "1", "clientid": "x"}
    path = "/internal/mqtt/go-auth/acl"
    assert answered(client.call("POST", path, data=form)) == GOOD["go-auth"]
    form["acc"] = "3"  # to read and to write
    assert answered(client.call("POST", path, data=form)) == BAD["go-auth"]
    form |= {"topic": f"wotkit/{key[0]}/status"}
    assert answered(client.call("POST", path, data=form)) == GOOD["go-auth"]
    superuser = client.call("POST", "/internal/mqtt/go-auth/superuser", data=form)
    assert answered(superuser) == BAD["go-auth"]


@pytest.mark.parametrize(("suffix", "code"), [("", 128), ("_m5", 135)])
def test_vernemq_is_told_which_of_several_topics_are_refused(
    client: Client, key: tuple[str, str], suffix: str, code: int
) -> None:
    own = {"topic": f"wotkit/{key[0]}/ack", "qos": 1}
    topics = [own, {"topic": "#", "qos": 0}]
    answer = ask(
        client, "vernemq", f"auth_on_subscribe{suffix}", username=key[0], topics=topics
    ).json()
    assert answer["result"] == "ok"
    told = answer["modifiers"] if suffix else answer
    assert told["topics"] == [own, {"topic": "#", "qos": code}]


class TestRabbitMq:
    def test_client_has_its_own_queue_and_the_exchange_of_topics(
        self, client: Client, key: tuple[str, str]
    ) -> None:
        def resource(**given: str) -> str:
            asked = {"username": key[0], "vhost": "/", "client_id": "gw", **given}
            return ask(client, "rabbitmq", "resource", **asked).text

        own = "mqtt-subscription-gwqos1"
        for permission in ("configure", "write", "read"):
            assert resource(resource="queue", name=own, permission=permission) == "allow"
        assert resource(resource="exchange", name="amq.topic", permission="write") == "allow"
        assert resource(resource="exchange", name="amq.topic", permission="read") == "allow"
        for refused in (
            {"resource": "queue", "name": "mqtt-subscription-otherqos1", "permission": "read"},
            {"resource": "queue", "name": own, "permission": "read", "client_id": ""},
            {"resource": "queue", "name": own, "permission": "read", "vhost": "other"},
            {"resource": "queue", "name": own, "permission": "read", "username": UNKNOWN},
            {"resource": "exchange", "name": "amq.topic", "permission": "configure"},
            {"resource": "exchange", "name": "amq.direct", "permission": "write"},
            {"resource": "topic", "name": "amq.topic", "permission": "write"},
        ):
            assert resource(**refused) == "deny", refused

    def test_key_has_the_one_virtual_host(self, client: Client, key: tuple[str, str]) -> None:
        for vhost, expected in (("/", "allow"), ("other", "deny"), ("", "deny")):
            asked = {"username": key[0], "vhost": vhost, "ip": "203.0.113.9"}
            assert ask(client, "rabbitmq", "vhost", **asked).text == expected


def test_client_id_must_begin_with_the_key_id_where_that_is_wanted(
    data: Path, key: tuple[str, str]
) -> None:
    scoped = MqttSettings(authorizer_addresses=(FROM_TESTS,), scoped_client_ids=True)
    with running(msgspec.structs.replace(settings_for(data), mqtt=scoped)) as client:
        assert login(client, "emqx", *key, clientid="anything") == BAD["emqx"]
        assert login(client, "emqx", *key, clientid=f"{key[0]}-1") == GOOD["emqx"]
        assert login(client, "go-auth", *key) == GOOD["go-auth"]  # it tells none
