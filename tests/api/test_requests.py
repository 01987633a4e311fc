from __future__ import annotations

import asyncio
import gzip
import json
import random
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import falcon
import falcon.asgi
import pytest
import zstandard
from falcon import testing
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit.api import requests
from wotkit.edge import CUT_OFF, Edge
from wotkit.errors import (
    InvalidObject,
    InvalidQuery,
    MalformedBody,
    TooLarge,
    UnsupportedMedia,
    ValidationFailed,
)
from wotkit.metrics import RequestMetrics
from wotkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 100_000


def request(body: bytes | list[bytes], *, cut: bool = False, **headers: str) -> Any:
    """Make a request with a body, or with chunks and no length, perhaps cut off at the end."""
    chunks = [body] if isinstance(body, bytes) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        named.setdefault("content-length", str(len(body)))
    events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if cut:
        events.append({"type": "http.disconnect"})
    else:
        events.append({"type": "http.request", "body": b"", "more_body": False})
    scope = testing.create_scope(method="POST", headers=named)
    waiting = iter(events)

    async def receive() -> Any:
        event = next(waiting)
        if event["type"] == "http.disconnect":
            scope[CUT_OFF] = True
        return event

    return falcon.asgi.Request(scope, receive)


def read(req: Any, limit: int = LIMIT) -> bytes:
    return asyncio.run(requests.read_body(req, limit))


def zstd(plain: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, **options).compress(plain)


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd}


# Bodies


@given(st.binary(max_size=2_000), st.sampled_from(["gzip", "x-gzip", "zstd", "identity", " GZIP "]))
@settings(max_examples=60, deadline=None)
def test_encoded_body_is_read_as_what_was_sent(plain: bytes, encoding: str) -> None:
    encode = ENCODINGS.get(encoding.strip().lower().removeprefix("x-"), bytes)
    assert read(request(encode(plain), content_encoding=encoding)) == plain


@given(st.lists(st.binary(max_size=50), max_size=5))
@settings(max_examples=40, deadline=None)
def test_chunked_body_is_read_whole(chunks: list[bytes]) -> None:
    assert read(request(chunks)) == b"".join(chunks)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.sampled_from(["gzip", "zstd"]))
@settings(max_examples=40, deadline=None)
def test_all_members_of_a_compressed_body_count(parts: list[bytes], encoding: str) -> None:
    """RFC 1952 section 2.2 and RFC 8878 section 3.1: a body is a series of them."""
    body = b"".join(ENCODINGS[encoding](part) for part in parts)
    assert read(request(body, content_encoding=encoding)) == b"".join(parts)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[:-1],
        lambda body: body[:-9],
        lambda body: body[: len(body) // 2],
        lambda body: body[:3],
        lambda body: b"",
        lambda body: body + b"garbage",
        lambda body: body + body[:-1],
        lambda body: body + b"\0",
        lambda body: body[:20] + b"\xff\xff\xff" + body[23:],
        lambda body: b"plain text",
    ],
    ids=["byte", "tail", "half", "start", "all", "garbage", "second", "zero", "middle", "plain"],
)
def test_spoiled_compressed_body_is_refused(encoding: str, spoil: Callable[[bytes], bytes]) -> None:
    plain = random.Random(1).randbytes(500) * 3  # no shorter than its parts
    body = spoil(ENCODINGS[encoding](plain))
    with pytest.raises(MalformedBody) as caught:
        read(request(body, content_encoding=encoding))
    assert f"is not {encoding}" in caught.value.developer[0]


@given(st.binary(max_size=60), st.sampled_from(["gzip", "zstd"]), st.integers(0, 60))
@settings(deadline=None)
def test_any_bytes_are_decompressed_or_refused(junk: bytes, encoding: str, at: int) -> None:
    whole = ENCODINGS[encoding](b"21.5" * 5)
    for body in (junk, whole[:at] + junk + whole[at:], whole[:at] + junk):
        try:
            read(request(body, content_encoding=encoding))
        except (MalformedBody, TooLarge):
            continue


