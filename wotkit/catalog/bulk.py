"""Reading many rows at once, without what peewee does for each value and parameter.

A page of a thousand sensors is ten thousand rows of five tables: this halves the time it takes.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from peewee import SQL, Expression

from wotkit.catalog.models import CURRENT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable


def among(column: Any, ids: Iterable[int]) -> Any:
    """Return the condition that a column is one of these numbers, written into the SQL."""
    return Expression(column, "IN", SQL("({})".format(",".join([str(int(one)) for one in ids]))))


def stream(query: Any) -> Generator[tuple[Any, ...]]:
    """Yield the rows of a SELECT as the database has them: a truth value may be 0 or 1."""
    with closing(CURRENT.execute(query)) as cursor:
        yield from cursor
