"""Limits as a client meets them: too large, too many, too fast, and bodies that are no readings."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from tests.system.conftest import add_alice
from tests.system.server_process import ServerProcess
from tests.system.wire import authorization, raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.system.wire import Wire

DATA = "/api/v1/sensors/alice.roof/data"
LIMIT = 100_000
"""Bytes of a body, for these tests."""
LIMITS = (f"http.max_body_bytes={LIMIT}", "ingest.max_fields=10", "ingest.max_text_length=1000")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    options = [part for limit in LIMITS for part in ("--set", limit)]
    with ServerProcess(tmp_path_factory.mktemp("limited") / "data", *options) as found:
        add_alice(found)
        yield found


@pytest.fixture(scope="module")
def alice(limited: ServerProcess) -> Iterator[Wire]:
    with limited.wire(limited.add_key("alice")) as wire:
        yield wire


def pieces(body: bytes) -> Iterator[bytes]:
    """A body that is sent in chunks, without its length."""
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(body)


def gzip_bomb() -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(stream.compress(bytes(1 << 20)) for _ in range(64)) + stream.flush()


def zstd_bomb() -> bytes:
    return zstd(bytes(64 << 20))


def count(wire: Wire) -> int:
    return len(wire.readings("alice.roof"))


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_body_at_the_limit_is_taken_and_above_it_is_413(alice: Wire, chunked: bool) -> None:
    for size, status in ((LIMIT, 201), (LIMIT + 1, 413)):
        items = b'[{"sensor":"roof","value":1}'
        body = items + b" " * (size - len(items) - 1) + b"]"
        assert len(body) == size
        answer = alice.call("POST", "/api/v2/data", pieces(body) if chunked else body)
        assert answer.status == status, answer.body
    answer.error(413, 1501)
    assert alice.post(DATA, {"value": 1}).status == 201  # the connection or another is good


def test_length_that_is_too_large_is_refused_before_the_body_has_come(
    limited: ServerProcess, alice: Wire
) -> None:
    login = authorization(alice.caller)["Authorization"]
    head = f"POST {DATA} HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\n"
    head += f"Content-Length: {10**12}\r\n\r\n"
    answer = raw(limited.port, head.encode() + b'{"value":')
    assert str(10**12) in answer.error(413, 1501)["developerMessage"][0]


@pytest.mark.parametrize(("name", "encode"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_encoded_readings_are_stored(
    alice: Wire, name: str, encode: Callable[[bytes], bytes]
) -> None:
    before = count(alice)
    body = encode(json.dumps({"value": 21.5, "message": name}).encode())
    assert alice.call("POST", DATA, body, {"Content-Encoding": name}).status == 201
    readings = alice.readings("alice.roof")
    assert len(readings) == before + 1
    assert readings[-1]["message"] == name


@pytest.mark.parametrize(("name", "bomb"), [("gzip", gzip_bomb), ("zstd", zstd_bomb)])
def test_bomb_is_413_and_costs_little_memory(
    limited: ServerProcess, alice: Wire, name: str, bomb: Callable[[], bytes]
) -> None:
    body = bomb()
    assert len(body) < LIMIT
    before = limited.resident_mib()
    for _ in range(5):
        alice.call("POST", DATA, body, {"Content-Encoding": name}).error(413, 1501)
    assert limited.resident_mib() - before < 30


def test_other_encoding_and_spoiled_body_are_refused(alice: Wire) -> None:
    alice.call("POST", DATA, b"x", {"Content-Encoding": "br"}).error(415, 1502)
    for name in ("gzip", "zstd"):
        alice.call("POST", DATA, b'{"value":1}', {"Content-Encoding": name}).error(400, 1207)


def test_rate_of_one_key_is_limited_and_others_go_on(tmp_path: Path) -> None:
    environment = {"WOTKIT_INGEST_RATE": "2", "WOTKIT_INGEST_BURST": "5"}
    with ServerProcess(tmp_path / "data", environment=environment) as server:
        add_alice(server)
        keys = [server.add_key("alice") for _ in range(2)]
        with server.wire(keys[0]) as fast, server.wire(keys[1]) as other:
            answers = [fast.post(DATA, {"value": each}) for each in range(10)]
            refused = [answer for answer in answers if answer.status != 201]
            assert len(refused) >= 4
            refused[-1].error(429, 1503)
            assert other.post(DATA, {"value": 1}).status == 201
            assert fast.get("/api/sensors/alice.roof").status == 200  # reading is free
            time.sleep(refused[-1].retry_after())
            assert fast.post(DATA, {"value": 1}).status == 201
            assert count(fast) == 10 - len(refused) + 2


NO_JSON = [
    (b"", "line 1 column 1"),
    (b"{", "line 1 column 2"),
    (b'{"value":1', "line 1 column 11"),
    (b'{\n  "value": 21.5,\n  oops\n}', "line 3 column 3"),
    (b'{"value":1} x', "line 1 column 13"),
    (b'{"value":NaN}', "value"),
    (b'{"value":Infinity}', "value"),
    (b'{"value":-Infinity}', "value"),
    (b'{"value":"\xff"}', "value"),
    (b'{"value":"\\ud800"}', "value"),
    (b'{"value":01}', "line 1 column"),
    (b"{'value':1}", "line 1 column 2"),
    (b"[1]", "JSON object"),
    (b"21.5", "JSON object"),
    (b"null", "JSON object"),
    (b'"' + b"[" * 50_000, "line 1"),
    (b"[" * 50_000, "nested"),
]

WRONG: list[tuple[bytes, str, str]] = [
    (b'{"value":1e400}', "value", "double"),
    (b'{"value":' + b"9" * 400 + b"}", "value", "double"),
    (b'{"value":1,"value":2}', "value", "twice"),
    (b'{"value":1,"nested":{"a":1,"a":2}}', "nested.a", "twice"),
    (b'{"value":"warm"}', "value", "expected NUMBER"),
    (b'{"value":true}', "value", "expected NUMBER"),
    (b'{"value":[1]}', "value", "expected NUMBER"),
    (b'{"message":"' + b"a" * 1001 + b'"}', "message", "1000 characters"),
    (b'{"note":"' + b"a" * 1001 + b'"}', "note", "1000 characters"),
    (b'{"' + b"a" * 101 + b'":1}', "a" * 100, "1 to 100"),
    (json.dumps({f"f{each}": each for each in range(11)}).encode(), "fields", "11"),
    (b'{"deep":' + b"[" * 9 + b"]" * 9 + b"}", "deep", "nested"),
    (b'{"timestamp":"yesterday","value":1}', "timestamp", ""),
    (b'{"timestamp":"2100-01-01T00:00:00Z","value":1}', "timestamp", "future"),
    (b'{"timestamp":true,"value":1}', "timestamp", ""),
    (b"{}", "value", "missing"),
    (b'{"timestamp":1}', "value", "missing"),
]


@pytest.mark.parametrize(("body", "said"), NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_no_json_object_is_refused_with_the_place(
    alice: Wire, body: bytes, said: str
) -> None:
    before = count(alice)
    answer = alice.call("POST", DATA, body, {"Content-Type": "application/json"})
    error = answer.error(400)
    lines = " ".join([*error["developerMessage"], *error["moreInfo"]])
    assert said in lines, error
    assert count(alice) == before


@pytest.mark.parametrize(("body", "field", "said"), WRONG, ids=range(len(WRONG)))
def test_wrong_value_is_refused_with_its_field(
    alice: Wire, body: bytes, field: str, said: str
) -> None:
    before = count(alice)
    for path in (DATA, DATA.replace("v1", "v2")):
        error = alice.call("POST", path, body).error(400, 1201)
        assert error["message"] == "Object has validation errors"
        assert said in error["moreInfo"][field], error
        assert error["developerMessage"]
    assert count(alice) == before


@pytest.mark.parametrize(("body", "field", "said"), WRONG, ids=range(len(WRONG)))
def test_wrong_item_is_named_with_its_index_and_nothing_is_stored(
    alice: Wire, body: bytes, field: str, said: str
) -> None:
    before = count(alice)
    whole = b'[{"value":1},' + body + b"]"
    error = alice.call("PUT", DATA, whole).error(400, 1201)
    assert said in error["moreInfo"][f"1.{field}"], error
    assert count(alice) == before


def test_list_that_is_too_long_is_413(alice: Wire) -> None:
    items: list[Any] = [1] * 10_001
    alice.post("/api/v2/data", items).error(413, 1501)
    alice.put(DATA, items).error(413, 1501)
