"""Describes the API as OpenAPI 3.1, from the route table and the types that validate.

The form is https://spec.openapis.org/oas/v3.1.1.html. Attributes of our own, for the reference
page: ``x-privacy``, ``x-scope``, ``x-codes`` (numbers of the error catalogue) and ``x-same-as``
(the operation of version 1 that the same code answers), ``x-oauth`` (errors have OAuth's shape).
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

import wotkit
from wotkit import errors, strict_json
from wotkit.api.errors import STATUS
from wotkit.api.openapi_texts import DESCRIPTION, PATH_PARAMETERS, SECURITY, TAGS
from wotkit.api.operation import ATTRIBUTE, Operation, Returns, operation
from wotkit.api.responses import answer_cached
from wotkit.routes import V1_BASES, V2_BASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import falcon.asgi

    from wotkit.errors import WotkitError
    from wotkit.routes import Route

VERSION: Final = "3.1.0"
METHODS: Final = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
TAG: Final = "Operations"

_V1_BASE, _V1_ALIAS = V1_BASES
_APART: Final = ("/api/oauth/", "/api/oauthv2/", "/api/auth.")
"""What has no version."""
_REF: Final = "#/components/schemas/{name}"
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_XML: Final = "application/xml"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class ErrorDetails(Struct, rename="camel", kw_only=True):
    """What went wrong."""

    status: Annotated[int, Meta(description="The HTTP status.")]
    code: Annotated[int, Meta(description="Stable number of the situation, see the catalogue.")]
    message: Annotated[str, Meta(description="May be shown to a user.")]
    developer_message: Annotated[list[str], Meta(description="Lines a developer can act on.")]
    more_info: Annotated[
        dict[str, str],
        Meta(description="Attribute, or `index.attribute` in a list, to what is wrong with it."),
    ]
    request_id: (
        Annotated[str, Meta(description="Under which the server's log has the request.")]
        | UnsetType
    ) = UNSET


class Error(Struct, kw_only=True):
    """The one shape of every error."""

    error: ErrorDetails


class Described(NamedTuple):
    """One method of one path, with what its responder says about itself."""

    method: str
    path: str
    operation: Operation
    responder: Any

    @property
    def id(self) -> str:
        """A stable, unique name for generated clients, such as ``get_v1_sensors_by_sensor``."""
        path = _PARAMETER.sub(r"by_\1", self.path.removeprefix("/api"))
        return "_".join([self.method, *re.findall(r"\w+", path)])


class Undescribed(TypeError):
    """A responder has no :class:`~wotkit.api.operation.Operation`."""


def responders(route: Route) -> Iterator[tuple[str, Any]]:
    """Yield the methods that a route answers, in lower case, and their responders."""
    for method in METHODS:
        responder = getattr(route.resource, f"on_{method}", None)
        if responder is not None:
            yield method, responder


def documented_path(path: str) -> str:
    """Return the path under which a route is described: ``/api/sensors`` is ``/api/v1/sensors``."""
    versioned = (f"{_V1_BASE}/", f"{V2_BASE}/", "/api/openapi.json", "/api/reference", *_APART)
    if path.startswith(f"{_V1_ALIAS}/") and not path.startswith(versioned):
        return _V1_BASE + path.removeprefix(_V1_ALIAS)
    return path


def described(routes: Iterable[Route]) -> list[Described]:
    """Return every operation of the routes, each once.

    Raises:
        Undescribed: a responder has no description.
    """
    found: list[Described] = []
    for route in routes:
        if documented_path(route.path) != route.path:
            continue
        for method, responder in responders(route):
            about = getattr(responder, ATTRIBUTE, None)
            if not isinstance(about, Operation):
                raise Undescribed(f"{method.upper()} {route.path} lacks @operation")
            found.append(Described(method, route.path, about, responder))
    return found


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of the routes.

    Raises:
        Undescribed: a responder has no description.
    """
    operations = described(routes)
    schemas = _Schemas(operations)
    first: dict[Any, str] = {}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        tree = _operation(each, schemas)
        same = first.setdefault(_code_of(each), each.id)
        if same != each.id:
            tree["x-same-as"] = same
        paths.setdefault(each.path, {})[each.method] = tree
    used = {_tag(each) for each in operations}
    names = [*(name for name in TAGS if name in used), *sorted(used - TAGS.keys())]
    return {
        "openapi": VERSION,
        "info": {
            "title": "WoTKit",
            "version": wotkit.__version__,
            "summary": "An open platform for sensors and their readings",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": name, "description": TAGS.get(name, "")} for name in names],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": SECURITY},
    }


