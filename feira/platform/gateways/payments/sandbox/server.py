"""The sandbox company's server, an application of its own that Feira's HTTP server mounts at /sandbox.

    POST /v1/accounts                        {name} -> account
    GET  /v1/accounts/{id}
    POST /v1/payment_intents                 {amount_minor, currency, return_url, metadata} -> intent
    GET  /v1/payment_intents/{id}
    POST /v1/payment_intents/{id}/cancel     {}
    POST /v1/payment_intents/{id}/confirm    {card, delay_s, webhook_delay_s, duplicates}: pay without the page
    POST /v1/refunds                         {payment_intent, amount_minor} -> refund
    GET  /v1/refunds/{id}
    POST /v1/faults                          {operation, kind, calls}: make the next calls go wrong
    GET  /pay/{id}                           the buyer's page; its form posts back here

All but the page need `Authorization: Bearer KEY`. A POST with an `Idempotency-Key` is carried out once; the key
with another request is an error.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp
import asyncpg
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from feira.platform.gateways.payments.sandbox import storage
from feira.platform.gateways.payments.sandbox.clockwork import Clockwork
from feira.platform.gateways.payments.sandbox.company import COMPANY, Company
from feira.platform.gateways.payments.sandbox.page import pay_on_page, show_page
from feira.platform.gateways.payments.sandbox.signature import api_key
from feira.platform.gateways.payments.sandbox.storage import ApiError, StoredIntent
from feira.platform.gateways.payments.sandbox.wire import (
    IDEMPOTENCY_HEADER,
    CancelIntent,
    ConfirmIntent,
    CreateAccount,
    CreateIntent,
    CreateRefund,
    ErrorAnswer,
    ErrorBody,
    IntentObject,
    SetFault,
)

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.storage import Connection

Request = TypeVar("Request", bound=msgspec.Struct)

_LOCK_TIMEOUT_MS: Final = "5000"
_CLOSE_TIMEOUT_S: Final = 2.0
_KEY_CHARS_MAX: Final = 255


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
    api = _Api(webhook_secret, public_url)
    app = web.Application(middlewares=[_errors_as_json])

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
            app[COMPANY] = Company(pool=pool, clockwork=clockwork)
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
    app.add_routes(
        [
            web.post("/v1/accounts", api.create_account),
            web.get("/v1/accounts/{id}", api.get_account),
            web.post("/v1/payment_intents", api.create_intent),
            web.get("/v1/payment_intents/{id}", api.get_intent),
            web.post("/v1/payment_intents/{id}/cancel", api.cancel_intent),
            web.post("/v1/payment_intents/{id}/confirm", api.confirm_intent),
            web.post("/v1/refunds", api.create_refund),
            web.get("/v1/refunds/{id}", api.get_refund),
            web.post("/v1/faults", api.set_fault),
            web.get("/pay/{id}", show_page),
            web.post("/pay/{id}", pay_on_page),
        ]
    )
    return app


class _Api:
    """The endpoints that need the key."""

    def __init__(self, webhook_secret: str, public_url: Callable[[], str]) -> None:
        self._key = api_key(webhook_secret) if webhook_secret else ""
        self._public_url = public_url

    async def create_account(self, request: web.Request) -> web.Response:
        return await self._change(request, "accounts.create", CreateAccount, storage.create_account)

    async def get_account(self, request: web.Request) -> web.Response:
        return await self._read(request, storage.read_account)

    async def create_intent(self, request: web.Request) -> web.Response:
        async def create(con: Connection, body: CreateIntent) -> IntentObject:
            return self._shown(await storage.create_intent(con, body))

        return await self._change(request, "payment_intents.create", CreateIntent, create)

    async def get_intent(self, request: web.Request) -> web.Response:
        async def read(con: Connection, identifier: str) -> IntentObject:
            return self._shown(await storage.read_intent(con, identifier))

        return await self._read(request, read)

    async def cancel_intent(self, request: web.Request) -> web.Response:
        async def cancel(con: Connection, _body: CancelIntent) -> IntentObject:
            return self._shown(await storage.cancel_intent(con, request.match_info["id"]))

        return await self._change(request, "payment_intents.cancel", CancelIntent, cancel)

    async def confirm_intent(self, request: web.Request) -> web.Response:
        async def confirm(con: Connection, body: ConfirmIntent) -> IntentObject:
            return self._shown(await storage.confirm_intent(con, request.match_info["id"], body))

        return await self._change(request, "payment_intents.confirm", ConfirmIntent, confirm)

    async def create_refund(self, request: web.Request) -> web.Response:
        return await self._change(request, "refunds.create", CreateRefund, storage.create_refund)

    async def get_refund(self, request: web.Request) -> web.Response:
        return await self._read(request, storage.read_refund)

    async def set_fault(self, request: web.Request) -> web.Response:
        async def keep(con: Connection, body: SetFault) -> SetFault:
            await con.execute(
                "INSERT INTO sandbox.faults (operation, kind, calls_left) VALUES ($1, $2, $3)"
                " ON CONFLICT (operation) DO UPDATE SET kind = excluded.kind, calls_left = excluded.calls_left",
                body.operation,
                body.kind,
                body.calls,
            )
            return body

        return await self._change(request, "faults.set", SetFault, keep)

    def _shown(self, intent: StoredIntent) -> IntentObject:
        return intent.shown(f"{self._public_url()}/pay/{intent.id}")

    def _authorise(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self._key or not hmac.compare_digest(
            given.encode(errors="replace"), self._key.encode()
        ):
            raise ApiError(
                401, "bad_api_key", "Send your secret key as `Authorization: Bearer KEY`."
            )

    async def _read(
        self, request: web.Request, read: Callable[[Connection, str], Awaitable[msgspec.Struct]]
    ) -> web.Response:
        self._authorise(request)
        async with request.app[COMPANY].pool.acquire() as con:
            return _json(await read(con, request.match_info["id"]))

    async def _change(
        self,
        request: web.Request,
        operation: str,
        kind: type[Request],
        work: Callable[[Connection, Request], Awaitable[msgspec.Struct]],
    ) -> web.Response:
        self._authorise(request)
        raw = await request.read()
        try:
            body = msgspec.json.decode(raw, type=kind)
        except msgspec.DecodeError as error:
            raise ApiError(400, "invalid_request", f"{error}.") from error
        company = request.app[COMPANY]
        async with company.pool.acquire() as con:
            fault = await con.fetchval(
                "UPDATE sandbox.faults SET calls_left = calls_left - 1 WHERE operation = $1 AND calls_left > 0 RETURNING kind",
                operation,
            )
            if fault == "refuse":
                raise ApiError(503, "unavailable", "The sandbox was asked to refuse this call.")
            async with con.transaction():
                answer = await _once(con, request, raw, lambda: work(con, body))
        company.clockwork.ring()
        if fault == "apply_then_hang_up" and request.transport is not None:
            request.transport.abort()
        return web.Response(body=answer, content_type="application/json")


async def _once(
    con: Connection, request: web.Request, raw: bytes, work: Callable[[], Awaitable[msgspec.Struct]]
) -> bytes:
    """Carry a request out once per key. A second one waits here until the first has committed."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return msgspec.json.encode(await work())
    if not 1 <= len(key) <= _KEY_CHARS_MAX:
        raise ApiError(
            400, "invalid_request", f"{IDEMPOTENCY_HEADER} has 1 to {_KEY_CHARS_MAX} characters."
        )
    digest = hashlib.sha256(request.path.encode() + b"\n" + raw).digest()
    new = await con.fetchval(
        "INSERT INTO sandbox.idempotency_keys (key, request_sha256) VALUES ($1, $2)"
        " ON CONFLICT (key) DO NOTHING RETURNING true",
        key,
        digest,
    )
    if new:
        answer = msgspec.json.encode(await work())
        await con.execute(
            "UPDATE sandbox.idempotency_keys SET answer = $2::text::jsonb WHERE key = $1",
            key,
            answer.decode(),
        )
        return answer
    known = await con.fetchrow(
        "SELECT request_sha256, answer::text AS answer FROM sandbox.idempotency_keys WHERE key = $1",
        key,
    )
    assert known is not None, "the key that could not be claimed is there"
    if known["request_sha256"] != digest:
        raise ApiError(422, "idempotency_key_reused", "This key came before with another request.")
    return known["answer"].encode()


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return _error(error.status, error.code, error.message)
    except asyncpg.LockNotAvailableError:
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


def _json(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def _error(status: int, code: str, message: str) -> web.Response:
    answer = ErrorAnswer(error=ErrorBody(code=code, message=message))
    return web.Response(
        status=status, body=msgspec.json.encode(answer), content_type="application/json"
    )
