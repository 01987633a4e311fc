"""The API's reference as a page for people, made from the OpenAPI document.

Plain HTML that needs no script; a small one adds a filter. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from wotkit.api.errors import STATUS
from wotkit.api.openapi import METHODS, TAG, USER_ONLY
from wotkit.api.operation import Returns, operation
from wotkit.api.requests import FORM
from wotkit.api.responses import answer_cached
from wotkit.errors import CATALOGUE, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon.asgi

    from wotkit.api.openapi import Document

WEB: Final = Path(__file__).parent.parent / "web"
ASSETS: Final = {
    "reference.css": "text/css; charset=utf-8",
    "reference.js": "text/javascript; charset=utf-8",
}
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy (https://www.w3.org/TR/CSP3/): no inline script or style."""

_HERE: Final = "http://wotkit.invalid"
"""Stands for the server's own address in the rendered page."""
_CODE: Final = re.compile(r"`([^`]+)`")
_DEEPEST: Final = 4
_LARGEST: Final = (1 << 63) - 1
"""A limit that only says that numbers have 64 bits."""
EVENTS: Final = "text/event-stream"
_LONG: Final = 72
"""Characters of a body that still stands on one line."""
_YEAR: Final = "public, max-age=31536000, immutable"


class Attribute(NamedTuple):
    """One line of a table of attributes; nested ones follow theirs with a higher depth."""

    depth: int
    name: str
    kind: str
    required: bool
    default: str
    description: str


def inline(text: str) -> Markup:
    """Return text as HTML, with what stands between backticks as code."""
    parts = _CODE.split(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


class Schemas:
    """Reads JSON Schemas as people would."""

    def __init__(self, components: dict[str, Any]) -> None:
        self._components = components

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow a reference."""
        reference = schema.get("$ref")
        if reference is None:
            return schema
        found: dict[str, Any] = self._components[reference.rpartition("/")[2]]
        return found

    def kind(self, schema: dict[str, Any]) -> str:
        """Return the type in words, with its limits."""
        schema = self.resolve(schema)
        if "enum" in schema:
            return " | ".join(json.dumps(value) for value in schema["enum"])
        if "const" in schema:
            return json.dumps(schema["const"])
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return " or ".join(dict.fromkeys(self.kind(option) for option in options))
        name: str = schema.get("type", "any value")
        if name == "array":
            items = schema.get("items")
            return f"list of {self.kind(items)}" if items else "list"
        return f"{name}{_limits(schema)}"

    def attributes(self, schema: dict[str, Any], depth: int = 0) -> Iterator[Attribute]:
        """Yield the attributes of an object, or of the objects in a list, nested ones too."""
        inner = self._object(schema)
        if inner is None or depth >= _DEEPEST:
            return
        required = set(inner.get("required", ()))
        for name, each in inner.get("properties", {}).items():
            description = each.get("description", "") or self.resolve(each).get("description", "")
            yield Attribute(
                depth, name, self.kind(each), name in required, _default(each), description
            )
            yield from self.attributes(each, depth + 1)

    def _object(self, schema: dict[str, Any]) -> dict[str, Any] | None:
        schema = self.resolve(schema)
        if "properties" in schema:
            return schema
        for inner in (schema.get("items"), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
            if inner:
                found = self._object(inner)
                if found is not None:
                    return found
        return None

    def example(self, schema: dict[str, Any]) -> Any:
        """Return a value that the schema allows, for a body without an example of its own."""
        schema = self.resolve(schema)
        given = (schema.get("default"), *schema.get("examples", ()), *schema.get("enum", ()))
        for value in given:
            if value is not None:
                return value
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return self.example(options[0])
        if "properties" in schema:
            required = schema.get("required") or list(schema["properties"])[:2]
            return {name: self.example(schema["properties"][name]) for name in required}
        if schema.get("type") == "array":
            return [self.example(schema.get("items") or {})]
        return _SAMPLES.get(schema.get("type", ""), "text")


_SAMPLES: Final = {"integer": 1, "number": 21.5, "boolean": True, "object": {}}


def _default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    return "" if value in (None, "", [], {}) else json.dumps(value)


def _limits(schema: dict[str, Any]) -> str:
    words = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "exclusiveMinimum": "over {}",
        "exclusiveMaximum": "under {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "pattern": "like {}",
    }
    found = [
        text.format(schema[name])
        for name, text in words.items()
        if name in schema and schema[name] != _LARGEST
    ]
    return f" ({', '.join(found)})" if found else ""


def curl(method: str, path: str, tree: dict[str, Any], schemas: Schemas) -> str:
    """Return a command line that calls an operation; $WOTKIT and $KEY are set beforehand."""
    query: list[str] = []
    for parameter in tree.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(parameter["example"], safe=":"))
        elif parameter["in"] == "query" and parameter["schema"].get("examples"):
            value = quote(str(parameter["schema"]["examples"][0]), safe=",:*")
            query.append(f"{parameter['name']}={value}")
    url = f'"$WOTKIT{path}{"?" if query else ""}{"&".join(query)}"'
    words = ["curl -N" if is_endless(tree) else "curl"]
    if tree["security"]:
        words.append('-u "$KEY"' if tree["security"] != USER_ONLY else "-u alice")
    if method in {"delete", "put"}:
        words.append(f"-X {method.upper()}")
    elif method == "post" and "requestBody" not in tree:
        words.append("-X POST")
    lines = [" ".join([*words, url])]
    forms = tree.get("requestBody", {}).get("content", {})
    if list(forms) == [FORM]:
        content = forms[FORM]
        lines += [f"-d {shlex.quote(urlencode(pair))}" for pair in _each(content["example"])]
    elif "requestBody" in tree:
        content = tree["requestBody"]["content"]["application/json"]
        body = content.get("example", ...)
        value = schemas.example(content["schema"]) if body is ... else body
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > _LONG:
            text = json.dumps(value, ensure_ascii=False, indent=2)
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(text)}"]
    return " \\\n  ".join(lines)


def is_endless(tree: dict[str, Any]) -> bool:
    """Return whether an operation answers events until somebody hangs up."""
    return any(EVENTS in answer.get("content", ()) for answer in tree["responses"].values())


def _each(pairs: dict[str, str]) -> list[dict[str, str]]:
    return [{name: value} for name, value in pairs.items()]


class Page:
    """The reference page and its assets, made when they are first asked for."""

    def __init__(self, document: Document) -> None:
        self._document = document

    @cached_property
    def assets(self) -> dict[str, bytes]:
        """The files the page loads, by name."""
        return {name: (WEB / "static" / name).read_bytes() for name in ASSETS}

    def html(self, base: str) -> bytes:
        """Return the page; ``base`` is the address under which the reader knows the server."""
        return self._html.replace(_HERE.encode(), str(escape(base)).encode())

    @cached_property
    def _html(self) -> bytes:
        import jinja2  # in memory only where the page is asked for

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(WEB / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["inline"] = inline
        versions = {
            name: hashlib.blake2b(body, digest_size=6).hexdigest()
            for name, body in self.assets.items()
        }
        tree = self._document.tree
        page = environment.get_template("reference.html").render(
            here=_HERE,
            info=tree["info"],
            groups=groups(tree),
            catalogue=[(code, STATUS[code.category]) for code in CATALOGUE],
            statuses={code.number: STATUS[code.category] for code in CATALOGUE},
            messages={code.number: code.message for code in CATALOGUE},
            versions=versions,
        )
        return page.encode()


def groups(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations by tag, each once, as the template shows them."""
    schemas = Schemas(tree["components"]["schemas"])
    also: dict[str, list[str]] = {}
    for path, methods in tree["paths"].items():
        for each in methods.values():
            if "x-same-as" in each:
                also.setdefault(each["x-same-as"], []).append(path)
    by_tag: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in tree["tags"]}
    for path, methods in tree["paths"].items():
        for method in METHODS:
            each = methods.get(method)
            if each is not None and "x-same-as" not in each:
                entry = _entry(method, path, each, schemas)
                entry["also"] = also.get(each["operationId"], [])
                by_tag[each["tags"][0]].append(entry)
    return [{**tag, "operations": by_tag[tag["name"]]} for tag in tree["tags"]]


