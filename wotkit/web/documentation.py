"""The documentation as pages of the server itself, made from the Markdown in ``web/docs``."""

from __future__ import annotations

import itertools
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from markupsafe import Markup

from wotkit.api.openapi import TAG
from wotkit.api.operation import Returns, operation
from wotkit.api.responses import answer_cached
from wotkit.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    import falcon.asgi
    import jinja2
    from markdown_it.token import Token

WEB: Final = Path(__file__).parent
STYLE: Final = "docs.css"
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy (https://www.w3.org/TR/CSP3/): no script at all."""

CONTENTS: Final = {
    "Start": (
        *("quickstart", "concepts"),
        *("agent", "agent-start", "agent-inputs", "agent-troubleshooting", "agent-comparison"),
        "migration",
    ),
    "Use": ("api", "ingest", "mqtt", "live", "access"),
    "Run": ("operations", "settings", "cli", "limits", "threat-model", "benchmarks"),
    "Look up": ("errors",),
}
"""The pages by chapter, in the order of reading."""

_LINK_TO_PAGE: Final = re.compile(r"([a-z_-]+)\.md(#.*)?")
_NOT_IN_ANCHOR: Final = re.compile(r"[^\w\s-]")


class Section(NamedTuple):
    """A heading of the second level, for the list beside the page."""

    anchor: str
    title: str


class Page(NamedTuple):
    """One page, rendered."""

    slug: str
    title: str
    sections: Sequence[Section]
    body: Markup


def anchor_of(title: str) -> str:
    """Return the name under which a heading is linked, as code forges make it."""
    return _NOT_IN_ANCHOR.sub("", title.lower()).strip().replace(" ", "-")


def render(slug: str, text: str) -> Page:
    """Return the page of a Markdown text; links to other pages lead to the served ones."""
    from markdown_it import MarkdownIt  # in memory only where pages are asked for

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    title = slug
    sections: list[Section] = []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            anchor = anchor_of(inline.content)
            opening.attrSet("id", anchor)
            if opening.tag == "h1":
                title = inline.content
            elif opening.tag == "h2":
                sections.append(Section(anchor, inline.content.replace("`", "")))
        for child in inline.children or ():
            _lead_to_served(child)
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<pre>", '<pre tabindex="0">')  # it may scroll, also by the keyboard
    html = html.replace("<table>", '<div class="wide" tabindex="0"><table>')
    html = html.replace("</table>", "</table></div>")
    return Page(slug, title, sections, Markup(html))  # noqa: S704  # our own text, html disabled


def _lead_to_served(token: Token) -> None:
    if token.type != "link_open":
        return
    target = str(token.attrGet("href"))
    match = _LINK_TO_PAGE.fullmatch(target)
    if match is not None:
        token.attrSet("href", f"/docs/{match[1]}{match[2] or ''}")


class Documentation:
    """All pages, each made when it is first asked for."""

    def __init__(self, folder: Path = WEB / "docs") -> None:
        self._folder = folder
        self._made: dict[str, bytes] = {}

    @cached_property
    def style(self) -> bytes:
        """The style sheet of the pages."""
        return (WEB / "static" / STYLE).read_bytes()

    @cached_property
    def pages(self) -> dict[str, Page]:
        """Every page by its name, in the order of the contents."""
        slugs = [slug for chapter in CONTENTS.values() for slug in chapter]
        return {
            slug: render(slug, (self._folder / f"{slug}.md").read_text(encoding="utf-8"))
            for slug in slugs
        }

    def html(self, slug: str) -> bytes:
        """Return a page.

        Raises:
            NotFound: there is none of this name.
        """
        page = self.pages.get(slug)
        if page is None:
            raise NotFound(f"/docs/{slug[:100]}")
        if slug not in self._made:
            chapters = {
                chapter: [self.pages[each] for each in slugs] for chapter, slugs in CONTENTS.items()
            }
            order = list(self.pages)
            after = order[order.index(slug) + 1 :][:1]
            self._made[slug] = (
                self._template.render(
                    page=page, chapters=chapters, after=[self.pages[each] for each in after]
                )
            ).encode()
        return self._made[slug]

    @cached_property
    def _template(self) -> jinja2.Template:
        import jinja2  # as above

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(WEB / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("docs.html")


_SAID: Final[dict[str, Any]] = {
    "tag": TAG,
    "privacy": "public",
    "errors": (NotFound,),
}


class DocumentationResource:
    """``GET /docs`` and ``GET /docs/{page}``."""

    def __init__(self, documentation: Documentation) -> None:
        self._documentation = documentation

    @operation(
        summary="A page of the documentation",
        returns={200: Returns("The page.", str, media="text/html")},
        **_SAID,
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, page: str) -> None:
        """Answer a page, or their style sheet."""
        if page == STYLE:
            answer_cached(req, resp, self._documentation.style, "text/css; charset=utf-8")
            return
        resp.set_header("Content-Security-Policy", POLICY)
        answer_cached(req, resp, self._documentation.html(page), "text/html; charset=utf-8")


class DocumentationHomeResource:
    """``GET /docs``: the first page."""

    @operation(
        summary="The documentation",
        returns={303: Returns("The first page, to which this leads.")},
        **{**_SAID, "errors": ()},
    )
    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Lead to the first page."""
        resp.status = 303
        resp.location = "/docs/quickstart"
