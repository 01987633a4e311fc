"""What ``wotkit doctor`` looks at outside the databases; each check yields findings."""

from __future__ import annotations

import ctypes
import errno
import http.client
import importlib.metadata
import os
import platform
import pwd
import shutil
import socket
import sqlite3
import stat
import time
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct
from packaging.requirements import Requirement

from wotkit import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Level = Literal["ok", "warn", "fail"]
OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"

PYTHON: Final = "3.11"
SQLITE: Final = (3, 35, 0)
"""The first with RETURNING."""
RELEASED: Final = 1_790_000_000
"""In seconds since 1970: a clock before this (September 2026) is wrong."""
MEGABYTE: Final = 1_000_000
LITTLE_SPACE: Final = 1_000 * MEGABYTE
NO_SPACE: Final = 100 * MEGABYTE
CLOCK_UNSYNCHRONIZED: Final = 5
"""TIME_ERROR of adjtimex(2)."""
TIMEX_BYTES: Final = 512
"""More than struct timex takes anywhere."""
ANSWER_SECONDS: Final = 2.0
GROUP_AND_OTHERS: Final = 0o077


class Finding(Struct, frozen=True):
    """One line of the report."""

    check: str
    level: Level
    text: str
    advice: str = ""
    """What to do about it."""


def versions() -> Iterator[Finding]:
    """Check Python, SQLite and every library against what is required."""
    python = platform.python_version()
    if tuple(map(int, platform.python_version_tuple()[:2])) < tuple(map(int, PYTHON.split("."))):
        yield Finding("python", FAIL, f"{python} is older than {PYTHON}", "Install a newer Python.")
    else:
        yield Finding("python", OK, f"{python}; WoTKit {__version__}")
    if sqlite3.sqlite_version_info < SQLITE:
        needed = ".".join(map(str, SQLITE))
        yield Finding(
            "sqlite",
            FAIL,
            f"{sqlite3.sqlite_version} is older than {needed}",
            "Install a Python that comes with a newer SQLite.",
        )
    else:
        yield Finding("sqlite", OK, sqlite3.sqlite_version)
    yield from _libraries()


