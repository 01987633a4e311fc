"""Checks the values of a reading against a sensor's declared fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.readings.store import cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wotkit.settings import IngestSettings

NUMBER: Final = "NUMBER"
STRING: Final = "STRING"
READ_ONLY: Final = ("id", "sensor_id", "sensor_name", "timestamp_iso")
"""Names that answers carry and requests may repeat; they are not stored."""


class FieldChecks:
    """What one sensor's readings must be like."""

    __slots__ = ("_limits", "_required", "_types")

    def __init__(self, declared: Iterable[tuple[str, str, bool]], limits: IngestSettings) -> None:
        """Take the declared fields as name, type and whether they are required."""
        declared = list(declared)
        self._types = {name: NUMBER if kind == NUMBER else STRING for name, kind, _ in declared}
        self._required = tuple(name for name, _, required in declared if required)
        self._limits = limits

    def check(self, values: dict[str, Any]) -> dict[str, str] | None:
        """Bring values to their declared types, in place.

        Returns:
            None when all is well, else each wrong field with what is wrong with it.
        """
        types = self._types
        for name in READ_ONLY:
            if name in values and name not in types:
                del values[name]
        for name, value in values.items():
            declared = types.get(name)
            kind = type(value)
            if declared is NUMBER:
                if kind is float or kind is int:
                    continue
            elif declared is STRING and kind is str and len(value) <= self._limits.max_text_length:
                continue
            return self._check_closely(values)
        if not values or len(values) > self._limits.max_fields:
            return self._check_closely(values)
        for name in self._required:
            if name not in values:
                return self._check_closely(values)
        return None

    def _check_closely(self, values: dict[str, Any]) -> dict[str, str] | None:
        """Check again, gathering everything that is wrong."""
        problems: dict[str, str] = {}
        if not values:
            problems["value"] = "is missing: a reading needs at least one field"
        if len(values) > self._limits.max_fields:
            return {"fields": f"are {len(values)}, more than {self._limits.max_fields}"}
        for name, value in values.items():
            declared = self._types.get(name)
            if declared is None:
                wrong = self._check_undeclared(name, value)
            elif value is None:
                continue
            else:
                wrong = self._bring_to_type(values, name, declared)
            if wrong is not None:
                problems[name[:100]] = wrong
        for name in self._required:
            if values.get(name) is None:
                problems[name] = "is required"
        return problems or None

    def _bring_to_type(self, values: dict[str, Any], name: str, declared: str) -> str | None:
        value = values[name]
        brought = cast(value, number=declared == NUMBER)
        if brought is None:
            return f"expected {declared}, got {_shown(value)}"
        if isinstance(brought, str) and len(brought) > self._limits.max_text_length:
            return f"has more than {self._limits.max_text_length} characters"
        values[name] = brought
        return None

    def _check_undeclared(self, name: str, value: Any) -> str | None:
        limits = self._limits
        if not name or len(name) > limits.max_name_length:
            return f"is a name of {len(name)} characters; 1 to {limits.max_name_length} are allowed"
        if isinstance(value, str) and len(value) > limits.max_text_length:
            return f"has more than {limits.max_text_length} characters"
        if isinstance(value, list | dict):
            return self._check_nested(value)
        return None

    def _check_nested(self, value: Any) -> str | None:
        """Check a list or object, level by level, so that no depth is too deep to be refused."""
        level, depth = [value], 0
        while level:
            depth += 1
            if depth > self._limits.max_depth:
                return f"is nested more than {self._limits.max_depth} levels deep"
            below: list[Any] = []
            for item in level:
                members = item.values() if isinstance(item, dict) else item
                for member in members:
                    if isinstance(member, list | dict):
                        below.append(member)
                    elif isinstance(member, str) and len(member) > self._limits.max_text_length:
                        return f"has a text of more than {self._limits.max_text_length} characters"
            level = below
        return None


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."  # noqa: PLR2004  # a line's worth
