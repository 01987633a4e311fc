"""Compares readings with alerts after they were stored, off the path of whoever sent them.

The hub's call only takes note. A task then works in slices of a few milliseconds, and rests fifteen
times as long as it worked: whatever comes in, alerts take no more of the event loop than that.
What cannot wait any longer is not lost but joined: of such sensors the latest values are compared.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from itertools import chain, islice
from time import perf_counter
from typing import TYPE_CHECKING, Final

from wotkit import strict_json, times
from wotkit.alerts.rules import Rule, SensorValues, message, snapshot
from wotkit.catalog import alert_rules, deliveries, gateways
from wotkit.catalog.alert_rules import Change, Firing
from wotkit.errors import WotkitError
from wotkit.upkeep import leases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from wotkit.alerts.rules import Snapshot
    from wotkit.catalog.alert_rules import ConditionRow, RuleRow
    from wotkit.catalog.database import Catalog
    from wotkit.catalog.watch import Watch
    from wotkit.live.hub import Hub
    from wotkit.readings.readers import ReaderPool
    from wotkit.readings.store import NewReading
    from wotkit.settings import AlertSettings

SLICE_READINGS: Final = 500
SLICE_SENSORS: Final = 500
LOOK_AHEAD: Final = 2000
MOST_STEPS: Final = 20
"""Changes of one alert that are written at a time."""
REST: Final = 15
"""How many times as long as it worked the task rests."""
LEAST_REST_SECONDS: Final = 0.005
MOST_REST_SECONDS: Final = 1.0
"""Work is timed with its waits for the disk: a slow one must not make alerts late."""
RETRY_SECONDS: Final = 1.0
LEASE: Final = "alerts"
_LEASE_PERIODS: Final = 3
_DAY: Final = 86_400 * times.MICROSECONDS

_log: Final = logging.getLogger(__name__)


class Evaluator:
    """Evaluates the alerts of the readings that this process accepted."""

    def __init__(
        self,
        catalog: Catalog,
        watch: Watch,
        readers: ReaderPool,
        hub: Hub,
        settings: AlertSettings,
        fired: Callable[[], None],
    ) -> None:
        """Take a watch of its own, and what to call when messages are waiting to be sent."""
        self._catalog = catalog
        self._watch = watch
        self._readers = readers
        self._hub = hub
        self._settings = settings
        self._fired = fired
        self._holder = secrets.token_hex(8)
        self._revision = -1
        self._swept = -1
        self._watched: set[int] = set()
        self._known: set[int] = set()
        self._rules: dict[int, Rule] = {}
        self._by_sensor: dict[int, list[Rule]] = {}
        self._values: dict[int, SensorValues] = {}
        self._unread: set[int] = set()
        """Sensors of which only readings that are still to be gone through are known."""
        self._pending: deque[NewReading] = deque()
        self._reload: set[int] = set()
        self._changes: dict[int, Change] = {}
        self._awake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; first, alerts are compared with the latest values, for a crash may lie between."""
        self._hub.subscribe(self.take)
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._sweeps())]

    async def stop(self) -> None:
        """End, having looked at what was taken."""
        self._hub.unsubscribe(self.take)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.drain()
        except (WotkitError, OSError) as error:
            _log.warning("alerts are left for the next start: %s", error)
        self._watch.close()

    def take(self, readings: Sequence[NewReading], rewritten: frozenset[int]) -> None:
        """Take note of what was stored."""
        self._reload |= rewritten
        self._pending.extend(readings)
        if len(self._pending) > self._settings.queue_readings:
            # compared by their latest values instead
            self._reload.update(reading.sensor_id for reading in self._pending)
            self._pending.clear()
        self._awake.set()

    async def drain(self) -> None:
        """Look at all that was taken, without resting."""
        while self._pending or self._reload or self._changes:
            await self._slice()

    async def _work(self) -> None:
        await self._catch_up()
        while True:
            await self._awake.wait()
            started = perf_counter()
            try:
                await self._slice()
            except (WotkitError, OSError) as error:
                _log.warning("alerts could not be evaluated, and will be again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # noqa: BLE001  # one slice may be lost, the next ones are not
                _log.exception("alerts could not be evaluated")
                await asyncio.sleep(RETRY_SECONDS)
            if not (self._pending or self._reload or self._changes):
                self._awake.clear()
            rest = (perf_counter() - started) * REST
            await asyncio.sleep(min(max(LEAST_REST_SECONDS, rest), MOST_REST_SECONDS))

    async def _catch_up(self) -> None:
        """Have every alert compared with the latest values."""
        while True:
            try:
                self._reload |= await self._catalog.reading(alert_rules.watched)
            except (WotkitError, OSError) as error:
                _log.warning("alerts cannot be read, and will be again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._awake.set()
                return

    async def _slice(self) -> None:
        """Look at some of what was taken, and write what became of alerts."""
        if self._changes:
            await self._record()
        await self._refresh()
        readings = self._next_readings()
        fresh = {self._reload.pop() for _ in range(min(len(self._reload), SLICE_SENSORS))}
        try:
            await self._learn(fresh & self._watched, readings)
        except BaseException:
            self._reload |= fresh
            self._pending.extendleft(reversed(readings))
            raise
        now = times.now()
        for sensor_id in fresh:
            self._ask(self._by_sensor.get(sensor_id, ()), now)
        for reading in readings:
            self._values[reading.sensor_id].add(reading.ts, reading.values, now)
            self._unread.discard(reading.sensor_id)
            self._ask(self._by_sensor[reading.sensor_id], now)
        if self._changes:
            await self._record()

    def _next_readings(self) -> list[NewReading]:
        """Return the next readings of sensors that alerts are about."""
        pending, watched = self._pending, self._watched
        if not watched:
            pending.clear()
        found: list[NewReading] = []
        while pending and len(found) < SLICE_READINGS:
            reading = pending.popleft()
            if reading.sensor_id in watched:
                found.append(reading)
        return found

    async def _refresh(self) -> None:
        """Forget the rules when the catalog has changed; what sensors last said stays true."""
        revision = self._watch.revision()
        if revision == self._revision:
            return
        self._watched = await self._catalog.reading(alert_rules.watched)
        self._known.clear()
        self._rules.clear()
        self._by_sensor.clear()
        for sensor_id in self._values.keys() - self._watched:
            del self._values[sensor_id]
        self._unread &= self._watched
        self._revision = revision

    async def _learn(self, fresh: set[int], readings: list[NewReading]) -> None:
        """Find the rules and the values of these sensors, where they are not known."""
        for sensor_id in fresh:
            self._values.pop(sensor_id, None)
        wanted = (fresh | {reading.sensor_id for reading in readings}) - self._known
        if wanted:
            self._add_rules(wanted, await self._catalog.reading(alert_rules.for_sensors, wanted))
        needed = {*fresh, *(reading.sensor_id for reading in readings)}
        for sensor_id in tuple(needed):
            for rule in self._by_sensor[sensor_id]:
                needed.update(condition.sensor_id for condition in rule.row.conditions)
        missing = needed - self._values.keys()
        gateway_ids = {-one for one in missing if one < 0}
        if gateway_ids:
            await self._learn_gateways(gateway_ids)
            missing = {one for one in missing if one > 0}
        if missing:
            latest = await self._readers.latest(missing)
            # with what came meanwhile, which the store may have told of already
            begins = _beginnings(chain(readings, islice(self._pending, LOOK_AHEAD)))
            for sensor_id in missing:
                last = latest.get(sensor_id)
                first, end = begins.get(sensor_id, (None, None))
                # what is to be gone through is not known yet, unless something newer is
                before = first if last is not None and last.ts == end else None
                self._values[sensor_id] = SensorValues.load(last, before)
                if before is None:
                    self._unread.discard(sensor_id)
                else:
                    self._unread.add(sensor_id)

    async def _learn_gateways(self, gateway_ids: set[int]) -> None:
        """Find out how gateways are; under minus their ids they stand beside sensors."""
        states = await self._catalog.reading(gateways.states, gateway_ids)
        for gateway_id in gateway_ids:
            self._values[-gateway_id] = SensorValues.of_gateway(states.get(gateway_id))

    def _add_rules(self, sensor_ids: set[int], found: Iterable[RuleRow]) -> None:
        for sensor_id in sensor_ids:
            self._by_sensor[sensor_id] = []
        for row in found:
            rule = self._rules.get(row.alert_id)
            if rule is None:
                rule = self._rules[row.alert_id] = Rule(row)
            for sensor_id in {condition.sensor_id for condition in row.conditions} & sensor_ids:
                self._by_sensor[sensor_id].append(rule)
        self._known |= sensor_ids

    def _ask(self, rules: Iterable[Rule], now: int) -> None:
        for rule in rules:
            if self._unread and not self._unread.isdisjoint(rule.sensor_ids):
                continue  # what it held before is not known: its state stays until a reading says
            met = rule.holds(self._values, now)
            if met is not rule.met:
                rule.met = met
                self._note(rule, met, now)

    def _note(self, rule: Rule, met: bool, now: int) -> None:
        """Note a change; of very many before they are written, the first and the last."""
        change = self._changes.get(rule.alert_id)
        if change is None:
            change = self._changes[rule.alert_id] = Change(row=rule.row, steps=[])
        told = firing(rule.row, snapshot(rule, self._values, now)) if met else None
        if len(change.steps) >= MOST_STEPS:
            change.steps.pop()
        change.steps.append((told, now))

    async def _record(self) -> None:
        changes = list(self._changes.values())
        fired = await self._catalog.writing(alert_rules.record, changes, self._settings)
        self._changes.clear()
        if fired:
            self._fired()

    async def _sweeps(self) -> None:
        """Look for silence again and again, in one process at a time."""
        while True:
            await asyncio.sleep(self._settings.check_seconds)
            try:
                await self.sweep()
            except (WotkitError, OSError) as error:
                _log.warning("silent sensors and gateways could not be looked for: %s", error)
            except Exception:  # noqa: BLE001  # the next time may be better
                _log.exception("silent sensors could not be looked for")

    async def sweep(self) -> None:
        """Have alerts that wait for silence compared, when this process has the lease for it."""
        silent = await self._catalog.reading(alert_rules.timed)
        revision = self._watch.revision()
        stale = revision != self._swept
        if not silent and not stale:
            return
        seconds = self._settings.check_seconds * _LEASE_PERIODS
        if not await self._catalog.writing(leases.claim, LEASE, self._holder, seconds):
            return
        if stale:
            await self._catalog.writing(alert_rules.disable_orphans)
            self._swept = revision
        old = times.now() - int(self._settings.delivery_days * _DAY)
        await self._catalog.writing(deliveries.forget_before, old)
        self._reload |= silent
        self._awake.set()


def _beginnings(readings: Iterable[NewReading]) -> dict[int, tuple[int, int]]:
    """Return the first and the last time of each sensor whose readings are in order of time."""
    found: dict[int, tuple[int, int]] = {}
    late: set[int] = set()
    for reading in readings:
        first, last = found.get(reading.sensor_id, (reading.ts, reading.ts))
        if reading.ts < last:
            late.add(reading.sensor_id)
        found[reading.sensor_id] = (first, reading.ts)
    return {sensor_id: span for sensor_id, span in found.items() if sensor_id not in late}


def _subject(one: ConditionRow) -> dict[str, int | str]:
    """Return what a condition is about, as a webhook tells it."""
    if one.sensor_id < 0:
        return {"gateway": one.sensor}
    return {"sensorId": one.sensor_id, "sensor": one.sensor}


def firing(row: RuleRow, taken: Snapshot) -> Firing:
    """Return what is to be told."""
    text = message(row, taken)
    title = " ".join((row.long_name or row.name).split())
    body = {
        "alert": {"id": row.alert_id, "name": row.name, "longName": row.long_name},
        "timestamp": times.to_iso(taken.at),
        "title": title,
        "message": text,
        "conditions": [
            {
                **_subject(one),
                "field": one.field,
                "operator": one.operator,
                "value": one.value,
                "seconds": one.seconds,
                "found": found,
            }
            for one, found in zip(row.conditions, taken.values, strict=True)
        ],
    }
    return Firing(
        title=title, message=text, at=taken.at, webhook_body=strict_json.encode(body).decode()
    )
