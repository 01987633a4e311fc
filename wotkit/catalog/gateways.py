"""Gateways: they appear when they first report, and are seen by the user whose key they use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from peewee import fn

from wotkit import strict_json, times
from wotkit.catalog import audit, mqtt_sessions
from wotkit.catalog.accounts import next_id
from wotkit.catalog.bulk import among, containing
from wotkit.catalog.gateway_reports import NAME, OFFLINE, ONLINE, SILENT_AFTER, Report
from wotkit.catalog.models import Account, Gateway, changed, rows
from wotkit.errors import CannotPerform, MissingScope, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wotkit.catalog.audit import Actor
    from wotkit.catalog.identity import Identity


class GatewayRow(Struct, frozen=True, kw_only=True):
    """A gateway as it is listed."""

    id: int
    owner: str
    name: str
    key_id: str | None
    """The key it used last; None when that was revoked, or it was none."""
    first_seen: int
    last_seen: int
    """When it last said that it is online."""
    online: bool
    since: int
    """Since when it is online, or is not."""
    report: Report

    @property
    def status(self) -> str:
        """``online`` or ``offline``."""
        return ONLINE if self.online else OFFLINE


class GatewayState(Struct, frozen=True, kw_only=True):
    """What alerts know of a gateway."""

    last_seen: int
    offline_since: int | None
    """None: it is online."""


class Wanted(Struct, frozen=True, kw_only=True):
    """Which gateways are wanted; None does not matter."""

    owner: str | None = None
    status: str | None = None
    text: str | None = None
    """What is to be found in the name."""
    offset: int = 0
    limit: int | None = 1000


def note(identity: Identity, report: Report, *, most: int, interval: float | None = None) -> None:
    """Keep what a gateway says of itself.

    One that was not known appears; the will of one that was deleted does not bring it back.

    Args:
        identity: by whose credentials it came.
        report: what it says, with its name.
        most: gateways that a user may have.
        interval: seconds within which it reports again, where it does not say so itself; None
            means that it need not.

    Raises:
        CannotPerform: the user has too many gateways.
    """
    now = times.now()
    online = report.status == ONLINE
    columns: dict[str, Any] = {"key": identity.key_id, "online": online}
    if online:
        seconds = report.interval or interval
        silent = None if seconds is None else int(seconds * SILENT_AFTER * times.MICROSECONDS)
        columns |= {"last_seen": now, "due": silent and now + silent}
    if report.whole:
        columns["report"] = strict_json.encode(msgspec.to_builtins(report)).decode()
    own = (Gateway.owner == identity.user_id) & (Gateway.name == report.gateway)
    for gateway_id, was_online, due in rows(
        Gateway.select(Gateway.id, Gateway.online, Gateway.due).where(own)
    ):
        silent_since = due if was_online and due is not None and due <= now else None
        if silent_since is not None or was_online != online:
            columns["since"] = silent_since if silent_since and not online else now
        changed(Gateway.update(columns).where(Gateway.id == gateway_id))
        return
    if not online:
        return
    _add(identity, most, {"name": report.gateway, "first_seen": now, "since": now, **columns})


def note_status(
    key_id: str, payload: str, identity: Identity, report: Report | None, most: int
) -> None:
    """Keep what came on a status topic: for who follows that, and for the gateway's page.

    Raises:
        CannotPerform: the user has too many gateways.
    """
    mqtt_sessions.set_status(key_id, payload)
    if report is not None:
        note(identity, report, most=most)


def _add(identity: Identity, most: int, columns: dict[str, Any]) -> None:
    count = Gateway.select(fn.COUNT(Gateway.id)).where(Gateway.owner == identity.user_id)
    if rows(count)[0][0] >= most:
        raise CannotPerform(f"a user may have at most {most} gateways; delete some")
    Gateway.insert(id=next_id("gateway"), owner=identity.user_id, **columns).execute()


def list_for(identity: Identity, wanted: Wanted) -> list[GatewayRow]:
    """Return gateways of the caller, by name; of another user for an administrator.

    Raises:
        MissingScope: another user was named, and the caller is no administrator.
    """
    if wanted.owner is None or wanted.owner == identity.username:
        return _list(_own(identity), wanted)
    if not identity.admin:
        raise MissingScope("only administrators see the gateways of others")
    return list_all(wanted)


def list_all(wanted: Wanted) -> list[GatewayRow]:
    """Return gateways of everybody, by owner and name."""
    return _list(True if wanted.owner is None else Account.name == wanted.owner, wanted)


def get(identity: Identity, reference: str) -> GatewayRow:
    """Return a gateway: one's own by its name, as an administrator any as ``owner.name``.

    Raises:
        NotFound: the caller has no such gateway.
    """
    owner, dot, name = reference.rpartition(".")
    if not NAME.fullmatch(name):
        raise NotFound(reference[:200])
    condition = Gateway.name == name
    if dot:
        condition &= Account.name == owner
    if not dot or not identity.admin:
        condition &= _own(identity)
    for row in _rows(condition, limit=1):
        return row
    raise NotFound(reference)


def get_any(owner: str, name: str) -> GatewayRow:
    """Return somebody's gateway.

    Raises:
        NotFound: there is none.
    """
    for row in _rows((Account.name == owner) & (Gateway.name == name), limit=1):
        return row
    raise NotFound(f"{owner} has no gateway {name}")


def states(gateway_ids: Iterable[int]) -> dict[int, GatewayState]:
    """Return how gateways are now, by id; those that were deleted are missing."""
    found = _rows(among(Gateway.id, gateway_ids))
    return {
        row.id: GatewayState(
            last_seen=row.last_seen, offline_since=None if row.online else row.since
        )
        for row in found
    }


def delete(row: GatewayRow, actor: Actor) -> None:
    """Forget a gateway; it appears again when it reports. Alerts on it are disabled."""
    changed(Gateway.delete().where(Gateway.id == row.id))
    audit.record(actor, "gateway.delete", f"{row.owner}.{row.name}")


def remove(identity: Identity, reference: str, actor: Actor) -> None:
    """Forget a gateway that the caller may see.

    Raises:
        NotFound: there is none.
    """
    delete(get(identity, reference), actor)


def _own(identity: Identity) -> Any:
    """Return the condition that a gateway is the caller's; of a limited key, that it uses it."""
    mine = Gateway.owner == identity.user_id
    return mine if identity.sensors is None else mine & (Gateway.key == identity.key_id)


