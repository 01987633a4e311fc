from __future__ import annotations

from pathlib import Path

import pytest

from wotkit.cli.pages import PAGES, write

DOCS = Path(__file__).parents[1] / "wotkit" / "web" / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_in_step_with_the_program(name: str) -> None:
    on_disk = (DOCS / name).read_text(encoding="utf-8")
    assert on_disk == PAGES[name](), "run scripts/docs, and commit what it writes"


def test_pages_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "docs")
    assert {path.name for path in (tmp_path / "docs").iterdir()} == set(PAGES)
