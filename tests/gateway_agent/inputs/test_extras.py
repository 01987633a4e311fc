"""Libraries are imported only for the inputs that need them, and named when they are missing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from input_bench import configure

from gateway_agent.config import ConfigError
from gateway_agent.inputs import kind_names

ROOT = Path(__file__).parents[3]
LIBRARIES = {
    "can": "can",
    "gpio": "gpiozero",
    "http": "httpx",
    "i2c": "smbus2",
    "modbus": "pymodbus",
    "mqtt": "paho",
    "opcua": "asyncua",
    "serial": "serial",
}
"""By kind of input: the module that its extra installs."""
NEVER = {*LIBRARIES.values(), "pynmea2", "cryptography", "asyncio", "psutil"}


def modules_after(code: str) -> set[str]:
    code += '\nimport sys; print(*{name.partition(".")[0] for name in sys.modules})'
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(ran.stdout.split())


def test_agent_alone_imports_no_library_of_an_input() -> None:
    code = "import gateway_agent.cli, gateway_agent.config, gateway_agent.pipeline"
    assert modules_after(code) & NEVER == set()


def test_run_with_made_up_readings_imports_no_library_of_an_input(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("id:password\n")
    (tmp_path / "agent.toml").write_text(
        '[gateway]\nid = "green"\n[platform]\nhttp = "http://127.0.0.1:9/api"\n'
        'credentials_file = "credentials"\n[spool]\npath = "spool.db"\n'
        '[[input]]\ntype = "sim"\ninterval = "10ms"\n'
    )
    code = f"""
import os
from pathlib import Path
from gateway_agent.config import load_config
from gateway_agent.credentials import CredentialSource
from gateway_agent.pipeline import Agent
config = load_config(Path({str(tmp_path / "agent.toml")!r}))
agent = Agent(config, CredentialSource(os.environ, config.platform.credentials_file))
import time
assert agent.run(lambda seconds: bool(time.sleep(0.3)) or True)
assert agent._spool.figures().last_seq > 0
"""
    assert modules_after(code) & NEVER == set()


@pytest.mark.parametrize("kind", LIBRARIES)
def test_missing_library_is_named_with_its_extra(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"gateway_agent.inputs.{kind}")]:
        monkeypatch.delitem(sys.modules, name)
    library = LIBRARIES[kind]
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError) as caught:
        configure(tmp_path, f'[[input]]\ntype = "{kind}"\n')
    (line,) = caught.value.lines()
    assert f"needs the Python library {library}" in line
    assert f"install wotkit[gateway-{kind}]" in line


def test_every_library_has_an_extra_and_all_have_one_together() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    for kind in LIBRARIES:
        assert "wotkit[gateway]" in extras[f"gateway-{kind}"]
    named = re.findall(r"gateway-[a-z0-9]+", " ".join(extras["gateway-all"]))
    assert sorted(named) == sorted(f"gateway-{kind}" for kind in LIBRARIES)
    assert [
        r for r in extras["gateway-modbus"] if r.startswith("pymodbus~=3.") and r.count(".") == 2
    ]
    assert len(extras["gateway"]) == 2, "the core stays small"


def test_every_kind_of_input_is_known() -> None:
    expected = {*LIBRARIES, "command", "file", "onewire", "python", "sim", "system"}
    assert set(kind_names()) == expected
