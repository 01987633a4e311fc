"""The agent at work: inputs, spool and sender wired together, started and stopped in order."""

import errno
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from gateway_agent.backoff import Backoff
from gateway_agent.clock import Clock
from gateway_agent.config import Config
from gateway_agent.credentials import CredentialSource
from gateway_agent.inputs import Context, create_input
from gateway_agent.inputs.runner import InputRunner
from gateway_agent.outputs.base import Output
from gateway_agent.outputs.batch_size import BatchSize
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.http import HttpOutput
from gateway_agent.outputs.registry import SensorRegistry, SpecBook
from gateway_agent.outputs.sender import Sender
from gateway_agent.report import Figures, Observer, Reporter
from gateway_agent.spool import Spool, SpoolLock, machine_hash
from gateway_agent.status import StatusFile

if TYPE_CHECKING:
    from gateway_agent.commands.command import Command
    from gateway_agent.commands.service import CommandService
    from gateway_agent.outputs.mqtt_link import MqttLink

_PUBLISH_EVERY: Final = 5.0
_REPORTER_TIMEOUT: Final = 1.0
_INPUTS_TIMEOUT: Final = 2.0
_FLUSH_TIMEOUT: Final = 2.0
_SENDER_TIMEOUT: Final = 3.0
_CLOSE_TIMEOUT: Final = 2.0
_DISK_FULL_WAIT: Final = 5.0

StopRequested = Callable[[float], bool]
"""Waits at most so many seconds; True when the agent is asked to stop."""


