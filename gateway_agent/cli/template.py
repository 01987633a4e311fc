"""The configuration file that `init` writes: commented from the settings' own help."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway_agent.config import GatewayConfig, PlatformConfig, SpoolConfig
from gateway_agent.settings import describe_section, toml_value


def render_config(
    *, gateway_id: str, http: str, credentials_file: Path, spool: Path, folder: Path
) -> str:
    """A whole configuration with a `system` input. Paths below `folder` are written relative."""
    values: dict[str, Mapping[str, object]] = {
        "gateway": {"id": gateway_id},
        "platform": {"http": http, "credentials_file": _relative(credentials_file, folder)},
        "spool": {"path": _relative(spool, folder)},
    }
    sections = (("gateway", GatewayConfig), ("platform", PlatformConfig), ("spool", SpoolConfig))
    lines = ["# Configuration of the gateway agent. `gateway-agent check` finds mistakes in it."]
    lines.append("# What is commented out has the value that is shown.")
    for name, section in sections:
        lines += ["", f"[{name}]", *_settings(section, values[name])]
    lines += ["", *_INPUTS]
    return "\n".join(lines) + "\n"


def _settings(section: type[object], values: Mapping[str, object]) -> Iterator[str]:
    for row in describe_section(section):
        yield f"# {row.help}"
        if row.name in values:
            yield f"{row.name} = {toml_value(values[row.name])}"
        else:
            yield f"# {row.name} = {row.default}".rstrip()


def _relative(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path


_INPUTS = (
    "# This machine's own processor, load, memory, disk, network and temperatures",
    "[[input]]",
    'type = "system"',
    'interval = "5s"',
    "",
    "# Made-up readings, to try things out",
    "# [[input]]",
    '# type = "sim"',
    '# mode = "sine"',
    '# interval = "1s"',
)