def _libraries() -> Iterator[Finding]:
    wrong = []
    required = importlib.metadata.requires("wotkit") or []
    for requirement in map(Requirement, required):
        if requirement.marker and not requirement.marker.evaluate({"extra": "server"}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, required is {requirement.specifier}")
    if wrong:
        advice = "Run scripts/serve, or pip install 'wotkit[server]', again."
        yield Finding("libraries", FAIL, "; ".join(wrong), advice)
    else:
        yield Finding("libraries", OK, "all that are required, in the versions that are required")


def clock() -> Iterator[Finding]:
    """Check that the clock is plausible, and whether the kernel says it is synchronized."""
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    set_it = "Set the clock, and let a time service keep it: apt-get install systemd-timesyncd"
    if time.time() < RELEASED:
        yield Finding("clock", FAIL, f"it says {shown}, which is before this release", set_it)
        return
    state = _kernel_clock_state()
    if state == CLOCK_UNSYNCHRONIZED:
        text = f"it says {shown}; the kernel says that nothing synchronizes it"
        yield Finding("clock", WARN, text, set_it)
    elif state < 0:
        yield Finding("clock", OK, f"it says {shown}; whether it is synchronized is unknown")
    else:
        yield Finding("clock", OK, f"it says {shown}, and is synchronized")


def _kernel_clock_state() -> int:
    """Return the state of the clock (adjtimex(2)), or -1 where it cannot be asked for."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return -1
    # modes is its first member: zero changes nothing and needs no rights
    return int(adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))


def data_folder(folder: Path) -> Iterator[Finding]:
    """Check that the data folder is there, can be written to, and is private."""
    if not folder.exists():
        parent = existing_parent(folder)
        if os.access(parent, os.W_OK | os.X_OK):
            text = f"{folder} does not exist yet"
            yield Finding("data folder", WARN, text, "The first start makes it.")
        else:
            yield Finding(
                "data folder",
                FAIL,
                f"{folder} does not exist, and {parent} is not writable",
                "Name another with --data, or make it and give it to the user of the server.",
            )
        return
    if not folder.is_dir():
        yield Finding("data folder", FAIL, f"{folder} is no folder", "Name another with --data.")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        text = f"{folder} is not writable for {_user(os.geteuid())}"
        advice = (
            f"Run as {_user(folder.stat().st_uid)}, or: chown -R {_user(os.geteuid())} {folder}"
        )
        yield Finding("data folder", FAIL, text, advice)
        return
    yield from _private(folder)


def _private(folder: Path) -> Iterator[Finding]:
    owner = folder.stat().st_uid
    fine = True
    if owner != os.geteuid():
        fine = False
        text = f"{folder} belongs to {_user(owner)}, and this is {_user(os.geteuid())}"
        advice = "Run the server and its commands as the owner, so that files stay readable to it."
        yield Finding("data folder", WARN, text, advice)
    for path in (folder, *sorted(folder.iterdir())):
        about = path.stat()
        if about.st_uid != owner:
            fine = False
            text = f"{path} belongs to {_user(about.st_uid)}"
            yield Finding("data folder", WARN, text, f"chown {_user(owner)} {path}")
        if path.name == "secret.key" and about.st_mode & GROUP_AND_OTHERS:
            fine = False
            text = f"others can read {path} (mode {stat.S_IMODE(about.st_mode):04o})"
            yield Finding("secret key", FAIL, text, f"chmod 600 {path}")
    if folder.stat().st_mode & GROUP_AND_OTHERS:
        fine = False
        text = f"others can look into {folder} (mode {stat.S_IMODE(folder.stat().st_mode):04o})"
        yield Finding("data folder", WARN, text, f"chmod 700 {folder}")
    if fine:
        yield Finding("data folder", OK, f"{folder} is writable, and private")


def disk(folder: Path) -> Iterator[Finding]:
    """Check that there is room for readings."""
    free = shutil.disk_usage(existing_parent(folder)).free
    text = f"{free / MEGABYTE:,.0f} MB free"
    advice = "Make room, or move the data folder to a larger disk."
    if free < NO_SPACE:
        yield Finding("disk", FAIL, text, advice)
    elif free < LITTLE_SPACE:
        yield Finding("disk", WARN, text, advice)
    else:
        yield Finding("disk", OK, text)


def port(host: str, number: int) -> Iterator[Finding]:
    """Check that the port is free, or held by a running WoTKit."""
    name = f"port {number}"
    problem = why_not_bound(host, number)
    if problem is None:
        yield Finding(name, OK, f"free at {host}")
    elif problem.errno == errno.EADDRINUSE and answers_as_wotkit(host, number):
        yield Finding(name, OK, "a WoTKit server answers here")
    elif problem.errno == errno.EADDRINUSE:
        advice = "Stop that program, or take another with --port (the setting server.port)."
        yield Finding(name, FAIL, f"another program holds it at {host}", advice)
    else:
        advice = "Take another with --host and --port (the settings server.host, server.port)."
        yield Finding(name, FAIL, f"{host}: {problem.strerror}", advice)


def why_not_bound(host: str, number: int) -> OSError | None:
    """Return why a server could not listen there; None when it could."""
    try:
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return error
    return None


def answers_as_wotkit(host: str, number: int) -> bool:
    """Return whether what listens there is a WoTKit server: its answers carry a request id."""
    connection = http.client.HTTPConnection(reachable(host), number, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"X-Request-Id": "wotkit-doctor"})
        answer = connection.getresponse()
        return answer.headers["X-Request-Id"] == "wotkit-doctor"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reachable(host: str) -> str:
    """Return where a server is asked that listens at an address, which may be all of them."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not bound to, but asked


def existing_parent(folder: Path) -> Path:
    """Return the folder itself, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
