"""Strict JSON against a reference, and what its errors say."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wotkit import strict_json
from wotkit.errors import MalformedBody, ValidationFailed, WotkitError


class Refused(Exception):
    """The reference refuses."""


def _reference_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused
    return dict(pairs)


def _reference_int(digits: str) -> int:
    if math.isinf(float(digits)):
        raise Refused
    return int(digits)


def _reference_float(digits: str) -> float:
    if math.isinf(float(digits)):
        raise Refused
    return float(digits)


def _reference_constant(word: str) -> Any:
    raise Refused(word)


def reference(body: bytes) -> Any:
    """Decode with the standard library, one rule after the other, slowly."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_reference_object,
            parse_int=_reference_int,
            parse_float=_reference_float,
            parse_constant=_reference_constant,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    except (ValueError, RecursionError) as error:
        raise Refused from error
    return value


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same, types included: 1 is not 1.0 nor True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def agree(body: bytes) -> None:
    """Check that a body is decoded as the reference does, or refused with a domain error."""
    try:
        expected = reference(body)
    except Refused:
        with pytest.raises((MalformedBody, ValidationFailed)):
            strict_json.decode(body)
    else:
        assert same(strict_json.decode(body), expected)


_SIGNS = [
    *'{}[],:" \n\t',
    *(
        "\\",
        "\\n",
        "\\u0041",
        "\\ud800",
        "\\ud83d\\ude00",
        "\\u000",
        "\\q",
        "\x00",
        "\x7f",
        "ü",
        "€",
    ),
    *("0", "-", "1", "12", "1.5", "1e5", "1e400", "-1E+999", "9" * 310, "1e-999", "01", ".", "+1"),
    *(
        "true",
        "false",
        "null",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        '"a"',
        '"b":',
        '"a":',
        '"a:b":',
    ),
]

_names = st.sampled_from(["a", "b", "c", "a:b", ":", "", "ä", "\\u0061", '\\"', "a\\\\"])
_scalars = st.one_of(
    st.sampled_from(["1", "-0", "0.5", "1e400", "9" * 309, "9" * 308, "NaN", "true", "null"]),
    st.sampled_from(['"x"', '"a:b"', '":"', '"\\u003a"', '"\\\\"', '"{\\"a\\":1}"', '""']),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)


def _object(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(_names, values), max_size=4)
    return pairs.map(lambda found: "{" + ",".join(f'"{n}":{v}' for n, v in found) + "}")


def _list(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(lambda found: "[" + ",".join(found) + "]")


_documents = st.recursive(_scalars, lambda inner: _object(inner) | _list(inner), max_leaves=12)


@given(_documents)
@example('{"a":1,"a":":"}')
@example('{"a":":","a":1}')
@example('[{"a":1},{"b":1,"b":2}]')
@example('[{"a":":"},{"a":1,"a":1}]')
@example('{"a":{"b":1,"b":2},"c":"::"}')
@example('{"a":"\\u003a","a":1}')
@example("9" * 309)
@example('{"a":' + "9" * 309 + "}")
@settings(max_examples=400)
def test_document_is_decoded_exactly_as_by_the_reference(document: str) -> None:
    agree(document.encode())


@given(st.lists(st.sampled_from(_SIGNS), max_size=14).map("".join))
@example('"\\ud800"')
@example('{"a":1e400,"b":}')
@example("9" * 5000)
@example("[" * 900 + "]" * 900)
@settings(max_examples=600)
def test_rubble_of_json_is_refused_or_decoded_as_by_the_reference(rubble: str) -> None:
    agree(rubble.encode())


@given(st.binary(max_size=40))
@example(b'"\xed\xa0\x80"')
@example(b'{"\xff":1}')
@example(b"\xef\xbb\xbf{}")
@example(b"\xff\xfe{\x00}\x00")
def test_no_bytes_raise_anything_but_a_domain_error(body: bytes) -> None:
    agree(body)


@given(_documents, st.binary(min_size=1, max_size=3), st.data())
def test_document_with_bytes_replaced_raises_nothing_but_a_domain_error(
    document: str, junk: bytes, data: st.DataObject
) -> None:
    body = document.encode()
    at = data.draw(st.integers(0, len(body)))
    agree(body[:at] + junk + body[at + 1 :])


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=4))
def test_fast_path_decides_as_the_closer_look_does(members: dict[str, Any]) -> None:
    body = json.dumps(members, ensure_ascii=False).encode()
    same_with_escapes = json.dumps(members).encode()
    assert same(strict_json.decode(body), strict_json.decode(same_with_escapes))
    twice = body[:-1] + b"," + body[1:]
    if members:
        with pytest.raises(ValidationFailed):
            strict_json.decode(twice)
        with pytest.raises(ValidationFailed):
            strict_json.decode(b"[" + twice + b"]")


