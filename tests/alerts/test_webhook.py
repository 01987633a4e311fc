"""Webhooks: posted, signed, and kept away from where they should not go."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import socket
from typing import TYPE_CHECKING, Any, Self

import pytest

from wotkit import times
from wotkit.alerts.transports import DeliveryFailed
from wotkit.alerts.transports.webhook import WebhookTransport, is_public, parse, sign
from wotkit.catalog.deliveries import Outgoing
from wotkit.settings import AlertSettings

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "0123456789abcdef"


class Receiver:
    """A server on the loopback that keeps what it was sent and answers what it is told to."""

    def __init__(self, answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n") -> None:
        self._answer = answer
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0], headers, body))
        writer.write(self._answer)
        if self._answer:
            await writer.drain()
            writer.close()
        else:
            await reader.read()  # says nothing until the other side goes
            writer.close()


def outgoing(url: str) -> Outgoing:
    return Outgoing(
        id=17,
        alert_id=7,
        inbox_id=3,
        channel="webhook",
        target=url,
        title="Too warm",
        body='{"message":"warm ünd"}',
        attempts=1,
        secret=SECRET,
    )


def transport(*, private: bool = True, seconds: float = 5) -> WebhookTransport:
    return WebhookTransport(AlertSettings(webhook_private=private, webhook_seconds=seconds))


def post(answer: bytes, *, path: str = "/", **how: Any) -> str:
    async def run() -> str:
        async with Receiver(answer) as receiver:
            url = f"http://localhost:{receiver.port}{path}"
            return await transport(**how).send(outgoing(url))

    return asyncio.run(run())


def failure(work: Callable[[], Any]) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        work()
    return caught.value


def test_receiver_can_verify_who_sent_it_and_when() -> None:
    async def run() -> Receiver:
        async with Receiver() as receiver:
            url = f"http://127.0.0.1:{receiver.port}/hook?a=1"
            assert await transport().send(outgoing(url)) == "answered 204"
            return receiver

    before = times.now() // 1_000_000
    receiver = asyncio.run(run())
    ((line, headers, body),) = receiver.requests
    assert line == "POST /hook?a=1 HTTP/1.1"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["content-type"] == "application/json"
    assert headers["wotkit-delivery"] == "17"
    assert body == outgoing("").body.encode()
    # as the documentation says a receiver does it
    parts = dict(part.split("=") for part in headers["wotkit-signature"].split(","))
    expected = hmac.new(SECRET.encode(), parts["t"].encode() + b"." + body, hashlib.sha256)
    assert hmac.compare_digest(parts["v1"], expected.hexdigest())
    assert before <= int(parts["t"]) <= before + 60


def test_signature_is_of_the_secret_the_time_and_the_body() -> None:
    found = {sign("a" * 16, 1, b"x"), sign("b" * 16, 1, b"x"), sign("a" * 16, 2, b"x")}
    assert len({*found, sign("a" * 16, 1, b"y")}) == 4


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (301, True),
        (307, True),
        (400, True),
        (404, True),
        (408, False),
        (410, True),
        (429, False),
        (500, False),
        (503, False),
    ],
)
def test_refusals_are_permanent_or_not_by_their_status(status: int, permanent: bool) -> None:
    answer = f"HTTP/1.1 {status} Words\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode()
    found = failure(lambda: post(answer))
    assert str(status) in found.reason
    assert found.permanent is permanent


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_interim_answers_are_passed_over(status: int) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert post(interim + f"HTTP/1.1 {status} OK\r\n\r\n".encode()) == f"answered {status}"


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP", b"HTTP/1.1 " + b"2" * 20_000]
)
def test_answer_that_is_not_http_may_get_better(answer: bytes) -> None:
    assert not failure(lambda: post(answer)).permanent


def test_receiver_that_says_nothing_is_left_in_time() -> None:
    found = failure(lambda: post(b"", seconds=0.2))
    assert (found.reason, found.permanent) == ("no answer within 0.2 s", False)


def test_receiver_that_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    assert not failure(lambda: asyncio.run(transport().send(outgoing(url)))).permanent


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"]
)
def test_loopback_is_refused_for_good_and_never_asked(host: str) -> None:
    async def run() -> int:
        async with Receiver() as receiver:
            url = f"http://{host}:{receiver.port}/"
            with pytest.raises(DeliveryFailed) as caught:
                await transport(private=False).send(outgoing(url))
            assert caught.value.permanent
            assert "alerts.webhook_private" in caught.value.reason
            return len(receiver.requests)

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2a00:1450:400b::1", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("240.0.0.1", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_address_says_where_a_webhook_goes() -> None:
    assert parse("https://example.org") == ("example.org", 443, True, "/", "example.org")
    assert parse("http://[::1]:8080/a?b#c") == ("::1", 8080, False, "/a?b", "[::1]:8080")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "file:///etc/passwd",
        "gopher://x/",
        "http://",
        "http:///x",
        "http://u@example.org/",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://exämple.org/",
        "http://example.org/\r\nX: y",
        "http://[::1/",
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(url)
    assert failure(lambda: asyncio.run(transport().send(outgoing(url)))).permanent