class Agent:
    """One gateway agent, from start to stop."""

    def __init__(self, config: Config, credentials: CredentialSource) -> None:
        """Wire everything; nothing runs yet. Raises OSError when `ca_file` cannot be read."""
        self._config = config
        self._log = logging.getLogger(__name__)
        self._inputs_stopping = threading.Event()
        self._lock = SpoolLock(config.spool.path)
        self._spool = Spool(config.spool, machine_hash())
        specs = SpecBook()
        self._link = self._make_link(credentials)
        self._sender = self._make_sender(credentials, specs)
        self._status = StatusFile(config)
        clock = Clock()
        self._reporter = self._make_reporter(credentials, clock)
        self._commands = self._make_commands(credentials, clock)
        context = Context(config.gateway.id, self._inputs_stopping, clock, self._spool)
        self._inputs = [
            InputRunner(
                settings.name,
                create_input(settings, context),
                settings.interval,
                clock=clock,
                sink=self._spool,
                declare=specs.declare,
                stopping=self._inputs_stopping,
            )
            for settings in config.inputs
        ]

    def run(self, stop_requested: StopRequested) -> bool:
        """Work until asked to stop; False when a part died of an error in the program.

        Raises SpoolLockedError when another agent has the spool, UnsuitableSpoolError when the
        file is another program's, OSError when the spool's folder cannot be written.
        """
        if not self._acquire_lock(stop_requested):
            return True
        try:
            self._start()
            healthy = True
            while healthy and not stop_requested(_PUBLISH_EVERY):
                self._publish()
                healthy = self._spool.is_alive and self._sender.is_alive
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

    def _make_sender(self, credentials: CredentialSource, specs: SpecBook) -> Sender:
        platform = self._config.platform
        client = PlatformClient(platform, credentials)
        return Sender(
            self._spool,
            self._make_output(HttpOutput(client, compress=platform.compress)),
            SensorRegistry(client, specs) if platform.auto_create else None,
            size=BatchSize(platform.batch),
            most_per_second=platform.most_per_second,
            retry=Backoff(platform.retry_min, platform.retry_max),
            denied_retry=Backoff(platform.denied_retry_min, platform.denied_retry_max),
            credentials_changed=credentials.changed,
        )

    def _make_output(self, http: HttpOutput) -> Output:
        """HTTP alone, or with MQTT, whose library is only loaded then."""
        platform = self._config.platform
        if self._link is None:
            return http
        from gateway_agent.outputs.mqtt import MqttOutput
        from gateway_agent.outputs.switch import SwitchingOutput

        mqtt = MqttOutput(self._link, platform.timeout)
        both: tuple[Output, Output] = (mqtt, http) if platform.prefer == "mqtt" else (http, mqtt)
        return SwitchingOutput(*both, Backoff(platform.retry_min, platform.retry_max))

    def _make_commands(
        self, credentials: CredentialSource, clock: Clock
    ) -> "CommandService | None":
        """What carries commands out, if there is an actuator."""
        if not self._config.actuators:
            return None
        from gateway_agent.commands.poll import CommandPoll
        from gateway_agent.commands.service import CommandService

        platform = self._config.platform

        def make_poll(sensor: str, submit: "Callable[[Command], bool]", **how: Any) -> CommandPoll:
            return CommandPoll(
                PlatformClient(platform, credentials),
                sensor,
                submit,
                timeout=platform.timeout,
                retry=Backoff(platform.retry_min, min(60.0, platform.retry_max)),
                **how,
            )

        return CommandService(self._config.actuators, self._spool, self._link, make_poll, clock)

    def _make_reporter(self, credentials: CredentialSource, clock: Clock) -> Reporter:
        """What tells the platform how the agent is; to be made before the link is started."""
        gateway, platform = self._config.gateway, self._config.platform
        observer = Observer(
            gateway.id,
            lambda: Figures(
                self._spool.figures(),
                self._sender.figures(),
                [runner.figures() for runner in self._inputs],
                clock.stamp().synced,
            ),
            interval=platform.report_interval,
            spool_path=self._config.spool.path,
            types=lambda: {one.name: one.type for one in self._config.inputs},
            actuators=[(one.sensor, one.type) for one in self._config.actuators],
        )
        if self._link is not None:
            self._link.introduce(observer.report, observer.will())
        return Reporter(
            observer,
            gateway.id,
            platform.report_interval,
            link=self._link,
            client=PlatformClient(platform, credentials),
        )

    def _make_link(self, credentials: CredentialSource) -> "MqttLink | None":
        platform = self._config.platform
        if platform.mqtt is None:
            return None
        from gateway_agent.outputs.mqtt_link import MqttLink

        return MqttLink(
            platform.mqtt,
            f"{self._config.gateway.id}-agent",
            credentials,
            ca_file=platform.ca_file,
            retry=Backoff(platform.retry_min, platform.retry_max),
            denied_retry=Backoff(platform.denied_retry_min, platform.denied_retry_max),
        )

    def _acquire_lock(self, stop_requested: StopRequested) -> bool:
        """Take the spool's lock, waiting for room on a full disk; False if asked to stop."""
        while True:
            try:
                self._lock.acquire()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                self._log.error("disk full, waiting for room")
                if stop_requested(_DISK_FULL_WAIT):
                    return False
            else:
                return True

    def _start(self) -> None:
        self._spool.start()
        if self._commands is not None:
            self._commands.start()
        if self._link is not None:
            self._link.start()
        self._sender.start()
        for runner in self._inputs:
            runner.start()
        self._reporter.start()
        figures = self._spool.figures()
        self._log.info(
            "started gateway=%s inputs=%d waiting=%d stream=%s platform=%s",
            *(self._config.gateway.id, len(self._inputs), figures.depth, figures.stream),
            self._config.platform.http,
        )
        self._publish()

    def _stop(self) -> None:
        """Inputs first, so that nothing new comes; then the writer; then the sender."""
        self._log.info("stopping")
        self._inputs_stopping.set()
        if self._commands is not None and not self._commands.stop(_INPUTS_TIMEOUT):
            self._log.error("an actuator hangs, its safe state was not taken")
        deadline = time.monotonic() + _INPUTS_TIMEOUT
        for runner in self._inputs:
            if not runner.join(max(0.0, deadline - time.monotonic())):
                self._log.warning("input does not stop input=%s", runner.figures().name)
                runner.abandon()
        if not self._spool.flush(_FLUSH_TIMEOUT):
            self._log.error("spool cannot be written, readings in memory are lost")
        self._reporter.stop(_REPORTER_TIMEOUT)
        if not self._sender.stop(_SENDER_TIMEOUT):
            self._log.warning("sender is still waiting for an answer, its readings stay spooled")
        self._spool.close(_CLOSE_TIMEOUT)
        self._publish()
        self._log.info("stopped waiting=%d", self._spool.figures().depth)

    def _publish(self) -> None:
        inputs = [runner.figures() for runner in self._inputs]
        try:
            self._status.publish(self._spool.figures(), self._sender.figures(), inputs)
        except OSError as error:
            self._log.debug("status cannot be written error=%s", error)
