"""Credentials that end are refused by the very next request, on every connection."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.system.conftest import add_alice
from tests.system.server_process import PASSWORD, Key, ServerProcess, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.system.wire import Wire

DATA = "/api/v1/sensors/alice.roof/data"
ALICE = ("alice", PASSWORD)


def revoke_by_command(server: ServerProcess, key: Key) -> None:
    server.command("key", "revoke", key.key_id)


def revoke_by_api(server: ServerProcess, key: Key) -> None:
    with server.wire(ALICE) as alice:
        assert alice.call("DELETE", f"/api/v2/keys/{key.key_id}").status == 204


def rotate_without_overlap_by_command(server: ServerProcess, key: Key) -> None:
    server.command("key", "rotate", key.key_id, "--overlap-hours", "0")


def rotate_without_overlap_by_api(server: ServerProcess, key: Key) -> None:
    with server.wire(ALICE) as alice:
        answer = alice.post(f"/api/v2/keys/{key.key_id}/rotate", {"overlapHours": 0})
        assert answer.status == 200, answer.body


def disable_the_user(server: ServerProcess, key: Key) -> None:
    server.command("user", "disable", "alice")


ENDINGS = [
    revoke_by_command,
    revoke_by_api,
    rotate_without_overlap_by_command,
    rotate_without_overlap_by_api,
    disable_the_user,
]


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that never tires of telling that credentials are wrong."""
    data = tmp_path_factory.mktemp("shared") / "data"
    with ServerProcess(data, "--set", "auth.failures_per_address=1000000") as found:
        add_alice(found)
        yield found


@pytest.fixture
def key(shared_server: ServerProcess) -> Key:
    shared_server.command("user", "enable", "alice")
    return shared_server.add_key("alice")


def post(wire: Wire) -> int:
    return wire.post(DATA, {"value": 1}).status


@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
def test_ended_key_is_refused_by_the_next_request_of_an_open_connection(
    shared_server: ServerProcess, key: Key, end: Callable[[ServerProcess, Key], None]
) -> None:
    with shared_server.wire(key) as wire:
        for _ in range(3):
            assert post(wire) == 201
        connection = wire.local_port()
        end(shared_server, key)
        answer = wire.post(DATA, {"value": 1})
        assert wire.local_port() == connection
    answer.error(401, 1301)
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("end", ENDINGS[:2], ids=lambda end: end.__name__)
def test_no_request_that_begins_after_the_revocation_succeeds(
    shared_server: ServerProcess, key: Key, end: Callable[[ServerProcess, Key], None]
) -> None:
    """Also where eight connections send it all the time, and others change the catalog."""
    begun: list[tuple[float, int]] = []
    stop = threading.Event()

    def send_all_the_time() -> None:
        with shared_server.wire(key) as wire:
            while not stop.is_set():
                began = time.monotonic()
                begun.append((began, post(wire)))

    threads = [threading.Thread(target=send_all_the_time, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(begun) > 200, 10, "requests")
    end(shared_server, key)
    revoked = time.monotonic()
    count = len(begun)
    wait_until(lambda: len(begun) > count + 200, 10, "requests")
    stop.set()
    for thread in threads:
        thread.join(10)
    assert {status for began, status in begun if began > revoked} == {401}
    assert {status for _, status in begun} == {201, 401}


def test_old_password_of_a_rotated_key_ends_with_the_overlap(
    shared_server: ServerProcess, key: Key
) -> None:
    seconds = 2.0
    hours = str(seconds / 3600)
    began = time.monotonic()
    made = shared_server.json("key", "rotate", key.key_id, "--overlap-hours", hours)
    new = Key(made["key_id"], made["key_password"])
    with shared_server.wire(key) as before, shared_server.wire(new) as after:
        assert post(after) == 201
        while time.monotonic() - began < seconds * 0.8:
            assert post(before) == 201
            time.sleep(0.1)
        time.sleep(max(0, began + seconds + 1 - time.monotonic()))
        assert post(before) == 401
        assert post(after) == 201


def test_key_ends_when_it_expires_on_an_open_connection(shared_server: ServerProcess) -> None:
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    with shared_server.wire(shared_server.add_key("alice", "--expires", expires)) as wire:
        assert post(wire) == 201
        wait_until(lambda: post(wire) == 401, 6, "expired")


def test_disabled_user_is_refused_on_an_open_connection_until_enabled(
    shared_server: ServerProcess, key: Key
) -> None:
    with shared_server.wire(ALICE) as wire:
        assert post(wire) == 201
        shared_server.command("user", "disable", "alice")
        assert post(wire) == 401
        shared_server.command("user", "enable", "alice")
        assert post(wire) == 201
