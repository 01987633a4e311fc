"""The range query of version 1: which readings of a sensor, in words of start and end."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from wotkit import times
from wotkit.errors import InvalidQuery
from wotkit.readings.store import Range

DEFAULT_LIMIT: Final = 1000
LAST_ID: Final = (1 << 63) - 1
"""No reading has a higher id: the end of an instant."""

Millis = Annotated[int, Meta(ge=0, description="Milliseconds.")]


class RangeParams(Struct, kw_only=True, rename="camel"):
    """Query parameters; without any, the latest 1 000 readings."""

    start: Annotated[
        str | None,
        Meta(
            description="Absolute time, ISO 8601 or milliseconds since 1970; not included. "
            "Now, where only before or beforeE is given."
        ),
    ] = None
    end: Annotated[str | None, Meta(description="Absolute time; included.")] = None
    after: (
        Annotated[int, Meta(ge=0, description="The next so many milliseconds after start.")] | None
    ) = None
    before: (
        Annotated[int, Meta(ge=0, description="The previous so many milliseconds before start.")]
        | None
    ) = None
    after_e: (
        Annotated[int, Meta(ge=0, description="The next so many readings after start.")] | None
    ) = None
    before_e: (
        Annotated[int, Meta(ge=0, description="The previous so many readings before start.")] | None
    ) = None
    reverse: Annotated[bool, Meta(description="Newest first.")] = False
    offset: Annotated[int, Meta(ge=0, le=LAST_ID, description="Readings to leave out first.")] = 0
    limit: (
        Annotated[
            int,
            Meta(
                ge=0,
                description="Readings to answer at most: 1000 where nothing is said, nor counted "
                "by afterE or beforeE; more than the setting query.max_readings counts as that.",
            ),
        ]
        | None
    ) = None


def check_combination(params: RangeParams) -> None:
    """Check that the parameters make sense together.

    Raises:
        InvalidQuery: saying which do not.
    """
    ends = {
        "end": params.end,
        "after": params.after,
        "before": params.before,
        "afterE": params.after_e,
        "beforeE": params.before_e,
    }
    given = [name for name, value in ends.items() if value is not None]
    if len(given) > 1:
        names = " and ".join(given)
        raise InvalidQuery(
            f"{names} do not go together; give one of them",
            more=dict.fromkeys(given, "does not go with another end of the range"),
        )
    for name in ("after", "afterE"):
        if name in given and params.start is None:
            raise InvalidQuery(f"{name} without start makes no sense", more={name: "needs start"})


def time_of(name: str, value: str) -> int:
    """Return an absolute time in microseconds.

    Raises:
        InvalidQuery: it is none.
    """
    try:
        return times.parse(value)
    except ValueError as error:
        raise InvalidQuery(f"{name}: {error}", more={name: str(error)}) from None


def range_of(params: RangeParams, sensor_id: int, now: int, most: int) -> Range:
    """Return the range to read.

    Args:
        params: as the client sent them.
        sensor_id: whose readings.
        now: the current time in microseconds.
        most: how many readings one query may answer.

    Raises:
        InvalidQuery: the parameters make no sense.
    """
    check_combination(params)
    start = None if params.start is None else time_of("start", params.start)
    after: int | None = start
    through: int | None = None
    counted = (params.after_e, params.before_e) != (None, None)
    limit = params.limit
    if limit is None:
        limit = most if counted else DEFAULT_LIMIT
    limit = min(limit, most)
    if params.end is not None:
        through = time_of("end", params.end)
        if start is not None and through < start:
            raise InvalidQuery("end lies before start", more={"end": "lies before start"})
    elif params.after is not None and start is not None:
        through = start + params.after * times.MILLISECONDS
    elif params.before is not None:
        through = now if start is None else start
        after = through - params.before * times.MILLISECONDS
    elif params.before_e is not None:
        through, after = (now if start is None else start), None
    return Range(
        sensor_id=sensor_id,
        after=None if after is None else (_storable(after), LAST_ID),
        through=None if through is None else (_storable(through), LAST_ID),
        newest=params.before_e,
        oldest=params.after_e,
        reverse=params.reverse,
        offset=params.offset,
        limit=limit,
    )


def starts_now(params: RangeParams) -> bool:
    """Return whether the range goes back from the time of the request."""
    return params.start is None and (params.before, params.before_e) != (None, None)


def is_latest(params: RangeParams) -> bool:
    """Return whether no bound was given: then the latest readings are meant."""
    bounds = (
        params.start,
        params.end,
        params.after,
        params.before,
        params.after_e,
        params.before_e,
    )
    return all(bound is None for bound in bounds)


def _storable(ts: int) -> int:
    return max(times.EARLIEST - 1, min(times.LATEST, ts))
