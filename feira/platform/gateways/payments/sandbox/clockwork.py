"""What the sandbox company does by itself: identity checks, late captures and refunds, and delivering webhooks.

Everything due is a row, so any number of processes may run this and any may die: rows are claimed with SKIP
LOCKED, and a delivery under way is leased.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
import structlog

from feira.platform.gateways.payments.sandbox import accounts, disputes, intents, refunds, transfers
from feira.platform.gateways.payments.sandbox.lists import EVENTS_KEPT_S
from feira.platform.gateways.payments.sandbox.signature import sign
from feira.platform.gateways.payments.sandbox.wire import SIGNATURE_HEADER

if TYPE_CHECKING:
    import asyncpg

    from feira.platform.gateways.payments.sandbox.books import Connection

# Rows of other processes are noticed at the next look; our own ring the bell.
LOOK_EVERY_S: Final = 0.5
DELIVERY_TIMEOUT_S: Final = 10.0
LEASE_S: Final = DELIVERY_TIMEOUT_S + 5.0
DELIVERIES_AT_ONCE: Final = 16
# Waits double from half a second to five minutes: about two days until a delivery is given up.
ATTEMPTS_MAX: Final = 600
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 300.0
FORGET_EVERY_S: Final = 3600.0
KEYS_KEPT_S: Final = 24 * 3600
# Any 2xx is an acknowledgement.
_SUCCESS: Final = 2

_WHEN_DUE: Final = (
    ("accounts", "decide_at", accounts.decide_account),
    ("payment_intents", "capture_at", intents.settle),
    ("payment_intents", "authorized_until", intents.end_authorization),
    ("refunds", "ends_at", refunds.end_refund),
    ("payouts", "moves_at", transfers.step_payout),
    ("disputes", "closes_at", disputes.close_due_dispute),
)
_IS_DUE: Final = "EXISTS (SELECT FROM sandbox.{} WHERE {} <= now())"
_WHAT_IS_DUE: Final = "SELECT " + ", ".join(
    _IS_DUE.format(table, due) for table, due, _ in _WHEN_DUE
)
_TAKE_DUE: Final = (
    "SELECT id FROM sandbox.{0} WHERE {1} <= now() ORDER BY {1} LIMIT 16 FOR UPDATE SKIP LOCKED"
)
_DUE_THINGS: Final = tuple((_TAKE_DUE.format(table, due), act) for table, due, act in _WHEN_DUE)
_FORGET_DELIVERIES: Final = (
    "DELETE FROM sandbox.deliveries AS d USING sandbox.events AS e"
    " WHERE e.id = d.event_id AND e.created_at < now() - make_interval(secs => $1::float8)"
)
_FORGET_EVENTS: Final = (
    "DELETE FROM sandbox.events AS e WHERE e.created_at < now() - make_interval(secs => $1::float8)"
    " AND NOT EXISTS (SELECT FROM sandbox.deliveries AS d WHERE d.event_id = e.id)"
)
_FORGET_KEYS: Final = "DELETE FROM sandbox.idempotency_keys WHERE created_at < now() - make_interval(secs => $1::float8)"
# Leased past the time-out, so that a process that dies on the way only delays it.
_CLAIM_DELIVERIES: Final = """
    UPDATE sandbox.deliveries AS d SET attempt = d.attempt + 1, due_at = now() + make_interval(secs => $2::float8)
    FROM sandbox.events AS e
    WHERE e.id = d.event_id AND d.id IN (
        SELECT id FROM sandbox.deliveries WHERE delivered_at IS NULL AND due_at <= now() AND attempt < $3::int
        ORDER BY due_at LIMIT $1::int FOR UPDATE SKIP LOCKED
    )
    RETURNING d.id, d.attempt, e.body
