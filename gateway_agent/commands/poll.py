"""Commands over HTTP: a long poll for each actuator, while there is no MQTT."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from gateway_agent.backoff import Backoff
from gateway_agent.commands.command import Command, from_http
from gateway_agent.outputs.client import PlatformClient, Response, platform_time, trouble

_LONGEST_WAIT: Final = 20.0
_SHARE_OF_TIMEOUT: Final = 0.6
_ACCEPTED_WITHIN: Final = 5.0
_SHORTEST_POLL: Final = 0.25


class CommandPoll:
    """The thread that waits for the messages of one actuator."""

    def __init__(
        self,
        client: PlatformClient,
        sensor: str,
        submit: Callable[[Command], bool],
        *,
        timeout: float,
        retry: Backoff,
        is_needed: Callable[[], bool],
        takes_plain: bool,
        heard: Callable[[], None],
    ) -> None:
        """`timeout` is that of the client, in seconds.

        Plain messages, which have no id, are only taken when they cannot come over MQTT as well.
        """
        self._client = client
        self._sensor = sensor
        self._submit = submit
        self._wait = min(_LONGEST_WAIT, timeout * _SHARE_OF_TIMEOUT)
        self._retry = retry
        self._is_needed = is_needed
        self._takes_plain = takes_plain
        self._heard = heard
        self._subscription: int | None = None
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._log = logging.getLogger(__name__)
        self._thread = threading.Thread(target=self._run, name=f"poll-{sensor}", daemon=True)

    def start(self) -> None:
        """Begin to wait for messages."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present wait; nobody has to wait for that."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._is_needed():
                self._stopping.wait(0.5)
                continue
            began = time.monotonic()
            problem = self._poll()
            if problem is None:
                self._heard()
                self._retry.reset()
                self._trouble = None
                # Whatever answers at once, as a busy platform may, is not asked without a pause.
                self._stopping.wait(max(0.0, began + _SHORTEST_POLL - time.monotonic()))
                continue
            if problem != self._trouble:
                self._trouble = problem
                self._log.warning("no commands sensor=%s reason=%r", self._sensor, problem)
            self._stopping.wait(self._retry.next())

    def _poll(self) -> str | None:
        if self._subscription is None:
            path = f"v1/control/sub/{quote(self._sensor)}"
            response = self._client.request("POST", path, b"{}")
            if not isinstance(response, Response):
                return response.reason
            if response.status != HTTPStatus.OK or not isinstance(response.body, dict):
                return trouble(response).reason
            self._subscription = int(response.body.get("subscription", 0))
        path = f"v1/control/sub/{self._subscription}?wait={self._wait:.0f}"
        response = self._client.request("GET", path)
        if not isinstance(response, Response):
            return response.reason
        if response.status == HTTPStatus.NOT_FOUND:
            self._subscription = None
            return None if self._trouble is None else trouble(response).reason
        if response.status != HTTPStatus.OK or not isinstance(response.body, list):
            return trouble(response).reason
        self._take(response.body, platform_time(response.headers) or time.time())
        return None

    def _take(self, messages: list[Any], platform_now: float) -> None:
        """Submit them, and acknowledge those that expire once they are in the journal."""
        noted: list[tuple[Any, threading.Event]] = []
        for body in messages:
            if self._stopping.is_set() or not isinstance(body, Mapping):
                continue
            if "id" not in body and not self._takes_plain:
                continue
            done = threading.Event()
            try:
                command = from_http(body, self._sensor, platform_now, done.set)
            except ValueError as error:
                self._log.warning("command ignored sensor=%s error=%s", self._sensor, error)
                continue
            if self._submit(command) and "id" in body:
                noted.append((body["id"], done))
        deadline = time.monotonic() + _ACCEPTED_WITHIN
        taken = [number for number, done in noted if done.wait(deadline - time.monotonic())]
        if taken:
            path = f"v1/control/sub/{self._subscription}/ack"
            self._client.request("POST", path, json.dumps({"messages": taken}).encode())
