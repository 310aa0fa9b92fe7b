r"""Payments: one for each order group, made at a provider whose page the buyer pays on.

    created --introduce--> pending --> captured, or authorized --> captured
       |                    |   \--> failed (declined) --> captured, authorized
       '-------------------'-- canceled (also: authorized and never captured, or refused by the provider)

`outcomes` moves them by what the provider says. The provider is never called inside a transaction: the row is
committed, then the call is made with a key made of the row's id, then the answer is committed. Dying
between any two of these is healed by doing it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid5

import msgspec

from feira.platform.domain.errors import NotFound, Unavailable
from feira.platform.domain.ids import OrderGroupId, PaymentId, UserId
from feira.platform.domain.jobs import CreatePaymentIntent
from feira.platform.domain.money import require_currency
from feira.platform.domain.permissions import Principal, Role, is_allowed
from feira.platform.gateways.payments.objects import CaptureMethod, Intent
from feira.services.market import Market
from feira.services.payments.rows import SQL, PaymentState
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one

# Long enough for the request that opened the payment to make the call itself.
INTENT_BY_REQUEST: Final = timedelta(seconds=20)
INTRODUCED_A_TIME: Final = 200
# A provider that saves a failure under each of so many keys is not well; a job tries again later.
KEYS_A_TIME: Final = 3
# Part of every key that a provider gets from us: it must never change.
_KEYS: Final = UUID("0198f2c4-7e5a-7c31-9c44-4d3a5f1b6e02")

T = TypeVar("T")


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """`payment_page_url` is where the buyer pays, null while there is nothing to pay or no page yet."""

    id: PaymentId
    group_id: OrderGroupId
    state: PaymentState
    amount_minor: int
    refunded_minor: int
    currency: str
    decline_code: str
    payment_page_url: str | None
    created_at: datetime
    captured_at: datetime | None


class _Pinned(msgspec.Struct, frozen=True, kw_only=True):
    gateway: str
    capture: CaptureMethod


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A payment, its buyer, and what was given back of it."""

    id: PaymentId
    group_id: OrderGroupId
    buyer_id: UserId
    gateway: str | None
    gateway_reference: str | None
    payment_page_url: str | None
    currency: str
    amount_minor: int
    refunded_minor: int
    state: PaymentState
    decline_code: str
    created_at: datetime
    captured_at: datetime | None

    @property
    def view(self) -> PaymentView:
        return PaymentView(
            id=self.id,
            group_id=self.group_id,
            state=self.state,
            amount_minor=self.amount_minor,
            refunded_minor=self.refunded_minor,
            currency=self.currency,
            decline_code=self.decline_code,
            payment_page_url=self.payment_page_url if self.state in {"pending", "failed"} else None,
            created_at=self.created_at,
            captured_at=self.captured_at,
        )


def outside_key(operation: str, local_id: UUID, attempt: int = 1) -> str:
    """The idempotency key of an outside call: the same effect always has the same key."""
    return str(uuid5(_KEYS, f"{operation}:{local_id}:{attempt}"))


async def once(
    operation: str,
    local_id: UUID,
    call: Callable[[str], Awaitable[T]],
    look: Callable[[], Awaitable[T | None]],
) -> T:
    """Call with the effect's key. Where the provider keeps a failure under it, look, and else go on to the next key.

    `look` finds the effect at the provider, or proves that it is not there; only then is a new key safe. A repeat of
    this goes through the same keys in the same order.

    Raises:
        Unavailable: repeat all of this later.
        GatewayRefused: the provider will not, and did not.
    """
    unknown: Unavailable | None = None
    for attempt in range(1, KEYS_A_TIME + 1):
        try:
            return await call(outside_key(operation, local_id, attempt))
        except Unavailable as error:
            if error.code != "payment.outcome_unknown":
                raise
            unknown = error
        found = await look()
        if found is not None:
            return found
    assert unknown is not None, "every key has its failure"
    raise unknown


