"""Writes a parsed query as text again, and names the columns it makes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wotkit import strict_json
from wotkit.gviz import literals
from wotkit.gviz.grammar import RESERVED
from wotkit.gviz.syntax import (
    ARITHMETIC,
    Aggregate,
    AllOf,
    Column,
    Comparison,
    Condition,
    Expression,
    IsNull,
    Literal,
    Not,
    Query,
    Type,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLAIN: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def write_query(query: Query) -> str:
    """Return a text that parses to ``query``."""
    clauses = []
    if query.select is not None:
        clauses.append("select " + _joined(map(write, query.select)))
    if query.where is not None:
        clauses.append("where " + write_condition(query.where))
    if query.group:
        clauses.append("group by " + _joined(map(write, query.group)))
    if query.pivot:
        clauses.append("pivot " + _joined(map(write, query.pivot)))
    if query.order:
        keys = (write(key.by) + (" desc" if key.descending else "") for key in query.order)
        clauses.append("order by " + _joined(keys))
    return " ".join([*clauses, *_ending(query)])


def _ending(query: Query) -> list[str]:
    """Return the clauses that say how the answer is cut and shown."""
    clauses = []
    if query.limit is not None:
        clauses.append(f"limit {query.limit}")
    if query.offset:
        clauses.append(f"offset {query.offset}")
    for clause, titles in (("label", query.labels), ("format", query.formats)):
        if titles:
            items = (f"{write(each)} {_text(title)}" for each, title in titles)
            clauses.append(f"{clause} {_joined(items)}")
    options = [name for name in ("no_values", "no_format") if getattr(query, name)]
    if options:
        clauses.append("options " + " ".join(options))
    return clauses


def write(expression: Expression) -> str:
    """Return an expression as text."""
    if isinstance(expression, Literal):
        return _literal(expression)
    if isinstance(expression, Column):
        plain = _PLAIN.fullmatch(expression.id) and expression.id.lower() not in (
            RESERVED | literals.WORDS.keys()
        )
        return expression.id if plain else f"`{expression.id}`"
    if isinstance(expression, Aggregate):
        return f"{expression.function}({write(expression.column)})"
    if expression.function in ARITHMETIC:
        left, right = map(write, expression.arguments)
        return f"({left} {expression.function} {right})"
    return f"{expression.function}({_joined(map(write, expression.arguments))})"


def write_condition(condition: Condition) -> str:
    """Return a condition as text."""
    if isinstance(condition, Comparison):
        return f"{write(condition.left)} {condition.operator} {write(condition.right)}"
    if isinstance(condition, IsNull):
        return f"{write(condition.operand)} is null"
    if isinstance(condition, Not):
        return f"not ({write_condition(condition.operand)})"
    word = " and " if isinstance(condition, AllOf) else " or "
    return word.join(f"({write_condition(part)})" for part in condition.parts)


def column_id(expression: Expression) -> str:
    """Return the id of a selected column, such as ``avg-temperature`` or ``year_timestamp``."""
    if isinstance(expression, Literal):
        return _literal(expression) + "_"
    if isinstance(expression, Column):
        return expression.id
    if isinstance(expression, Aggregate):
        return f"{expression.function}-{expression.column.id}"
    name = ARITHMETIC.get(expression.function, expression.function)
    return f"{name}_{','.join(map(column_id, expression.arguments))}"


def column_label(expression: Expression, labels: Mapping[str, str]) -> str:
    """Return the label of a selected column, made of the labels of the table's columns."""
    if isinstance(expression, Literal):
        return _literal(expression)
    if isinstance(expression, Column):
        return labels[expression.id]
    if isinstance(expression, Aggregate):
        return f"{expression.function} {labels[expression.column.id]}"
    inside = [column_label(each, labels) for each in expression.arguments]
    if expression.function in ARITHMETIC:
        return f"({inside[0]} {expression.function} {inside[1]})"
    return f"{expression.function}({', '.join(inside)})"


def _literal(literal: Literal) -> str:
    if literal.type is Type.STRING:
        return _text(str(literal.value))
    if literal.type in literals.WORDS.values():
        return literals.write(literal)
    return strict_json.encode(literal.value).decode()


def _text(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


def _joined(items: Iterable[str]) -> str:
    return ", ".join(items)
