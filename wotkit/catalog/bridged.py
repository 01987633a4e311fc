"""Sessions that the bridge to a broker has for keys, so that commands wait for them.

A broker does not say who has subscribed to what. So each key that publishes through it, and may
control, counts as subscribed to all its commands, for as long as it was seen in the time that
sessions are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wotkit import times
from wotkit.catalog import mqtt_sessions
from wotkit.catalog.models import MqttSession, rows

if TYPE_CHECKING:
    from wotkit.catalog.identity import Identity

CLIENT: Final = "$bridge"
"""The client id of these sessions."""


def keep(identity: Identity, key_id: str, topic_filter: str, seconds: int, most: int) -> int:
    """Keep a key's session for so long from now; return its id.

    Raises:
        TooManySessions: the key has too many.
        MissingScope: the key may not control.
    """
    opened = mqtt_sessions.open_session(key_id, CLIENT, seconds, most, clean=False)
    if not opened.present:
        mqtt_sessions.subscribe_commands(identity, opened.id, topic_filter, None, 1)
    mqtt_sessions.leave_session(opened.id, seconds)
    return opened.id


def kept() -> list[tuple[str, int]]:
    """Return the keys whose sessions are kept, with the sessions."""
    lives = (MqttSession.client == CLIENT) & (MqttSession.ends > times.now())
    return [
        (str(key_id), int(session_id))
        for key_id, session_id in rows(
            MqttSession.select(MqttSession.key, MqttSession.id).where(lives)
        )
    ]
