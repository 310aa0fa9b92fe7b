"""One declaration per endpoint: the handler's signature is its contract, and OpenAPI is made from it.

    @endpoint("POST", "/v1/orders/{order}/ship", service="orders", summary="Ship some or all lines.")
    async def ship(call: Call, order: OrderId, body: ShipOrder) -> OrderView: ...

Parameters: `call` first; then path parameters by name; `query`, a msgspec struct of query parameters; `body`,
a msgspec struct decoded from JSON. The return type is the JSON answer; `None` is 204; `Raw` is sent as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_type_hints

import msgspec
from aiohttp import web
from multidict import MultiMapping

from feira.http.call import Call
from feira.platform.domain.api_keys import KeyUse, Scope
from feira.platform.domain.errors import InvalidInput, NotAllowed, NotFound
from feira.platform.domain.json_text import holds_nul

Service = Literal[
    "users", "products", "orders", "payments", "messaging", "notifications", "operations"
]
# What operators ask every node, whichever services it has.
SERVED_EVERYWHERE: Final = frozenset[Service]({"operations"})
Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A JSON answer that needs its own status or headers. Only `body` is documented."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A declared route with its types, as the server and the OpenAPI document read it."""

    method: str
    path: str
    service: Service
    summary: str
    description: str
    status: int
    signed_in: bool
    handler: Handler
    path_types: dict[str, Any]
    query_type: type[msgspec.Struct] | None
    body_type: Any
    answer_type: Any
    scope: Scope | None = None
    """What an API key needs to be let in; without one, none is."""

    async def __call__(self, call: Call) -> web.StreamResponse:
        """Decode, run the handler, encode."""
        if self.signed_in:
            _ = call.principal
        if call.caller is not None and call.caller.api_key is not None:
            self._admit(call.caller.api_key, call.request.match_info.get("shop"))
        arguments: dict[str, Any] = {
            name: _convert_path(name, call.request.match_info[name], kind)
            for name, kind in self.path_types.items()
        }
        if self.query_type is not None:
            arguments["query"] = decode_query(call.request.query, self.query_type)
        if self.body_type is not None:
            arguments["body"] = decode_body(call.raw_body, self.body_type)
        answer = await self.handler(call, **arguments)
        return encode_answer(answer, self.status)

    def _admit(self, key: KeyUse, shop: str | None) -> None:
        if self.scope is None:
            raise NotAllowed("api_key.not_admitted", "No API key may do this; sign in.")
        if self.scope not in key.scopes:
            raise NotAllowed(
                "api_key.scope_missing",
                f"This needs an API key with the scope {self.scope}.",
                details={"scope": self.scope},
            )
        if shop is None or shop.lower() != str(key.shop):
            raise NotFound("shop.not_found", "This API key is for another shop.")


def endpoint(
    method: str,
    path: str,
    *,
    service: Service,
    summary: str,
    status: int = 200,
    signed_in: bool = True,
    answer: object = None,
    scope: Scope | None = None,
) -> Callable[[Handler], Endpoint]:
    """Declare a handler as an endpoint. `answer` documents the body where the handler returns an `Answer`."""
    assert scope is None or "{shop}" in path, "a key is for one shop"

    def declare(handler: Handler) -> Endpoint:
        hints = get_type_hints(handler)
        parameters = list(inspect.signature(handler).parameters)[1:]
        returned = hints.pop("return")
        return Endpoint(
            method=method,
            path=path,
            service=service,
            summary=summary,
            description=inspect.getdoc(handler) or "",
            status=204 if returned is type(None) else status,
            signed_in=signed_in,
            handler=handler,
            path_types={name: hints[name] for name in parameters if name not in {"query", "body"}},
            query_type=hints.get("query"),
            body_type=hints.get("body"),
            answer_type=answer or returned,
            scope=scope,
        )

    return declare


def decode_body(raw: bytes, kind: object) -> object:
    """Decode JSON into a type.

    Raises:
        InvalidInput: `request.malformed_json` or `request.invalid`, with the JSON path of the wrong part.
    """
    if not raw:
        raise InvalidInput("request.malformed_json", "The body is empty; send JSON.", field="$")
    if holds_nul(raw):
        raise _nul("$")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            "request.malformed_json", f"The body is not valid JSON: {error}.", field="$"
        ) from error


def decode_query(query: MultiMapping[str], kind: type[msgspec.Struct]) -> object:
    """Decode query parameters into a struct; a parameter that stands twice or is unknown is an error."""
    values: dict[str, str] = {}
    for name, value in query.items():
        if name in values:
            raise InvalidInput(
                "request.invalid", f"The parameter {name!r} stands twice.", field=f"$.{name}"
            )
        if "\0" in value:
            raise _nul(f"$.{name}")
        values[name] = value
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def encode_answer(answer: object, status: int) -> web.StreamResponse:
    """JSON, 204 for None, and responses as they are."""
    if isinstance(answer, web.StreamResponse):
        return answer
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(answer, Answer):
        answer, status, headers = answer.body, answer.status, answer.headers
    if answer is None:
        return web.Response(status=204, headers=headers)
    return web.Response(
        body=msgspec.json.encode(answer),
        status=status,
        content_type="application/json",
        headers=headers,
    )


_PATH_MARK: Final = " - at `"


def _nul(field: str) -> InvalidInput:
    # PostgreSQL's text holds every character but this one.
    return InvalidInput("request.invalid", "The character U+0000 cannot be stored.", field=field)


def _invalid(error: msgspec.ValidationError) -> InvalidInput:
    # msgspec ends its messages with " - at `$.lines[0].quantity`".
    message, _, path = str(error).partition(_PATH_MARK)
    return InvalidInput("request.invalid", f"{message}.", field=path.rstrip("`") or "$")


def _convert_path(name: str, value: str, kind: object) -> object:
    if "\0" in value:
        raise _nul(f"path.{name}")
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            "request.invalid", f"{error} in the path.", field=f"path.{name}"
        ) from error