async def open_payment(
    tx: Tx,
    group_id: OrderGroupId,
    amount_minor: int,
    currency: str,
    *,
    by_job: bool = False,
) -> PaymentId:
    """Open the payment of a group. The request makes it known to the provider after the commit, or else a job.

    `by_job`: no request will, so a job does at once. A request that dies before it could is noticed by
    `introduce_forgotten`.
    """
    assert amount_minor > 0, "a checkout costs something"
    require_currency(currency)
    payment_id = PaymentId(
        await tx.con.fetchval(SQL["insert_payment"], group_id, amount_minor, currency)
    )
    if by_job:
        _enqueue_introduction(tx, payment_id)
    return payment_id


async def introduce_forgotten(tx: Tx) -> int:
    """Have jobs introduce payments whose request never did; how many there were."""
    forgotten = await tx.con.fetch(
        SQL["list_forgotten_payments"], INTENT_BY_REQUEST, INTRODUCED_A_TIME
    )
    for row in forgotten:
        _enqueue_introduction(tx, row["id"])
    return len(forgotten)


async def introduce(market: Market, payment_id: PaymentId) -> PaymentRow:
    """Make a payment known to the provider, unless it is already or was given up. Safe to repeat and to race.

    After a call whose outcome is unknown this finds out: the same key gives the same intent.

    Raises:
        NotFound: `payment.not_found`.
        Unavailable: the provider or the database is away; try again.
        GatewayRefused: the provider refuses the payment as such; see `introduction`.
    """
    async with market.database.connection() as con:
        payment = await load_payment(con, payment_id)
        if payment.gateway_reference is not None or payment.state != "created":
            return payment
        pinned = await fetch_one(
            con, SQL["pin_gateway"], _Pinned, payment_id, market.payments.name, _capture(market)
        )
        if pinned is None:
            # Given up since it was read.
            return await load_payment(con, payment_id)
    require_same_gateway(market, pinned.gateway)

    async def create(key: str) -> Intent:
        return await market.payments.create_intent(
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            return_url=f"{market.config.public_url}/payments/{payment_id}",
            metadata={"payment": str(payment_id), "group": str(payment.group_id)},
            capture=pinned.capture,
            group=str(payment.group_id),
            idempotency_key=key,
        )

    async def look() -> None:
        """Find nothing: an intent that we never heard of takes no money, since nobody knows its page."""

    intent = await once("create_intent", payment_id, create, look)

    async def keep(tx: Tx) -> PaymentRow:
        await tx.con.execute(
            SQL["store_intent"], payment_id, intent.reference, intent.payment_page_url
        )
        return await load_payment(tx.con, payment_id)

    return await market.database.transact(keep)


async def load_payment(con: Connection, payment_id: PaymentId) -> PaymentRow:
    """Read a payment.

    Raises:
        NotFound: `payment.not_found`.
    """
    payment = await fetch_one(con, SQL["read_payment"], PaymentRow, payment_id)
    if payment is None:
        raise _not_found()
    return payment


async def load_readable_payment(
    con: Connection, principal: Principal, payment_id: PaymentId
) -> PaymentRow:
    """Read a payment as its buyer or as staff of the market.

    Raises:
        NotFound: `payment.not_found`, also for other people's payments.
    """
    payment = await load_payment(con, payment_id)
    relations: frozenset[Role] = frozenset(
        {"buyer"} if payment.buyer_id == principal.user_id else ()
    )
    if not is_allowed("order.read", principal, relations):
        raise _not_found()
    return payment


def require_same_gateway(market: Market, gateway: str | None) -> None:
    """Money is asked for and given back where it was first spoken of.

    Raises:
        Unavailable: `payment.gateway_gone`: this process is configured for another provider.
    """
    if gateway != market.payments.name:
        raise Unavailable(
            "payment.gateway_gone",
            f"This payment was made at {gateway}, which this node is not configured for.",
        )


def _enqueue_introduction(tx: Tx, payment_id: PaymentId) -> None:
    tx.enqueue(CreatePaymentIntent(payment=payment_id), dedup=f"create_intent:{payment_id}")


def _capture(market: Market) -> CaptureMethod:
    """As configured, where the provider can do it. Written down before the first call, so that repeats are the same."""
    can_wait = market.payments.capabilities.manual_capture
    return market.config.payment_capture if can_wait else "automatic"


def _not_found() -> NotFound:
    return NotFound("payment.not_found", "There is no such payment.")
