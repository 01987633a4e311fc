"""Parses the query language by recursive descent.

The language is https://developers.google.com/chart/interactive/docs/querylanguage (version 0.7).
More lenient than that page in two points: a word of the language that cannot be meant as one is a
column (``select timestamp``), and ``not`` may be repeated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

from wotkit.gviz import literals
from wotkit.gviz.errors import InvalidTableQuery
from wotkit.gviz.syntax import (
    AGGREGATES,
    ARITHMETIC,
    Aggregate,
    AllOf,
    AnyOf,
    Call,
    Column,
    Comparison,
    Condition,
    Expression,
    IsNull,
    Literal,
    Not,
    Query,
    Sort,
    Type,
)
from wotkit.gviz.tokens import Token, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FUNCTIONS: Final = (
    *("year", "month", "day", "hour", "minute", "second", "millisecond", "quarter", "dayOfWeek"),
    *("now", "dateDiff", "toDate", "upper", "lower"),
)
"""Scalar functions, as they are written in ids and labels."""
RESERVED: Final = frozenset(
    {
        *("and", "asc", "by", "contains", "desc", "ends", "false", "format", "group", "is"),
        *("label", "like", "limit", "matches", "not", "null", "offset", "options", "or", "order"),
        *("pivot", "select", "starts", "true", "where", "with"),
    }
)
"""Words that are a column only in back quotes."""
STEPS: Final = 200
"""Operators, parentheses and calls one query may have."""
DEPTH: Final = 40
"""Levels of parentheses, calls and ``not`` inside each other."""

_FUNCTIONS: Final = {name.lower(): name for name in FUNCTIONS}
_MARKS: Final = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_WORDS: Final = {
    "contains": ("contains",),
    "starts": ("starts", "with"),
    "ends": ("ends", "with"),
    "matches": ("matches",),
    "like": ("like",),
}
_LARGEST: Final = (1 << 63) - 1


def parse(query: str) -> Query:
    """Return what a query says.

    Raises:
        InvalidTableQuery: it is not of the language; the text says where and why.
    """
    return _Parser(query).query()


class _Parser:
    """Reads one query from its first token to its last."""

    def __init__(self, query: str) -> None:
        self._tokens = tokens(query)
        self._next = 0
        self._steps = 0
        self._depth = 0
        self._titled = False

    def query(self) -> Query:
        select = self._select() if self._word("select") else None
        where = self._any_of() if self._word("where") else None
        group = self._list(self._expression) if self._words("group", "by") else ()
        pivot = self._list(self._expression) if self._word("pivot") else ()
        order = self._list(self._sort) if self._words("order", "by") else ()
        limit = self._count() if self._word("limit") else None
        offset = self._count() if self._word("offset") else 0
        self._titled = True
        labels = self._list(self._title) if self._word("label") else ()
        formats = self._list(self._title) if self._word("format") else ()
        options = self._options() if self._word("options") else set()
        if self._peek().kind != "end":
            raise self._unexpected("the next clause")
        return Query(
            select=select,
            where=where,
            group=group,
            pivot=pivot,
            order=order,
            limit=limit,
            offset=offset,
            labels=labels,
            formats=formats,
            no_values="no_values" in options,
            no_format="no_format" in options,
        )

    def _select(self) -> tuple[Expression, ...] | None:
        return None if self._mark("*") else self._list(self._expression)

    def _sort(self) -> Sort:
        by = self._expression()
        descending = self._word("desc")
        if not descending:
            self._word("asc")
        return Sort(by, descending)

    def _title(self) -> tuple[Expression, str]:
        expression = self._expression()
        token = self._peek()
        if token.kind != "text":
            raise self._unexpected("a text in quotes")
        self._next += 1
        return expression, token.text

    def _count(self) -> int:
        token = self._peek()
        if token.kind != "number" or not token.text.isdigit():
            raise self._unexpected("a whole number, not negative")
        self._next += 1
        return min(int(token.text[:30]), _LARGEST)

    def _options(self) -> set[str]:
        found: set[str] = set()
        while self._word("no_values", "no_format"):
            found.add(self._tokens[self._next - 1].text.lower())
            self._mark(",")
        if not found:
            raise self._unexpected("no_values or no_format")
        return found

    def _any_of(self) -> Condition:
        parts = [self._all_of()]
        while self._word("or"):
            self._step()
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all_of(self) -> Condition:
        parts = [self._negation()]
        while self._word("and"):
            self._step()
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _negation(self) -> Condition:
        if self._word("not"):
            self._step()
            return Not(self._deeper(self._negation))
        if self._peek().text == "(" and self._peek().kind == "mark":
            return self._parenthesis()
        return self._comparison()

    def _parenthesis(self) -> Condition:
        """Read ``(`` as the begin of a condition, or else of an expression."""
        start, steps, depth = self._next, self._steps, self._depth
        try:
            self._next += 1
            self._step()
            condition = self._deeper(self._any_of)
            self._expect(")")
        except InvalidTableQuery as error:
            furthest = self._next
            self._next, self._steps, self._depth = start, steps, depth
            try:
                return self._comparison()
            except InvalidTableQuery:
                if self._next < furthest:
                    raise error from None
                raise
        return condition

    def _comparison(self) -> Condition:
        left = self._expression()
        if self._word("is"):
            negated = self._word("not")
            if not self._word("null"):
                raise self._unexpected("null")
            return Not(IsNull(left)) if negated else IsNull(left)
        operator = self._operator()
        return Comparison(operator, left, self._expression())

    def _operator(self) -> str:
        token = self._peek()
        if token.kind == "mark" and token.text in _MARKS:
            self._next += 1
            return _MARKS[token.text]
        words = _WORDS.get(token.text.lower(), ()) if token.kind == "word" else ()
        if words and self._words(*words):
            return " ".join(words)
        raise self._unexpected("a comparison")

    def _expression(self) -> Expression:
        return self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._atom))

    def _chain(self, operators: tuple[str, ...], part: Callable[[], Expression]) -> Expression:
        left = part()
        while (operator := self._mark(*operators)) is not None:
            self._step()
            left = Call(operator, (left, part()))
        return left

    def _atom(self) -> Expression:
        token = self._peek()
        if self._mark("("):
            self._step()
            return self._inside(self._expression)
        if token.kind == "number" or (token.text == "-" and token.kind == "mark"):
            return self._number()
        self._next += 1
        if token.kind == "text":
            return Literal(Type.STRING, token.text)
        if token.kind == "quoted":
            return Column(token.text)
        if token.kind == "word":
            found = self._named(token)
            if found is not None:
                return found
        self._next -= 1
        raise self._unexpected("a column, a value or a function")

    def _number(self) -> Literal:
        sign = "-" if self._mark("-") else ""
        token = self._peek()
        if token.kind != "number":
            raise self._unexpected("a number")
        self._next += 1
        value = float(sign + token.text)
        if not math.isfinite(value):
            raise InvalidTableQuery(f"the number {token.shown} is too large")
        if token.text.isdigit() and abs(value) <= _LARGEST:
            return Literal(Type.NUMBER, int(sign + token.text))
        return Literal(Type.NUMBER, value)

    def _named(self, token: Token) -> Expression | None:
        """Return what a word stands for, which was read already; None for a reserved word."""
        word = token.text.lower()
        following = self._peek()
        if word in literals.WORDS and following.kind == "text" and self._is_literal():
            self._next += 1
            return literals.read(word, following.text)
        if following.kind == "mark" and following.text == "(":
            if word in AGGREGATES:
                return self._aggregate(word)
            if word in _FUNCTIONS:
                return self._call(_FUNCTIONS[word])
            raise InvalidTableQuery(f"there is no function {token.shown}")
        if word in {"true", "false"}:
            return Literal(Type.BOOLEAN, word == "true")
        return None if word in RESERVED else Column(token.text)

    def _is_literal(self) -> bool:
        """Return whether the text ahead belongs to the word before it, and is not its title."""
        after = self._tokens[self._next + 1]
        return not self._titled or after.kind == "text" or after.text in ARITHMETIC

    def _aggregate(self, function: str) -> Aggregate:
        self._step()
        self._expect("(")
        token = self._peek()
        self._next += 1
        if token.kind != "quoted" and (token.kind != "word" or token.text.lower() in RESERVED):
            self._next -= 1
            raise self._unexpected("a column")
        self._expect(")")
        return Aggregate(function, Column(token.text))

    def _call(self, function: str) -> Call:
        self._step()
        self._expect("(")
        if self._mark(")"):
            return Call(function, ())
        return Call(function, self._inside(lambda: self._list(self._expression)))

    def _inside(self, read: Callable[[], T]) -> T:
        """Read what stands in parentheses, and the closing one; no titles are in there."""
        titled, self._titled = self._titled, False
        found = self._deeper(read)
        self._titled = titled
        self._expect(")")
        return found

    def _list(self, item: Callable[[], T]) -> tuple[T, ...]:
        found = [item()]
        while self._mark(","):
            found.append(item())
        return tuple(found)

    def _deeper(self, read: Callable[[], T]) -> T:
        self._depth += 1
        if self._depth > DEPTH:
            raise InvalidTableQuery(f"a query is at most {DEPTH} levels deep")
        found = read()
        self._depth -= 1
        return found

    def _step(self) -> None:
        self._steps += 1
        if self._steps > STEPS:
            raise InvalidTableQuery(
                f"a query has at most {STEPS} operators, functions and brackets"
            )

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _mark(self, *marks: str) -> str | None:
        token = self._peek()
        if token.kind == "mark" and token.text in marks:
            self._next += 1
            return token.text
        return None

    def _word(self, *words: str) -> bool:
        token = self._peek()
        if token.kind == "word" and token.text.lower() in words:
            self._next += 1
            return True
        return False

    def _words(self, *words: str) -> bool:
        """Read words that only stand together."""
        if not self._word(words[0]):
            return False
        for word in words[1:]:
            if not self._word(word):
                raise self._unexpected(word)
        return True

    def _expect(self, mark: str) -> None:
        if self._mark(mark) is None:
            raise self._unexpected(repr(mark))

    def _unexpected(self, wanted: str) -> InvalidTableQuery:
        token = self._peek()
        return InvalidTableQuery(
            f"{token.shown} at position {token.at + 1} was not expected; wanted {wanted}"
        )
