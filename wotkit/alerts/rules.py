"""What an alert's conditions mean, over the latest values of their sensors; no I/O.

A comparison goes by the last value that its field had. NULL and NOTNULL go by the newest reading,
and NODATA by when a reading last came in. A condition of a sensor that never had a reading does
not hold, but for NODATA. OFFLINE holds while a gateway has been offline for so long.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wotkit import strict_json, times
from wotkit.catalog.alert_conditions import NODATA, OFFLINE, TIMED
from wotkit.readings.store import cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wotkit.catalog.alert_rules import ConditionRow, RuleRow
    from wotkit.catalog.gateways import GatewayState
    from wotkit.readings.store import Latest

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "LT": operator.lt,
    "LE": operator.le,
    "GT": operator.gt,
    "GE": operator.ge,
    "EQ": operator.eq,
    "NEQ": operator.ne,
}
_PLACEHOLDER: Final = re.compile(r"\$\{([^{}]{1,200})\}")
LONGEST_MESSAGE: Final = 10_000
"""Characters of a message; a template may name a long text again and again."""


class SensorValues:
    """The latest values of one sensor, as readings come in; or how one gateway is.

    ``updated`` is when a reading last came in; of a gateway since when it is offline, None for one
    that is online.
    """

    __slots__ = ("at", "fields", "newest", "ts", "updated")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.at: dict[str, int] = {}
        self.newest: Mapping[str, Any] | None = None
        self.ts = times.EARLIEST
        self.updated: int | None = None

    @classmethod
    def load(cls, latest: Latest | None, before: int | None = None) -> SensorValues:
        """Return what the store has, without what came at or after ``before``."""
        found = cls()
        if latest is None:
            return found
        found.updated = latest.updated
        for name, (value, at) in latest.fields.items():
            if before is None or at < before:
                found.fields[name] = value
                found.at[name] = at
        if before is None:
            found.ts = latest.ts
            found.newest = strict_json.decode(latest.data)
        return found

    @classmethod
    def of_gateway(cls, state: GatewayState | None) -> SensorValues:
        """Return what is known of a gateway; None is one that was deleted."""
        found = cls()
        if state is not None:
            found.updated = state.offline_since
            found.fields = {
                "status": "online" if state.offline_since is None else "offline",
                "lastSeen": times.to_iso(state.last_seen),
            }
        return found

    def add(self, ts: int, values: Mapping[str, Any], received: int) -> None:
        """Take in a reading; one that is late changes only what it is the newest of."""
        self.updated = received
        if ts >= self.ts:
            self.ts = ts
            self.newest = values
        at = self.at
        for name, value in values.items():
            if value is not None and at.get(name, times.EARLIEST) <= ts:
                self.fields[name] = value
                at[name] = ts


class Rule:
    """One alert's conditions, ready to be asked again and again."""

    __slots__ = ("_tests", "alert_id", "met", "row", "sensor_ids", "timed")

    def __init__(self, row: RuleRow) -> None:
        self.row = row
        self.alert_id = row.alert_id
        self.sensor_ids = frozenset(condition.sensor_id for condition in row.conditions)
        self.met = row.in_progress
        """Whether all conditions held when they were last asked."""
        self.timed = any(condition.operator in TIMED for condition in row.conditions)
        self._tests = [(one.sensor_id, _test(one, row.since)) for one in row.conditions]

    def holds(self, values: Mapping[int, SensorValues], now: int) -> bool:
        """Return whether all conditions hold; of a rule without any they never do."""
        for sensor_id, test in self._tests:
            known = values.get(sensor_id)
            if known is None or not test(known, now):
                return False
        return bool(self._tests)


def _test(condition: ConditionRow, since: int) -> Callable[[SensorValues, int], bool]:
    """Return the condition as a function of a sensor's values and the time."""
    name, wanted = condition.field, condition.value
    if condition.operator == NODATA:
        silence = int((condition.seconds or 0) * times.MICROSECONDS)
        return lambda known, now: now - max(known.updated or since, 0) >= silence
    if condition.operator == OFFLINE:
        length = int((condition.seconds or 0) * times.MICROSECONDS)
        return lambda known, now: known.updated is not None and now - known.updated >= length
    if condition.operator == "NULL":
        return lambda known, _: known.newest is not None and known.newest.get(name) is None
    if condition.operator == "NOTNULL":
        return lambda known, _: known.newest is not None and known.newest.get(name) is not None
    compare = _COMPARISONS[condition.operator]
    number = cast(wanted, number=True)
    if number is None:
        return _text_test(name, compare, wanted, equal=condition.operator in {"EQ", "NEQ"})

    def test(known: SensorValues, _: int) -> bool:
        value = known.fields.get(name)
        if type(value) is not float and type(value) is not int:
            value = cast(value, number=True)
            if value is None:
                # a text is never a number; nothing at all is neither equal nor unequal
                return condition.operator == "NEQ" and name in known.fields
        return compare(value, number)

    return test


