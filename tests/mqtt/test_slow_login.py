"""While it is being found out who somebody is, nothing of a session is touched."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.api.conftest import HERE, add_people, settings_for
from tests.mqtt.mqtt_wire import hello
from tests.system.server_process import Key
from wotkit.app import Parts
from wotkit.auth import passwords
from wotkit.catalog import Catalog, keys
from wotkit.catalog.keys import KeyChange
from wotkit.mqtt.codec import (
    ConnAck,
    ConnectProperties,
    Decoder,
    PingReq,
    PingResp,
    Publish,
    Reason,
    Sender,
    Version,
    encode,
)
from wotkit.mqtt.listening import bind

if TYPE_CHECKING:
    from pathlib import Path

    from wotkit.catalog.identity import Identity
    from wotkit.mqtt.codec import Packet

KEPT = ConnectProperties(session_expiry_interval=600)
SECONDS = 10


class AsyncWire:
    """A client in the event loop of the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._decoder = Decoder(Version.V5, sender=Sender.SERVER)
        self._packets: list[Packet] = []

    def send(self, *packets: Packet) -> None:
        self.writer.write(b"".join([encode(packet, Version.V5) for packet in packets]))

    async def next(self) -> Packet | None:
        while not self._packets:
            async with asyncio.timeout(SECONDS):
                data = await self._reader.read(65_536)
            if not data:
                return None
            self._packets += self._decoder.feed(data)
        return self._packets.pop(0)


class SlowLogins:
    """Has every login wait."""

    def __init__(self, parts: Parts) -> None:
        self._verify = parts.authenticator.authenticate
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()
        parts.authenticator.authenticate = self  # type: ignore[method-assign,assignment]

    async def __call__(self, header: str, address: str) -> Identity:
        self.waiting.set()
        await self.go_on.wait()
        return await self._verify(header, address)


def make_key(folder: Path) -> Key:
    with closing(Catalog(folder)) as catalog:
        people = catalog.write(add_people)
        made = catalog.write(
            keys.create, people.alice, KeyChange(name="gw"), passwords.hash_secret("good"), HERE
        )
    return Key(made.id, "good")


async def slow_logins(folder: Path) -> None:
    key = make_key(folder)
    settings = settings_for(folder, mqtt_port=0)
    (bound,) = bind(settings)
    parts = Parts(settings, [bound])
    parts.start()
    port = bound.socket.getsockname()[1]

    async def client(presented: Key, **options: Any) -> AsyncWire:
        found = AsyncWire(*await asyncio.open_connection("127.0.0.1", port))
        found.send(hello(presented, "gw", Version.V5, properties=KEPT, **options))
        return found

    victim = await client(key, clean_start=False)
    assert await victim.next() is not None
    logins = SlowLogins(parts)
    thief = await client(Key(key.key_id, "wrong"))
    thief.send(Publish(f"wotkit/{key.key_id}/status", b"stolen", 1, 1))
    owner = await client(key, clean_start=False)
    await logins.waiting.wait()
    await asyncio.sleep(0.2)
    victim.send(PingReq())
    assert await victim.next() == PingResp()  # though its own client id is asked for twice
    logins.go_on.set()
    refused = await thief.next()
    assert isinstance(refused, ConnAck)
    assert refused.reason is Reason.BAD_USER_NAME_OR_PASSWORD
    assert await thief.next() is None
    welcomed = await owner.next()
    assert isinstance(welcomed, ConnAck)
    assert welcomed.session_present
    taken_over = await victim.next()
    assert getattr(taken_over, "reason", None) is Reason.SESSION_TAKEN_OVER
    for wire in (victim, thief, owner):
        wire.writer.close()
    await parts.stop()
    bound.socket.close()


async def much_before_the_login(folder: Path) -> None:
    key = make_key(folder)
    settings = settings_for(folder, mqtt_port=0)
    (bound,) = bind(settings)
    parts = Parts(settings, [bound])
    parts.start()
    logins = SlowLogins(parts)
    port = bound.socket.getsockname()[1]
    wire = AsyncWire(*await asyncio.open_connection("127.0.0.1", port))
    wire.send(hello(key, "gw", Version.V5))
    for number in range(1, 91):  # no more than may be under way
        wire.send(Publish(f"wotkit/{key.key_id}/status", b"x" * 60_000, 1, number))
    await logins.waiting.wait()
    await asyncio.sleep(0.3)
    assert parts.mqtt_metrics.bytes_in < 2_000_000
    logins.go_on.set()
    welcomed = await wire.next()
    assert isinstance(welcomed, ConnAck)
    assert welcomed.reason is Reason.SUCCESS
    for number in range(1, 91):
        assert getattr(await wire.next(), "packet_id", None) == number
    wire.writer.close()
    await parts.stop()
    bound.socket.close()


def test_little_is_kept_of_who_is_not_known_yet(tmp_path: Path) -> None:
    asyncio.run(much_before_the_login(tmp_path / "data"))


def test_connected_client_notices_a_slow_login_only_when_it_succeeds(tmp_path: Path) -> None:
    asyncio.run(slow_logins(tmp_path / "data"))
