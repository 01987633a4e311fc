"""Queries of many rows or many conditions, without what peewee does for each of them.

A page of a thousand sensors is ten thousand rows of five tables: a quarter of the time is left.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from peewee import SQL, Expression, NodeList

from wotkit.catalog.models import CURRENT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


def among(column: Any, ids: Iterable[int]) -> Any:
    """Return the condition that a column is one of these numbers, written into the SQL."""
    return Expression(column, "IN", SQL("({})".format(",".join([str(int(one)) for one in ids]))))


def all_of(conditions: Iterable[Any]) -> Any:
    """Return the condition that all of these hold, tried in this order.

    ``&`` would nest a pair of brackets for each, and a hundred are more than SQLite's parser takes.
    """
    return NodeList(tuple(conditions), glue=" AND ", parens=True)


def any_of(conditions: Iterable[Any]) -> Any:
    """Return the condition that one of these holds; see :func:`all_of`."""
    return NodeList(tuple(conditions), glue=" OR ", parens=True)


def containing(columns: Iterable[Any], text: str) -> Any:
    """Return the condition that one of these columns contains a text; case does not count.

    LIKE reads its pattern to a NUL only, so for a text with one it would find what it should not.
    """
    if "\0" in text:
        return SQL("0")
    return any_of([column.contains(text) for column in columns])


def stream(query: Any) -> Generator[tuple[Any, ...]]:
    """Yield the rows of a SELECT as the database has them: a truth value may be 0 or 1."""
    with closing(CURRENT.execute(query)) as cursor:
        yield from cursor
