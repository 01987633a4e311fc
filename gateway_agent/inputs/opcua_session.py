"""A connection to an OPC UA server, and the settings that describe it."""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import SplitResult, unquote

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaError

from gateway_agent.clock import Stamp
from gateway_agent.inputs.base import Context, InputConfig
from gateway_agent.inputs.points import PointConfig, check_points
from gateway_agent.reading import Value
from gateway_agent.settings import (
    Setting,
    Tables,
    WrongSetting,
    address,
    choice,
    duration,
    path,
    text,
    whole,
)

_DEFAULT_PORT: Final = 4840
MOST_CHANGES: Final = 10_000
_CLOSE_TIMEOUT: Final = 3.0
_SHORTEST_POLL: Final = 0.05
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpcuaPoint(PointConfig):
    """One variable."""

    node: Annotated[str, Setting(text(), 'the node, such as "ns=2;s=Boiler.Flow" or "ns=2;i=4"')]
    index: Annotated[
        int | None, Setting(whole(0), "of a variable that is a list: which element, from 0")
    ] = None
    datatype: Annotated[
        Literal["number", "text"], Setting(choice("number", "text"), "what the variable holds")
    ] = "number"

    def __post_init__(self) -> None:
        """Raises WrongSetting when the node cannot be read."""
        try:
            ua.NodeId.from_string(self.node)
        except (UaError, ValueError) as error:
            raise WrongSetting("node", f"is not a node id: {self.node!r}") from error

    @property
    def is_numeric(self) -> bool:
        """Whether the variable holds a number."""
        return self.datatype == "number"

    def decode(self, value: object) -> Value:
        """The value as a reading holds it. Raises ValueError for what no field can hold."""
        if self.index is not None:
            if not isinstance(value, list) or self.index >= len(value):
                raise ValueError(f"has no element {self.index}")
            value = value[self.index]
        if self.datatype == "text":
            return value if isinstance(value, str) else str(value)
        if isinstance(value, bool | int | float):
            return int(value) if isinstance(value, bool) else value
        raise ValueError(f"is a {type(value).__name__}, not a number")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpcuaConfig(InputConfig):
    """`type = "opcua"`: variables of one server."""

    url: Annotated[
        SplitResult,
        Setting(
            address("opc.tcp"),
            "opc.tcp://user:password@host:4840/path; the password is never logged",
        ),
    ]
    mode: Annotated[
        Literal["poll", "subscribe"],
        Setting(
            choice("poll", "subscribe"),
            '"poll": read at every interval; "subscribe": the server tells of changes, which it '
            "looks for at every interval",
        ),
    ] = "poll"
    timestamps: Annotated[
        Literal["source", "server", "gateway"],
        Setting(
            choice("source", "server", "gateway"),
            "whose time a reading gets; a value with the source's or server's same time as before "
            "is an old one and is not sent again",
        ),
    ] = "source"
    timeout: Annotated[
        float, Setting(duration(0.1, 120), "longest wait for an answer of the server")
    ] = 5.0
    security: Annotated[
        str | None,
        Setting(text(r"\w+,\w+", "a policy and a mode"), 'such as "Basic256Sha256,SignAndEncrypt"'),
    ] = None
    certificate: Annotated[
        Path | None, Setting(path, "the gateway's certificate, with security")
    ] = None
    private_key: Annotated[
        Path | None, Setting(path, "the key of that certificate, with security")
    ] = None
    password_file: Annotated[
        Path | None, Setting(path, "file with the password, instead of one in url")
    ] = None
    point: Annotated[
        tuple[OpcuaPoint, ...], Setting(Tables(OpcuaPoint), "the variables to read")
    ] = ()

    def __post_init__(self) -> None:
        """Raises WrongSetting when something is missing."""
        check_points(self.point)
        if not self.url.hostname:
            raise WrongSetting("url", "has no host")
        if self.interval < _SHORTEST_POLL:
            raise WrongSetting("interval", f"expected at least {_SHORTEST_POLL:g} s")
        if self.security is not None and (self.certificate is None or self.private_key is None):
            raise WrongSetting("security", "needs certificate and private_key")


