r"""The metadata query: ``key:value;key2;key3:val*``.

Pairs are joined by ``;`` and all must hold. A key alone asks whether the name exists, ``*`` in a
value stands for any text, and ``\`` takes the meaning from ``*``, ``:``, ``;`` and itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from wotkit.catalog import engine
from wotkit.catalog.models import Metadata
from wotkit.errors import InvalidMetadataQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEANINGFUL: Final = frozenset("*:;\\")


class Pair(Struct, frozen=True):
    """One condition: the name exists and, when ``parts`` is given, its value matches.

    ``parts`` are the literal texts between wildcards: ``("val", "")`` is ``val*``, ``("val",)``
    is exactly ``val``.
    """

    key: str
    parts: tuple[str, ...] | None = None


def escape(text: str) -> str:
    """Return ``text`` so that a query takes every character of it literally."""
    return "".join(f"\\{char}" if char in _MEANINGFUL else char for char in text)


def parse(text: str) -> list[Pair]:
    """Return the pairs of a query.

    Raises:
        InvalidMetadataQuery: saying what stands where it may not.
    """
    pairs: list[Pair] = []
    key = ""
    parts: list[str] | None = None
    for char, meaningful in _characters(text):
        if not meaningful and parts is None:
            key += char
        elif not meaningful and parts is not None:
            parts[-1] += char
        elif char == ";":
            pairs.append(_pair(key, parts, len(pairs)))
            key, parts = "", None
        elif char == ":" and parts is None:
            parts = [""]
        elif char == ":":
            raise _refusal(f"unescaped colon found in the value of {key!r}")
        elif parts is None:
            raise _refusal(f"asterisk found in key, after {key!r}")
        else:
            parts.append("")
    return [*pairs, _pair(key, parts, len(pairs))]


def condition(pair: Pair) -> Any:
    """Return the condition that rows of Metadata meet when the pair holds for their sensor."""
    named = Metadata.name == pair.key
    if pair.parts is None:
        return named
    if len(pair.parts) == 1:
        return named & (Metadata.text == pair.parts[0])
    return named & engine.wildcard(Metadata.text, pair.parts)


def _characters(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each character and whether it has its meaning, the escapes resolved."""
    characters = iter(text)
    for char in characters:
        if char != "\\":
            yield char, char in _MEANINGFUL
            continue
        escaped = next(characters, "")
        if escaped not in _MEANINGFUL:
            shown = repr(escaped) if escaped else "the end of the query"
            raise _refusal(f"Attempted to escape {shown}; only * : ; and \\ can be escaped")
        yield escaped, False


def _pair(key: str, parts: list[str] | None, before: int) -> Pair:
    if not key:
        raise _refusal(f"empty key in pair {before + 1}")
    return Pair(key, None if parts is None else tuple(parts))


def _refusal(why: str) -> InvalidMetadataQuery:
    return InvalidMetadataQuery(why, more={"metadata": why})
