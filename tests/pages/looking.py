"""Looks at a page: keeps pictures of it, and checks what a machine can check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.pages.visiting import DESKTOP, PHONE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pages.visiting import Visitor

SERIOUS = {"serious", "critical"}
EVERYTHING: dict[str, Any] = {"resultTypes": ["violations"]}
DIFFERS: dict[str, Any] = EVERYTHING | {
    "runOnly": ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]
}
"""The rules whose result may differ with colours and width; the structure stays as it is."""
TOO_WIDE = """width => [...document.querySelectorAll('body *')]
    .filter(each => each.getBoundingClientRect().right > width + 1 && !each.closest('.wide, pre'))
    .map(each => each.outerHTML.slice(0, 120))"""


class Looking(NamedTuple):
    """Where pictures go, and the accessibility checker as a script."""

    folder: Path
    axe: str

    def at(self, visitor: Visitor, name: str) -> None:
        """Look at the page that is open, light and dark, at a desk and on a phone."""
        for scheme in ("light", "dark"):
            for size, ending in ((DESKTOP, ""), (PHONE, ".phone")):
                visitor.page.emulate_media(color_scheme=scheme)
                visitor.page.set_viewport_size(size)  # type: ignore[arg-type]  # a TypedDict there
                file = self.folder / f"{name}.{scheme}{ending}.png"
                visitor.page.screenshot(path=file, full_page=True)
                assert visitor.width() <= size["width"], visitor.page.evaluate(
                    TOO_WIDE, size["width"]
                )
                options = {("light", ""): EVERYTHING, ("dark", ".phone"): DIFFERS}
                found = self._serious(visitor, options.get((scheme, ending)))
                assert not found, found
        visitor.page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]  # as above

    def _serious(self, visitor: Visitor, options: dict[str, Any] | None) -> list[str]:
        """Return what the checker finds serious, with where it is; without options, nothing."""
        if options is None:
            return []
        if not visitor.page.evaluate("'axe' in window"):
            visitor.page.evaluate(self.axe)
        found = visitor.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{one['id']}: {node['html'][:200]}"
            for one in found["violations"]
            if one["impact"] in SERIOUS
            for node in one["nodes"]
        ]
