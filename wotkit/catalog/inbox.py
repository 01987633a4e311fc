"""The inbox: what a user was told by alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from wotkit.catalog import alerts
from wotkit.catalog.models import Alert, InboxMessage, changed
from wotkit.catalog.references import is_id
from wotkit.errors import NotFound

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity


class MessageRow(Struct, frozen=True, kw_only=True):
    """A message."""

    id: int
    alert: int | None
    at: int
    title: str
    message: str
    send_email: bool
    email: str
    read: bool
    sent: bool


def _own(identity: Identity) -> Any:
    """Return the condition that a message is the caller's, and of sensors its key may use."""
    mine = InboxMessage.user == identity.user_id
    if identity.sensors is None:
        return mine
    return mine & InboxMessage.alert.in_(Alert.select(Alert.id).where(alerts.own(identity)))


def page(
    identity: Identity, offset: int, limit: int, *, read: bool | None = None
) -> list[MessageRow]:
    """Return messages of the caller, newest first; ``read`` asks for only such."""
    condition = _own(identity)
    if read is not None:
        condition &= InboxMessage.read == read
    query: Any = (
        InboxMessage.select()
        .where(condition)
        .order_by(InboxMessage.id.desc())
        .offset(offset)
        .limit(limit)
        .dicts()
    )
    names = MessageRow.__struct_fields__
    return [MessageRow(**{name: row[name] for name in names}) for row in list(query)]


def get(identity: Identity, reference: str) -> MessageRow:
    """Return a message of the caller.

    Raises:
        NotFound: the caller has no such message.
    """
    if is_id(reference):
        query: Any = InboxMessage.select().where(
            _own(identity) & (InboxMessage.id == int(reference))
        )
        for row in list(query.dicts()):
            return MessageRow(**{name: row[name] for name in MessageRow.__struct_fields__})
    raise NotFound(reference)


def mark(identity: Identity, reference: str, *, read: bool) -> None:
    """Note whether the caller has read a message.

    Raises:
        NotFound: the caller has no such message.
    """
    row = get(identity, reference)
    changed(InboxMessage.update(read=read).where(InboxMessage.id == row.id))
