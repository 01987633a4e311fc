"""Kill the server while clients post: what was acknowledged is there, and nothing twice."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.system.server_process import wait_until
from tests.system.storm import Careful, Careless, Gateway, ManySensors, Replacing, Storm

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.server_process import ServerProcess
    from tests.system.storm import StormClient

KILLS = [3, pytest.param(10, marks=pytest.mark.slow)]


def kill_worker(server: ServerProcess) -> None:
    """The main process starts another worker by itself."""
    before = server.worker()
    server.kill_worker()
    wait_until(lambda: server.worker() != before, 15, "another worker")


def kill_everything(server: ServerProcess) -> None:
    server.kill_all()
    server.start()


def kill_again_and_again(
    server: ServerProcess,
    clients: list[StormClient],
    kill: Callable[[ServerProcess], None],
    kills: int,
) -> None:
    key = server.add_key("alice")
    for name in {client.sensor.removeprefix("alice.") for client in clients}:
        server.command("sensor", "create", name, "--user", "alice")
    with Storm(server, clients, key) as storm:
        for _ in range(kills):
            before = storm.acknowledged()
            wait_until(lambda: storm.acknowledged() > before + 200, 30, "readings stored")  # noqa: B023  # used at once
            time.sleep(random.uniform(0, 0.3))
            kill(server)
        before = storm.acknowledged()
        wait_until(lambda: storm.acknowledged() > before + 200, 30, "readings stored")
    storm.check()
    assert sum(client.unclear for client in clients) >= kills
    print(f"{storm.acknowledged()} requests acknowledged")


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("kill", [kill_worker, kill_everything])
@pytest.mark.timeout(300)
def test_every_acknowledged_reading_is_there_once_after_kills(
    server: ServerProcess, kill: Callable[[ServerProcess], None], kills: int
) -> None:
    kill_again_and_again(server, [Careful(number) for number in range(16)], kill, kills)


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("kill", [kill_worker, kill_everything])
@pytest.mark.timeout(300)
def test_every_way_in_stores_what_it_acknowledged_after_kills(
    server: ServerProcess, kill: Callable[[ServerProcess], None], kills: int
) -> None:
    kinds = (Careless, Replacing, ManySensors, Gateway)
    clients = [kind(number) for number, kind in enumerate(kinds * 4)]
    kill_again_and_again(server, clients, kill, kills)