"""
_DELIVERED: Final = (
    "UPDATE sandbox.deliveries SET delivered_at = now(), last_error = '' WHERE id = $1"
)
_NOT_DELIVERED: Final = (
    "UPDATE sandbox.deliveries SET last_error = $2, due_at = now() + make_interval(secs => $3::float8)"
    " WHERE id = $1 AND delivered_at IS NULL"
)

log = structlog.get_logger()


class _Claimed(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    attempt: int
    body: str

    @property
    def backoff_s(self) -> float:
        return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(self.attempt - 1, 20))


class Clockwork:
    """One process's share of the work. `run` until cancelled; `ring` when something became due."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        session: aiohttp.ClientSession,
        *,
        webhook_secret: str,
        webhook_url: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._session = session
        self._webhook_secret = webhook_secret
        self._webhook_url = webhook_url
        self._clock = clock
        self._bell = asyncio.Event()
        self._forget_at = 0.0

    def ring(self) -> None:
        self._bell.set()

    async def run(self) -> None:
        """Look for due rows for ever. Whatever goes wrong is logged, and the rows are still there at the next look."""
        while True:
            self._bell.clear()
            try:
                busy = await self.turn()
            except Exception as error:  # noqa: BLE001 - a loop that ends would end the company
                log.warning("sandbox.clockwork_failed", error=repr(error))
                busy = False
            if not busy:
                await self._wait()

    async def turn(self) -> bool:
        """Do what is due now, up to a batch of each kind; say whether there was anything."""
        done = await self._do_due() + await self._deliver()
        if self._clock() >= self._forget_at:
            self._forget_at = self._clock() + FORGET_EVERY_S
            await self._forget()
        return bool(done)

    async def _do_due(self) -> int:
        done = 0
        async with self._pool.acquire() as con:
            due = await con.fetchrow(_WHAT_IS_DUE)
            assert due is not None, "a row without a table"
            for is_due, (query, act) in zip(due, _DUE_THINGS, strict=True):
                if is_due:
                    done += await _each_due(con, query, act)
        return done

    async def _forget(self) -> None:
        """Drop what is kept for a time only."""
        async with self._pool.acquire() as con, con.transaction():
            await con.execute(_FORGET_DELIVERIES, float(EVENTS_KEPT_S))
            await con.execute(_FORGET_EVENTS, float(EVENTS_KEPT_S))
            await con.execute(_FORGET_KEYS, float(KEYS_KEPT_S))

    async def _deliver(self) -> int:
        async with self._pool.acquire() as con:
            rows = await con.fetch(_CLAIM_DELIVERIES, DELIVERIES_AT_ONCE, LEASE_S, ATTEMPTS_MAX)
        claimed = msgspec.convert([dict(row) for row in rows], list[_Claimed])
        async with asyncio.TaskGroup() as group:
            for delivery in claimed:
                group.create_task(self._send(delivery), name=f"sandbox-delivery-{delivery.id}")
        return len(claimed)

    async def _send(self, delivery: _Claimed) -> None:
        body = delivery.body.encode()
        headers = {
            SIGNATURE_HEADER: sign(body, secret=self._webhook_secret, at=int(self._clock())),
            "Content-Type": "application/json",
        }
        error = ""
        try:
            async with self._session.post(
                self._webhook_url(),
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=DELIVERY_TIMEOUT_S),
                allow_redirects=False,
            ) as answer:
                if answer.status // 100 != _SUCCESS:
                    error = f"answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            error = repr(failure)
        async with self._pool.acquire() as con:
            if error:
                await con.execute(_NOT_DELIVERED, delivery.id, error[:300], delivery.backoff_s)
            else:
                await con.execute(_DELIVERED, delivery.id)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._bell.wait()
        except TimeoutError:
            return


async def _each_due(
    con: Connection, query: str, act: Callable[[Connection, str], Awaitable[None]]
) -> int:
    async with con.transaction():
        due = [row["id"] for row in await con.fetch(query)]
        for identifier in due:
            await act(con, identifier)
    return len(due)
