"""The agent stays small: no server, no library that is not needed, 15 MB on disk."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = {"click", "urllib3", "psutil"}
"""What `wotkit[gateway]` installs."""
COMMANDS = ("run", "init", "check", "status", "drain", "replay", "simulate")


def test_no_part_of_the_agent_imports_the_server() -> None:
    sources = (ROOT / "gateway_agent").rglob("*.py")
    wrong = [
        path.name
        for path in sources
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("import wotkit", "from wotkit"))
    ]
    assert wrong == []


def test_commands_need_nothing_but_the_core() -> None:
    modules = [f"gateway_agent.cli.{name}" for name in COMMANDS]
    code = f"""
import importlib, sys
for name in {modules}:
    importlib.import_module(name)
top = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(top - set(sys.stdlib_module_names) - {{"gateway_agent"}}))
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    foreign = {name for name in ran.stdout.split() if not name.startswith("_")}
    installed_by_others = {"google", "sitecustomize", "usercustomize", "mpl_toolkits"}
    assert foreign - CORE - installed_by_others == set()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_core_takes_less_than_15_megabytes() -> None:
    ran = subprocess.run(
        [str(ROOT / "scripts" / "bench" / "agent-size"), "--most", "15"],
        check=False,
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "wotkit[gateway] beyond a bare environment" in ran.stdout
