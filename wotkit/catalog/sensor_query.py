"""The sensor query: which sensors a caller asks for, as conditions that must all hold."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from msgspec import Meta, Struct
from peewee import fn

from wotkit.catalog import engine, groups, metadata_query
from wotkit.catalog.bulk import all_of, containing, stream
from wotkit.catalog.identity import visible
from wotkit.catalog.models import (
    Account,
    GroupSensor,
    Metadata,
    Sensor,
    Subscription,
    Tag,
    rows,
)
from wotkit.catalog.places import parse_box, parse_circle
from wotkit.catalog.references import LARGEST_ID
from wotkit.catalog.sensor_rows import PARTS, SensorRow, load
from wotkit.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from wotkit.catalog.identity import Identity

MAX_LENGTH: Final = 2_000
"""Characters of one parameter."""
MAX_PARTS: Final = 100
"""Parts of one parameter, between commas and semicolons."""
COMMON: Final = 20_000
"""A filter that so many sensors meet is tried sensor by sensor; a rarer one leads to them."""


class SensorQuery(Struct, frozen=True, kw_only=True):
    """Which sensors; filters combine with AND."""

    scope: Annotated[
        Literal["all", "subscribed", "contributed"],
        Meta(description="All sensors, those the caller follows, or those the caller made."),
    ] = "all"
    tags: Annotated[
        str | None, Meta(description="`a,b;c` is (a or b) and c; case does not count.")
    ] = None
    orgs: Annotated[
        str | None, Meta(description="Names of organizations that own, with commas.")
    ] = None
    owners: Annotated[str | None, Meta(description="Names of owners, with commas.")] = None
    visibility: Annotated[str | None, Meta(description="`PUBLIC` or `PRIVATE`.")] = None
    private: Annotated[bool | None, Meta(description="Deprecated: use `visibility`.")] = None
    text: Annotated[
        str | None,
        Meta(description="Words, or parts of them, that are in name, longName or description."),
    ] = None
    active: Annotated[
        bool | None, Meta(description="Whether a reading came in the last 15 minutes.")
    ] = None
    metadata: Annotated[
        str | None,
        Meta(description="`key:value;key2;key3:val*`; a backslash before a literal `*:;\\`."),
    ] = None
    groups: Annotated[
        str | None, Meta(description="Groups by id, name or `owner.name`, with commas.")
    ] = None
    location: Annotated[str | None, Meta(description="`North,West:South,East` in degrees.")] = None
    near: Annotated[
        str | None, Meta(description="`latitude,longitude,radius`: degrees and metres.")
    ] = None


Test = Callable[[tuple[Any, ...]], bool]


class Where(NamedTuple):
    """A query as conditions."""

    condition: Any
    """On Sensor, in SQL."""
    keep: Test | None = None
    """On rows of id, latitude and longitude, where SQL has no way to say it."""
    words: tuple[str, ...] = ()
    """What the text index is to be asked for."""


class Slice(NamedTuple):
    """Which part of all that match, in the order of their ids."""

    limit: int | None
    """None is no limit."""
    offset: int = 0
    after: int = 0
    """Only ids beyond this one."""


def where(identity: Identity, query: SensorQuery, active: Collection[int] | None = None) -> Where:
    """Return the conditions of a query by a caller.

    Args:
        identity: who asks; what it may not see does not match.
        query: what is asked.
        active: the ids of active sensors; needed when the query asks for them.

    Raises:
        InvalidQuery: a parameter is malformed; also its kinds for metadata and boxes.
    """
    _check_size(query)
    conditions = list(_conditions(identity, query))
    keep: Test | None = None
    if query.near is not None:
        circle = parse_circle(query.near)
        conditions.append(circle.box().condition())
        keep = lambda row: circle.contains(row[1], row[2])  # noqa: E731  # it belongs to the circle
    if query.active is not None:
        listed = engine.listed(Sensor.id, active if active is not None else ())
        conditions.append(listed if query.active else ~listed)
    # most sensors are visible: what lets fewer pass is tried first
    condition = all_of([*conditions, visible(identity)])
    words = tuple(word for word in (query.text or "").split() if engine.can_search(word))
    return Where(condition, keep, words)


def select(found: Where, part: Slice) -> list[int]:
    """Return ids of sensors that match, rising."""
    query, sensor_id = Sensor.select(Sensor.id), Sensor.id
    if found.keep is not None:
        query = Sensor.select(Sensor.id, Sensor.latitude, Sensor.longitude)
    condition = found.condition
    if found.words:
        texts, sensor_id, matches = engine.searched(found.words)
        query = query.join(texts, on=(sensor_id == Sensor.id))
        condition = matches & condition
    query = query.where((sensor_id > part.after) & condition).order_by(sensor_id)
    if found.keep is None:
        limited = query.limit(-1 if part.limit is None else part.limit).offset(part.offset or None)
        return [row[0] for row in stream(limited)]
    end = None if part.limit is None else part.offset + part.limit
    with closing(stream(query)) as candidates:
        return [row[0] for row in islice(filter(found.keep, candidates), part.offset, end)]


class Page(Struct, frozen=True):
    """Some of the sensors that match, and whether there are more."""

    sensors: list[SensorRow]
    more: bool


def page(
    identity: Identity,
    query: SensorQuery,
    part: Slice,
    active: Collection[int] | None = None,
    parts: Collection[str] = PARTS,
) -> Page:
    """Return a page of sensors; the arguments are those of :func:`where` and :func:`load`.

    Raises:
        InvalidQuery: as :func:`where`.
    """
    more = None if part.limit is None else part.limit + 1
    ids = select(where(identity, query, active), part._replace(limit=more))
    return Page(load(ids[: part.limit], parts), more is not None and len(ids) == more)


def read_cursor(cursor: str) -> int:
    """Return the id after which a page starts.

    Raises:
        InvalidQuery: this server made no such cursor.
    """
    try:
        padding = "=" * (-len(cursor) % 4)
        decoded = base64.b64decode(cursor + padding, altchars=b"-_", validate=True)
        after = int(decoded.removeprefix(b"after:"))
    except ValueError:
        after = -1
    if not 0 <= after <= LARGEST_ID or make_cursor(after) != cursor:
        raise InvalidQuery(more={"cursor": "is invalid: take it from a link of an answer"})
    return after


def make_cursor(after: int) -> str:
    """Return what :func:`read_cursor` reads."""
    return base64.urlsafe_b64encode(b"after:%d" % after).decode("ascii").rstrip("=")


def _check_size(query: SensorQuery) -> None:
    """Refuse what would become more SQL than a database takes.

    Raises:
        InvalidQuery: a parameter is too long or has too many parts.
    """
    for name in query.__struct_fields__:
        text = getattr(query, name)
        if not isinstance(text, str):
            continue
        if len(text) > MAX_LENGTH:
            raise InvalidQuery(more={name: f"is longer than {MAX_LENGTH} characters"})
        parts = len(text.split()) if name == "text" else len(re.findall("[,;]", text)) + 1
        if parts > MAX_PARTS:
            raise InvalidQuery(more={name: f"has more than {MAX_PARTS} parts"})


def _conditions(identity: Identity, query: SensorQuery) -> Iterator[Any]:
    """Yield the condition of each filter that SQL can express."""
    yield from _by_person(identity, query)
    yield from _by_visibility(query)
    yield from _by_description(query)
    if query.groups and (named := _names(query.groups)):
        yield _has(GroupSensor, groups.membership(identity, named))
    if query.location is not None:
        yield parse_box(query.location).condition()


def _by_person(identity: Identity, query: SensorQuery) -> Iterator[Any]:
    if query.scope == "subscribed":
        yield _has(Subscription, Subscription.user == identity.user_id)
    elif query.scope == "contributed":
        yield _contributed(identity.user_id)
    if query.owners:
        yield _owned(query.owners)
    if query.orgs:
        yield _owned(query.orgs, Account.kind == "org")


def _by_visibility(query: SensorQuery) -> Iterator[Any]:
    if query.visibility is not None:
        yield Sensor.visibility == query.visibility.strip().upper()
    if query.private is not None:
        yield Sensor.visibility == ("PRIVATE" if query.private else "PUBLIC")


def _by_description(query: SensorQuery) -> Iterator[Any]:
    if query.tags:
        yield from _tagged(query.tags)
    for word in (query.text or "").split():
        if not engine.can_search(word):
            yield containing((Sensor.name, Sensor.long_name, Sensor.description), word)
    if query.metadata is not None:
        for pair in metadata_query.parse(query.metadata):
            yield _has(Metadata, metadata_query.condition(pair))


def _has(table: Any, condition: Any) -> Any:
    """Return the condition that a sensor has a row of ``table`` that meets ``condition``."""
    query = table.select(table.sensor).where(condition)
    if _is_common(query):
        return fn.EXISTS(query.where(table.sensor == Sensor.id))
    return Sensor.id.in_(query)


def _is_common(query: Any) -> bool:
    return len(list(stream(query.limit(1).offset(COMMON)))) > 0


def _contributed(user_id: int) -> Any:
    mine = (Sensor.owner == user_id) | (Sensor.publisher == user_id)
    if _is_common(Sensor.select(Sensor.id).where(mine)):
        # no index serves a sum: reading sensors in order soon finds enough of them
        return (Sensor.owner + 0 == user_id) | (Sensor.publisher + 0 == user_id)
    return mine


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _tagged(text: str) -> Iterator[Any]:
    for one_of in text.split(";"):
        folded = [name.casefold() for name in _names(one_of)]
        if folded:
            yield _has(Tag, Tag.folded.in_(folded))


def _owned(text: str, kind: Any = True) -> Any:
    named = Account.select(Account.id).where(Account.name.in_(_names(text)) & kind)
    return Sensor.owner.in_([owner_id for (owner_id,) in rows(named)])
