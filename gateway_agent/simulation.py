"""A configuration turned into one that needs no hardware, and does not touch what is real."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gateway_agent.config import Config
from gateway_agent.inputs import Context, InputConfig, create_input
from gateway_agent.inputs.base import sensor_name
from gateway_agent.inputs.sim import SimConfig
from gateway_agent.inputs.simulated import SimulatedConfig
from gateway_agent.reading import SENSOR_NAME, FieldSpec, SensorSpec

_MARK: Final = "-simulated"
_LONGEST_NAME: Final = 50
_LONGEST_GATEWAY: Final = 40
_SHORTEST_INTERVAL: Final = 1.0
_LARGEST_SPOOL: Final = 16


def simulated(config: Config, *, real_names: bool) -> Config:
    """The same gateway without its hardware, and without its actuators.

    It has a name and a spool of its own, and no port, so that the real one may run beside it, with
    its numbers and commands untouched. Its sensors have names of their own too, but with
    `real_names`.
    """
    spool = config.spool.path
    return replace(
        config,
        gateway=replace(config.gateway, id=_marked(config.gateway.id, _LONGEST_GATEWAY)),
        spool=replace(
            config.spool,
            path=spool.with_name(f"{spool.stem}{_MARK}.db"),
            max_mb=min(config.spool.max_mb, _LARGEST_SPOOL),
        ),
        inputs=tuple(
            _stand_in(settings, config.gateway.id, real_names=real_names)
            for settings in config.inputs
        ),
        actuators=(),
        clock=replace(config.clock, wait=0.0),
        health=replace(config.health, port=0),
    )


def _stand_in(settings: InputConfig, gateway_id: str, *, real_names: bool) -> InputConfig:
    """An input that is made up already keeps its values."""
    if isinstance(settings, SimConfig):
        name = sensor_name(gateway_id, settings, settings.sensor)
        return replace(settings, sensor=name if real_names else _marked_sensor(name))
    return SimulatedConfig(
        type="simulated",
        name=settings.name,
        interval=max(settings.interval, _SHORTEST_INTERVAL),
        specs=tuple(
            _marked_spec(spec, real_names=real_names) for spec in _specs(settings, gateway_id)
        ),
    )


def _specs(settings: InputConfig, gateway_id: str) -> Iterable[SensorSpec]:
    """What an input says of its sensors before it is opened; else one sensor with one value."""
    specs: list[SensorSpec] = []
    try:
        source = create_input(settings, Context(gateway_id, threading.Event()))
        specs = [
            spec for spec in source.sensors() if spec.fields and SENSOR_NAME.fullmatch(spec.name)
        ]
    except Exception:  # noqa: BLE001, S110 - a user's class may need its device to know
        pass
    if specs:
        return specs
    configured = getattr(settings, "sensor", None)
    is_name = isinstance(configured, str) and SENSOR_NAME.fullmatch(configured)
    name = sensor_name(gateway_id, settings, configured if is_name else None)
    return [SensorSpec(name, settings.name, "", (FieldSpec("value", "Value"),))]


def _marked_spec(spec: SensorSpec, *, real_names: bool) -> SensorSpec:
    return replace(
        spec,
        name=spec.name if real_names else _marked_sensor(spec.name),
        long_name=f"{spec.long_name} (simulated)",
        description=f"Simulated readings, nothing is measured. {spec.description}".strip(),
    )


def _marked_sensor(name: str) -> str:
    """The name with a mark behind it; the owner before its dot stays."""
    owner, dot, short = name.rpartition(".")
    return f"{owner}{dot}{_marked(short, _LONGEST_NAME)}"


def _marked(name: str, longest: int) -> str:
    return name[: longest - len(_MARK)] + _MARK
