"""Drives one actuator in a thread of its own, so that a hung device delays no other."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway_agent.actuators import Actuator, ActuatorConfig
from gateway_agent.actuators.base import Value, wanted
from gateway_agent.commands.command import ACCEPTED, DONE, FAILED, Command
from gateway_agent.redact import redact
from gateway_agent.spool import JournalEntry

_TICK: Final = 0.05
_MOST_WAITING: Final = 100
_JOURNAL_TIMEOUT: Final = 10.0
_TRY_SAFE_AGAIN: Final = 1.0
_SHOWN: Final = 200


class Journal(Protocol):
    """Where it is written what became of commands: the spool."""

    def wait_for_journal(self, timeout: float) -> bool:
        """Wait until what is on disk is known; False when it is not in time."""

    def journal(self) -> Mapping[str, JournalEntry]:
        """What is on disk, by key."""

    def note_command(self, entry: JournalEntry, timeout: float) -> bool:
        """Write an entry; False when it is not on disk in time."""


@dataclass(frozen=True, slots=True)
class ActuatorFigures:
    """How an actuator is doing; `value` is what it was last set to, by a command or for safety.

    `last_command` is when a command was last carried out or refused, in seconds since 1970.
    """

    sensor: str
    value: Value | None = None
    safe_state: Value | None = None
    last_command: float | None = None
    last_outcome: str | None = None
    done: int = 0
    failed: int = 0
    last_error: str | None = None


class ActuatorRunner:
    """Owns the thread of one actuator, its safe state and its limits."""

    def __init__(
        self,
        config: ActuatorConfig,
        actuator: Actuator,
        journal: Journal,
        *,
        report: Callable[[JournalEntry], None],
        away_seconds: Callable[[], float],
    ) -> None:
        """`away_seconds` tells for how long nothing was heard of the platform."""
        self.config = config
        self._actuator = actuator
        self._journal = journal
        self._report = report
        self._away_seconds = away_seconds
        self._waiting: queue.Queue[Command] = queue.Queue(_MOST_WAITING)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._obeys = False
        """Whether a command is being carried out, not a safe state."""
        self._is_open = False
        self._on_since: float | None = None
        self._owed: str | None = None
        self._owed_at = 0.0
        safe = None if config.safe_state is None else config.accept(config.safe_state)
        self._figures = ActuatorFigures(config.sensor, safe_state=safe)
        self._log = logging.getLogger(__name__)
        name = f"actuator-{config.sensor}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Take the safe state, then obey."""
        self._thread.start()

    def stop(self) -> None:
        """Take the safe state and end; `join` waits for it."""
        with self._lock:
            self._stopping.set()

    def interrupt(self) -> None:
        """Cut the command short that goes on after `stop`, so that the safe state can be taken."""
        with self._lock:
            if self._obeys:
                self._actuator.interrupt()

    def join(self, timeout: float) -> bool:
        """Wait for the thread; False if the device hangs."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def submit(self, command: Command) -> bool:
        """Queue a command; False when too many wait, or the agent stops."""
        if self._stopping.is_set():
            return False
        try:
            self._waiting.put_nowait(command)
        except queue.Full:
            return False
        return True

    def figures(self) -> ActuatorFigures:
        """How the actuator is doing now."""
        return self._figures

    def _run(self) -> None:
        self._owe("start")
        while not self._stopping.is_set():
            self._look_after_safety()
            with contextlib.suppress(queue.Empty):
                self._carry_out(self._waiting.get(timeout=_TICK))
        self._owed = None  # what could not be done before is tried now, without a delay
        self._owe("exit")
        self._look_after_safety()
        self._close()

    # -- commands -------------------------------------------------------------------------

    def _carry_out(self, command: Command) -> None:
        if not self._journal.wait_for_journal(_JOURNAL_TIMEOUT):
            self._finish(command.key, FAILED, "the journal cannot be read")
            command.done()
            return
        known = self._journal.journal().get(command.key)
        if known is not None:
            command.done()
            if known.state == ACCEPTED:
                known = self._note(known.key, FAILED, "interrupted, its outcome is not known")
            self._report(known)
            return
        try:
            value = wanted(self.config, command.message)
            if command.is_stale():
                raise ValueError("expired")
        except Exception as error:  # noqa: BLE001 - a message may be anything, and safety outlives it
            self._finish(command.key, FAILED, str(error))
            command.done()
            return
        accepted = JournalEntry(command.key, ACCEPTED)
        if not self._journal.note_command(accepted, _JOURNAL_TIMEOUT):
            self._finish(command.key, FAILED, "the journal cannot be written")
            return
        command.done()
        self._report(accepted)
        if command.is_stale():
            self._finish(command.key, FAILED, "expired")
        else:
            self._act(command.key, value)

    def _act(self, key: str, value: Value) -> None:
        with self._lock:
            self._obeys = not self._stopping.is_set()
        if not self._obeys:
            self._finish(key, FAILED, "the agent stops")
            return
        try:
            detail = self._apply(value)
        except Exception as error:  # noqa: BLE001 - a device may fail in any way
            self._finish(key, FAILED, _told(error))
            return
        finally:
            with self._lock:
                self._obeys = False
        self._owed = None
        self._finish(key, DONE, detail)

    def _finish(self, key: str, state: str, detail: str) -> None:
        self._log.info(
            "command %s sensor=%s key=%s detail=%r", state, self.config.sensor, key, detail
        )
        self._figures = replace(self._figures, last_command=time.time(), last_outcome=state)
        if state == DONE:
            self._figures = replace(self._figures, done=self._figures.done + 1)
        else:
            failed = self._figures.failed + 1
            self._figures = replace(self._figures, failed=failed, last_error=detail)
        self._report(self._note(key, state, detail))

    def _note(self, key: str, state: str, detail: str) -> JournalEntry:
        entry = JournalEntry(key, state, detail[:_SHOWN])
        self._journal.note_command(entry, _JOURNAL_TIMEOUT)
        return entry

    # -- the device and its safety --------------------------------------------------------

    def _apply(self, value: Value) -> str:
        try:
            if not self._is_open:
                self._actuator.open()
                self._is_open = True
            detail = self._actuator.apply(value)
        except BaseException:
            self._on_since = self._on_since or time.monotonic()  # perhaps it did act
            self._close()
            raise
        self._figures = replace(self._figures, value=value)
        safe = self.config.safe_state
        is_safe = safe is not None and value == self.config.accept(safe)
        self._on_since = None if is_safe else self._on_since or time.monotonic()
        return detail

    def _close(self) -> None:
        self._is_open = False
        try:
            self._actuator.close()
        except Exception as error:  # noqa: BLE001 - as in _act
            self._log.warning(
                "actuator does not close sensor=%s error=%r", self.config.sensor, error
            )

    def _owe(self, reason: str) -> None:
        if self.config.safe_state is not None and self._owed is None:
            self._owed, self._owed_at = reason, time.monotonic()

    def _look_after_safety(self) -> None:
        config, now = self.config, time.monotonic()
        if self._on_since is not None:
            if config.max_on is not None and now - self._on_since >= config.max_on:
                self._owe("max_on is over")
            if config.away_limit is not None and self._away_seconds() >= config.away_limit:
                self._owe("the platform is away")
        if self._owed is None or now < self._owed_at:
            return
        try:
            self._apply(config.accept(config.safe_state))
        except Exception as error:  # noqa: BLE001 - as in _act
            self._owed_at = now + _TRY_SAFE_AGAIN
            told = _told(error)
            if told != self._figures.last_error:
                self._log.error("safe state not taken sensor=%s error=%r", config.sensor, told)
            self._figures = replace(self._figures, last_error=told)
        else:
            self._log.info("safe state taken sensor=%s reason=%r", config.sensor, self._owed)
            self._owed = None


def _told(error: Exception) -> str:
    return redact(f"{type(error).__name__}: {error}")[:_SHOWN]
