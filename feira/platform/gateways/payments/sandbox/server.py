"""The sandbox company's server, an application of its own that Feira's HTTP server mounts at /sandbox.

    POST /v1/accounts                        {name, country} -> account
    GET  /v1/accounts/{id}
    POST /v1/accounts/{id}/onboarding_links  {return_url, refresh_url} -> {url, expires_at}
    POST /v1/payment_intents                 {amount_minor, currency, return_url, capture, group, metadata} -> intent
    GET  /v1/payment_intents/{id}
    POST /v1/payment_intents/{id}/capture    {amount_minor}
    POST /v1/payment_intents/{id}/cancel     {}
    POST /v1/payment_intents/{id}/confirm    {card, delay_s, webhook_delay_s, duplicates}: pay without the page
    POST /v1/refunds                         {payment_intent, amount_minor, client_reference} -> refund
    GET  /v1/refunds?payment_intent= , /v1/refunds/{id}
    POST /v1/transfers                       {account, amount_minor, currency, payment_intent, group, client_reference}
    GET  /v1/transfers?group= , /v1/transfers/{id}
    POST /v1/transfers/{id}/reversals        {amount_minor, client_reference} -> reversal
    GET  /v1/transfers/{id}/reversals
    POST /v1/payouts                         {account, amount_minor, currency, client_reference} -> payout
    GET  /v1/payouts?account=&since= , /v1/payouts/{id}
    GET  /v1/disputes/{id}
    POST /v1/disputes/{id}/evidence          {explanation, ...} -> dispute
    GET  /v1/events?since=&page=             kept for 30 days
    GET  /v1/balance_transactions?account=&since=&page=
    GET  /pay/{id} , /onboard/{id}           pages for buyers and sellers; their forms post back here

All but the pages need `Authorization: Bearer KEY`. A POST with an `Idempotency-Key` is carried out once in 24 hours;
the key with another request is an error. `levers` has what tests may pull.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
import asyncpg
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from feira.platform.gateways.payments.sandbox import api, levers
from feira.platform.gateways.payments.sandbox.books import ApiError
from feira.platform.gateways.payments.sandbox.calls import RETRY_AFTER_S
from feira.platform.gateways.payments.sandbox.clockwork import Clockwork
from feira.platform.gateways.payments.sandbox.company import COMPANY, Company
from feira.platform.gateways.payments.sandbox.onboarding_page import finish_page, show_onboarding
from feira.platform.gateways.payments.sandbox.page import pay_on_page, show_page
from feira.platform.gateways.payments.sandbox.signature import api_key
from feira.platform.gateways.payments.sandbox.wire import ErrorAnswer, ErrorBody

_LOCK_TIMEOUT_MS: Final = "5000"
_CLOSE_TIMEOUT_S: Final = 2.0
_PAGES: Final = (
    web.get("/pay/{id}", show_page),
    web.post("/pay/{id}", pay_on_page),
    web.get("/onboard/{id}", show_onboarding),
    web.post("/onboard/{id}", finish_page),
)


def build_sandbox_app(
    dsn: str,
    *,
    webhook_secret: str,
    webhook_url: Callable[[], str],
    public_url: Callable[[], str],
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """Build the application; it opens its own small pool on `dsn` and starts its clockwork when it runs.

    Addresses are asked for when they are needed, because a port may be known only once it is bound:
    `webhook_url` is where events go, `public_url` where browsers find this application (".../sandbox").
    """
    key = api_key(webhook_secret) if webhook_secret else ""
    app = web.Application(middlewares=[_errors_as_json, _key_needed(key)])

    async def company(app: web.Application) -> AsyncIterator[None]:
        pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=3,
            timeout=2.0,
            command_timeout=10.0,
            server_settings={
                "application_name": "sandbox",
                "lock_timeout": _LOCK_TIMEOUT_MS,
                "jit": "off",
            },
        )
        async with aiohttp.ClientSession() as session:
            await pool
            clockwork = Clockwork(
                pool, session, webhook_secret=webhook_secret, webhook_url=webhook_url, clock=clock
            )
            app[COMPANY] = Company(pool=pool, clockwork=clockwork, public_url=public_url)
            task = asyncio.create_task(clockwork.run(), name="sandbox-clockwork")
            yield
            task.cancel()
            await asyncio.wait([task], timeout=_CLOSE_TIMEOUT_S)
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await pool.close()
            except TimeoutError:
                # Postgres is silent: its side of the connections ends by itself.
                pool.terminate()

    app.cleanup_ctx.append(company)
    app.add_routes([*api.ROUTES, *levers.ROUTES, *_PAGES])
    return app


def _key_needed(key: str) -> Middleware:
    pages = {route.handler for route in _PAGES}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.handler not in pages:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not key or not hmac.compare_digest(given.encode(errors="replace"), key.encode()):
                raise ApiError(
                    401, "bad_api_key", "Send your secret key as `Authorization: Bearer KEY`."
                )
        return await handler(request)

    return check


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return _error(error.status, error.code, error.message)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return _error(
            409, "request_in_flight", "A request with this key or object is still running."
        )
    except (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        asyncpg.CannotConnectNowError,
    ):
        return _error(503, "unavailable", "The sandbox's books cannot be reached.")


def _error(status: int, code: str, message: str) -> web.Response:
    answer = ErrorAnswer(error=ErrorBody(code=code, message=message))
    limited = status == web.HTTPTooManyRequests.status_code
    return web.Response(
        status=status,
        body=msgspec.json.encode(answer),
        content_type="application/json",
        headers={"Retry-After": str(RETRY_AFTER_S)} if limited else None,
    )
