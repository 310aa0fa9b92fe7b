"""A changing call: carried out once per idempotency key for 24 hours, or made to go wrong."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from aiohttp import web

from feira.platform.gateways.payments.sandbox.books import ApiError, draw
from feira.platform.gateways.payments.sandbox.clockwork import KEYS_KEPT_S
from feira.platform.gateways.payments.sandbox.company import COMPANY, Company
from feira.platform.gateways.payments.sandbox.wire import (
    IDEMPOTENCY_HEADER,
    REPLAYED_HEADER,
    ErrorAnswer,
    ErrorBody,
)

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection

Request = TypeVar("Request", bound=msgspec.Struct)
Work = Callable[["Connection", Request], Awaitable[msgspec.Struct]]

RETRY_AFTER_S: Final = 1
SLOW_S: Final = 2.0
_KEY_CHARS_MAX: Final = 255

_FAULT: Final = """
    WITH asked_for AS (
        UPDATE sandbox.faults SET calls_left = calls_left - 1 WHERE operation = $1 AND calls_left > 0 RETURNING kind
    )
    SELECT (SELECT kind FROM asked_for) AS kind, chaos.seed, chaos.calls::text AS rates
    FROM (SELECT) AS one LEFT JOIN sandbox.chaos ON true
"""
_DRAW_ONCE: Final = "INSERT INTO sandbox.chaos_draws (key, fault) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"
# A key that is older is as good as new. Its name is set for whatever is written in this transaction.
_CLAIM_KEY: Final = """
    INSERT INTO sandbox.idempotency_keys AS k (key, request_sha256) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET request_sha256 = excluded.request_sha256, created_at = now(), status = 200, answer = NULL
    WHERE k.created_at < now() - make_interval(secs => $3::float8)
    RETURNING set_config('sandbox.key', k.key, true)
"""
_KEEP_ANSWER: Final = (
    "UPDATE sandbox.idempotency_keys SET status = $2, answer = $3::text::jsonb WHERE key = $1"
)
_READ_ANSWER: Final = "SELECT request_sha256, status, answer::text AS answer FROM sandbox.idempotency_keys WHERE key = $1"

_SAVED_500: Final = msgspec.json.encode(
    ErrorAnswer(error=ErrorBody(code="internal", message="Something went wrong on our side."))
)


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    body: bytes
    replayed: bool = False


async def change(
    request: web.Request, operation: str | None, kind: type[Request], work: Work[Request]
) -> web.Response:
    """Decode the body, do the work in a transaction, and answer; or go wrong as asked. Levers have no operation."""
    raw = await request.read()
    try:
        body = msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise ApiError(400, "invalid_request", f"{error}.") from error
    company = request.app[COMPANY]
    fault = None if operation is None else await _fault(company, request, operation)
    await _go_wrong_before(fault)
    async with company.pool.acquire() as con, con.transaction():
        answer = await _once(
            con, request, raw, lambda: work(con, body), save_500=fault == "saved_500"
        )
    company.clockwork.ring()
    if fault == "apply_then_hang_up" and request.transport is not None:
        request.transport.abort()
    return web.Response(
        status=answer.status,
        body=answer.body,
        content_type="application/json",
        headers={REPLAYED_HEADER: "true"} if answer.replayed else None,
    )


async def _fault(company: Company, request: web.Request, operation: str) -> str | None:
    """What was asked for, or else what chance says: once for each key."""
    async with company.pool.acquire() as con:
        row = await con.fetchrow(_FAULT, operation)
        assert row is not None, "a row stands in for nothing"
        if row["kind"] is not None or row["seed"] is None:
            return row["kind"]
        what = f"{operation}:{request.headers.get(IDEMPOTENCY_HEADER, '')}"
        fault = draw(row["seed"], what, msgspec.json.decode(row["rates"], type=dict[str, float]))
        return fault if await con.fetchval(_DRAW_ONCE, what, fault or "") else None


async def _go_wrong_before(fault: str | None) -> None:
    match fault:
        case "refuse":
            raise ApiError(503, "unavailable", "The sandbox was asked to refuse this call.")
        case "fail_500":
            raise ApiError(500, "internal", "Something went wrong on our side.")
        case "reject":
            raise ApiError(422, "not_allowed", "Our risk rules do not allow this.")
        case "rate_limit":
            raise ApiError(429, "rate_limited", "Too many calls; wait as Retry-After says.")
        case "slow":
            await asyncio.sleep(SLOW_S)
        case _:
            return


async def _once(
    con: Connection,
    request: web.Request,
    raw: bytes,
    work: Callable[[], Awaitable[msgspec.Struct]],
    *,
    save_500: bool,
) -> _Answer:
    """Carry a request out once per key. A second one waits here until the first has committed."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return _Answer(status=200, body=msgspec.json.encode(await work()))
    if not 1 <= len(key) <= _KEY_CHARS_MAX:
        raise ApiError(
            400, "invalid_request", f"{IDEMPOTENCY_HEADER} has 1 to {_KEY_CHARS_MAX} characters."
        )
    digest = hashlib.sha256(request.path.encode() + b"\n" + raw).digest()
    if await con.fetchval(_CLAIM_KEY, key, digest, float(KEYS_KEPT_S)):
        body = msgspec.json.encode(await work())
        answer = (
            _Answer(status=500, body=_SAVED_500) if save_500 else _Answer(status=200, body=body)
        )
        await con.execute(_KEEP_ANSWER, key, answer.status, answer.body.decode())
        return answer
    known = await con.fetchrow(_READ_ANSWER, key)
    assert known is not None, "the key that could not be claimed is there"
    if known["request_sha256"] != digest:
        raise ApiError(422, "idempotency_key_reused", "This key came before with another request.")
    return _Answer(status=known["status"], body=known["answer"].encode(), replayed=True)
