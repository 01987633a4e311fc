"""What the demo prints: how to sign in, and three commands to paste."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wotkit.demo.content import CITIES, TO_POST

if TYPE_CHECKING:
    from wotkit.demo.build import Demo

INSTALL: Final = "pip install --no-deps vega_datasets"


def text(demo: Demo, address: str) -> str:
    """Return the lines for a server that clients reach at ``address``."""
    made = demo.credentials
    password = "(was changed since)" if demo.password_changed else made.password
    lines = [
        "This is the demo. Its user, its key and its sensors stay in the data folder.",
        "",
        f"  address       {address}",
        f"  user          {made.user}",
        f"  password      {password}",
        f"  key id        {made.key_id}",
        f"  key password  {made.key_password}",
        "",
    ]
    if demo.history_missing:
        lines += [
            "No sensor has any history: the package with the temperatures is not installed",
            f"({shlex.quote(sys.executable)} -m {INSTALL}, then start again).",
        ]
    else:
        lines += ["A year of hourly temperatures is in (the team's is private: use the key):"]
        lines += [f"  {address}/api/sensors/{sensor}/data?beforeE=24" for sensor in CITIES]
    lines += ["", *_commands(demo, address)]
    return "\n".join(lines)


def _commands(demo: Demo, address: str) -> list[str]:
    made = demo.credentials
    readings = f"{address}/api/v1/sensors/{TO_POST}/data"
    sign_in = f"curl -sS -u {made.key_id}:{made.key_password}"
    agent = _shown(Path(sys.executable).parent / "gateway-agent")
    config = _shown(demo.key_password_file.with_name("demo-agent.toml"))
    return [
        "Post a reading:",
        (
            f"  {sign_in} -i -H 'Content-Type: application/json' "
            f'-d \'{{"temperature": 21.5, "humidity": 48}}\' {readings}'
        ),
        "Read the latest five back:",
        f"  {sign_in} '{readings}?beforeE=5'",
        "Send this machine's own readings:",
        (
            f"  {agent} init --config {config} --url {address}/api --key-id {made.key_id} "
            f"--key-password-file {_shown(demo.key_password_file)} --yes "
            f"&& {agent} run --config {config}"
        ),
    ]


def _shown(path: Path) -> str:
    """Return a path to paste: short where it lies below the current folder, in the checkout."""
    here = Path.cwd()
    inside = path.is_relative_to(here) and (here / "pyproject.toml").exists()
    return shlex.quote(str(path.relative_to(here) if inside else path))
