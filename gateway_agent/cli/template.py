"""The configuration file that `init` writes: commented from the settings' own help."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gateway_agent.cli.offers import Section
from gateway_agent.config import (
    ClockConfig,
    GatewayConfig,
    HealthConfig,
    PlatformConfig,
    SpoolConfig,
)
from gateway_agent.settings import describe_section, toml_value


def render_config(
    *,
    gateway_id: str,
    http: str,
    credentials_file: Path,
    spool: Path,
    folder: Path,
    inputs: Sequence[Section],
    may_register: bool = True,
    mqtt: str | None = None,
) -> str:
    """A whole configuration. Paths below `folder` are written relative."""
    platform = {"http": http, "credentials_file": _relative(credentials_file, folder)}
    if mqtt is not None:
        platform["mqtt"] = mqtt
    values: dict[str, Mapping[str, object]] = {
        "gateway": {"id": gateway_id},
        "platform": platform if may_register else {**platform, "auto_create": False},
        "spool": {"path": _relative(spool, folder)},
    }
    sections = (
        ("gateway", GatewayConfig),
        ("platform", PlatformConfig),
        ("spool", SpoolConfig),
        ("clock", ClockConfig),
        ("health", HealthConfig),
    )
    lines = ["# Configuration of the gateway agent. `gateway-agent check` finds mistakes in it."]
    lines.append("# What is commented out has the value that is shown.")
    for name, section in sections:
        lines += ["", f"[{name}]", *_settings(section, values.get(name, {}))]
    for each in inputs:
        lines += ["", *_input(each)]
    lines += ["", *_MORE]
    return "\n".join(lines) + "\n"


def _settings(section: type[object], values: Mapping[str, object]) -> Iterator[str]:
    for row in describe_section(section):
        yield f"# {row.help}"
        if row.name in values:
            yield f"{row.name} = {toml_value(values[row.name])}"
        else:
            yield f"# {row.name} = {row.default}".rstrip()


def _input(section: Section) -> Iterator[str]:
    yield f"# {section.comment}"
    yield "[[input]]"
    yield from (f"{name} = {toml_value(value)}" for name, value in section.settings.items())
    for point in section.points:
        yield "[[input.point]]"
        yield from (f"{name} = {toml_value(value)}" for name, value in point.items())


def _relative(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path


_MORE = (
    "# Made-up readings, to try things out",
    "# [[input]]",
    '# type = "sim"',
    '# mode = "sine"',
    '# interval = "1s"',
)
