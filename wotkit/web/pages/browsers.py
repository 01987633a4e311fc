"""What a browser says of itself, as people call it."""

from __future__ import annotations

from typing import Final

_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""Most of them name others that they resemble, so the first that is found is the one."""
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_LENGTH: Final = 60


def browser_of(agent: str) -> str:
    """Return a User-Agent header (RFC 9110 section 10.1.5) in words, such as ``Firefox on Linux``.

    What is no browser that is known stays as it is, up to some length.
    """
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    short = agent if len(agent) <= _LENGTH else f"{agent[: _LENGTH - 1]}…"
    return short or "Unknown browser"
