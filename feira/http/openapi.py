"""The OpenAPI 3.1 document, made from the endpoints' own types, and a page to read it on."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

import feira
from feira.http.call import IDEMPOTENCY_KEY_CHARS_MAX
from feira.http.endpoint import Answer, Endpoint
from feira.http.problem import CONTENT_TYPE, Problem
from feira.platform.domain.money import MINOR_DIGITS
from feira.platform.runtime.config import Config

_REF_PREFIX: Final = "#/components/schemas/"
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_TAGS: Final = {
    "users": "Accounts, sessions, addresses and shops.",
    "products": "Products, stock, images and search.",
    "orders": "Carts, checkout and orders.",
    "payments": "Payments, refunds and the ledger.",
    "messaging": "Conversations between buyers and shops.",
    "notifications": "What happened while you looked elsewhere.",
    "operations": "What a node does right now, for the market's own people.",
}
_OVERVIEW: Final = f"""\
Money is an integer in the currency's minor unit (cent, yen, fils) with its ISO 4217 code; minor digits other
than 2: {", ".join(f"{code} {digits}" for code, digits in MINOR_DIGITS.items() if digits != 2)}.

Times are UTC (RFC 3339). Lists are read page by page: pass `next_cursor` back as `cursor` until it is null.

Errors are `application/problem+json` with a stable `code`. Repeat a change safely by sending the same
`Idempotency-Key`.

Everything live (chat, orders, stock) comes over the socket at `/v1/socket`.
"""  # noqa: PLR2004 - two is what people take for granted


def build_document(endpoints: Sequence[Endpoint], *, server_url: str) -> dict[str, Any]:
    """Describe the endpoints, in plain JSON types."""
    schemas = _Schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operations = paths.setdefault(endpoint.path, {})
        assert endpoint.method.lower() not in operations, f"declared twice: {endpoint.path}"
        operations[endpoint.method.lower()] = _operation(endpoint, schemas)
    used = {endpoint.service for endpoint in endpoints}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Feira",
            "version": feira.__version__,
            "summary": "A real-time marketplace.",
            "description": _OVERVIEW,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server_url}],
        "tags": [{"name": name, "description": _TAGS[name]} for name in _TAGS if name in used],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {"Problem": _problem_response(schemas)},
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "api_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "feira_live_...",
                    "description": "A shop's API key; only where an operation names the scope that it needs.",
                },
            },
        },
    }


def document_routes(endpoints: Sequence[Endpoint], config: Config) -> list[web.RouteDef]:
    """`/openapi.json`, encoded once."""
    encoded = msgspec.json.encode(build_document(endpoints, server_url=config.public_url))

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(
            body=encoded,
            content_type="application/json",
            headers={"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"},
        )

    return [web.get("/openapi.json", openapi)]


class _Schemas:
    """JSON schemas of all types that the endpoints speak; structs stand in `components` under their names."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        types: list[Any] = [Problem]
        for endpoint in endpoints:
            types += [*endpoint.path_types.values(), endpoint.body_type, endpoint.query_type]
            types.append(_json_answer(endpoint))
        types = [kind for kind in types if kind is not None]
        schemas, components = msgspec.json.schema_components(
            types, ref_template=_REF_PREFIX + "{name}", schema_hook=_schema_of_anything
        )
        self._of: list[tuple[Any, dict[str, Any]]] = list(zip(types, schemas, strict=True))
        self.components = components
        # Queries are spelled out as parameters; nothing refers to them.
        self._queries: dict[str, dict[str, Any]] = {}
        for name in {self._name(e.query_type) for e in endpoints if e.query_type is not None}:
            self._queries[name] = components.pop(name)

    def of(self, kind: object) -> dict[str, Any]:
        return next(schema for known, schema in self._of if known is kind)

    def of_query(self, kind: type[msgspec.Struct]) -> dict[str, Any]:
        return self._queries[self._name(kind)]

    def _name(self, kind: object) -> str:
        return self.of(kind)["$ref"].removeprefix(_REF_PREFIX)


def _schema_of_anything(kind: type) -> dict[str, Any]:
    # `object`, as in a problem's details. msgspec takes an empty schema for no answer.
    if kind is object:
        return {"description": "Any JSON."}
    raise NotImplementedError


def _operation(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [endpoint.service],
        # Signed in, or as a guest: an empty requirement makes the other one optional.
        "security": _security(endpoint),
        "parameters": _parameters(endpoint, schemas),
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.body_type is not None:
        content = {"application/json": {"schema": schemas.of(endpoint.body_type)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    ways: list[dict[str, list[str]]] = (
        [{"bearer": []}] if endpoint.signed_in else [{}, {"bearer": []}]
    )
    if endpoint.scope is not None:
        # OpenAPI 3.1: for schemes without scopes of their own, the roles that are needed.
        ways.append({"api_key": [endpoint.scope]})
    return ways


def _operation_id(endpoint: Endpoint) -> str:
    handler: Any = endpoint.handler
    module = handler.__module__.rpartition(".")[2]
    return f"{module}.{handler.__name__}"


def _parameters(endpoint: Endpoint, schemas: _Schemas) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(kind)}
        for name, kind in endpoint.path_types.items()
    ]
    if endpoint.query_type is not None:
        query = schemas.of_query(endpoint.query_type)
        required = query.get("required", [])
        for name, schema in query["properties"].items():
            parameters.append(
                {"name": name, "in": "query", "required": name in required, "schema": schema}
            )
    if endpoint.method in _CHANGING:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    return parameters


def _responses(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    answer = _json_answer(endpoint)
    if answer is not None:
        good["content"] = {"application/json": {"schema": schemas.of(answer)}}
    statuses = [400, 429, 503]
    if endpoint.signed_in:
        statuses += [401, 403]
    if endpoint.path_types:
        statuses.append(404)
    if endpoint.method in _CHANGING:
        statuses += [409, 422]
    if endpoint.body_type is not None:
        statuses += [413, 415]
    problem = {"$ref": "#/components/responses/Problem"}
    return {
        str(endpoint.status): good,
        **{str(status): problem for status in sorted(statuses)},
        "default": problem,
    }


def _json_answer(endpoint: Endpoint) -> object:
    """The type of the JSON body, or None where there is none, or not JSON."""
    kind = endpoint.answer_type
    if kind is None or kind is type(None) or kind is Answer:
        return None
    if inspect.isclass(kind) and issubclass(kind, web.StreamResponse):
        return None
    return kind


def _problem_response(schemas: _Schemas) -> dict[str, Any]:
    return {
        "description": "What went wrong, by RFC 9457.",
        "headers": {
            "Retry-After": {
                "description": "Seconds to wait before repeating the request.",
                "schema": {"type": "integer", "minimum": 0},
            }
        },
        "content": {CONTENT_TYPE: {"schema": schemas.of(Problem)}},
    }


_IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "Names this request: repeated with the same key it changes nothing again "
        "and gets the first answer. For signed-in callers."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX},
}
