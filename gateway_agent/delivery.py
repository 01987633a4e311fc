"""The side of the agent that faces the platform: sender, MQTT link, commands and reports."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gateway_agent.backoff import Backoff
from gateway_agent.clock import Clock
from gateway_agent.config import Config
from gateway_agent.credentials import CredentialSource
from gateway_agent.outputs.base import Output
from gateway_agent.outputs.batch_size import BatchSize
from gateway_agent.outputs.client import PlatformClient
from gateway_agent.outputs.http import HttpOutput
from gateway_agent.outputs.registry import SensorRegistry, SpecBook
from gateway_agent.outputs.sender import Sender
from gateway_agent.report import Figures, Observer, Reporter
from gateway_agent.spool import Spool

if TYPE_CHECKING:
    from gateway_agent.commands.command import Command
    from gateway_agent.commands.runner import ActuatorFigures
    from gateway_agent.commands.service import CommandService
    from gateway_agent.outputs.mqtt_link import MqttLink

_REPORTER_TIMEOUT: Final = 1.0
_SENDER_TIMEOUT: Final = 3.0
_LEAST_KEEPALIVE: Final = 5


class Delivery:
    """Everything that `[platform]` and `[[actuator]]` configure, wired together."""

    def __init__(
        self,
        config: Config,
        credentials: CredentialSource,
        *,
        spool: Spool,
        specs: SpecBook,
        clock: Clock,
        figures: Callable[[], Figures],
        types: Callable[[], Mapping[str, str]],
    ) -> None:
        """Nothing runs yet. `types` gives the kind of each input by its name.

        Raises OSError when `ca_file` cannot be read.
        """
        self._config = config
        self._credentials = credentials
        self._spool = spool
        self._clock = clock
        self._log = logging.getLogger(__name__)
        self._link = self._make_link()
        self.sender = self._make_sender(specs)
        self._reporter = self._make_reporter(figures, types)
        self._commands = self._make_commands()

    def start(self) -> None:
        """Begin to send, to obey and to report."""
        if self._commands is not None:
            self._commands.start()
        if self._link is not None:
            self._link.start()
        self.sender.start()
        self._reporter.start()

    def actuators(self) -> "Sequence[ActuatorFigures]":
        """How the actuators are doing now."""
        return [] if self._commands is None else self._commands.figures()

    def stop_commands(self, timeout: float) -> bool:
        """Take no more commands, and take the safe states, while results can still be told.

        False when a device hangs; it may be waited for again.
        """
        return self._commands is None or self._commands.stop(timeout)

    def stop_sending(self) -> None:
        """Say goodbye, and send what waits until there is trouble or 3 s are over."""
        self._reporter.stop(_REPORTER_TIMEOUT)
        if not self.sender.stop(_SENDER_TIMEOUT):
            self._log.warning("sender is still waiting for an answer, its readings stay spooled")
            if self._link is not None:  # else it would fight its successor for the client id
                self._link.stop(_REPORTER_TIMEOUT)

    def replace_actuators(self, config: Config, timeout: float) -> None:
        """Go on with the actuators of another configuration, whose `[platform]` is the same."""
        if not self.stop_commands(timeout):
            self._log.error("an actuator hangs, its safe state was not taken")
        self._config = config
        self._commands = self._make_commands()
        if self._commands is not None:
            self._commands.start()
        if self._link is not None:
            self._link.keepalive = self._keepalive()
            self._link.reconnect()  # which subscribes, and brings again what was not carried out

    def _make_sender(self, specs: SpecBook) -> Sender:
        platform = self._config.platform
        client = PlatformClient(platform, self._credentials)
        return Sender(
            self._spool,
            self._make_output(HttpOutput(client, compress=platform.compress)),
            SensorRegistry(client, specs) if platform.auto_create else None,
            size=BatchSize(platform.batch),
            most_per_second=platform.most_per_second,
            retry=Backoff(platform.retry_min, platform.retry_max),
            denied_retry=Backoff(platform.denied_retry_min, platform.denied_retry_max),
            credentials_changed=self._credentials.changed,
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

    def _make_link(self) -> "MqttLink | None":
        platform = self._config.platform
        if platform.mqtt is None:
            return None
        from gateway_agent.outputs.mqtt_link import MqttLink

        return MqttLink(
            platform.mqtt,
            f"{self._config.gateway.id}-agent",
            self._credentials,
            ca_file=platform.ca_file,
            retry=Backoff(platform.retry_min, platform.retry_max),
            denied_retry=Backoff(platform.denied_retry_min, platform.denied_retry_max),
            keepalive=self._keepalive(),
        )

    def _keepalive(self) -> int:
        """Seconds: short enough to notice that the platform is away well before a limit is over."""
        from gateway_agent.outputs.mqtt_link import KEEPALIVE

        limits = [one.away_limit for one in self._config.actuators if one.away_limit is not None]
        return min([KEEPALIVE, *(max(_LEAST_KEEPALIVE, round(limit / 4)) for limit in limits)])

    def _make_commands(self) -> "CommandService | None":
        """What carries commands out, if there is an actuator."""
        if not self._config.actuators:
            return None
        from gateway_agent.commands.poll import CommandPoll
        from gateway_agent.commands.service import CommandService

        platform = self._config.platform

        def make_poll(sensor: str, submit: "Callable[[Command], bool]", **how: Any) -> CommandPoll:
            return CommandPoll(
                PlatformClient(platform, self._credentials),
                sensor,
                submit,
                timeout=platform.timeout,
                retry=Backoff(platform.retry_min, min(60.0, platform.retry_max)),
                **how,
            )

        return CommandService(
            self._config.actuators, self._spool, self._link, make_poll, self._clock
        )

    def _make_reporter(
        self, figures: Callable[[], Figures], types: Callable[[], Mapping[str, str]]
    ) -> Reporter:
        """What tells the platform how the agent is; to be made before the link is started."""
        gateway, platform = self._config.gateway, self._config.platform
        observer = Observer(
            gateway.id,
            figures,
            interval=platform.report_interval,
            spool_path=self._config.spool.path,
            types=types,
            actuators=lambda: [(one.sensor, one.type) for one in self._config.actuators],
        )
        if self._link is not None:
            self._link.introduce(observer.report, observer.will())
        return Reporter(
            observer,
            gateway.id,
            platform.report_interval,
            link=self._link,
            client=PlatformClient(platform, self._credentials),
        )
