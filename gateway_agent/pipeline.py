"""The agent at work: inputs, spool and delivery wired together, started and stopped in order."""

import errno
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway_agent.clock import Clock
from gateway_agent.config import Config
from gateway_agent.credentials import CredentialSource
from gateway_agent.delivery import Delivery
from gateway_agent.inputs import Context, InputConfig, create_input
from gateway_agent.inputs.runner import InputRunner
from gateway_agent.notify import Notifier
from gateway_agent.outputs.registry import SpecBook
from gateway_agent.progress import find_stuck
from gateway_agent.reload import ChangedConfig, fingerprint
from gateway_agent.report import Figures
from gateway_agent.spool import (
    Spool,
    SpoolLock,
    SpoolLockedError,
    Timekeeper,
    UnsuitableSpoolError,
    machine_hash,
)
from gateway_agent.status import Document, StatusFile

if TYPE_CHECKING:
    from gateway_agent.health import HealthServer

_PUBLISH_EVERY: Final = 5.0
_INPUTS_TIMEOUT: Final = 2.0
_FLUSH_TIMEOUT: Final = 2.0
_CLOSE_TIMEOUT: Final = 2.0
_SAFE_TIMEOUT: Final = 5.0
"""Seconds more for an actuator whose device was slow to answer."""
_DISK_FULL_WAIT: Final = 5.0
_START_TAKES: Final = 30.0
"""Seconds that a service manager is asked for again and again while the start waits for room."""

StopRequested = Callable[[float], bool]
"""Waits at most so many seconds; True when the agent is asked to stop."""


@dataclass(frozen=True, slots=True)
class _RunningInput:
    """An input with what is needed to stop it alone."""

    runner: InputRunner
    stopping: threading.Event
    fingerprint: object


