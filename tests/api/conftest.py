"""The real application, and clients of it. Alice and Bobby are teammates, Charlie is a stranger."""

from __future__ import annotations

import asyncio
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import msgspec
import pytest

from wotkit.app import create_app
from wotkit.auth import credentials, passwords
from wotkit.catalog import Catalog, keys, orgs, users
from wotkit.catalog.audit import Actor
from wotkit.catalog.keys import KeyChange
from wotkit.settings import AuthSettings, LogSettings, MqttSettings, Settings, StorageSettings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from pathlib import Path

    from wotkit.catalog.identity import Identity

TEAM = "garden"
"""The organization of Alice and Bobby."""
PASSWORD = "correct horse battery"
HERE = Actor("tests", "127.0.0.1")

Credentials = str | tuple[str, str] | None
"""A user's name, a key's id and password, or nobody."""


@dataclass
class People:
    """The users there are."""

    alice: Identity
    bobby: Identity
    charlie: Identity
    admin: Identity


class Client:
    """Calls the application as its callers do."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
        self._http = httpx.AsyncClient(transport=transport, base_url="http://testserver")

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the application's event loop."""
        return self._loop.run_until_complete(work)

    def call(
        self, method: str, path: str, caller: Credentials = None, **request: Any
    ) -> httpx.Response:
        """Send a request; a path without ``/api`` is one of version 1."""
        if isinstance(caller, str):
            caller = (caller, PASSWORD)
        if not path.startswith("/"):
            path = f"/api/v1/{path}"
        auth = None if caller is None else httpx.BasicAuth(*caller)
        answer: httpx.Response = self.run(self._http.request(method, path, auth=auth, **request))
        return answer

    def get(self, path: str, caller: Credentials = None, **params: Any) -> httpx.Response:
        return self.call("GET", path, caller, params=params or None)

    def post(self, path: str, caller: Credentials, body: Any) -> httpx.Response:
        return self.call("POST", path, caller, json=body)

    def put(self, path: str, caller: Credentials, body: Any) -> httpx.Response:
        return self.call("PUT", path, caller, json=body)

    def delete(self, path: str, caller: Credentials = None) -> httpx.Response:
        return self.call("DELETE", path, caller)

    def make_sensor(
        self, name: str, caller: Credentials = "alice", **attributes: Any
    ) -> dict[str, Any]:
        """Create a sensor and return the answer; it is private unless told otherwise."""
        body = {"name": name, "longName": name.title(), "description": f"about {name}"}
        answer = self.post("sensors", caller, body | attributes)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    @staticmethod
    def error(answer: httpx.Response, status: int) -> dict[str, Any]:
        """Check that an answer is a refusal of the one shape, and return what it says."""
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        error: dict[str, Any] = answer.json()["error"]
        assert error["status"] == status
        assert isinstance(error["code"], int)
        assert error["message"]
        assert isinstance(error["developerMessage"], list)
        assert isinstance(error["moreInfo"], dict)
        return error

    def close(self) -> None:
        self.run(self._http.aclose())


class Lifespan:
    """Starts and stops an application, as a server does (ASGI lifespan)."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        self._task = loop.create_task(app(scope, self._to_app.get, self._from_app.put))

    def say(self, what: str) -> None:
        """Send ``startup`` or ``shutdown`` and wait until it is complete."""
        self._to_app.put_nowait({"type": f"lifespan.{what}"})
        answer = self._loop.run_until_complete(self._from_app.get())
        assert answer["type"] == f"lifespan.{what}.complete", answer
        if what == "shutdown":
            self._loop.run_until_complete(self._task)


def settings_for(folder: Path, *, mqtt_port: int = 1883) -> Settings:
    return msgspec.structs.replace(
        Settings(),
        mqtt=MqttSettings(port=mqtt_port),
        storage=StorageSettings(data=str(folder)),
        auth=AuthSettings(bcrypt_cost=4),
        log=LogSettings(requests="none"),
    )


def add_people() -> People:
    """Add the users; a unit of work."""
    hashed = passwords.hash_password(PASSWORD, 4)

    def add(name: str, role: str = "user") -> None:
        users.create(users.NewUser(username=name, password_hash=hashed, role=role), HERE)

    def identity(name: str) -> Identity:
        found = credentials.candidate(name)
        assert found is not None
        return found.identity

    for name in ("alice", "bobby", "charlie"):
        add(name)
    add("admin", "admin")
    orgs.create(TEAM, "Garden", HERE)
    for name in ("alice", "bobby"):
        orgs.add_member(TEAM, name, HERE)
    return People(identity("alice"), identity("bobby"), identity("charlie"), identity("admin"))


@contextmanager
def running(settings: Settings) -> Iterator[Client]:
    """Run the application, as a server does, and yield a client of it."""
    loop = asyncio.new_event_loop()

    async def create() -> Any:  # in the loop, as the application asks for
        return create_app(settings)

    app = loop.run_until_complete(create())
    lifespan = Lifespan(app, loop)
    lifespan.say("startup")
    found = Client(app, loop)
    yield found
    found.close()
    lifespan.say("shutdown")
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture
def settings(data: Path) -> Settings:
    return settings_for(data)


@pytest.fixture
def people(catalog: Catalog) -> People:
    return catalog.write(add_people)


@pytest.fixture
def client(settings: Settings, people: People) -> Iterator[Client]:
    """A client of a running application that knows :func:`people`."""
    assert people
    with running(settings) as found:
        yield found


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client for the tests of a module that leave everything as it is."""
    folder = tmp_path_factory.mktemp("data")
    with closing(Catalog(folder)) as catalog:
        catalog.write(add_people)
    with running(settings_for(folder)) as found:
        yield found


class MakeKey(Protocol):
    def __call__(
        self,
        owner: Identity,
        *,
        scopes: Sequence[str] = ...,
        sensors: Sequence[str] | None = ...,
    ) -> tuple[str, str]: ...


@pytest.fixture
def make_key(catalog: Catalog) -> MakeKey:
    """Add keys; the answer is a key's id and its password."""

    def make(
        owner: Identity, *, scopes: Sequence[str] = ("all",), sensors: Sequence[str] | None = None
    ) -> tuple[str, str]:
        secret = passwords.make_secret()
        change = KeyChange(name="gateway", scopes=list(scopes), sensors=sensors)
        row = catalog.write(keys.create, owner, change, passwords.hash_secret(secret), HERE)
        return row.id, secret

    return make
