import json
import socket
from pathlib import Path

import pytest
from agent_platform import KEY, StandInPlatform

from gateway_agent.config import PlatformConfig
from gateway_agent.credentials import ENVIRONMENT, CredentialSource
from gateway_agent.outputs.base import Denied, Later, Refused, Stored, TooLarge
from gateway_agent.outputs.client import PlatformClient, Response, retry_after
from gateway_agent.outputs.http import HttpOutput, encode_batch
from gateway_agent.outputs.trial import try_key
from gateway_agent.spool import Batch, Row

BATCH = Batch(
    "s1", 1, tuple(Row(n, "boiler", 1_000_001 * n, f'{{"value":{n}}}', 0) for n in (1, 2))
)


def output(url: str, *, key: str = KEY, compress: bool = True) -> HttpOutput:
    config = PlatformConfig(http=url, timeout=5)
    return HttpOutput(
        PlatformClient(config, CredentialSource({ENVIRONMENT: key}, None)), compress=compress
    )


def send(platform: StandInPlatform, misdeed: str = "", batch: Batch = BATCH) -> object:
    if misdeed:
        platform.script.append(misdeed)
    sending = output(platform.url)
    try:
        return sending.send(batch)
    finally:
        sending.close()


def test_body_is_what_the_platform_takes() -> None:
    assert json.loads(encode_batch(BATCH)) == {
        "stream": "s1",
        "readings": [
            {"seq": 1, "sensor": "boiler", "timestamp": "1970-01-01T00:00:01.000001Z", "value": 1},
            {"seq": 2, "sensor": "boiler", "timestamp": "1970-01-01T00:00:02.000002Z", "value": 2},
        ],
    }


def test_stored_batch_is_acknowledged_through_its_last_seq(platform: StandInPlatform) -> None:
    assert send(platform) == Stored(2)
    assert [reading["value"] for reading in platform.stored] == [1, 2]


def test_large_body_travels_compressed(platform: StandInPlatform) -> None:
    rows = tuple(Row(n, "boiler", n, '{"value":1}', 0) for n in range(1, 51))
    assert send(platform, batch=Batch("s1", 1, rows)) == Stored(50)
    assert platform.ingests()[0].encoding == "gzip"
    plain = output(platform.url, compress=False)
    assert plain.send(Batch("s2", 1, rows)) == Stored(50)
    plain.close()
    assert platform.ingests()[1].encoding == ""


def test_rejected_item_is_named_with_its_reason(platform: StandInPlatform) -> None:
    platform.is_rejected = lambda reading: reading["value"] == 2
    answer = send(platform)
    assert isinstance(answer, Stored)
    (item,) = answer.rejected
    assert (item.seq, item.code, item.message) == (2, "1201", "expected NUMBER")


@pytest.mark.parametrize(
    ("misdeed", "expected"),
    [
        ("400", Refused("1200", "Object has validation errors")),
        ("422", Refused("1266", "No")),
        ("413", TooLarge("No")),
        ("401", Denied("HTTP 401: Unauthorized")),
        ("403", Denied("HTTP 403: No")),
        ("503 7", Later("HTTP 503: No", 7.0)),
        ("429 120", Later("HTTP 429: No", 120.0)),
        ("429", Later("HTTP 429: No", None)),
        ("500", Later("HTTP 500: No")),
        ("502 9", Later("HTTP 502: No")),
        ("404", Later("HTTP 404: is platform.http the address of the API?")),
        ("307", Later("HTTP 307: redirected to nowhere, which is not followed")),
    ],
)
def test_answer_means_what_the_table_says(
    platform: StandInPlatform, misdeed: str, expected: object
) -> None:
    assert send(platform, misdeed) == expected
    assert platform.stored == []


def test_dropped_connection_is_tried_later(platform: StandInPlatform) -> None:
    answer = send(platform, "drop")
    assert isinstance(answer, Later)
    assert "closed connection" in answer.reason


def test_nobody_listening_is_tried_later() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        sending = output(f"http://127.0.0.1:{free.getsockname()[1]}/api")
        answer = sending.send(BATCH)
        sending.close()
    assert isinstance(answer, Later)
    assert "refused" in answer.reason
    assert "0x" not in answer.reason


def test_captive_portal_is_no_acknowledgement(platform: StandInPlatform) -> None:
    answer = send(platform, "captive portal")
    assert isinstance(answer, Later)
    assert "not the platform's answer" in answer.reason


@pytest.mark.parametrize(
    "body", [None, [], {}, {"acked_through": "2"}, {"acked_through": True}, {"acked_through": 0}]
)
def test_answer_without_a_position_is_no_acknowledgement(body: object) -> None:
    client = type("Client", (), {"request": lambda *_: Response(200, {}, body)})()
    assert isinstance(HttpOutput(client, compress=False).send(BATCH), Later)


def test_nonsense_among_the_rejected_is_passed_over() -> None:
    body = {"acked_through": 2, "rejected": [1, {}, {"seq": "x"}, {"seq": 2, "code": 5}]}
    client = type("Client", (), {"request": lambda *_: Response(200, {}, body)})()
    answer = HttpOutput(client, compress=False).send(BATCH)
    assert [(item.seq, item.code) for item in answer.rejected] == [(2, "5")]


def test_missing_credentials_are_a_denial(platform: StandInPlatform, tmp_path: Path) -> None:
    source = CredentialSource({}, tmp_path / "none")
    client = PlatformClient(PlatformConfig(http=platform.url), source)
    assert isinstance(client.request("GET", "v2/sensors"), Denied)
    assert platform.requests == []


def test_retry_after_is_seconds_or_a_date() -> None:
    date = {"date": "Sat, 21 Nov 2026 10:00:00 GMT"}
    assert retry_after({"retry-after": "30"}) == 30
    assert retry_after({"retry-after": "Sat, 21 Nov 2026 10:00:45 GMT", **date}) == 45
    assert retry_after({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT", **date}) == 0
    assert retry_after({"retry-after": "Sat, 21 Nov 2020 09:00:00 GMT"}) == 0
    assert retry_after({"retry-after": "Sat, 21 Nov 2026 10:00:45 -0000", **date}) == 45
    assert retry_after({}) is None
    assert retry_after({"retry-after": "soon"}) is None


def test_absurd_retry_after_is_limited_to_an_hour() -> None:
    assert retry_after({"retry-after": "9" * 30}) == 3600


def test_key_is_tried_on_a_sensor_list(platform: StandInPlatform) -> None:
    def attempt(url: str, key: str = KEY) -> str | None:
        client = PlatformClient(
            PlatformConfig(http=url), CredentialSource({ENVIRONMENT: key}, None)
        )
        try:
            return try_key(client)
        finally:
            client.close()

    assert attempt(platform.url) is None
    assert attempt(platform.url, "wrong:key") == "HTTP 401: Unauthorized"
    assert "is platform.http the address" in (attempt(platform.url + "/deeper") or "")


def test_platform_that_refuses_gzip_gets_batches_without_it(platform: StandInPlatform) -> None:
    platform.takes_gzip = False
    rows = tuple(Row(n, "boiler", n, '{"value":1}', 0) for n in range(1, 101))
    sending = output(platform.url)
    assert sending.send(Batch("s1", 1, rows[:50])) == Stored(50)
    assert sending.send(Batch("s1", 1, rows[50:])) == Stored(100)
    sending.close()
    assert [request.encoding for request in platform.ingests()] == ["gzip", "", ""]