class Agent:
    """One gateway agent, from start to stop."""

    def __init__(
        self, config: Config, credentials: CredentialSource, notifier: Notifier | None = None
    ) -> None:
        """Wire everything; nothing runs yet. Raises OSError when `ca_file` cannot be read."""
        self._notifier = notifier or Notifier({})
        self._health: HealthServer | None = None
        self._stuck: str | None = None
        self._is_to_stop = False
        self._hanging: set[str] = set()
        self._credentials = credentials
        self._log = logging.getLogger(__name__)
        self._clock = Clock()
        self._timekeeper = Timekeeper(self._clock, config.clock.wait)
        self._specs = SpecBook()
        self._wire(config)

    def run(self, stop_requested: StopRequested, changed: ChangedConfig = lambda: None) -> bool:
        """Work until asked to stop; False when a part died of an error in the program.

        Raises SpoolLockedError when another agent has the spool, UnsuitableSpoolError when the
        file is another program's, OSError when the spool's folder cannot be written.
        """
        self._ask_whether_to_stop = stop_requested
        if not self._acquire_lock():
            return True
        try:
            self._start()
            pause = min(_PUBLISH_EVERY, self._notifier.watchdog_interval or _PUBLISH_EVERY)
            while (healthy := self._is_alive()) and not self._stop_requested(pause):
                config = changed()
                if config is not None:
                    self._reload(config)
                self._look_after_parts()
                self._publish()
            if not healthy:
                self._log.critical("a part of the agent died, stopping")
            self._stop()
        finally:
            self._lock.release()
        return healthy

    @property
    def waiting(self) -> int:
        """How many readings wait to be sent."""
        return self._spool.figures().depth

    @property
    def spool_trouble(self) -> str | None:
        """Why the spool could not be opened, so that nobody knows what waits; None if it could."""
        figures = self._spool.figures()
        return None if figures.stream else figures.trouble or "it was not opened"

    # -- wiring ---------------------------------------------------------------------------

    def _wire(self, config: Config) -> None:
        self._config = config
        self._timekeeper.wait = config.clock.wait
        self._lock = SpoolLock(config.spool.path)
        self._spool = Spool(config.spool, machine_hash(), self._timekeeper)
        self._status = StatusFile(config)
        self._delivery = self._make_delivery(config)
        self._inputs = [self._make_input(config, settings) for settings in config.inputs]

    def _make_delivery(self, config: Config) -> Delivery:
        return Delivery(
            config,
            self._credentials.with_file(config.platform.credentials_file),
            spool=self._spool,
            specs=self._specs,
            clock=self._clock,
            figures=self._figures,
            types=lambda: {one.name: one.type for one in self._config.inputs},
        )

    def _make_input(self, config: Config, settings: InputConfig) -> _RunningInput:
        stopping = threading.Event()
        context = Context(config.gateway.id, stopping, self._clock, self._spool)
        runner = InputRunner(
            settings.name,
            create_input(settings, context),
            settings.interval,
            clock=self._clock,
            sink=self._spool,
            declare=self._specs.declare,
            stopping=stopping,
        )
        return _RunningInput(runner, stopping, fingerprint(settings))

    def _figures(self) -> Figures:
        return Figures(
            self._spool.figures(),
            self._delivery.sender.figures(),
            [each.runner.figures() for each in self._inputs],
            self._clock.stamp().synced,
        )

    # -- start and stop -------------------------------------------------------------------

    def _stop_requested(self, seconds: float) -> bool:
        """Wait for a stop to be asked for; once it was, it stays so."""
        self._is_to_stop = self._is_to_stop or self._ask_whether_to_stop(seconds)
        return self._is_to_stop

    def _acquire_lock(self) -> bool:
        """Take the spool's lock, waiting for room on a full disk; False if asked to stop."""
        while True:
            try:
                self._lock.acquire()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                self._log.error("disk full, waiting for room")
                self._notifier.waiting(_START_TAKES, "the disk is full, waiting for room")
                if self._stop_requested(_DISK_FULL_WAIT):
                    return False
            else:
                return True

    def _start(self) -> None:
        self._spool.start()
        self._delivery.start()
        for each in self._inputs:
            each.runner.start()
        figures = self._spool.figures()
        self._log.info(
            "started gateway=%s inputs=%d waiting=%d stream=%s platform=%s",
            *(self._config.gateway.id, len(self._inputs), figures.depth, figures.stream),
            self._config.platform.http,
        )
        self._start_health()
        self._publish()
        self._notifier.ready(self._summary())

    def _is_alive(self) -> bool:
        return self._spool.is_alive and self._delivery.sender.is_alive

    def _stop(self) -> None:
        """Inputs first, so that nothing new comes; then the writer; then the sender."""
        self._log.info("stopping")
        self._notifier.stopping()
        for each in self._inputs:
            each.stopping.set()
        is_safe = self._delivery.stop_commands(_INPUTS_TIMEOUT)
        self._join(self._inputs)
        if not self._spool.flush(_FLUSH_TIMEOUT):
            self._log.error("spool cannot be written, readings in memory are lost")
        self._delivery.stop_sending()
        self._spool.close(_CLOSE_TIMEOUT)
        if not is_safe and not self._delivery.stop_commands(_SAFE_TIMEOUT):
            self._log.error("an actuator hangs, its safe state was not taken")
        self._stop_health()
        self._publish()
        self._log.info("stopped waiting=%d", self._spool.figures().depth)

    def _join(self, inputs: Sequence[_RunningInput]) -> None:
        """End inputs; a device that hangs is closed and left alone."""
        for each in inputs:
            each.stopping.set()
        deadline = time.monotonic() + _INPUTS_TIMEOUT
        for each in inputs:
            if not each.runner.join(max(0.0, deadline - time.monotonic())):
                self._log.warning("input does not stop input=%s", each.runner.figures().name)
                each.runner.abandon()

    def _look_after_parts(self) -> None:
        """Feed the watchdog while all parts make progress; tell of devices that hang."""
        timeout = self._config.platform.timeout
        runners = [each.runner for each in self._inputs]
        stuck = find_stuck(self._spool, self._delivery.sender, runners, timeout)
        if stuck is None:
            self._notifier.feed_watchdog()
        elif stuck != self._stuck:
            self._log.critical("no progress, the watchdog is fed no more reason=%r", stuck)
        self._stuck = stuck
        hanging = {one.name for one in self._figures().inputs if one.hangs_for is not None}
        for name in sorted(hanging - self._hanging):
            self._log.warning("device does not answer, others go on input=%s", name)
        self._hanging = hanging
        self._notifier.status(self._summary())

    def _summary(self) -> str:
        """One line for those who ask the service manager."""
        figures = self._figures()
        waiting = figures.spool.depth + figures.spool.queued
        return self._stuck or f"{waiting} readings wait, delivery {figures.sender.state}"

    def _start_health(self) -> None:
        port = self._config.health.port
        if not port:
            return
        from gateway_agent.health import HealthServer

        try:
            self._health = HealthServer(port, self._document)
        except OSError as error:
            self._log.error("no /healthz and /metrics port=%d error=%r", port, str(error))
        else:
            self._health.start()

    def _stop_health(self) -> None:
        if self._health is not None:
            self._health.stop()
            self._health = None

    def _document(self) -> Document:
        figures = self._figures()
        return self._status.document(
            *(figures.spool, figures.sender, figures.inputs, self._delivery.actuators()),
            synced=figures.synced,
            stuck=self._stuck,
        )

    def _publish(self) -> None:
        figures = self._figures()
        try:
            self._status.publish(
                *(figures.spool, figures.sender, figures.inputs, self._delivery.actuators()),
                synced=figures.synced,
                stuck=self._stuck,
            )
        except OSError as error:
            self._log.debug("status cannot be written error=%s", error)

    # -- another configuration ------------------------------------------------------------

    def _reload(self, config: Config) -> None:
        """Go on with another configuration; what it does not change runs on undisturbed."""
        self._notifier.reloading()
        try:
            if config.spool != self._config.spool:
                self._change_spool(config)
            else:
                self._change_parts(config)
        except OSError as error:  # which names no file when it comes from ca_file
            problem = f"{error.filename or config.platform.ca_file}: {error.strerror or error}"
            self._log.error("configuration not taken, the old one stays problem=%r", problem)
        self._notifier.ready(self._summary())

    def _change_parts(self, config: Config) -> None:
        """All but the spool. Raises OSError, with everything as it was."""
        before = self._config
        renamed = config.gateway != before.gateway
        delivery = None
        if renamed or config.platform != before.platform:
            delivery = self._make_delivery(config)
        kept = [] if renamed else self._inputs
        inputs = []
        for settings in config.inputs:
            wanted = fingerprint(settings)  # compared, not hashed: some settings are tables
            same = next((each for each in kept if each.fingerprint == wanted), None)
            inputs.append(same or self._make_input(config, settings))
        fresh = [each for each in inputs if each not in self._inputs]
        gone = [each for each in self._inputs if each not in inputs]
        self._join(gone)
        self._config, self._inputs = config, inputs
        self._timekeeper.wait = config.clock.wait
        if delivery is not None:
            if not self._delivery.stop_commands(_INPUTS_TIMEOUT):
                self._log.error("an actuator hangs, its safe state was not taken")
            self._delivery.stop_sending()
            self._delivery = delivery
            delivery.start()
        elif config.actuators != before.actuators:
            self._delivery.replace_actuators(config, _INPUTS_TIMEOUT)
        for each in fresh:
            each.runner.start()
        self._status = StatusFile(config) if renamed else self._status
        if config.health != before.health:
            self._stop_health()
            self._start_health()
        self._log.info(
            "configuration taken inputs_started=%d inputs_stopped=%d inputs_kept=%d"
            " platform_changed=%s actuators_changed=%s",
            *(len(fresh), len(gone), len(inputs) - len(fresh), delivery is not None),
            config.actuators != before.actuators,
        )

    def _change_spool(self, config: Config) -> None:
        """Stop everything and start it with another spool, or with the old one if that fails.

        Raises OSError, with everything as it was, when `ca_file` cannot be read.
        """
        before, old_lock = self._config, self._lock
        self._make_delivery(config)
        self._stop()
        old_lock.release()
        if config.spool.path != before.spool.path and self.waiting:
            self._log.warning(
                "readings stay in the former spool waiting=%d file=%s",
                *(self.waiting, before.spool.path),
            )
        try:
            self._wire(config)
            self._acquire_lock()
            self._start()
        except (SpoolLockedError, UnsuitableSpoolError, OSError, sqlite3.Error) as error:
            self._log.error("configuration not taken, the old one stays problem=%r", str(error))
            self._lock.release()
            self._wire(before)
            self._acquire_lock()
            self._start()
        else:
            self._log.info("configuration taken, with another spool")
