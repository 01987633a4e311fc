"""Splits a query into tokens."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from wotkit.gviz.errors import InvalidTableQuery

LONGEST: Final = 10_000
"""Characters a query may have."""

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z_]))
    |(?P<word>[A-Za-z_]\w*)
    |(?P<text>'[^']*'|"[^"]*")
    |(?P<quoted>`[^`]+`)
    |(?P<mark><=|>=|!=|<>|[=<>(),*+/-])""",
    re.VERBOSE | re.ASCII,
)


class Token(NamedTuple):
    """One token: its kind, what it says, and where it begins."""

    kind: str
    text: str
    at: int

    @property
    def shown(self) -> str:
        """The token as an error names it."""
        return "the end of the query" if self.kind == "end" else f"{self.text[:40]!r}"


def tokens(query: str) -> list[Token]:
    """Return the tokens of a query, the last of kind ``end``.

    Raises:
        InvalidTableQuery: a character begins no token, or the query is too long.
    """
    if len(query) > LONGEST:
        raise InvalidTableQuery(f"a query has at most {LONGEST} characters")
    found: list[Token] = []
    at = 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            what = query[at]
            if what in "'\"`":
                raise InvalidTableQuery(f"the quote {what} at position {at + 1} has no end")
            raise InvalidTableQuery(f"{what!r} at position {at + 1} was not expected")
        kind = match.lastgroup or ""
        if kind != "space":
            text = match[0][1:-1] if kind in {"text", "quoted"} else match[0]
            found.append(Token(kind, text, at))
        at = match.end()
    found.append(Token("end", "", at))
    return found
