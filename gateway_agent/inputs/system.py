"""The machine itself: processor, load, memory, disk, network and temperatures."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import psutil  # type: ignore[import-untyped]  # its types are a package of their own

from gateway_agent.inputs.base import (
    SENSOR_EXPECTED,
    Context,
    Input,
    InputConfig,
    Kind,
    sensor_name,
)
from gateway_agent.inputs.hwmon import Thermometer, find_thermometers, processor_thermometer
from gateway_agent.reading import SENSOR_NAME, FieldSpec, Sample, SensorSpec, Value
from gateway_agent.settings import Setting, flag, path, text

_RATE_WINDOW: Final = 0.2
"""Rates over less than this many seconds say nothing, and are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemConfig(InputConfig):
    """`type = "system"`: one sensor with a field for each of the machine's figures."""

    sensor: Annotated[
        str | None,
        Setting(
            text(SENSOR_NAME.pattern, SENSOR_EXPECTED),
            "sensor that gets the readings; {gateway id}-{name} if left out",
        ),
    ] = None
    disk: Annotated[Path, Setting(path, "any folder of the disk to watch")] = Path("/")
    network: Annotated[bool, Setting(flag, "report bytes per second received and sent")] = True
    temperatures: Annotated[bool, Setting(flag, "report the temperatures that are found")] = True
    sysfs: Annotated[Path, Setting(path, "where the kernel shows its devices")] = Path("/sys")


class SystemInput(Input):
    """Reads the machine's own figures; what a machine lacks is left out."""

    def __init__(self, config: SystemConfig, context: Context) -> None:
        self._config = config
        self._gateway_id = context.gateway_id
        self._sensor = sensor_name(context.gateway_id, config, config.sensor)
        self._thermometers: list[Thermometer] = []
        self._processor: Thermometer | None = None
        self._read_at = 0.0
        self._received = 0
        self._sent = 0

    def open(self) -> None:
        if self._config.temperatures:
            self._thermometers = find_thermometers(self._config.sysfs)
            self._processor = processor_thermometer(self._thermometers)
        psutil.cpu_percent(interval=None)
        self._received, self._sent = _network_bytes()
        self._read_at = time.monotonic()

    def sensors(self) -> Sequence[SensorSpec]:
        fields = [
            FieldSpec("cpu", "Processor use", "%"),
            FieldSpec("load1", "Load, 1 minute"),
            FieldSpec("load5", "Load, 5 minutes"),
            FieldSpec("load15", "Load, 15 minutes"),
            FieldSpec("memory", "Memory in use", "%"),
            FieldSpec("memory_free", "Memory available", "MB"),
            FieldSpec("swap", "Swap in use", "%"),
            FieldSpec("disk", f"Disk in use at {self._config.disk}", "%"),
            FieldSpec("disk_free", f"Disk free at {self._config.disk}", "MB"),
            FieldSpec("uptime", "Time since start", "s"),
        ]
        if self._config.network:
            fields.append(FieldSpec("net_rx", "Network received", "B/s"))
            fields.append(FieldSpec("net_tx", "Network sent", "B/s"))
        if self._processor:
            fields.append(FieldSpec("temperature", "Processor temperature", "°C"))
        fields += [FieldSpec(t.name, f"Temperature {t.label}", "°C") for t in self._others()]
        long_name = f"{self._gateway_id} system"
        description = "The gateway's own processor, memory, disk, network and temperatures"
        return [SensorSpec(self._sensor, long_name, description, tuple(fields))]

    def read(self) -> Iterable[Sample]:
        fields = self._memory_and_disk() | self._rates()
        for name, load in zip(("load1", "load5", "load15"), os.getloadavg(), strict=True):
            fields[name] = round(load, 2)
        if self._processor:
            _put(fields, "temperature", self._processor.celsius())
        for thermometer in self._others():
            _put(fields, thermometer.name, thermometer.celsius())
        return [Sample(self._sensor, fields)]

    def _memory_and_disk(self) -> dict[str, Value]:
        memory = psutil.virtual_memory()
        fields: dict[str, Value] = {
            "memory": round(memory.percent, 1),
            "memory_free": memory.available // 1_000_000,
            "swap": round(psutil.swap_memory().percent, 1),
            "uptime": int(time.clock_gettime(time.CLOCK_BOOTTIME)),
        }
        disk = psutil.disk_usage(str(self._config.disk))
        fields["disk"] = round(disk.percent, 1)
        fields["disk_free"] = disk.free // 1_000_000
        return fields

    def _rates(self) -> dict[str, Value]:
        """Processor use and network rates since the last time, if that is long enough ago."""
        now = time.monotonic()
        elapsed = now - self._read_at
        if elapsed < _RATE_WINDOW:
            return {}
        self._read_at = now
        fields: dict[str, Value] = {"cpu": round(psutil.cpu_percent(interval=None), 1)}
        received, sent = _network_bytes()
        if self._config.network and received >= self._received and sent >= self._sent:
            fields["net_rx"] = round((received - self._received) / elapsed, 1)
            fields["net_tx"] = round((sent - self._sent) / elapsed, 1)
        self._received, self._sent = received, sent
        return fields

    def _others(self) -> list[Thermometer]:
        return [thermometer for thermometer in self._thermometers if thermometer != self._processor]


def _network_bytes() -> tuple[int, int]:
    """Bytes received and sent so far on all interfaces but the loopback."""
    counters = psutil.net_io_counters(pernic=True)
    real = [counter for name, counter in counters.items() if name != "lo"]
    return sum(c.bytes_recv for c in real), sum(c.bytes_sent for c in real)


def _put(fields: dict[str, Value], name: str, value: float | None) -> None:
    if value is not None:
        fields[name] = round(value, 2)


KIND: Final = Kind(SystemConfig, SystemInput)
