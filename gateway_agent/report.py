"""What the agent tells the platform about itself: a small status message, now and then.

It goes over MQTT while that is connected, with a last will that says `offline` for an agent that
is gone, and over HTTP otherwise. Nothing waits for it, and nothing depends on it.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol

from gateway_agent import __version__
from gateway_agent.clock import iso_time
from gateway_agent.inputs.runner import InputFigures
from gateway_agent.outputs.client import PlatformClient, Response
from gateway_agent.outputs.sender import SenderFigures
from gateway_agent.spool import SpoolFigures

_TICK: Final = 1.0
_LEAST_PAUSE: Final = 15.0
"""Seconds between two reports, however often something changes."""
_AWAY_INTERVAL: Final = 20.0
"""Seconds between reports over HTTP while MQTT is away, whose will says something else."""
_FIRST_PAUSE: Final = 2.0
"""Seconds in which MQTT may connect, so that the first report need not go over HTTP."""
_PUBLISH_TIMEOUT: Final = 5.0
_LARGEST: Final = 60_000
_MOST_ITEMS: Final = 200
_MOST_ERRORS: Final = 10
_TEXT_LIMITS: Final = (300, 100, 20)
"""Characters of an error's text: the first limit with which a report is not too large."""
_DROPPED: Final = "dropped_"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figures:
    """How the parts of the agent are doing."""

    spool: SpoolFigures
    sender: SenderFigures
    inputs: Sequence[InputFigures]
    synced: bool


class Link(Protocol):
    """The MQTT connection, as far as reports are concerned."""

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""

    def publish(self, kind: str, payload: bytes, timeout: float, *, retain: bool = False) -> Any:
        """Publish on the key's topic `{kind}`; the answer's `is_taken` says how that went."""


@dataclass(slots=True)
class _Seen:
    """An input as it was when it was last looked at."""

    readings: int = 0
    errors: int = 0
    state: str = "waiting"
    error: str | None = None


