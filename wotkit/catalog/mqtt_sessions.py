"""Sessions of MQTT clients: their subscriptions, for as long as the client wants them kept.

Only what outlives a connection is here. A session belongs to the key that made it, so no key can
take over, or learn of, a session of another one, whatever client id it sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from wotkit import times
from wotkit.catalog import commands, references
from wotkit.catalog.accounts import next_id
from wotkit.catalog.identity import CONTROL, visible, writable
from wotkit.catalog.models import MqttSession, MqttStatus, MqttSubscription, changed, rows
from wotkit.errors import NotFound, TooManySessions

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity

RETRY_SECONDS: Final = 60


class Subscribed(Struct, frozen=True):
    """A subscription of a session."""

    filter: str
    qos: int


class Opened(NamedTuple):
    """A session, as its client finds it."""

    id: int
    present: bool
    """Whether it was there before, with its subscriptions."""
    subscriptions: list[Subscribed]


def open_session(
    key_id: str, client: str, expiry_seconds: int, most: int, *, clean: bool
) -> Opened:
    """Go on with a client's session, or begin one.

    Args:
        key_id: whose client it is.
        client: the client's id, which means something within its key only.
        expiry_seconds: how long it is kept after the connection has ended.
        most: sessions that a key may have.
        clean: begin a new one in any case.

    Raises:
        TooManySessions: the key has so many already.
    """
    now = times.now()
    own = (MqttSession.key == key_id) & (MqttSession.client == client)
    if clean:
        changed(MqttSession.delete().where(own))
    else:
        # what is not to be kept ends with its connection, also with one that is taken over
        kept = own & (MqttSession.expiry_seconds > 0)
        found = rows(MqttSession.select(MqttSession.id, MqttSession.ends).where(kept))
        for session_id, ends in found:
            if ends is None or ends > now:
                this = MqttSession.id == session_id
                changed(MqttSession.update(expiry_seconds=expiry_seconds, ends=None).where(this))
                return Opened(session_id, present=True, subscriptions=_subscriptions(session_id))
        changed(MqttSession.delete().where(own))
    if MqttSession.select().where(MqttSession.key == key_id).count() >= most:
        sweep()
        if MqttSession.select().where(MqttSession.key == key_id).count() >= most:
            raise TooManySessions(
                f"the key has {most} sessions that are kept", retry_after=RETRY_SECONDS
            )
    session_id = next_id("mqtt_session")
    MqttSession.insert(
        id=session_id, key=key_id, client=client, expiry_seconds=expiry_seconds, created=now
    ).execute()
    return Opened(session_id, present=False, subscriptions=[])


def exists(key_id: str, client: str) -> bool:
    """Return whether something of a client's session is kept."""
    own = (MqttSession.key == key_id) & (MqttSession.client == client)
    return bool(rows(MqttSession.select(MqttSession.id).where(own)))


def drop_session(key_id: str, client: str) -> None:
    """Forget a client's session, if there is one."""
    changed(
        MqttSession.delete().where((MqttSession.key == key_id) & (MqttSession.client == client))
    )


def leave_session(session_id: int, expiry_seconds: int) -> None:
    """Keep a session for so long from now; 0 ends it."""
    this = MqttSession.id == session_id
    if expiry_seconds == 0:
        changed(MqttSession.delete().where(this))
        return
    ends = times.now() + expiry_seconds * times.MICROSECONDS
    changed(MqttSession.update(ends=ends, expiry_seconds=expiry_seconds).where(this))


def leave_all() -> None:
    """Let the time of every session run whose client was connected when the server ended."""
    ends = times.now() + MqttSession.expiry_seconds * times.MICROSECONDS
    changed(MqttSession.update(ends=ends).where(MqttSession.ends.is_null()))
    sweep()


def subscribe_commands(
    identity: Identity, session_id: int, topic_filter: str, reference: str | None, qos: int
) -> list[int]:
    """Let a session receive what is sent to an actuator, or to all, from now on.

    What was sent before and has not expired, and nobody has acknowledged, comes too; return the
    ids of these messages.

    Raises:
        NotFound: the caller may not write to such a sensor.
        MissingScope: the credentials do not allow to control.
    """
    identity.require(CONTROL)
    sensor_id = None
    if reference is not None:
        sensor_id = references.find(identity, reference, writable(identity)).id
    _keep(session_id, topic_filter, qos, commands=1, sensor=sensor_id)
    return commands.offer_earlier(identity, session_id, sensor_id)


def check_readable(identity: Identity, reference: str) -> str:
    """Return the full name of a sensor that may be followed.

    Raises:
        NotFound: the caller may see no such sensor.
    """
    return references.find(identity, reference, visible(identity)).qualified


def subscribe(session_id: int, topic_filter: str, qos: int) -> None:
    """Keep a subscription that nothing waits for."""
    _keep(session_id, topic_filter, qos, commands=0, sensor=None)


def unsubscribe(session_id: int, topic_filter: str) -> bool:
    """End a subscription, and what waits because of it; return whether there was one."""
    own = (MqttSubscription.session == session_id) & (MqttSubscription.topic_filter == topic_filter)
    found = changed(MqttSubscription.delete().where(own)) > 0
    if found:
        commands.withdraw(session_id)
    return found


def set_status(key_id: str, payload: str) -> None:
    """Keep what the gateway behind a key says of itself."""
    MqttStatus.insert(key=key_id, payload=payload, at=times.now()).on_conflict_replace().execute()


def status(key_id: str) -> tuple[str, int] | None:
    """Return what the gateway behind a key last said, and when; None when it never did."""
    found = rows(
        MqttStatus.select(MqttStatus.payload, MqttStatus.at).where(MqttStatus.key == key_id)
    )
    return found[0] if found else None


def sweep() -> None:
    """Forget sessions that have ended, with all that waits for them."""
    now = times.now()
    changed(MqttSession.delete().where(MqttSession.ends <= now))
    commands.sweep()


def _keep(session_id: int, topic_filter: str, qos: int, **rest: int | None) -> None:
    if not rows(MqttSession.select(MqttSession.id).where(MqttSession.id == session_id)):
        raise NotFound(str(session_id))  # its client has begun another one meanwhile
    MqttSubscription.insert(
        session=session_id, topic_filter=topic_filter, qos=qos, **rest
    ).on_conflict_replace().execute()


def _subscriptions(session_id: int) -> list[Subscribed]:
    found = rows(
        MqttSubscription.select(MqttSubscription.topic_filter, MqttSubscription.qos).where(
            MqttSubscription.session == session_id
        )
    )
    return [Subscribed(topic_filter, qos) for topic_filter, qos in found]
