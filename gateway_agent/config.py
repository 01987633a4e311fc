"""The configuration file: one TOML file, checked as a whole, every mistake reported at once."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult

from gateway_agent import actuators as actuator_kinds
from gateway_agent.actuators import ActuatorConfig
from gateway_agent.inputs import InputConfig, MissingLibraryError, find_kind, kind_names
from gateway_agent.settings import (
    Place,
    Problem,
    Section,
    Setting,
    WrongSetting,
    broker_url,
    choice,
    duration,
    flag,
    http_url,
    nearest,
    path,
    read_section,
    text,
    whole,
)
from gateway_agent.toml_lines import LineIndex

SECTIONS: Final = ("gateway", "platform", "spool", "clock", "health", "input", "actuator")
GATEWAY_ID: Final = r"[a-z_][a-z0-9_-]{0,39}"


class ConfigError(Exception):
    """A configuration file that cannot be used; `problems` has every reason with its line."""

    def __init__(self, file: Path, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = sorted(problems, key=lambda problem: (problem.line or 0, problem.message))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line of text for each problem: file, line, what is wrong."""
        return [
            f"{self.file}:{problem.line}: {problem.message}"
            if problem.line
            else f"{self.file}: {problem.message}"
            for problem in self.problems
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Section `[gateway]`: who this gateway is."""

    id: Annotated[
        str,
        Setting(
            text(GATEWAY_ID, "1 to 40 of a-z, 0-9, _ and -, starting with a letter or _"),
            "name of this gateway; sensor names start with it",
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformConfig:
    """Section `[platform]`: where readings go, and how patient the agent is. Times in seconds."""

    http: Annotated[str, Setting(http_url, "address of the platform's API")]
    mqtt: Annotated[
        SplitResult | None,
        Setting(broker_url, "address of the platform's MQTT: mqtt:// or mqtts://host:port"),
    ] = None
    prefer: Annotated[
        Literal["mqtt", "http"],
        Setting(
            choice("mqtt", "http"),
            'where both are configured: "mqtt" or "http"; the other is used while that fails',
        ),
    ] = "mqtt"
    credentials_file: Annotated[
        Path | None, Setting(path, "file with one line key_id:key_password, mode 0600")
    ] = None
    auto_create: Annotated[
        bool, Setting(flag, "register sensors and fields that are missing on the platform")
    ] = True
    ca_file: Annotated[
        Path | None, Setting(path, "certificate authority of the platform, if not a public one")
    ] = None
    compress: Annotated[bool, Setting(flag, "send batches with gzip")] = True
    batch: Annotated[int, Setting(whole(1, 10_000), "most readings in one request")] = 500
    most_per_second: Annotated[
        int,
        Setting(whole(0, 1_000_000), "most readings sent in a second after an outage; 0: no limit"),
    ] = 0
    timeout: Annotated[
        float, Setting(duration(0.1, 600), "longest wait for an answer of the platform")
    ] = 30.0
    report_interval: Annotated[
        float,
        Setting(duration(0.1, 3600), "how often the agent tells the platform how it is"),
    ] = 60.0
    retry_min: Annotated[
        float, Setting(duration(0.01, 3600), "first bound of the delay after a failure")
    ] = 1.0
    retry_max: Annotated[
        float, Setting(duration(0.01, 86_400), "last bound of the delay after a failure")
    ] = 300.0
    denied_retry_min: Annotated[
        float, Setting(duration(0.01, 3600), "shortest delay after the key was refused")
    ] = 60.0
    denied_retry_max: Annotated[
        float, Setting(duration(0.01, 86_400), "longest delay after the key was refused")
    ] = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolConfig:
    """Section `[spool]`: where readings wait until the platform has stored them."""

    path: Annotated[Path, Setting(path, "the file that keeps readings; other files beside it")]
    max_mb: Annotated[
        int, Setting(whole(4, 1_000_000), "most disk space for the spool, in MiB")
    ] = 256
    commit_interval: Annotated[
        float, Setting(duration(0.01, 60), "most that a power cut may cost")
    ] = 1.0
    on_full: Annotated[
        Literal["drop_oldest", "reject_new"],
        Setting(
            choice("drop_oldest", "reject_new"),
            'what to give up when full: "drop_oldest" or "reject_new"; every drop is counted',
        ),
    ] = "drop_oldest"
    queue: Annotated[
        int, Setting(whole(10, 1_000_000), "most readings in memory before they are on disk")
    ] = 5000
    dead_letters: Annotated[
        int, Setting(whole(0, 10_000_000), "most refused readings kept for a later look")
    ] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockConfig:
    """Section `[clock]`: what is measured before the clock is synchronized."""

    wait: Annotated[
        float,
        Setting(
            duration(0, 86_400),
            "how long after a boot readings wait for a synchronized clock; 0s: not at all",
        ),
    ] = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """Section `[health]`: what other programs on this machine may ask."""

    port: Annotated[
        int,
        Setting(
            whole(0, 65_535), "port of /healthz and /metrics on 127.0.0.1, such as 9273; 0: none"
        ),
    ] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A valid configuration; `file` is where it was read from."""

    file: Path
    gateway: GatewayConfig
    platform: PlatformConfig
    spool: SpoolConfig
    inputs: tuple[InputConfig, ...]
    actuators: tuple[ActuatorConfig, ...] = ()
    clock: ClockConfig = ClockConfig()
    health: HealthConfig = HealthConfig()


def load_config(file: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError with every mistake in it."""
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(file, [Problem(None, str(error.strerror))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(file, [Problem(None, "is not UTF-8 text")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, [Problem(None, f"is not TOML: {error}")]) from error
    return _Reader(file, LineIndex(text)).read(document)


class _Reader:
    """Turns one parsed document into a Config, collecting problems on the way."""

    def __init__(self, file: Path, lines: LineIndex) -> None:
        self._file = file
        self._lines = lines
        self._problems: list[Problem] = []

    def read(self, document: Mapping[str, object]) -> Config:
        for name in document.keys() - set(SECTIONS):
            self._problem(f"{name}: unknown section{nearest(name, SECTIONS)}", name)
        gateway = self._section(GatewayConfig, document, "gateway")
        platform = self._section(PlatformConfig, document, "platform")
        spool = self._section(SpoolConfig, document, "spool")
        clock = self._section(ClockConfig, document, "clock")
        health = self._section(HealthConfig, document, "health")
        inputs = self._inputs(document.get("input", []))
        actuators = self._actuators(document.get("actuator", []))
        if platform and platform.retry_max < platform.retry_min:
            self._problem("platform.retry_max: is shorter than retry_min", "platform", "retry_max")
        if platform and platform.denied_retry_max < platform.denied_retry_min:
            self._problem(
                "platform.denied_retry_max: is shorter than denied_retry_min",
                *("platform", "denied_retry_max"),
            )
        if self._problems or not (gateway and platform and spool and clock and health):
            raise ConfigError(self._file, self._problems)
        if platform.mqtt is not None and find_spec("paho") is None:
            self._problem(
                "platform.mqtt: needs a library, pip install 'wotkit[gateway-mqtt]'",
                *("platform", "mqtt"),
            )
            raise ConfigError(self._file, self._problems)
        return Config(
            file=self._file,
            gateway=gateway,
            platform=platform,
            spool=spool,
            inputs=inputs,
            actuators=actuators,
            clock=clock,
            health=health,
        )

    def _section(
        self, section: type[Section], document: Mapping[str, object], name: str
    ) -> Section | None:
        table = document.get(name, {})
        if not isinstance(table, dict):
            self._problem(f"{name}: must be a section, [{name}]", name)
            return None
        return read_section(section, table, self._place(name, name), self._problems)

    def _inputs(self, tables: object) -> tuple[InputConfig, ...]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._problem("input: must be a list of sections, [[input]]", "input")
            return ()
        if not tables:
            self._problem('input: at least one [[input]] is needed, such as type = "system"')
        configs: list[InputConfig] = []
        for index, table in enumerate(tables):
            config = self._input(index, table)
            if config is None:
                continue
            if any(config.name == other.name for other in configs):
                self._problem(
                    f"input.name: {config.name!r} is taken by another input, give each its own",
                    *("input", index, "name"),
                )
            configs.append(config)
        return tuple(configs)

    def _actuators(self, tables: object) -> tuple[ActuatorConfig, ...]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._problem("actuator: must be a list of sections, [[actuator]]", "actuator")
            return ()
        found: list[ActuatorConfig] = []
        for index, table in enumerate(tables):
            config = self._actuator(index, table)
            if config is not None and any(config.sensor == other.sensor for other in found):
                self._problem(
                    f"actuator.sensor: {config.sensor!r} has an actuator already",
                    *("actuator", index, "sensor"),
                )
            elif config is not None:
                found.append(config)
        return tuple(found)

    def _actuator(self, index: int, table: Mapping[str, object]) -> ActuatorConfig | None:
        name, known = table.get("type"), actuator_kinds.kind_names()
        if not isinstance(name, str) or name not in known:
            hint = nearest(str(name), known)
            self._problem(f"actuator.type: no actuator {name!r}{hint}", "actuator", index, "type")
            return None
        try:
            kind = actuator_kinds.find_kind(name)
        except MissingLibraryError as error:
            self._problem(f"actuator.type: {error}", "actuator", index, "type")
            return None
        place = self._place("actuator", "actuator", index)
        found: ActuatorConfig | None = read_section(kind.config, table, place, self._problems)
        return found

    def _input(self, index: int, table: Mapping[str, object]) -> InputConfig | None:
        kind_name = table.get("type")
        if not isinstance(kind_name, str) or kind_name not in kind_names():
            hint = nearest(str(kind_name), kind_names()) if kind_name is not None else ""
            wrong = "is required" if kind_name is None else f"no input {kind_name!r}"
            self._problem(f"input.type: {wrong}{hint}", "input", index, "type")
            return None
        try:
            kind = find_kind(kind_name)
        except MissingLibraryError as error:
            self._problem(f"input.type: {error}", "input", index, "type")
            return None
        table = {"name": kind_name, **table}
        place = self._place("input", "input", index)
        if kind.specialize is not None:
            try:
                kind = kind.specialize(table, place.folder)
            except WrongSetting as error:
                name = ".".join(map(str, ("input", *error.keys)))
                self._problem(f"{name}: {error}", "input", index, *error.keys)
                return None
        return read_section(kind.config, table, place, self._problems)

    def _place(self, name: str, *path: str | int) -> Place:
        def line_of(*keys: str | int) -> int | None:
            return self._lines.line(*path, *keys)

        return Place(name, line_of, self._file.absolute().parent)

    def _problem(self, message: str, *path: str | int) -> None:
        self._problems.append(Problem(self._lines.line(*path), message))
