"""How browsers are called in the list of sessions."""

from __future__ import annotations

import pytest

from wotkit.web.pages.browsers import browser_of

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/156.0.0.0 Safari/537.36",
         "Chrome on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64) {WEBKIT} Chrome/156.0 Safari/537.36 Edg/156.0",
         "Edge on Windows"),
        (f"Mozilla/5.0 (Linux; Android 16; K) {WEBKIT} Chrome/156.0 Mobile Safari/537.36",
         "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
         "Firefox on macOS"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) {WEBKIT} Version/19.0 Safari/604",
         "Safari on iPhone"),
        ("curl/8.14.1", "curl/8.14.1"),
        ("", "Unknown browser"),
    ],
)  # fmt: skip
def test_browser_is_called_as_people_call_it(agent: str, name: str) -> None:
    assert browser_of(agent) == name


def test_unknown_program_is_cut_short() -> None:
    assert browser_of("x" * 500) == "x" * 59 + "…"