class _Loop:
    """An event loop in a thread of its own: the library keeps its connection alive in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="opcua", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Answer], timeout: float) -> Answer:
        """Wait for some work. Raises TimeoutError after `timeout` seconds, and as the work does."""
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout), self._loop).result(
            timeout + 1
        )

    def close(self) -> None:
        """Give up what still goes on, and end the thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_TIMEOUT)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


class Session:
    """A connection to the server."""

    def __init__(self, config: OpcuaConfig) -> None:
        """Connect. Raises OSError, ua.UaError or TimeoutError."""
        logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
        self._config = config
        self._loop = _Loop()
        self._client: Client | None = None
        self._lost: str | None = None
        try:
            self._loop.run(self._connect(), 2 * config.timeout)
        except BaseException:
            self.close()
            raise

    def read(self, nodes: Sequence[str]) -> list[ua.DataValue]:
        """The values of variables, measured now as far as the server can. Raises as above."""
        assert self._client is not None
        wanted = [
            ua.ReadValueId(NodeId=ua.NodeId.from_string(node), AttributeId=AttributeIds.Value)
            for node in nodes
        ]
        parameters = ua.ReadParameters(
            MaxAge=0, TimestampsToReturn=ua.TimestampsToReturn.Both, NodesToRead=wanted
        )
        return self._loop.run(self._client.uaclient.read(parameters), self._config.timeout)

    def subscribe(self, nodes: Sequence[str], handler: "Changes") -> list[object]:
        """Be told of changes; for each variable a handle, or the status that refuses it."""
        return self._loop.run(self._subscribe(nodes, handler), 2 * self._config.timeout)

    def check(self) -> None:
        """Raises ConnectionError when the connection was lost."""
        if self._lost is not None:
            raise ConnectionError(f"the server is gone: {self._lost}")

    def close(self) -> None:
        """Say goodbye, if the server still listens."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                self._loop.run(client.disconnect(), _CLOSE_TIMEOUT)
        self._loop.close()

    async def _connect(self) -> None:
        config = self._config
        parts = config.url
        host = parts.hostname or ""
        place = f"[{host}]" if ":" in host else host
        url = parts._replace(netloc=f"{place}:{parts.port or _DEFAULT_PORT}").geturl()
        client = Client(url, timeout=config.timeout)
        if parts.username is not None:
            client.set_user(unquote(parts.username))
            client.set_password(self._password())
        if config.security is not None:
            await client.set_security_string(
                f"{config.security},{config.certificate},{config.private_key}"
            )
        client.connection_lost_callback = self._note_loss
        await client.connect()
        self._client = client

    def _password(self) -> str:
        if self._config.password_file is not None:
            return self._config.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        return unquote(self._config.url.password or "")

    async def _note_loss(self, error: Exception) -> None:
        self._lost = str(error) or type(error).__name__

    async def _subscribe(self, nodes: Sequence[str], handler: "Changes") -> list[object]:
        assert self._client is not None
        subscription = await self._client.create_subscription(self._config.interval * 1000, handler)
        handler.number_of = {ua.NodeId.from_string(node): i for i, node in enumerate(nodes)}
        return list(
            await subscription.subscribe_data_change(
                [self._client.get_node(node) for node in nodes],
                queuesize=1,
                sampling_interval=ua.Double(self._config.interval * 1000),
            )
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What the server told of one point, by its number, and when that came here."""

    number: int
    data: ua.DataValue
    stamp: Stamp


class Changes:
    """Gets what the server tells, in the loop's thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.number_of: dict[ua.NodeId, int] = {}
        self.waiting: queue.Queue[Change] = queue.Queue(MOST_CHANGES)
        self.missed = False

    def datachange_notification(self, node: Any, _value: Any, data: Any) -> None:
        """One variable has changed."""
        number = self.number_of[node.nodeid]
        change = Change(number, data.monitored_item.Value, self._context.clock.stamp())
        try:
            self.waiting.put_nowait(change)
        except queue.Full:
            self.missed = True
