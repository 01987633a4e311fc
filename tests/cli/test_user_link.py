from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Wotkit


def test_link_is_printed_for_a_known_user_only(wotkit: Wotkit) -> None:
    wotkit.user("alice")
    printed = wotkit.ok("user", "link", "alice", "--url", "https://wotkit.example/")
    assert printed.startswith("https://wotkit.example/password/")
    assert "nobody" in wotkit.refused("user", "link", "nobody")
