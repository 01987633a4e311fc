"""What a gateway says of itself, whichever way it comes: a small JSON object, or one word.

Members that are not known are ignored, so that a newer agent may say more. What is too long or of
a wrong type is an error with its place: the agent cuts what it sends, nobody else has to guess.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from wotkit import strict_json, times
from wotkit.errors import MalformedBody, ValidationFailed

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
"""How a gateway may be called; without a dot, since ``owner.gateway`` names it for others."""
MOST_BYTES: Final = 65_536
"""Bytes of a report: enough for 100 inputs that all tell of an error."""
SILENT_AFTER: Final = 3
"""Intervals without a report after which a gateway counts as offline."""
ONLINE: Final = "online"
OFFLINE: Final = "offline"

_MOST: Final = 200
_LONGEST_YEARS: Final = 100 * 366 * 86_400

_Text = Annotated[str, Meta(max_length=500)]
_Word = Annotated[str, Meta(max_length=100)]
_Count = Annotated[int, Meta(ge=0, le=1 << 53)]
_Time = Annotated[str, Meta(max_length=40, description="ISO 8601.")]


class SpoolReport(Struct, kw_only=True):
    """How many readings wait in the gateway."""

    depth: Annotated[_Count, Meta(description="Readings that wait to be stored.")] = 0
    oldest: Annotated[_Time | None, Meta(description="Time of the oldest of them.")] = None
    dropped: Annotated[_Count, Meta(description="Readings given up since the spool was made.")] = 0
    bytes: Annotated[_Count, Meta(description="Bytes of the spool's files.")] = 0


class InputReport(Struct, kw_only=True):
    """How one input is doing."""

    name: _Word
    type: _Word = ""
    state: Literal["ok", "failing", "waiting"] = "ok"
    error: Annotated[_Text | None, Meta(description="Its last error, while it fails.")] = None
    last_reading: _Time | None = None


class ActuatorReport(Struct, kw_only=True):
    """One actuator."""

    sensor: _Word
    type: _Word = ""


class ErrorReport(Struct, kw_only=True):
    """Something that went wrong lately."""

    time: _Time
    message: _Text


class ClockReport(Struct, kw_only=True):
    """How far the gateway's times can be trusted."""

    synchronized: bool


class Report(Struct, kw_only=True):
    """What a gateway says of itself; with ``status`` alone the rest stays as it was."""

    status: Annotated[Literal["online", "offline"], Meta(description="Whether it is there.")]
    gateway: Annotated[
        str | None, Meta(description="Its name; over HTTP it stands in the path.")
    ] = None
    version: Annotated[_Word, Meta(description="Of the agent.")] = ""
    interval: Annotated[
        Annotated[float, Meta(ge=0.1, le=86_400)] | None,
        Meta(
            description="Seconds until the next report at the latest; after "
            f"{SILENT_AFTER} times as long it counts as offline."
        ),
    ] = None
    uptime: Annotated[
        Annotated[float, Meta(ge=0, le=_LONGEST_YEARS)] | None,
        Meta(description="Seconds since the agent started."),
    ] = None
    clock: ClockReport | None = None
    spool: SpoolReport | None = None
    inputs: Annotated[list[InputReport], Meta(max_length=_MOST)] = []
    actuators: Annotated[list[ActuatorReport], Meta(max_length=_MOST)] = []
    errors: Annotated[
        list[ErrorReport], Meta(max_length=_MOST, description="The last few, newest first.")
    ] = []

    @property
    def whole(self) -> bool:
        """Whether it says more than that the gateway is there, or is not."""
        return bool(self.version or self.spool or self.inputs or self.actuators or self.errors)


def read(value: Any, name: str) -> Report:
    """Return a decoded report of the gateway ``name``, unless it names another itself.

    Raises:
        MalformedBody: it is no object.
        ValidationFailed: something in it is invalid; ``more`` has the place.
    """
    if not isinstance(value, dict):
        raise MalformedBody("a JSON object is expected")
    try:
        report = msgspec.convert({"gateway": name, **value}, Report)
    except msgspec.ValidationError as wrong:
        reason, _, place = str(wrong).partition(" - at `$.")
        place = place.rstrip("`").replace("[", ".").replace("]", "")
        raise _invalid(place, f"is invalid: {reason}") from None
    if report.gateway is None:
        report.gateway = name
    if not NAME.fullmatch(report.gateway):
        raise _invalid(
            "gateway", "must be 1 to 64 of A-Z, a-z, 0-9, _ and -, and not begin with a dash"
        )
    _check_times(report)
    return report


def of_payload(payload: str, key_id: str) -> Report | None:
    """Return what a payload of a status topic reports; None for a text of the client's own.

    A simple client says ``online`` or ``offline``; its key's id is the name of the gateway then.

    Raises:
        MalformedBody, ValidationFailed: it begins like a report and is none.
    """
    text = payload.strip()
    if text.startswith("{"):
        return read(strict_json.decode(text.encode()), key_id)
    word = text.lower()
    if word == ONLINE:
        return Report(gateway=key_id, status="online")
    return Report(gateway=key_id, status="offline") if word == OFFLINE else None


def _check_times(report: Report) -> None:
    given = {f"inputs.{at}.last_reading": one.last_reading for at, one in enumerate(report.inputs)}
    given |= {f"errors.{at}.time": one.time for at, one in enumerate(report.errors)}
    given["spool.oldest"] = None if report.spool is None else report.spool.oldest
    for place, text in given.items():
        if text is None:
            continue
        try:
            times.parse(text)
        except ValueError as wrong:
            raise _invalid(place, f"is invalid: {wrong}") from None


def _invalid(place: str, why: str) -> ValidationFailed:
    return ValidationFailed(f"{place} {why}".strip(), more={place or "status": why})