def test_wrong_checksum_is_refused() -> None:
    body = bytearray(gzip.compress(b"21.5" * 100))
    body[-6] ^= 1
    with pytest.raises(MalformedBody):
        read(request(bytes(body), content_encoding="gzip"))


def _gzip_bomb(size: int) -> bytes:
    pieces = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(pieces.compress(bytes(1 << 20)) for _ in range(size >> 20)) + pieces.flush()


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", _gzip_bomb(64 << 20)),
        ("gzip", gzip.compress(bytes(LIMIT)) * 30),
        ("zstd", zstd(bytes(64 << 20))),
        ("zstd", zstd(bytes(LIMIT)) * 30),
    ],
    ids=["gzip", "gzip members", "zstd", "zstd frames"],
)
def test_bomb_is_stopped_at_the_limit_with_little_memory(encoding: str, bomb: bytes) -> None:
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            read(request(bomb, content_encoding=encoding))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * LIMIT


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_limit_holds_to_the_byte_for_decompressed_bodies(encoding: str) -> None:
    encode = ENCODINGS[encoding]
    for plain in (bytes(LIMIT), b""):
        assert read(request(encode(plain), content_encoding=encoding)) == plain
    with pytest.raises(TooLarge):
        read(request(encode(bytes(LIMIT + 1)), content_encoding=encoding))


def test_zstd_window_beyond_what_http_allows_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = stream.compress(b"x" * 1000) + stream.flush()
    with pytest.raises(MalformedBody, match="memory"):
        read(request(body, content_encoding="zstd"))


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_countless_empty_members_are_refused_quickly(encoding: str) -> None:
    with pytest.raises(MalformedBody, match="too many"):
        read(request(ENCODINGS[encoding](b"") * 3_000, content_encoding=encoding))


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip,zstd", "", "utf-8"])
def test_other_encodings_are_unsupported(encoding: str) -> None:
    with pytest.raises(UnsupportedMedia):
        read(request(b"{}", content_encoding=encoding))


def test_body_over_the_limit_is_refused_before_it_is_read() -> None:
    req = request([], content_length=str(LIMIT + 1))
    with pytest.raises(TooLarge):
        read(req)
    assert read(request(bytes(LIMIT))) == bytes(LIMIT)


def test_chunked_body_is_refused_as_soon_as_it_is_over_the_limit() -> None:
    taken: list[int] = []

    class Endless:
        content_length = None
        context: ClassVar[dict[str, Any]] = {}

        @property
        async def stream(self) -> Any:
            for number in range(1_000_000):
                taken.append(number)
                yield bytes(1000)

    with pytest.raises(TooLarge):
        read(Endless())
    assert len(taken) == LIMIT // 1000 + 1


def test_body_cut_off_by_the_client_is_no_body() -> None:
    with pytest.raises(MalformedBody, match="8 of 12 bytes"):
        read(request([b"value=12"], cut=True, content_length="12"))
    with pytest.raises(MalformedBody, match="cut off"):
        read(request([b"value=12"], cut=True))