class Observer:
    """Makes reports of figures, and remembers what went wrong lately. Any thread may ask it."""

    def __init__(
        self,
        gateway_id: str,
        figures: Callable[[], Figures],
        *,
        interval: float,
        spool_path: Path,
        types: Callable[[], Mapping[str, str]],
        actuators: Callable[[], Sequence[tuple[str, str]]] = tuple,
    ) -> None:
        """`types` gives the kind of each input by its name, `actuators` sensors with theirs."""
        self._id = gateway_id
        self._figures = figures
        self._interval = interval
        self._spool_path = spool_path
        self._types = types
        self._actuators = actuators
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._inputs: dict[str, _Seen] = {}
        self._errors: deque[tuple[str, str]] = deque(maxlen=_MOST_ERRORS)
        self._sender_error: str | None = None
        self._told: object = None
        self._log = logging.getLogger(__name__)

    def will(self) -> bytes:
        """What is to be said when the agent is gone."""
        return json.dumps({"gateway": self._id, "status": "offline"}).encode()

    def look(self) -> bool:
        """Take note of what went wrong; whether there is news since the last report was made."""
        with self._lock:
            figures = self._present()
            return figures is not None and self._look(figures) != self._told

    def report(self) -> bytes:
        """The report of this moment."""
        with self._lock:
            figures = self._present()
            if figures is None:
                return json.dumps(self._known()).encode()
            self._told = self._look(figures)
            for limit in _TEXT_LIMITS:
                found = json.dumps(self._document(figures, limit)).encode()
                if len(found) <= _LARGEST:
                    break
            return found

    def _present(self) -> Figures | None:
        """The figures; None when they cannot be had, which must harm neither link nor reports."""
        try:
            return self._figures()
        except Exception:  # noqa: BLE001 - parts may be replaced at this moment
            self._log.debug("no figures for a report", exc_info=True)
            return None

    def _known(self) -> Document:
        return {"gateway": self._id, "status": "online", "interval": self._interval}

    def _look(self, figures: Figures) -> object:
        for one in figures.inputs:
            before = self._inputs.setdefault(one.name, _Seen())
            if one.last_error != before.error and one.last_error is not None:
                self._note(f"input {one.name}: {one.last_error}")
            self._inputs[one.name] = _Seen(
                one.readings, one.errors, _state(one, before), one.last_error
            )
        for name in self._inputs.keys() - {one.name for one in figures.inputs}:
            del self._inputs[name]
        if figures.sender.last_error != self._sender_error:
            self._sender_error = figures.sender.last_error
            if self._sender_error is not None:
                self._note(f"delivery: {self._sender_error}")
        states = tuple((name, seen.state) for name, seen in self._inputs.items())
        spool = figures.spool
        return states, figures.sender.state, figures.synced, spool.disk_full, spool.trouble

    def _note(self, message: str) -> None:
        self._errors.appendleft((iso_time(time.time_ns() // 1000), message))

    def _document(self, figures: Figures, limit: int) -> Document:
        spool, types = figures.spool, self._types()
        return {
            **self._known(),
            "version": __version__,
            "uptime": round(time.monotonic() - self._began, 1),
            "clock": {"synchronized": figures.synced},
            "spool": {
                "depth": spool.depth,
                "oldest": None if spool.oldest_us is None else iso_time(spool.oldest_us),
                "dropped": sum(
                    count for name, count in spool.counters.items() if name.startswith(_DROPPED)
                ),
                "bytes": _size(self._spool_path),
            },
            "inputs": [
                self._input(one, types.get(one.name, ""), limit)
                for one in figures.inputs[:_MOST_ITEMS]
            ],
            "actuators": [
                {"sensor": sensor, "type": kind} for sensor, kind in self._actuators()[:_MOST_ITEMS]
            ],
            "errors": [{"time": at, "message": _cut(text, limit)} for at, text in self._errors],
        }

    def _input(self, one: InputFigures, kind: str, limit: int) -> Document:
        seen = self._inputs[one.name]
        found: Document = {"name": one.name, "type": kind, "state": seen.state}
        if seen.state == "failing" and one.last_error:
            found["error"] = _cut(one.last_error, limit)
        if one.last_reading is not None:
            found["last_reading"] = iso_time(round(one.last_reading * 1e6))
        return found


class Reporter:
    """The thread that sends reports: at the start, when something changes, and every interval."""

    def __init__(
        self,
        observer: Observer,
        gateway_id: str,
        interval: float,
        *,
        link: Link | None,
        client: PlatformClient,
    ) -> None:
        """`link` is the MQTT connection, if one is configured; `client` is used by nobody else."""
        self._observer = observer
        self._path = f"v2/gateways/{gateway_id}/status"
        self._interval = interval
        self._link = link
        self._client = client
        self._stopping = threading.Event()
        self._log = logging.getLogger(__name__)
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Say goodbye where MQTT does not, and end."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._thread.join(timeout)
        if not self._thread.is_alive() and not self._over_mqtt():
            goodbye = threading.Thread(target=self._put, args=(self._observer.will(),), daemon=True)
            goodbye.start()
            goodbye.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        was_over_mqtt = False
        least = min(_LEAST_PAUSE, self._interval)
        due = earliest = time.monotonic() + (0.0 if self._link is None else _FIRST_PAUSE)
        while True:
            news, over_mqtt = self._observer.look(), self._over_mqtt()
            now = time.monotonic()
            greeted, lost = over_mqtt > was_over_mqtt, over_mqtt < was_over_mqtt
            if not greeted and (now >= due or ((news or lost) and now >= earliest)):
                self._send()
                greeted, over_mqtt, now = True, self._over_mqtt(), time.monotonic()
            if greeted:  # by the link itself, when it has connected
                was_over_mqtt = over_mqtt
                due, earliest = now + self._pause(), now + least
            if self._stopping.wait(min(_TICK, self._interval)):
                return

    def _pause(self) -> float:
        if self._link is not None and not self._over_mqtt():
            return min(self._interval, _AWAY_INTERVAL)
        return self._interval

    def _over_mqtt(self) -> bool:
        return self._link is not None and self._link.is_connected

    def _send(self) -> None:
        report = self._observer.report()
        if self._link is not None and self._over_mqtt():
            sent = self._link.publish("status", report, _PUBLISH_TIMEOUT, retain=True)
            self._note(None if sent.is_taken else f"MQTT: {sent.text}")
        else:
            self._put(report)

    def _put(self, report: bytes) -> None:
        answer = self._client.request("PUT", self._path, report)
        if not isinstance(answer, Response):
            self._note(answer.reason)
        elif answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            self._note(f"HTTP {answer.status}: {answer.message}")
        else:
            self._note(None)

    def _note(self, trouble: str | None) -> None:
        """Log why reports do not arrive, once; delivery has its own words for the same."""
        if trouble is not None and self._trouble is None:
            self._log.info("status not reported reason=%r", trouble)
        self._trouble = trouble


def _state(one: InputFigures, before: _Seen) -> str:
    """Whether an input works: by what it did since it was looked at before."""
    if one.hangs_for is not None:
        return "failing"
    if not one.open:
        return "failing" if one.last_error else "waiting"
    if one.errors > before.errors:
        return "failing"
    if one.readings > before.readings:
        return "ok"
    return before.state


def _cut(text: str, limit: int) -> str:
    plain = text.encode("utf-8", "replace").decode()
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


def _size(path: Path) -> int:
    """Bytes of the spool's files."""
    total = 0
    for suffix in ("", "-wal", "-shm"):
        try:
            total += path.with_name(path.name + suffix).stat().st_size
        except OSError:
            continue
    return total
