"""The one layer around every handler: request id, errors as problems, CORS, metrics, the access log, security headers.

It is a single middleware on purpose: each layer costs a coroutine on every request.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from time import perf_counter
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from feira.http import metrics, problem
from feira.platform.domain.errors import FeiraError
from feira.platform.runtime.client import REQUEST_ID

_PREPARED: Final = web.RequestKey("prepared", bool)

_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{8,64}")
# Asked every few seconds by machines: a line each would drown the others.
_UNLOGGED_ROUTES: Final = frozenset({"/livez", "/readyz", "/metrics"})
_PREFLIGHT_KEPT_S: Final = 600
# What an aiohttp error says beside its status: allowed methods, and versions to upgrade to.
_KEPT_HEADERS: Final = frozenset({"Allow", "Upgrade", "Sec-WebSocket-Version"})

log = structlog.get_logger()


def edge(cors_origins: Collection[str]) -> Middleware:
    """The middleware. Streams and sockets pass through it too; their errors after the start end the connection."""
    origins = frozenset(cors_origins)

    @web.middleware
    async def at_the_edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = perf_counter()
        request_id = choose_request_id(request)
        request[REQUEST_ID] = request_id
        # One connection's requests share a task, so what was bound for the last one is still there.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        metrics.IN_FLIGHT.inc()
        try:
            answer = _answer_preflight(request, origins) or await _answer(request, handler)
        finally:
            metrics.IN_FLIGHT.dec()
        route, duration_s = route_template(request), perf_counter() - started
        metrics.observe(request.method, route, answer.status, duration_s)
        _log_access(request.method, route, answer.status, duration_s)
        return answer

    return at_the_edge


def response_headers(
    cors_origins: Collection[str],
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """An `on_response_prepare` handler: headers that every answer carries, files and sockets included."""
    origins = frozenset(cors_origins)

    async def add(request: web.Request, answer: web.StreamResponse) -> None:
        request[_PREPARED] = True
        headers = answer.headers
        headers["X-Request-ID"] = request.get(REQUEST_ID) or choose_request_id(request)
        headers["X-Content-Type-Options"] = "nosniff"
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        # Answers that are not pages need nothing; a page brings its own policy.
        headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        if not origins:
            return
        headers.add("Vary", "Origin")
        if request.headers.get("Origin") in origins:
            headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            headers["Access-Control-Expose-Headers"] = (
                "X-Request-ID, Retry-After, Location, ETag, Allow, WWW-Authenticate"
            )

    return add


def choose_request_id(request: web.BaseRequest) -> str:
    """The caller's X-Request-ID where it is harmless in logs and headers, else a new one."""
    given = request.headers.get("X-Request-ID", "")
    return given if _SANE_REQUEST_ID.fullmatch(given) else secrets.token_hex(12)


def route_template(request: web.Request) -> str:
    """`/v1/orders/{order}`; `unmatched` where nothing is: paths as labels would never end."""
    resource = request.match_info.route.resource
    return "unmatched" if resource is None else resource.canonical


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        if request.get(_PREPARED):
            # Half an answer is out: only a broken connection tells the client. aiohttp logs and closes.
            raise
        return _answer_error(request, error)


def _answer_error(request: web.Request, error: Exception) -> web.StreamResponse:
    request_id = request[REQUEST_ID]
    match error:
        case FeiraError():
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                cause = error.__cause__
                log.warning("http.unavailable", code=error.code, cause=str(cause or ""))
            return problem.to_response(problem.of_feira_error(error, request_id))
        case web.HTTPMethodNotAllowed() if request.method == "OPTIONS":
            return web.Response(status=204, headers={"Allow": error.headers["Allow"]})
        case web.HTTPException() if error.status < HTTPStatus.BAD_REQUEST:
            # aiohttp's redirects: answered here, so that they are counted like the rest.
            return web.Response(status=error.status, headers=error.headers)
        case web.HTTPException():
            answer = problem.to_response(problem.of_http_exception(error, request_id))
            for name in _KEPT_HEADERS & error.headers.keys():
                answer.headers[name] = error.headers[name]
            return answer
        case _:
            log.error("http.failed", route=route_template(request), exc_info=error)
            return problem.to_response(problem.of_unexpected_error(request_id))


def _answer_preflight(request: web.Request, origins: frozenset[str]) -> web.Response | None:
    """Answer a CORS preflight (Fetch standard, 3.2.2); an origin that is not listed gets no permission."""
    asked_method = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or asked_method is None or "Origin" not in request.headers:
        return None
    if request.headers["Origin"] not in origins:
        return web.Response(status=204)
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": (
                "Authorization, Content-Type, Idempotency-Key, X-Request-ID, X-Cart-Token"
            ),
            "Access-Control-Max-Age": str(_PREFLIGHT_KEPT_S),
        },
    )


def _log_access(method: str, route: str, status: int, duration_s: float) -> None:
    if route in _UNLOGGED_ROUTES and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return
    log.info(
        "http.request",
        method=method,
        route=route,
        status=status,
        duration_ms=round(duration_s * 1000, 2),
    )
