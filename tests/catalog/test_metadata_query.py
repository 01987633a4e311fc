"""The language of the metadata query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotkit.catalog.metadata_query import Pair, escape, parse
from wotkit.errors import InvalidMetadataQuery


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("key:value", [Pair("key", ("value",))]),
        ("key", [Pair("key")]),
        ("key:", [Pair("key", ("",))]),
        ("key:*", [Pair("key", ("", ""))]),
        ("key:val*", [Pair("key", ("val", ""))]),
        ("key:*a*b", [Pair("key", ("", "a", "b"))]),
        ("a:1;b;c:x*", [Pair("a", ("1",)), Pair("b"), Pair("c", ("x", ""))]),
        (r"a\:b:c\:d", [Pair("a:b", ("c:d",))]),
        (r"a\*:\*", [Pair("a*", ("*",))]),
        (r"a\;b\\:c\\\*", [Pair("a;b\\", ("c\\*",))]),
        ("key with space:ä ö", [Pair("key with space", ("ä ö",))]),
    ],
)
def test_query_is_read_as_its_pairs(text: str, pairs: list[Pair]) -> None:
    assert parse(text) == pairs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ke*y:value", "asterisk found in key"),
        ("*", "asterisk found in key"),
        ("a:b;*c:d", "asterisk found in key"),
        ("", "empty key"),
        (":value", "empty key"),
        ("a:b;", "empty key"),
        ("a;;b", "empty key"),
        ("a:b:c", "unescaped colon found"),
        ("a::", "unescaped colon found"),
        (r"a:\n", "Attempted to escape"),
        (r"\a:b", "Attempted to escape"),
        ("a:b\\", "Attempted to escape"),
    ],
)
def test_badly_formed_query_is_refused_with_the_words_clients_know(text: str, words: str) -> None:
    with pytest.raises(InvalidMetadataQuery) as refusal:
        parse(text)
    assert words in refusal.value.developer[0]
    assert words in refusal.value.more["metadata"]
    assert refusal.value.code.message == "Unexpected format for metadata query"


_texts = st.text(st.sampled_from("ab*:;\\ é"), max_size=8)
_keys = _texts.filter(bool)
_pairs = st.builds(Pair, _keys, st.none() | st.lists(_texts, min_size=1, max_size=3).map(tuple))


def _write(pair: Pair) -> str:
    key = escape(pair.key)
    return key if pair.parts is None else f"{key}:{'*'.join(escape(part) for part in pair.parts)}"


@given(st.lists(_pairs, min_size=1, max_size=4))
def test_escaped_text_comes_back_as_it_was(pairs: list[Pair]) -> None:
    assert parse(";".join(_write(pair) for pair in pairs)) == pairs


@given(st.text(st.sampled_from("ab*:;\\"), max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        pairs = parse(text)
    except InvalidMetadataQuery:
        return
    assert parse(";".join(_write(pair) for pair in pairs)) == pairs
