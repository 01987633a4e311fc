"""What brokers are told that ask: who may connect, and which topics a client may use.

One decision for all of them; how each product asks is for :mod:`wotkit.api.internal`. It is the
table of :mod:`wotkit.mqtt.topics`, for keys that hold now. ``live`` is left out, since readings of
others never go to a broker: it could not tell when they become private.

RabbitMQ names topics with dots and leaves dots inside a level alone, so ``alice.roof`` becomes two
words of a routing key. That is undone here; a key id has no dot.
"""

from __future__ import annotations

import base64
import hmac
import re
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from wotkit.catalog.identity import KEY_ID
from wotkit.errors import TooManyLogins, Unauthenticated
from wotkit.mqtt.topics import ROOT, Kind, publishable, receivable, subscribable

if TYPE_CHECKING:
    from wotkit.auth.authenticator import Authenticator
    from wotkit.mqtt.broker import Broker
    from wotkit.mqtt.vouched import Vouched

_SHORTEST: Final = 3
"""Words of the shortest routing key: root, key id, kind."""
_SENSOR: Final = r"(?P<sensor>[^.]+(?:\.[^.]+)?)"
_DATA: Final = re.compile(rf"sensors\.{_SENSOR}\.data")
_OF_SENSOR: Final = re.compile(rf"(?P<kind>commands|live)\.{_SENSOR}")


class Verb(Enum):
    """What a client wants with a topic."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    """To a filter, which may have wildcards."""
    RECEIVE = "receive"
    """One message, where the broker asks at every delivery."""


class Account(NamedTuple):
    """The account under which the bridge itself is known to the broker."""

    name: str
    password: str

    @classmethod
    def of(cls, broker: Broker) -> Account | None:
        """Return the account with which the bridge signs in; None when it has none."""
        return cls(broker.user, broker.password) if broker.user else None


class Authority:
    """Decides for brokers; to be used on the event loop's thread."""

    def __init__(
        self,
        authenticator: Authenticator,
        vouched: Vouched,
        *,
        bridge: Account | None = None,
        scoped_client_ids: bool = False,
    ) -> None:
        """Take the bridge's own account, and whether client ids must begin with the key id."""
        self._authenticator = authenticator
        self._vouched = vouched
        self._bridge = bridge
        self._scoped = scoped_client_ids

    async def admits(
        self, name: str, password: str, address: str, client_id: str | None = None
    ) -> bool:
        """Return whether somebody may connect.

        Args:
            name: the key id.
            password: its password.
            address: where the client is, under which failures are counted.
            client_id: its client id, where the broker tells it.

        Raises:
            Overloaded, StoreUnavailable: the catalog cannot tell now.
        """
        if self._bridge is not None and hmac.compare_digest(
            f"{self._bridge.name}\0{self._bridge.password}".encode(),
            f"{name}\0{password}".encode("utf-8", "replace"),
        ):
            return True
        # a user's password is not for gateways, whatever it would allow
        if not KEY_ID.fullmatch(name) or not self.owns_client(name, client_id):
            return False
        pair = f"{name}:{password}".encode("utf-8", "replace")
        try:
            await self._authenticator.authenticate(
                f"Basic {base64.b64encode(pair).decode()}", address
            )
        except (Unauthenticated, TooManyLogins):
            return False
        return True

    async def allows(self, name: str, verb: Verb, topic: str) -> bool:
        """Return whether somebody who has connected may use a topic.

        Raises:
            Overloaded, StoreUnavailable: the catalog cannot tell now.
        """
        if self._bridge is not None and name == self._bridge.name:
            return topic.startswith((f"{ROOT}/", f"$share/{ROOT}/{ROOT}/"))
        ask = {
            Verb.PUBLISH: publishable,
            Verb.SUBSCRIBE: subscribable,
            Verb.RECEIVE: receivable,
        }[verb]
        found = ask(name, topic)
        if found is None or found.kind is Kind.LIVE:
            return False
        return await self.holds(name)

    async def holds(self, name: str) -> bool:
        """Return whether somebody who has connected may still be.

        Raises:
            Overloaded, StoreUnavailable: the catalog cannot tell now.
        """
        if self._bridge is not None and name == self._bridge.name:
            return True
        return await self._vouched.identity(name) is not None

    def owns_client(self, name: str, client_id: str | None) -> bool:
        """Return whether a key may connect as this client, as far as it is known and it matters."""
        return not self._scoped or client_id is None or client_id.startswith(name)


def topic_of(routing_key: str) -> str:
    """Return the topic, or the filter, that RabbitMQ means by a routing key."""
    words = routing_key.split(".", _SHORTEST - 1)
    if len(words) < _SHORTEST:
        return routing_key
    root, key_id, rest = words
    if match := _DATA.fullmatch(rest):
        levels = f"sensors/{match['sensor']}/data"
    elif match := _OF_SENSOR.fullmatch(rest):
        levels = f"{match['kind']}/{match['sensor']}"
    else:
        levels = rest.replace(".", "/")
    return f"{root}/{key_id}/{levels}".replace("*", "+")