def _entry(method: str, path: str, tree: dict[str, Any], schemas: Schemas) -> dict[str, Any]:
    body = tree.get("requestBody")
    entry: dict[str, Any] = {
        "id": tree["operationId"],
        "summary": tree["summary"],
        "description": tree.get("description", ""),
        "privacy": tree["x-privacy"],
        "scope": tree.get("x-scope"),
        "user_only": tree["security"] == USER_ONLY,
        "method": method.upper(),
        "path": path,
        "parameters": [
            {
                "required": False,
                "description": "",
                **each,
                "kind": schemas.kind(each["schema"]),
                "default": _default(each["schema"]),
            }
            for each in tree.get("parameters", ())
        ],
        "body": None,
        "answers": [],
        "codes": [],
        "curl": curl(method, path, tree, schemas),
    }
    if body is not None:
        schema = next(iter(body["content"].values()))["schema"]
        entry["body"] = {
            "kind": schemas.kind(schema),
            "required": body["required"],
            "media": list(body["content"]),
            "attributes": list(schemas.attributes(schema)),
        }
    for status, answer in tree["responses"].items():
        if "x-codes" in answer:
            entry["codes"] += answer["x-codes"]
        else:
            entry["answers"].append(_answer(status, answer, schemas))
    return entry


def _answer(status: str, answer: dict[str, Any], schemas: Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {
        "status": status,
        "meaning": answer["description"],
        "headers": answer.get("headers"),
        "media": None,
        "attributes": [],
    }
    for media, content in answer.get("content", {}).items():
        schema = content["schema"]
        found |= {
            "media": media,
            "kind": schemas.kind(schema),
            "attributes": list(schemas.attributes(schema)),
        }
    return found


class ReferenceResource:
    """The reference, for people."""

    def __init__(self, page: Page, public_url: str = "") -> None:
        self._page = page
        self._public_url = public_url.rstrip("/")

    @operation(
        tag=TAG,
        summary="The API's reference",
        privacy="public",
        returns={200: Returns("This page.", str, media="text/html")},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the page."""
        resp.set_header("Content-Security-Policy", POLICY)
        resp.set_header("Vary", "Host")
        body = self._page.html(self._public_url or req.prefix)
        answer_cached(req, resp, body, "text/html; charset=utf-8")


class ReferenceAssetResource:
    """What the reference page loads."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @operation(
        tag=TAG,
        summary="A file of the reference page",
        privacy="public",
        returns={200: Returns("The file.", str, media="text/css")},
        errors=(NotFound,),
    )
    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, asset: str
    ) -> None:
        """Answer one file."""
        body = self._page.assets.get(asset)
        if body is None:
            raise NotFound(asset)
        answer_cached(req, resp, body, ASSETS[asset], cache_control=_YEAR)