def _text_test(
    name: str, compare: Callable[[Any, Any], bool], wanted: Any, *, equal: bool
) -> Callable[[SensorValues, int], bool]:
    text = cast(wanted, number=False)

    def test(known: SensorValues, _: int) -> bool:
        if not equal or name not in known.fields:
            return False
        return compare(cast(known.fields[name], number=False), text)

    return test


class Snapshot(NamedTuple):
    """What held when an alert began to be in progress."""

    at: int
    values: Sequence[Any]
    """For each condition the value its field had; None where there was none."""
    fields: Mapping[str, Any]
    """What ``${name}`` stands for."""


def snapshot(rule: Rule, values: Mapping[int, SensorValues], at: int) -> Snapshot:
    """Return what a message about the rule may speak of; of equal names the first condition's."""
    fields: dict[str, Any] = {}
    found: list[Any] = []
    for condition in rule.row.conditions:
        known = values.get(condition.sensor_id)
        if known is None:
            found.append(None)
            continue
        found.append(known.fields.get(condition.field))
        for name, value in known.fields.items():
            fields.setdefault(name, value)
            fields.setdefault(f"{condition.sensor}.{name}", value)
    return Snapshot(at, found, fields)


def message(row: RuleRow, taken: Snapshot) -> str:
    """Return the text for people: the template, or what the conditions say."""
    if not row.template:
        return default_message(row, taken)[:LONGEST_MESSAGE]
    names = {
        "alert": row.name,
        "alert.longName": row.long_name,
        "timestamp": times.to_iso(taken.at),
        "sensor": row.conditions[0].sensor if row.conditions else "",
    }
    known = {**names, **taken.fields}

    def fill(found: re.Match[str]) -> str:
        return _shown(known[found[1]]) if found[1] in known else found[0]

    return _PLACEHOLDER.sub(fill, row.template)[:LONGEST_MESSAGE]


def default_message(row: RuleRow, taken: Snapshot) -> str:
    """Return one line for each condition."""
    lines = []
    for condition, value in zip(row.conditions, taken.values, strict=True):
        if condition.operator == NODATA:
            lines.append(f"{condition.sensor}: no data for {condition.seconds:g} s")
            continue
        if condition.operator == OFFLINE:
            lines.append(f"gateway {condition.sensor}: offline for {condition.seconds:g} s")
            continue
        wanted = "" if condition.value is None else f" {_shown(condition.value)}"
        now = "" if value is None else f" (it is {_shown(value)})"
        lines.append(f"{condition.sensor}: {condition.field} {condition.operator}{wanted}{now}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else strict_json.encode(value).decode()


class Event(NamedTuple):
    """A stored reading, for :func:`replay`."""

    ts: int
    sensor_id: int
    values: Mapping[str, Any]


class Episode(NamedTuple):
    """A time in which an alert would have been in progress."""

    began: Snapshot
    ended: int | None
    """None: it still was when the readings ended."""


def replay(
    row: RuleRow, values: dict[int, SensorValues], events: Iterable[Event], start: int, end: int
) -> list[Episode]:
    """Return when an alert would have fired over readings in order of time.

    Args:
        row: the alert.
        values: what was known of its sensors at ``start``; used up.
        events: the readings after ``start``; each counts as received at its own time.
        start: what held already then has not begun.
        end: until when silence is waited for.
    """
    rule = Rule(row)
    rule.met = rule.holds(values, start)
    episodes: list[Episode] = []

    def look(now: int) -> None:
        met = rule.holds(values, now)
        if met and not rule.met:
            episodes.append(Episode(snapshot(rule, values, now), None))
        elif rule.met and not met and episodes:
            episodes[-1] = Episode(episodes[-1].began, now)
        rule.met = met

    reached = start
    for event in events:
        for deadline in _deadlines(row, values, reached, event.ts):
            look(deadline)
        values[event.sensor_id].add(event.ts, event.values, event.ts)
        reached = event.ts
        look(reached)
    for deadline in _deadlines(row, values, reached, end + 1):
        look(deadline)
    return episodes


def _deadlines(
    row: RuleRow, values: Mapping[int, SensorValues], after: int, before: int
) -> list[int]:
    """Return the times between two at which a sensor has been silent for too long."""
    found = []
    for one in row.conditions:
        if one.operator == NODATA:
            last = values[one.sensor_id].updated or row.since
            found.append(last + int((one.seconds or 0) * times.MICROSECONDS))
    return sorted(at for at in found if after < at < before)
