"""Makes a bare environment and one with the agent, and compares what they take on disk."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
SOURCES = ("wotkit", "gateway_agent", "pyproject.toml", "README.md", "LICENSE")


def main() -> int:
    """Measure; 1 when it is more than allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extra", nargs="?", default="gateway", help="extra of wotkit to install")
    parser.add_argument("--most", type=float, help="most megabytes (of 1 000 000 bytes) allowed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agent-size-") as folder:
        bare, full = Path(folder) / "bare", Path(folder) / "full"
        for place in (bare, full):
            venv.create(place, with_pip=True)
        install(full, f"{copied(Path(folder) / 'sources')}[{options.extra}]")
        before, after = sizes(bare), sizes(full)
    added = after - before
    for name, size in added.most_common(12):
        print(f"{size / MEGABYTE:8.2f} MB  {name}")
    total = sum(after.values()) - sum(before.values())
    print(f"{total / MEGABYTE:8.2f} MB  wotkit[{options.extra}] beyond a bare environment")
    return int(options.most is not None and total > options.most * MEGABYTE)


def copied(target: Path) -> Path:
    """The sources where building leaves nothing in the checkout, and finds nothing old in it."""
    ignored = shutil.ignore_patterns("__pycache__")
    target.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, target)
    return target


def install(place: Path, what: str) -> None:
    """Install as one does on a gateway, byte code included."""
    command = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", what]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)


def sizes(place: Path) -> Counter[str]:
    """Bytes on disk by installed package, each file counted once and in whole blocks."""
    found: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    for path in place.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        state = path.stat()
        if (state.st_dev, state.st_ino) not in seen:
            seen.add((state.st_dev, state.st_ino))
            found[package_of(path.relative_to(place))] += state.st_blocks * 512
    return found


def package_of(path: Path) -> str:
    """The folder below site-packages, or the first one where that is not the place."""
    parts = path.parts
    if "site-packages" in parts[:-1]:
        return parts[parts.index("site-packages") + 1].partition("-")[0]
    return parts[0]


if __name__ == "__main__":
    sys.exit(main())
