"""The documentation as the server serves it."""

from __future__ import annotations

import re
from pathlib import Path

import falcon
import pytest
from falcon import testing

from wotkit.api import errors as api_errors
from wotkit.web.documentation import (
    CONTENTS,
    Documentation,
    DocumentationHomeResource,
    DocumentationResource,
    anchor_of,
    render,
)

DOCS = Path(__file__).parents[1] / "wotkit" / "web" / "docs"
SLUGS = [slug for chapter in CONTENTS.values() for slug in chapter]


@pytest.fixture(scope="module")
def documentation() -> Documentation:
    return Documentation()


@pytest.fixture
def client(documentation: Documentation) -> testing.TestClient:
    app = falcon.asgi.App()
    api_errors.install(app)
    app.add_route("/docs", DocumentationHomeResource())
    app.add_route("/docs/{page}", DocumentationResource(documentation))
    return testing.TestClient(app)


def test_every_page_there_is_stands_in_the_contents() -> None:
    assert sorted(path.stem for path in DOCS.glob("*.md")) == sorted(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_page_is_whole_and_loads_nothing_from_elsewhere(
    client: testing.TestClient, slug: str
) -> None:
    answer = client.simulate_get(f"/docs/{slug}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.text.count("<h1") == 1
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    for source in re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', answer.text):
        assert source.startswith(("/docs/", "data:"))


@pytest.mark.parametrize("slug", SLUGS)
def test_links_lead_to_pages_and_headings_that_exist(
    documentation: Documentation, slug: str
) -> None:
    html = documentation.html(slug).decode()
    for page, anchor in re.findall(r'href="/docs/([a-z_-]*)(?:#([^"]*))?"', html):
        if page == "docs":
            continue
        assert page in SLUGS
        if anchor:
            assert f'id="{anchor}"' in documentation.html(page).decode()
    for anchor in re.findall(r'href="#([^"]*)"', html):
        assert f'id="{anchor}"' in html


def test_links_that_only_a_checkout_has_do_not_stand_in_pages(
    documentation: Documentation,
) -> None:
    for slug in SLUGS:
        assert ".md" not in "".join(
            re.findall(r'href="([^"]*)"', documentation.html(slug).decode())
        )


def test_documentation_begins_with_the_quick_start(client: testing.TestClient) -> None:
    answer = client.simulate_get("/docs")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/docs/quickstart"


def test_page_that_does_not_exist_is_not_found(client: testing.TestClient) -> None:
    answer = client.simulate_get("/docs/../secret.key")
    assert answer.status_code == 404
    answer = client.simulate_get("/docs/nothing")
    assert answer.status_code == 404
    assert answer.json["error"]["code"] == 1101


def test_style_sheet_is_served(client: testing.TestClient) -> None:
    answer = client.simulate_get("/docs/docs.css")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


def test_who_has_the_page_already_is_told_so(client: testing.TestClient) -> None:
    tag = client.simulate_get("/docs/api").headers["etag"]
    answer = client.simulate_get("/docs/api", headers={"If-None-Match": tag})
    assert answer.status_code == 304
    assert not answer.content


def test_markup_in_text_stays_text() -> None:
    page = render("x", "# A <b>title</b>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))")
    assert "<script>" not in page.body
    assert 'href="javascript' not in page.body


def test_headings_can_be_linked_as_code_forges_do() -> None:
    assert anchor_of("Streams of gateways") == "streams-of-gateways"
    assert anchor_of("`GET /readyz`, and why") == "get-readyz-and-why"
