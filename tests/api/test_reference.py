"""The reference page: complete, without script or style of its own, nothing from elsewhere."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import falcon.asgi
import falcon.testing
import msgspec
import pytest

from wotkit import app
from wotkit.api import errors as api_errors
from wotkit.api.openapi import Document
from wotkit.api.reference import (
    ASSETS,
    Page,
    ReferenceAssetResource,
    ReferenceResource,
    Schemas,
    groups,
    inline,
)
from wotkit.errors import CATALOGUE
from wotkit.routes import table
from wotkit.settings import AuthSettings, Settings, StorageSettings

if TYPE_CHECKING:
    from falcon.testing import Result, TestClient

PAGE = "/api/reference"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """The description of a real server, which has stopped again."""
    settings = msgspec.structs.replace(
        Settings(),
        auth=AuthSettings(bcrypt_cost=4),
        storage=StorageSettings(data=str(tmp_path_factory.mktemp("data"))),
    )

    async def build() -> Document:
        parts = app.Parts(settings)
        parts.start()
        try:
            resources = app.create_resources(parts)
        finally:
            await parts.stop()
        return Document(lambda: table(resources))

    return asyncio.run(build())


@pytest.fixture(scope="module")
def client(document: Document) -> TestClient:
    page = Page(document)
    served: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    api_errors.install(served)
    served.add_route(PAGE, ReferenceResource(page))
    served.add_route(PAGE + "/{asset}", ReferenceAssetResource(page))
    return falcon.testing.TestClient(served)


@pytest.fixture(scope="module")
def answer(client: TestClient) -> Result:
    found = client.simulate_get(PAGE)
    assert found.status_code == 200
    return found


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, attribute: str) -> list[str]:
        return [
            attributes[attribute] or "" for _, attributes in self.found if attribute in attributes
        ]


@pytest.fixture(scope="module")
def elements(answer: Result) -> Elements:
    return Elements(answer.text)


def test_every_operation_has_a_section(document: Document, elements: Elements) -> None:
    ids = elements.values("id")
    assert len(set(ids)) == len(ids)
    for methods in document.tree["paths"].values():
        for each in methods.values():
            assert each.get("x-same-as", each["operationId"]) in ids


def test_every_error_code_has_an_entry(elements: Elements) -> None:
    assert {f"error-{code.number}" for code in CATALOGUE} <= set(elements.values("id"))


def test_every_link_within_the_page_leads_somewhere(elements: Elements) -> None:
    targets = {link[1:] for link in elements.values("href") if link.startswith("#")}
    assert targets <= set(elements.values("id"))
    assert len(targets) > len(CATALOGUE)


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(
    answer: Result, elements: Elements
) -> None:
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for tag, attributes in elements.found:
        assert tag not in {"style", "iframe", "object", "embed", "base"}
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "script":
            assert (attributes["src"] or "").startswith(PAGE + "/")
    for link in [*elements.values("href"), *elements.values("src")]:
        assert link.startswith(("#", "/api/", "data:,")), link


def test_page_loads_assets_that_exist_and_may_be_kept(
    client: TestClient, elements: Elements
) -> None:
    loaded = [
        link
        for link in [*elements.values("href"), *elements.values("src")]
        if link.startswith(PAGE + "/")
    ]
    assert len(loaded) == len(ASSETS)
    for link in loaded:
        path, _, query = link.partition("?")
        asset = client.simulate_get(path, query_string=query)
        assert asset.status_code == 200
        assert asset.headers["content-type"] == ASSETS[path.rpartition("/")[2]]
        assert "immutable" in asset.headers["cache-control"]
        assert "http" not in asset.text
        assert "@import" not in asset.text


@pytest.mark.parametrize(
    ("name", "code"), [("nothing.css", 1101), ("README.md", 1101), ("..%2freference.css", 1102)]
)
def test_other_files_are_not_served(client: TestClient, name: str, code: int) -> None:
    answer = client.simulate_get(f"{PAGE}/{name}")
    assert answer.status_code == 404
    assert answer.json["error"]["code"] == code


def test_examples_name_the_server_as_the_reader_does(client: TestClient) -> None:
    page = client.simulate_get(PAGE, host="sensors.example.org", protocol="https").text
    assert "export WOTKIT=https://sensors.example.org\n" in page
    assert "wotkit.invalid" not in page


def test_host_header_cannot_inject_markup(client: TestClient) -> None:
    page = client.simulate_get(PAGE, headers={"Host": '"><script src=//evil></script>'}).text
    assert "<script src=//evil>" not in page


def test_public_url_wins_over_the_host_header(document: Document) -> None:
    served: falcon.asgi.App[Any, Any] = falcon.asgi.App()
    served.add_route(PAGE, ReferenceResource(Page(document), "https://sensors.example.org/"))
    page = falcon.testing.TestClient(served).simulate_get(PAGE).text
    assert "export WOTKIT=https://sensors.example.org\n" in page


def test_page_is_kept_by_caches(client: TestClient, answer: Result) -> None:
    again = client.simulate_get(PAGE, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.text) == (304, "")


def test_every_curl_line_can_be_pasted(document: Document) -> None:
    entries = [entry for group in groups(document.tree) for entry in group["operations"]]
    assert entries
    for entry in entries:
        words = shlex.split(entry["curl"].replace("\\\n", " "))
        assert words[0] == "curl"
        url = next(word for word in words if word.startswith("$WOTKIT/"))
        assert not re.search(r"[{}\s]", url), url
        if "-d" in words:
            body = words[words.index("-d") + 1]
            if "Content-Type: application/json" in words:
                json.loads(body)
            else:
                assert parse_qsl(body, strict_parsing=True), body


def test_text_is_escaped_and_code_is_marked() -> None:
    assert inline("a `b<c` & `d`") == "a <code>b&lt;c</code> &amp; <code>d</code>"


def test_schema_that_contains_itself_is_shown_to_a_depth() -> None:
    schemas = Schemas(
        {"Node": {"type": "object", "properties": {"below": {"$ref": "#/components/schemas/Node"}}}}
    )
    depths = [row.depth for row in schemas.attributes({"$ref": "#/components/schemas/Node"})]
    assert depths == [0, 1, 2, 3]