def test_edge_notes_that_a_chunked_body_was_cut_off() -> None:
    found: list[Any] = []

    class Resource:
        async def on_post(self, req: Any, resp: Any) -> None:
            try:
                await requests.read_body(req, LIMIT)
            except MalformedBody as error:
                found.append(error)

    app: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    app.add_route("/", Resource())
    edge = Edge(app, Settings(), RequestMetrics())
    events = iter(
        [
            {"type": "http.request", "body": b"value=12", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> Any:
        return next(events)

    async def send(_: Any) -> None:
        pass

    scope = testing.create_scope(method="POST", headers={"transfer-encoding": "chunked"})
    asyncio.run(edge(scope, receive, send))
    assert len(found) == 1


# Forms


@pytest.mark.parametrize(
    ("kind", "body", "form"),
    [
        ("application/x-www-form-urlencoded", b"value=1", True),
        ("Application/X-WWW-Form-Urlencoded; charset=utf-8", b"value=1", True),
        ("application/x-www-form-urlencoded", b"", True),
        ("application/x-www-form-urlencoded", b' \n{"value": 1}', False),
        ("application/x-www-form-urlencoded", b"[1]", False),
        ("application/json", b"value=1", False),
        ("application/senml+json", b"1", False),
        ("text/plain; charset=utf-8", b"x", False),
        ("", b"x", False),
        ("text/csv", b"{}", False),
    ],
)
def test_form_is_told_from_json(kind: str, body: bytes, form: bool) -> None:
    headers = {"content_type": kind} if kind else {}
    assert requests.is_form(request(body, **headers), body) is form


@pytest.mark.parametrize("kind", ["text/csv", "multipart/form-data; boundary=x", "json", "*/*"])
def test_other_media_types_are_unsupported(kind: str) -> None:
    with pytest.raises(UnsupportedMedia):
        requests.is_form(request(b"x", content_type=kind), b"x")


def test_form_is_decoded_as_browsers_encode_it() -> None:
    assert requests.parse_form(b"") == {}
    assert requests.parse_form(b"a=1&b=x+y&c=%C3%BC%26&d=&e") == {
        "a": "1",
        "b": "x y",
        "c": "ü&",
        "d": "",
        "e": "",
    }
    assert requests.parse_form("ü=ä".encode()) == {"ü": "ä"}


@pytest.mark.parametrize(
    "body",
    [b"\xff=1", b"a=%ff", b"%ff=1", b"a=1&a=2", b"a=1&%61=2", b"&".join([b"a=1"] * 1001)],
    ids=["raw", "value", "name", "twice", "twice escaped", "many"],
)
def test_unreadable_form_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        requests.parse_form(body)


@given(st.binary(max_size=60))
def test_any_form_is_read_or_refused(body: bytes) -> None:
    try:
        found = requests.parse_form(body)
    except MalformedBody:
        return
    json.dumps(found).encode("utf-8")
    for name, value in found.items():
        (name + value).encode("utf-8")


# Typed objects


class Part(Struct, rename="camel"):
    long_name: str


class Thing(Struct, rename="camel", kw_only=True):
    name: Annotated[str, Meta(min_length=4)]
    long_name: str
    latitude: Annotated[float, Meta(ge=-90, le=90)] = 0.0
    level: float = 0.0
    count: int = 0
    required: bool = False
    comment: str | UnsetType | None = UNSET
    kind: Literal["NUMBER", "STRING"] = "NUMBER"
    parts: list[Part] = []


GOOD = {"name": "alice", "longName": "Alice"}


def test_attributes_are_taken_by_their_names_and_unknown_ones_ignored() -> None:
    thing = requests.convert(Thing, {**GOOD, "parts": [{"longName": "x"}], "extra": [1], "": 1})
    assert thing == Thing(name="alice", long_name="Alice", parts=[Part("x")])
    with pytest.raises(ValidationFailed):
        requests.convert(Thing, {"name": "alice", "long_name": "Alice"})


def test_all_problems_are_told_at_once_by_field() -> None:
    wrong = {
        "name": "ab",
        "latitude": "north",
        "count": 1.5,
        "required": "perhaps",
        "kind": "BOOLEAN",
        "parts": [{"longName": "x"}, {"longName": 7}],
    }
    with pytest.raises(InvalidObject) as caught:
        requests.convert(Thing, wrong, InvalidObject, prefix="3.")
    more = caught.value.more
    assert set(more) == {f"3.{name}" for name in (*wrong, "longName")}
    assert more["3.longName"] == "is required"
    assert "[1].longName" in more["3.parts"]
    assert all(why.startswith("is ") for why in more.values())
    assert list(caught.value.developer) == [f"{name} {why}" for name, why in more.items()]


@pytest.mark.parametrize("value", [None, [], "text", 1, True, [{}]])
def test_what_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(MalformedBody, match="object is expected"):
        requests.convert(Thing, value)


def test_null_counts_as_absent_unless_the_type_has_null() -> None:
    thing = requests.convert(Thing, {**GOOD, "count": None, "comment": None, "parts": None})
    assert thing.count == 0
    assert thing.comment is None
    assert thing.parts == []
    assert requests.convert(Thing, GOOD).comment is UNSET
    with pytest.raises(ValidationFailed) as caught:
        requests.convert(Thing, {**GOOD, "longName": None})
    assert dict(caught.value.more) == {"longName": "is required"}


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        *((text, True) for text in ("true", "True", "1", 1, True)),
        *((text, False) for text in ("false", "FALSE", "0", 0, False)),
    ],
)
def test_truth_is_read_from_text_as_old_clients_send_it(text: Any, truth: bool) -> None:
    assert requests.convert(Thing, {**GOOD, "required": text}).required is truth


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("level", "nan"),
        ("level", "Infinity"),
        ("level", "-inf"),
        ("level", "1e999"),
        ("latitude", "nan"),
        ("latitude", 90.1),
        ("count", 1 << 63),
        ("count", str(1 << 70)),
        ("count", -(1 << 63) - 1),
        ("count", "1_000"),
        ("count", " 5"),
        ("count", True),
        ("required", "yes"),
        ("required", 2),
        ("name", 12345),
        ("name", "null"[:3]),
        ("comment", 5),
    ],
)
def test_value_that_only_looks_right_is_refused_by_name(attribute: str, value: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        requests.convert(Thing, {**GOOD, attribute: value})
    assert list(caught.value.more) == [attribute]


def test_numbers_come_as_text_too() -> None:
    thing = requests.convert(Thing, {**GOOD, "count": "-12", "level": "2.5", "latitude": 1})
    assert (thing.count, thing.level, thing.latitude) == (-12, 2.5, 1.0)
    assert requests.convert(Thing, {**GOOD, "comment": "null"}).comment == "null"


def test_object_of_the_body_is_read_through_all_steps() -> None:
    body = gzip.compress(json.dumps(GOOD).encode())
    req = request(body, content_encoding="gzip")
    thing = asyncio.run(requests.read_object(req, Thing, LIMIT, error=InvalidObject))
    assert thing.name == "alice"
    with pytest.raises(InvalidObject):
        asyncio.run(requests.read_object(request(b"{}"), Thing, LIMIT, error=InvalidObject))
    with pytest.raises(MalformedBody, match="line 1 column 9"):
        asyncio.run(requests.read_object(request(b'{"name":x}'), Thing, LIMIT, error=InvalidObject))


class Query(Struct, rename="camel", kw_only=True):
    text: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000
    reverse: bool = False


def query(text: str) -> Query:
    scope = testing.create_scope(query_string=text)
    options = falcon.RequestOptions()
    options.keep_blank_qs_values = True
    req: Any = falcon.asgi.Request(scope, None, options=options)  # type: ignore[arg-type]
    return requests.read_query(req, Query)


def test_query_is_typed_and_the_last_of_a_repeated_parameter_counts() -> None:
    assert query("") == Query()
    assert query("limit=5&text=a,b&reverse=true&other=1") == Query(
        text="a,b", limit=5, reverse=True
    )
    assert query("limit=5&limit=7").limit == 7
    assert query("text=").text == ""


@pytest.mark.parametrize("text", ["limit=0", "limit=1001", "limit=", "limit=x", "reverse=maybe"])
def test_wrong_query_parameter_is_named(text: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        query(text)
    assert list(caught.value.more) == [text.partition("=")[0]]