@pytest.mark.parametrize(
    ("body", "word", "place", "field"),
    [
        (b'{"a": NaN}', "NaN", "line 1 column 7", "'a'"),
        (b'{"a": -Infinity}', "-Infinity", "line 1 column 7", "'a'"),
        (b'{"NaN": "NaN", "b": NaN}', "NaN", "line 1 column 21", "'b'"),
        (b'[{"a": 1},\n {"b": [1, NaN]}]', "NaN", "line 2 column 12", "'1.b.1'"),
        (b'{"a": {"b": 1},\n"c": nul}', "Expecting value", "line 2 column 6", "'c'"),
        (b'{"a":1,}', "property name", "line 1 column 8", ""),
        ('{"ü":"ä", "b" 2}'.encode(), "':'", "line 1 column 15", ""),
        (b'{"a":1}\n}', "Extra data", "line 2 column 1", ""),
        (b'{"a":"\xff"}', "0xff", "line 1 column 7", "'a'"),
        ('{"ü":"'.encode() + b'\xc3"}', "0xc3", "line 1 column 7", "'ü'"),
        (b'{"a":"x\\\\ud800 \\ud800"}', "surrogate", "line 1 column 16", "'a'"),
        (b'{"a":"x', "Unterminated", "line 1 column 6", "'a'"),
        (b"", "Expecting value", "line 1 column 1", ""),
    ],
)
def test_malformed_body_says_what_and_where(body: bytes, word: str, place: str, field: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        strict_json.decode(body)
    (line,) = caught.value.developer
    assert word in line
    assert f"at {place}" in line
    assert ("in the value of" in line) == bool(field)
    assert field in line


@pytest.mark.parametrize(
    ("body", "field", "place"),
    [
        (b'{"a": 1, "a": 2}', "a", "column 10"),
        (b'{"a": {"b": 1, "b": 2}}', "a.b", "column 16"),
        (b'[{"a": 1}, {"a": 1, "\\u0061": 2}]', "1.a", "column 21"),
        (b'{"1e400": 1e400}', "1e400", "column 11"),
        (b'[{"a": 1}, {"a": -1e999}]', "1.a", "column 18"),
        (b'{"a": "1e400", "b": [0, 1e400]}', "b.1", "column 25"),
        (b'{"a":' + b"9" * 310 + b"}", "a", "column 6"),
        (b'{"a":' + b"9" * 9000 + b"}", "a", "column 6"),
    ],
)
def test_duplicate_name_and_huge_number_name_the_field(body: bytes, field: str, place: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        strict_json.decode(body)
    assert list(caught.value.more) == [field]
    assert place in caught.value.developer[0]
    assert len(caught.value.developer[0]) < 200


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":['])
def test_deep_nesting_is_refused_without_a_crash(opening: str) -> None:
    for body in (opening * 100_000, opening * 2_000 + "1"):
        with pytest.raises(WotkitError):
            strict_json.decode(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * 500_000,
        b'{"a":"' + b"\\" * 1_000_001,
        b'"' * 1_000_001,
        b'{"a" ' + b" " * 1_000_000,
        b'["a"' + b" " * 1_000_000 + b"NaN]",
        b"{" + b",".join(b'"%d":0' % i for i in range(100_000)) + b',"99999":1}',
        b"[" + b'"\\ud83d\\ude00",' * 50_000 + b'"\\ud83d"]',
        b"[" + b"9" * 1_000_000 + b"]",
        b"NaN" * 300_000,
    ],
    ids=["quotes", "backslashes", "texts", "space", "gap", "names", "pairs", "digits", "words"],
)
def test_refusing_a_hostile_megabyte_takes_linear_time(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises((MalformedBody, ValidationFailed)) as caught:
        strict_json.decode(body)
    assert time.process_time() - started < 3  # quadratic would take minutes
    assert len(str(caught.value)) < 400


def test_largest_double_passes_and_the_next_power_does_not() -> None:
    assert strict_json.decode(b"1.7976931348623157e308") == 1.7976931348623157e308
    largest = int(1.7976931348623157e308)
    assert strict_json.decode(b'{"a":%d}' % largest) == {"a": largest}
    with pytest.raises(ValidationFailed):
        strict_json.decode(b"1.8e308")
    with pytest.raises(ValidationFailed):
        strict_json.decode(b'{"a":%d}' % (largest * 2))


@given(_documents)
def test_what_is_decoded_encodes_and_decodes_to_itself(document: str) -> None:
    try:
        value = strict_json.decode(document.encode())
    except WotkitError:
        return
    assert strict_json.decode(strict_json.encode(value)) == value
