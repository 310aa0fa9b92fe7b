"""Errors on the wire: `application/problem+json` (RFC 9457), one mapping for the whole HTTP edge."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from feira.platform.domain.errors import FeiraError

CONTENT_TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:feira:problem:"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. `code` is stable and for programs, `detail` is a sentence for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    retryable: bool
    """Whether the same request may succeed later; repeat it with the same Idempotency-Key."""
    field: str | None = None
    """The wrong part of the request, such as `$.lines[0].quantity`."""
    retry_after_s: float | None = None
    details: dict[str, object] = {}


# What aiohttp itself raises while routing and reading, in words of ours.
_ROUTING: Final[dict[int, tuple[str, str]]] = {
    404: ("route.not_found", "There is nothing at this address; /docs lists what there is."),
    405: ("route.method_not_allowed", "This address does not answer that method; see Allow."),
    413: ("request.too_large", "The body is larger than this server takes."),
    426: ("socket.other_version", "WebSocket version 13 (RFC 6455) is spoken here."),
}


def of_feira_error(error: FeiraError, request_id: str) -> Problem:
    """The problem of an expected failure."""
    return Problem(
        type=_TYPE_PREFIX + error.code,
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.message,
        code=error.code,
        request_id=request_id,
        retryable=error.retryable or error.retry_after_s is not None,
        field=error.field,
        retry_after_s=error.retry_after_s,
        details=error.details,
    )


def of_http_exception(error: web.HTTPException, request_id: str) -> Problem:
    """The problem of a request that found no handler, or whose body could not be read."""
    code, detail = _ROUTING.get(error.status, (f"http.{error.status}", error.reason))
    return Problem(
        type=_TYPE_PREFIX + code,
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=detail,
        code=code,
        request_id=request_id,
        retryable=error.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def of_unexpected_error(request_id: str) -> Problem:
    """The problem of a bug: nothing of its inside leaves the server but the id under which it was logged."""
    return Problem(
        type=_TYPE_PREFIX + "server.error",
        title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
        status=500,
        detail="Something went wrong on our side. Give support the request id if it happens again.",
        code="server.error",
        request_id=request_id,
        retryable=True,
    )


def of_unreadable_http(status: int, request_id: str) -> Problem:
    """The problem of bytes that are no HTTP request, or whose head is over a limit."""
    return Problem(
        type=_TYPE_PREFIX + "request.malformed_http",
        title=HTTPStatus(status).phrase,
        status=status,
        detail="This is not a well-formed HTTP request, or its head is too long.",
        code="request.malformed_http",
        request_id=request_id,
        retryable=False,
    )


def to_response(problem: Problem) -> web.Response:
    """Encode a problem, with the headers that its status asks for."""
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after_s is not None:
        # RFC 9110, 10.2.3: whole seconds; rounded up, so that nobody comes too early.
        headers["Retry-After"] = str(math.ceil(problem.retry_after_s))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        # RFC 6750, 3: name the scheme, and say when a token was there but is no good.
        no_token = problem.code == "auth.required"
        headers["WWW-Authenticate"] = "Bearer" if no_token else 'Bearer error="invalid_token"'
    return web.Response(
        body=msgspec.json.encode(problem),
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers=headers,
    )
