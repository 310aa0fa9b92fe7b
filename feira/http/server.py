"""The HTTP application of one node: every endpoint of its services, the health routes, documents and the first page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog
from aiohttp import web

from feira.actors.actors import Actors
from feira.http import first_page, openapi
from feira.http.body import read_body
from feira.http.call import Call
from feira.http.endpoint import SERVED_EVERYWHERE, Endpoint
from feira.http.health import Readiness, health_routes, store_probes
from feira.http.middlewares import edge, response_headers
from feira.http.routes import ENDPOINTS
from feira.platform.domain.api_keys import PREFIX as API_KEY_PREFIX
from feira.platform.domain.errors import NotFound, Unavailable
from feira.platform.domain.permissions import Principal
from feira.platform.runtime.client import origin_of
from feira.services.market import Market
from feira.services.users.api_keys import authenticate_key
from feira.services.users.authentication import authenticate, bearer_token

HANDLER_DEADLINE_S: Final = 15.0

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_http_app(
    market: Market,
    actors: Actors,
    *,
    readiness: Readiness | None = None,
    extra_routes: Iterable[web.AbstractRouteDef] = (),
    sub_apps: Mapping[str, web.Application] | None = None,
    endpoints: Iterable[Endpoint] = ENDPOINTS,
    deadline_s: float = HANDLER_DEADLINE_S,
) -> web.Application:
    """Build the application; nothing is opened until it runs.

    `extra_routes` are plain aiohttp routes (the socket); `sub_apps` are mounted under their prefix (the
    sandbox provider). Both pass the same middleware, but have no deadline and no body limit but their own.
    """
    config = market.config
    readiness = readiness or Readiness(store_probes(config))
    endpoints = tuple(endpoints)
    app = web.Application(
        middlewares=[edge(config.cors_origins)],
        client_max_size=config.request_body_bytes_max,
    )
    app.on_response_prepare.append(response_headers(config.cors_origins))
    app.add_routes(
        [
            _route(endpoint, serve(endpoint, market, actors, deadline_s=deadline_s))
            if endpoint.service in SERVED_EVERYWHERE.union(config.services)
            else _route(endpoint, _refuse(endpoint))
            for endpoint in endpoints
        ]
    )
    app.add_routes(health_routes(config, readiness))
    app.add_routes(openapi.document_routes(endpoints, config))
    app.add_routes(first_page.page_routes(config))
    app.add_routes(extra_routes)
    for prefix, sub_app in (sub_apps or {}).items():
        app.add_subapp(prefix, sub_app)
    return app


def serve(endpoint: Endpoint, market: Market, actors: Actors, *, deadline_s: float) -> Route:
    """Make an aiohttp handler of an endpoint: authenticate, read the body, run it, all within the deadline."""

    async def handle(request: web.Request) -> web.StreamResponse:
        deadline = asyncio.timeout(deadline_s)
        try:
            async with deadline:
                caller = await authenticate_request(market, request)
                call = Call(
                    request=request,
                    market=market,
                    actors=actors,
                    caller=caller,
                    raw_body=await read_body(
                        request,
                        bytes_max=market.config.request_body_bytes_max,
                        as_json=endpoint.body_type is not None,
                    ),
                )
                return await endpoint(call)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise Unavailable(
                "request.timed_out",
                "This took too long and its outcome is unknown; "
                "repeat it with the same Idempotency-Key.",
                retry_after_s=2,
            ) from error

    return handle


async def authenticate_request(market: Market, request: web.Request) -> Principal | None:
    """Tell who is asking; None when no Authorization came.

    Raises:
        NotSignedIn: the header is there and no good, whatever the route.
    """
    token = bearer_token(request.headers.get("Authorization"))
    if token is None:
        return None
    if token.startswith(API_KEY_PREFIX):
        principal = await authenticate_key(market.database, token, origin_of(request))
    else:
        principal = (await authenticate(market, token, origin_of(request))).principal
    structlog.contextvars.bind_contextvars(user_id=str(principal.user_id))
    return principal


def _route(endpoint: Endpoint, handler: Route) -> web.RouteDef:
    # `web.get` lets HEAD in as well.
    if endpoint.method == "GET":
        return web.get(endpoint.path, handler)
    return web.route(endpoint.method, endpoint.path, handler)


def _refuse(endpoint: Endpoint) -> Route:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        raise NotFound(
            "route.not_served_here",
            f"This node does not serve {endpoint.service}; ask one that does.",
        )

    return refuse
