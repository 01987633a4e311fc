"""What the agent's tests share; `agent_platform` and `agent_process` are modules beside this."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from agent_platform import KEY, StandInPlatform


@pytest.fixture
def platform() -> Iterator[StandInPlatform]:
    with StandInPlatform() as standin:
        yield standin


@pytest.fixture
def write_config(tmp_path: Path, platform: StandInPlatform) -> Callable[..., Path]:
    """Writes a configuration for the stand-in platform, with short delays, and the credentials."""

    def write(inputs: str, platform_lines: str = "", spool_lines: str = "") -> Path:
        credentials = tmp_path / "credentials"
        credentials.write_text(KEY + "\n")
        credentials.chmod(0o600)
        config = tmp_path / "agent.toml"
        config.write_text(
            f"""
[gateway]
id = "test-gateway"
[platform]
http = "{platform.url}"
credentials_file = "credentials"
retry_min = "20ms"
retry_max = "100ms"
denied_retry_min = "20ms"
denied_retry_max = "100ms"
{platform_lines}
[spool]
path = "spool.db"
commit_interval = "20ms"
{spool_lines}
[clock]
wait = "0s"
{inputs}
"""
        )
        return config

    return write
