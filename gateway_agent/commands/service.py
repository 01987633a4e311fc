"""The command side of the agent: actuators, where their commands come from, where results go."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from gateway_agent.actuators import ActuatorConfig, create_actuator
from gateway_agent.clock import Clock
from gateway_agent.commands.command import ACCEPTED, FAILED, Command, from_mqtt
from gateway_agent.commands.poll import CommandPoll
from gateway_agent.commands.result import encode_result
from gateway_agent.commands.runner import ActuatorFigures, ActuatorRunner, Journal
from gateway_agent.spool import JournalEntry

if TYPE_CHECKING:
    from gateway_agent.outputs.mqtt_link import Message, MqttLink

_MOST_RESULTS: Final = 1000
_TICK: Final = 0.2
_PUBLISH_TIMEOUT: Final = 5.0
_INTERRUPTED: Final = "interrupted, its outcome is not known"


class MakePoll(Protocol):
    """Makes the long poll of one actuator."""

    def __call__(
        self,
        sensor: str,
        submit: Callable[[Command], bool],
        *,
        is_needed: Callable[[], bool],
        takes_plain: bool,
        heard: Callable[[], None],
    ) -> CommandPoll:
        """A poll that is not started yet."""


class CommandService:
    """Commands come in, actuators act, results go out."""

    def __init__(
        self,
        actuators: Sequence[ActuatorConfig],
        journal: Journal,
        link: "MqttLink | None",
        make_poll: MakePoll,
        clock: Clock,
    ) -> None:
        """To be made before the link is started, whose commands it subscribes to."""
        self._journal = journal
        self._link = link
        self._clock = clock
        self._heard_at = time.monotonic()
        self._results: deque[JournalEntry] = deque(maxlen=_MOST_RESULTS)
        self._stopping = threading.Event()
        self._log = logging.getLogger(__name__)
        self._runners = [
            ActuatorRunner(
                config,
                create_actuator(config),
                journal,
                report=self._results.append,
                away_seconds=self._away_seconds,
            )
            for config in actuators
        ]
        self._polls = [
            make_poll(
                runner.config.sensor,
                runner.submit,
                is_needed=lambda: link is None or not link.is_connected,
                takes_plain=link is None,
                heard=self._note_contact,
            )
            for runner in self._runners
        ]
        self._thread = threading.Thread(target=self._run, name="command-results", daemon=True)
        if link is not None:
            link.receive("commands/#", self._on_message)

    def start(self) -> None:
        """Take the safe states, tell what a crash has left open, then wait for commands."""
        for entry in self._journal.journal().values():
            if entry.state == ACCEPTED:
                self._settle(replace(entry, state=FAILED, detail=_INTERRUPTED))
            elif not entry.reported:
                self._results.append(entry)
        for runner in self._runners:
            runner.start()
        for poll in self._polls:
            poll.start()
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Take no more commands, take the safe states, tell the last results; False if one hangs.

        To be called while the journal and the link still work.
        """
        deadline = time.monotonic() + timeout
        for poll in self._polls:
            poll.stop()
        for runner in self._runners:
            runner.stop()
        patience = time.monotonic() + timeout / 2
        for runner in self._runners:
            if not runner.join(max(0.0, patience - time.monotonic())):
                runner.interrupt()
        joined = [runner.join(max(0.0, deadline - time.monotonic())) for runner in self._runners]
        self._stopping.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return all(joined)

    def figures(self) -> list[ActuatorFigures]:
        """How the actuators are doing now."""
        return [runner.figures() for runner in self._runners]

    def _on_message(self, message: "Message") -> None:
        synced = self._clock.stamp().synced
        try:
            command = from_mqtt(message.body, message.expires_in, synced=synced, done=message.done)
        except ValueError as error:
            self._log.warning("command ignored error=%s", error)
            message.done()
            return
        for runner in self._runners:
            if _is_for(command.sensor, runner.config.sensor):
                if not runner.submit(command):
                    self._log.warning("command not taken, too many wait key=%s", command.key)
                return
        self._log.warning("command for no actuator sensor=%s", command.sensor)
        self._settle(JournalEntry(command.key, FAILED, "this gateway has no such actuator"))
        message.done()

    def _settle(self, entry: JournalEntry) -> None:
        self._journal.note_command(entry, 0)
        self._results.append(entry)

    def _note_contact(self) -> None:
        self._heard_at = time.monotonic()

    def _away_seconds(self) -> float:
        if self._link is not None and self._link.is_connected:
            self._note_contact()
        return time.monotonic() - self._heard_at

    def _run(self) -> None:
        while not self._stopping.wait(_TICK) or self._results:
            while self._results and self._tell(self._results[0]):
                self._results.popleft()
            if self._stopping.is_set():
                return

    def _tell(self, entry: JournalEntry) -> bool:
        """Tell a result; False to try again later. Over HTTP there is only the acknowledgement."""
        body = encode_result(entry)
        if self._link is not None and body is not None:
            if not self._link.is_connected:
                return False
            publication = self._link.publish("results", body, _PUBLISH_TIMEOUT)
            if publication.reason is None:
                return False
            if not publication.is_taken:
                self._log.info("result refused key=%s reason=%s", entry.key, publication.text)
        if entry.state != ACCEPTED:
            self._journal.note_command(replace(entry, reported=True), 0)
        return True


def _is_for(sensor: str, configured: str) -> bool:
    """Whether a command's sensor, `owner.name`, is the configured one, with or without owner."""
    return sensor == configured or ("." not in configured and sensor.endswith("." + configured))
