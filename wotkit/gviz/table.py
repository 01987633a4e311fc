"""A table of typed columns, as queries take and make it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wotkit.gviz.syntax import Type, Value

Row: TypeAlias = "Sequence[Value]"


class TableColumn(Struct, frozen=True):
    """A column: ``type`` is the type of its cells, which may be null."""

    id: str
    type: Type
    label: str
    pattern: str | None = None
    """How its values are formatted, when the query says so."""
    form: Callable[[Value], str] | None = None
    """Formats a value that is not null."""


class Table(Struct, frozen=True):
    """Columns and rows."""

    columns: Sequence[TableColumn]
    rows: Sequence[Row]
    no_values: bool = False
    """Whether only the formatted values are wanted."""