def _code_of(each: Described) -> tuple[Any, str]:
    """Return what answers an operation, and its path without the version.

    A resource of version 2 may be a subclass: what it does not override is the same code.
    """
    function = getattr(each.responder, "__func__", each.responder)
    return function, each.path.removeprefix(_V1_BASE).removeprefix(V2_BASE)


_ANY_CREDENTIALS: Final[list[dict[str, list[str]]]] = [{name: []} for name in SECURITY]
USER_ONLY: Final[list[dict[str, list[str]]]] = [{"user": []}]


class _Schemas:
    """JSON Schemas of all types that operations name."""

    def __init__(self, operations: Iterable[Described]) -> None:
        types: list[Any] = [Error]
        for each in operations:
            types.append(each.operation.body)
            types += [answer.body for answer in each.operation.returns.values()]
        named = [kind for kind in types if kind is not None]
        found, self.components = msgspec.json.schema_components(named, ref_template=_REF)
        self._found = list(zip(named, found, strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type that an operation named."""
        return next(schema for named, schema in self._found if named is kind)


def _operation(each: Described, schemas: _Schemas) -> dict[str, Any]:
    about = each.operation
    tree: dict[str, Any] = {
        "operationId": each.id,
        "tags": [_tag(each)],
        "summary": about.summary,
        "x-privacy": about.privacy,
    }
    if about.description:
        tree["description"] = about.description
    if about.oauth:
        tree["x-oauth"] = True
    if about.scope is not None:
        tree["x-scope"] = about.scope
    parameters = [*_path_parameters(each.path), *_query_parameters(about), *_headers(about)]
    if parameters:
        tree["parameters"] = parameters
    if about.body is not None:
        tree["requestBody"] = _request_body(about, schemas)
    tree["responses"] = {
        **{str(status): _answer(each, schemas) for status, each in about.returns.items()},
        **_refusals(each),
    }
    tree["security"] = _security(each)
    return tree


def _tag(each: Described) -> str:
    if each.operation.tag:
        return each.operation.tag
    words = set(each.path.split("/"))
    for tag, mark in (("Readings", {"data", "ingest"}), ("Fields", {"fields"})):
        if mark & words:
            return tag
    return "Sensors" if "sensors" in words else TAG


def _path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(path):
        meaning, example = PATH_PARAMETERS[name]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": meaning,
            "schema": {"type": "string"},
            "example": example,
        }


def _query_parameters(about: Operation) -> Iterator[dict[str, Any]]:
    if about.query is None:
        return
    for kind in about.query if isinstance(about.query, tuple) else (about.query,):
        yield from _parameters_of(kind)


def _parameters_of(kind: Any) -> Iterator[dict[str, Any]]:
    _, components = msgspec.json.schema_components([kind], ref_template=_REF)
    tree = components[kind.__name__]
    for name, property_schema in tree["properties"].items():
        schema = _never_null(property_schema)
        parameter: dict[str, Any] = {"name": name, "in": "query", "schema": schema}
        if name in tree["required"]:
            parameter["required"] = True
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        yield parameter


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an attribute as a query may carry it: absent, but never null."""
    kept = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    options = [each for each in kept.get("anyOf", ()) if each.get("type") != "null"]
    if len(options) == 1:
        del kept["anyOf"]
        return {**options[0], **kept}
    return {**kept, "anyOf": options} if options else kept


def _headers(about: Operation) -> Iterator[dict[str, Any]]:
    for name, meaning in about.headers.items():
        yield {"name": name, "in": "header", "description": meaning, "schema": {"type": "string"}}


def _request_body(about: Operation, schemas: _Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schemas.of(about.body)}
    if about.example is not None:
        content["example"] = about.example
    kinds = (_JSON, _FORM) if about.form else (_JSON,)
    if about.oauth or about.form_only:
        kinds = (_FORM,)
    return {"required": not about.body_optional, "content": dict.fromkeys(kinds, content)}


def _answer(answer: Returns, schemas: _Schemas) -> dict[str, Any]:
    tree: dict[str, Any] = {"description": answer.meaning}
    if answer.headers:
        tree["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in answer.headers.items()
        }
    if answer.body is not None:
        tree["content"] = {
            answer.media: {"schema": schemas.of(answer.body)},
            **{media: {"schema": _schema_as(media, answer.body, schemas)} for media in answer.also},
        }
    return tree


def _schema_as(media: str, body: Any, schemas: _Schemas) -> dict[str, Any]:
    return schemas.of(body) if media == _JSON else {"type": "string"}


def _security(each: Described) -> list[dict[str, list[str]]]:
    privacy = each.operation.privacy
    if privacy == "public":
        return []
    if each.operation.user_only:
        return USER_ONLY
    return [{}, *_ANY_CREDENTIALS] if privacy == "public or private" else _ANY_CREDENTIALS


def _kinds(each: Described) -> set[type[WotkitError]]:
    """Return the errors of an operation: its own, and those its form brings along."""
    about = each.operation
    kinds: set[type[WotkitError]] = {*about.errors, errors.InternalError}
    if about.oauth:
        return kinds
    if about.privacy != "public":
        kinds |= {errors.Unauthenticated, errors.TooManyLogins, errors.Overloaded}
        if about.scope is not None or about.privacy != "public or private":
            kinds.add(errors.MissingScope)
    if _PARAMETER.search(each.path):
        kinds.add(errors.NotFound)
    if about.query is not None:
        kinds.add(errors.InvalidQuery)
    if about.body is not None:
        kinds |= {errors.MalformedBody, errors.TooLarge}
        kinds.add(errors.UnsupportedMedia)
    return kinds


_CHALLENGED: Final = 401
_HEADERS_OF_STATUS: Final = {
    _CHALLENGED: ("WWW-Authenticate", "The scheme that is asked for (RFC 7617)."),
    429: ("Retry-After", "Seconds after which to try again."),
    503: ("Retry-After", "Seconds after which to try again."),
}


def _refusals(each: Described) -> dict[str, Any]:
    """Return the error answers by status, each with the codes it may carry."""
    by_status: dict[int, list[errors.Code]] = {}
    for code in sorted(kind.code for kind in _kinds(each)):
        by_status.setdefault(STATUS[code.category], []).append(code)
    content: dict[str, Any] = {_JSON: {"schema": {"$ref": _REF.format(name="Error")}}}
    if any(_XML in answer.also for answer in each.operation.returns.values()):
        content[_XML] = {"schema": {"type": "string"}}
    found: dict[str, Any] = {}
    for status, codes in sorted(by_status.items()):
        tree: dict[str, Any] = {
            "description": "; ".join(f"{code.number} {code.message}" for code in codes),
            "content": content,
            "x-codes": [code.number for code in codes],
        }
        if status in _HEADERS_OF_STATUS:
            name, meaning = _HEADERS_OF_STATUS[status]
            tree["headers"] = {name: {"description": meaning, "schema": {"type": "string"}}}
        found[str(status)] = tree
    return found


class Document:
    """The description of a server's API, made when it is first asked for."""

    def __init__(self, routes: Callable[[], Iterable[Route]]) -> None:
        self._routes = routes

    @cached_property
    def tree(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return describe(self._routes())

    @cached_property
    def json(self) -> bytes:
        """The OpenAPI document as JSON."""
        return strict_json.encode(self.tree)


class OpenApiResource:
    """The description of the API, for programs."""

    def __init__(self, document: Document) -> None:
        self._document = document

    @operation(
        tag=TAG,
        summary="The API as OpenAPI 3.1",
        description="For generators of clients and tools that explore an API.",
        privacy="public",
        returns={200: Returns("The OpenAPI document.", dict[str, Any])},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the document."""
        answer_cached(req, resp, self._document.json, _JSON)
