from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import falcon.asgi
import pytest
from falcon import testing

from wotkit.api.caller import Callers, address_of
from wotkit.auth import passwords
from wotkit.auth.authenticator import Authenticator
from wotkit.catalog import keys
from wotkit.catalog.audit import Actor
from wotkit.catalog.identity import ANONYMOUS, Identity
from wotkit.catalog.keys import KeyChange
from wotkit.errors import MissingScope, Unauthenticated
from wotkit.settings import AuthSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wotkit.catalog import Catalog

PASSWORD = "correct horse battery"


def request(authorization: str | None = None, query: str = "") -> Any:
    scope = testing.create_scope(query_string=query)
    scope["client"] = ("192.0.2.7", 5000)
    # as servers give them: a list, to be read more than once
    scope["headers"] = [] if authorization is None else [(b"authorization", authorization.encode())]

    async def receive() -> Any:
        raise AssertionError

    return falcon.asgi.Request(scope, receive)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def ask(catalog: Catalog) -> Callable[..., Identity]:
    """Ask ``callers.NAME(request, argument)``, and once more for what is remembered."""

    def ask(name: str, req: Any, argument: str) -> Identity:
        async def main() -> Identity:
            authenticator = Authenticator(catalog, AuthSettings(bcrypt_cost=4))
            try:
                method: Callable[..., Awaitable[Identity]]
                method = getattr(Callers(authenticator, 1000), name)
                first = await method(req, argument)
                await asyncio.sleep(0)
                assert await method(req, argument) == first
                return first
            finally:
                authenticator.close()

        return asyncio.run(main())

    return ask


def test_no_credentials_are_the_public_which_may_only_read(ask: Any) -> None:
    assert ask("identify", request(), "read") == ANONYMOUS
    for name, argument in (
        ("identify", "write"),
        ("identify_known", "read"),
        ("identify_user", "keys"),
    ):
        with pytest.raises(Unauthenticated):
            ask(name, request(), argument)


@pytest.mark.parametrize("header", ["", " ", "Basic", "Bearer abc", basic("nobody", "x")])
def test_wrong_credentials_are_never_the_public(ask: Any, header: str) -> None:
    for name in ("identify", "identify_known", "identify_user"):
        with pytest.raises(Unauthenticated):
            ask(name, request(header), "read")


@pytest.mark.parametrize("query", ["access_token=x", "a=1&oauth_token=", "access_token=x&a=1"])
def test_token_in_the_query_is_never_the_public(ask: Any, query: str) -> None:
    with pytest.raises(Unauthenticated):
        ask("identify", request(query=query), "read")
    for other in ("my_access_token=x", "text=access_token", "access_tokens=1"):
        assert ask("identify", request(query=other), "read") == ANONYMOUS


def test_user_is_known_and_may_manage_the_account(ask: Any, make_user: Any) -> None:
    make_user("alice")
    header = basic("alice", PASSWORD)
    for name, argument in (
        ("identify", "manage"),
        ("identify_known", "write"),
        ("identify_user", "keys"),
    ):
        assert ask(name, request(header), argument).username == "alice"
    with pytest.raises(MissingScope):
        ask("identify", request(header), "admin")


def test_key_is_held_to_its_scopes_and_never_manages_the_account(
    ask: Any, make_user: Any, catalog: Catalog
) -> None:
    alice = make_user("alice")
    row = catalog.write(
        keys.create,
        alice,
        KeyChange(name="gateway", scopes=["write"]),
        passwords.hash_secret("secret"),
        Actor("tests", "127.0.0.1"),
    )
    header = basic(row.id, "secret")
    assert ask("identify", request(header), "write").key_id == row.id
    for scope in ("read", "manage", "control", "admin"):
        with pytest.raises(MissingScope) as caught:
            ask("identify", request(header), scope)
        assert caught.value.scope == scope
    with pytest.raises(MissingScope, match="never manages keys"):
        ask("identify_user", request(header), "keys")
    actor = Callers.actor(request(header), ask("identify", request(header), "write"))
    assert actor == Actor("alice", "192.0.2.7", row.id)


def test_client_of_a_socket_file_has_no_address() -> None:
    req = request()
    assert address_of(req) == "192.0.2.7"
    req.scope["client"] = None
    assert address_of(req) == "unknown"
