"""Holds the arrows of ARCHITECTURE: what may import what, read from the sources themselves."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

LAYERS = (
    {"errors", "config", "settings", "times", "strict_json", "__init__"},
    {"catalog", "readings", "metrics", "logs"},
    {"ingest", "control", "gviz", "auth", "edge"},
    {"api", "web", "mqtt", "live", "alerts", "upkeep", "routes", "demo"},
    {"cli", "app", "server", "http_protocol"},
)
"""A part imports from its own layer and from those before it, never from one after it."""

APART = [
    ("catalog", "readings"),
    ("readings", "catalog"),
    ("live", "api"),
    ("alerts", "api"),
    ("upkeep", "api"),
    ("mqtt", "api"),
    ("readings", "metrics"),
    ("catalog", "metrics"),
]
"""Neighbours that keep apart: the first never imports the second."""


def parts() -> list[str]:
    found = {path.stem for path in (ROOT / "wotkit").glob("*.py")}
    found |= {
        path.name
        for path in (ROOT / "wotkit").iterdir()
        if path.is_dir() and any(path.glob("*.py"))
    }
    return sorted(found)


def files(part: str) -> list[Path]:
    folder = ROOT / "wotkit" / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def imported(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_parts(path: Path) -> set[str]:
    """The parts of wotkit that a file imports; ``from wotkit import __version__`` is none."""
    found = set()
    for name in imported(path):
        package, _, rest = name.partition(".")
        if package == "wotkit":
            found.add(rest.partition(".")[0])
    return found & set(parts())


def layer(part: str) -> int:
    for number, members in enumerate(LAYERS):
        if part in members:
            return number
    pytest.fail(f"wotkit/{part} is in no layer: say where it belongs, here and in ARCHITECTURE")


@pytest.mark.parametrize("part", parts())
def test_part_imports_nothing_from_a_layer_above(part: str) -> None:
    own = layer(part)
    wrong = [
        f"{path.relative_to(ROOT)} imports wotkit.{other}"
        for path in files(part)
        for other in sorted(imported_parts(path))
        if layer(other) > own
    ]
    assert wrong == []


@pytest.mark.parametrize(("part", "other"), APART)
def test_neighbours_keep_apart(part: str, other: str) -> None:
    if part in parts():
        wrong = [path for path in files(part) if other in imported_parts(path)]
        assert wrong == []


def test_mqtt_codec_could_be_a_package_of_its_own() -> None:
    own = "wotkit.mqtt.codec"
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "wotkit/mqtt/codec").rglob("*.py"))
        for name in imported(path)
        if name.startswith("wotkit") and f"{name}.".removeprefix(own)[0] != "."
    ]
    assert wrong == []


def test_http_is_known_to_the_web_facing_parts_only() -> None:
    allowed = {"api", "web", "app", "server", "cli", "edge", "http_protocol", "live", "mqtt"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for part in parts()
        if part not in allowed
        for path in files(part)
        for name in imported(path)
        if name.partition(".")[0] in {"falcon", "uvicorn", "gunicorn"}
    ]
    assert wrong == []


def test_only_the_settings_table_reads_the_environment() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for part in parts()
        if part != "config"
        for path in files(part)
        for name in imported(path)
        if name == "os.environ" or "os.environ" in path.read_text(encoding="utf-8")
    ]
    assert sorted(set(wrong)) == []


def test_server_and_agent_import_nothing_of_each_other() -> None:
    for package, other in (("wotkit", "gateway_agent"), ("gateway_agent", "wotkit")):
        wrong = [
            f"{path.relative_to(ROOT)} imports {name}"
            for path in sorted((ROOT / package).rglob("*.py"))
            for name in imported(path)
            if name.partition(".")[0] == other
        ]
        assert wrong == []