def _list(condition: Any, wanted: Wanted) -> list[GatewayRow]:
    if wanted.status is not None:
        there = Gateway.online & (Gateway.due.is_null() | (Gateway.due > times.now()))
        condition = there & condition if wanted.status == ONLINE else (~there) & condition
    if wanted.text:
        condition = containing([Gateway.name], wanted.text) & condition
    return _rows(condition, wanted.offset, wanted.limit)


def _rows(condition: Any, offset: int = 0, limit: int | None = None) -> list[GatewayRow]:
    query = (
        Gateway.select(
            Gateway.id,
            Account.name,
            Gateway.name,
            Gateway.key,
            Gateway.first_seen,
            Gateway.last_seen,
            Gateway.online,
            Gateway.since,
            Gateway.due,
            Gateway.report,
        )
        .join(Account, on=(Account.id == Gateway.owner))
        .where(condition)
        .order_by(Account.name, Gateway.name)
        .offset(offset)
        .limit(limit)
    )
    return [_row(*values, now=times.now()) for values in rows(query)]


def _row(
    gateway_id: int,
    owner: str,
    name: str,
    key_id: str | None,
    first_seen: int,
    last_seen: int,
    online: bool,  # by position, as it stands in the table
    since: int,
    due: int | None,
    report: str,
    *,
    now: int,
) -> GatewayRow:
    silent = online and due is not None and due <= now
    known = strict_json.decode(report.encode())
    return GatewayRow(
        id=gateway_id,
        owner=owner,
        name=name,
        key_id=key_id,
        first_seen=first_seen,
        last_seen=last_seen,
        online=online and not silent,
        since=due if silent and due is not None else since,
        report=msgspec.convert({"status": OFFLINE, **known}, Report),
    )
