"""The sandbox company's books, in its own schema. Every function takes a connection in a transaction.

News of a change is written with it, as an event and its deliveries, so that none is lost.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import msgspec

from feira.platform.gateways.payments.sandbox.cards import CARDS, Card, fee_minor
from feira.platform.gateways.payments.sandbox.wire import (
    AccountObject,
    ConfirmIntent,
    CreateAccount,
    CreateIntent,
    CreateRefund,
    EventType,
    IntentObject,
    IntentState,
    RefundObject,
    WebhookEvent,
)

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")

KYC_TAKES_S: Final = 1.0
LATE_REFUND_TAKES_S: Final = 1.0

_INTENT: Final = """
    id, state, amount_minor, currency, fee_minor, refunded_minor, last_decline_code, metadata::text AS metadata,
    return_url, refunds_do, capture_at IS NOT NULL AS under_way, webhook_delay_s, webhook_duplicates
"""
_READ_INTENT: Final = f"SELECT {_INTENT} FROM sandbox.payment_intents WHERE id = $1"  # noqa: S608
_LOCK_INTENT: Final = f"{_READ_INTENT} FOR UPDATE"


class ApiError(Exception):
    """Answered to the caller as `{"error": {"code", "message"}}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class StoredIntent(msgspec.Struct, frozen=True, kw_only=True):
    """`under_way`: a capture is due that has not happened yet."""

    id: str
    state: IntentState
    amount_minor: int
    currency: str
    fee_minor: int
    refunded_minor: int
    last_decline_code: str
    metadata: str
    return_url: str
    refunds_do: str
    under_way: bool
    webhook_delay_s: int
    webhook_duplicates: int

    def shown(self, payment_page_url: str) -> IntentObject:
        return IntentObject(
            id=self.id,
            state=self.state,
            amount_minor=self.amount_minor,
            currency=self.currency,
            fee_minor=self.fee_minor,
            refunded_minor=self.refunded_minor,
            last_decline_code=self.last_decline_code,
            payment_page_url=payment_page_url,
            metadata=msgspec.json.decode(self.metadata, type=dict[str, str]),
        )


async def create_account(con: Connection, request: CreateAccount) -> AccountObject:
    account_id = _new_id("acct")
    await con.execute(
        "INSERT INTO sandbox.accounts (id, name, status, decide_at)"
        " VALUES ($1, $2, 'pending', now() + make_interval(secs => $3::float8))",
        account_id,
        request.name,
        KYC_TAKES_S,
    )
    return AccountObject(id=account_id, name=request.name, status="pending")


async def read_account(con: Connection, account_id: str) -> AccountObject:
    row = await con.fetchrow(
        "SELECT id, name, status FROM sandbox.accounts WHERE id = $1", account_id
    )
    return _found(row, AccountObject)


async def create_intent(con: Connection, request: CreateIntent) -> StoredIntent:
    intent_id = _new_id("pi")
    await con.execute(
        "INSERT INTO sandbox.payment_intents (id, amount_minor, currency, state, return_url, metadata)"
        " VALUES ($1, $2, $3, 'requires_payment', $4, $5::text::jsonb)",
        intent_id,
        request.amount_minor,
        request.currency,
        request.return_url,
        msgspec.json.encode(request.metadata).decode(),
    )
    return await read_intent(con, intent_id)


async def read_intent(con: Connection, intent_id: str) -> StoredIntent:
    return _found(await con.fetchrow(_READ_INTENT, intent_id), StoredIntent)


async def confirm_intent(con: Connection, intent_id: str, request: ConfirmIntent) -> StoredIntent:
    """Try a card: captured now, captured later, or declined."""
    intent = await _lock_intent(con, intent_id)
    if intent.state != "requires_payment":
        raise ApiError(409, "intent_unexpected_state", f"The payment is {intent.state}.")
    if intent.under_way:
        raise ApiError(409, "payment_under_way", "A payment of this is under way; wait for it.")
    card = CARDS.get(request.card)
    if card is None:
        raise ApiError(422, "unknown_card", f"Use one of the test cards: {', '.join(CARDS)}.")
    if card.decline_code:
        await _decline(con, intent_id, card, request)
    else:
        await con.execute(
            "UPDATE sandbox.payment_intents SET capture_at = now() + make_interval(secs => $2::float8),"
            " refunds_do = $3, webhook_delay_s = $4, webhook_duplicates = $5, last_decline_code = '' WHERE id = $1",
            intent_id,
            float(request.delay_s),
            card.refunds_do,
            request.webhook_delay_s,
            request.duplicates,
        )
        if request.delay_s == 0:
            await capture(con, intent_id)
    return await read_intent(con, intent_id)


async def capture(con: Connection, intent_id: str) -> None:
    """Take the money of a locked intent whose capture is due."""
    intent = await read_intent(con, intent_id)
    assert intent.state == "requires_payment", "only an unpaid intent has a capture under way"
    await con.execute(
        "UPDATE sandbox.payment_intents SET state = 'succeeded', fee_minor = $2, capture_at = NULL WHERE id = $1",
        intent_id,
        fee_minor(intent.amount_minor),
    )
    await _tell(
        con,
        "payment_intent.succeeded",
        intent_id,
        delay_s=intent.webhook_delay_s,
        duplicates=intent.webhook_duplicates,
    )


async def cancel_intent(con: Connection, intent_id: str) -> StoredIntent:
    """Close an unpaid intent; a capture under way is dropped."""
    intent = await _lock_intent(con, intent_id)
    if intent.state == "succeeded":
        raise ApiError(409, "intent_unexpected_state", "The payment has succeeded; refund it.")
    if intent.state == "requires_payment":
        await con.execute(
            "UPDATE sandbox.payment_intents SET state = 'canceled', capture_at = NULL WHERE id = $1",
            intent_id,
        )
        await _tell(con, "payment_intent.canceled", intent_id)
    return await read_intent(con, intent_id)


async def create_refund(con: Connection, request: CreateRefund) -> RefundObject:
    """Give back at most what was captured and not given back yet."""
    intent = await _lock_intent(con, request.payment_intent)
    if intent.state != "succeeded":
        raise ApiError(422, "not_captured", "Only a payment that succeeded can be refunded.")
    left = intent.amount_minor - intent.refunded_minor
    if request.amount_minor > left:
        raise ApiError(
            422, "refund_exceeds_payment", f"Only {left} minor units are left to refund."
        )
    await con.execute(
        "UPDATE sandbox.payment_intents SET refunded_minor = refunded_minor + $2 WHERE id = $1",
        intent.id,
        request.amount_minor,
    )
    refund_id, later = _new_id("re"), intent.refunds_do != "succeed"
    await con.execute(
        "INSERT INTO sandbox.refunds (id, payment_intent_id, amount_minor, state, ends_at, ends_as)"
        " VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5::float8), $6)",
        refund_id,
        intent.id,
        request.amount_minor,
        "pending" if later else "succeeded",
        LATE_REFUND_TAKES_S,
        "failed" if intent.refunds_do == "fail_later" else "succeeded",
    )
    if not later:
        await _tell(con, "refund.updated", refund_id)
    return await read_refund(con, refund_id)


async def read_refund(con: Connection, refund_id: str) -> RefundObject:
    row = await con.fetchrow(
        "SELECT id, payment_intent_id AS payment_intent, state, amount_minor FROM sandbox.refunds WHERE id = $1",
        refund_id,
    )
    return _found(row, RefundObject)


async def end_refund(con: Connection, refund_id: str) -> None:
    """Bring a locked pending refund to its end; a failed one is the payment's again."""
    row = await con.fetchrow(
        "UPDATE sandbox.refunds SET state = ends_as WHERE id = $1 AND state = 'pending'"
        " RETURNING state, payment_intent_id, amount_minor",
        refund_id,
    )
    if row is None:
        return
    if row["state"] == "failed":
        await con.execute(
            "UPDATE sandbox.payment_intents SET refunded_minor = refunded_minor - $2 WHERE id = $1",
            row["payment_intent_id"],
            row["amount_minor"],
        )
    await _tell(con, "refund.updated", refund_id)


async def decide_account(con: Connection, account_id: str) -> None:
    """The identity check is over."""
    await con.execute(
        "UPDATE sandbox.accounts SET status = CASE WHEN name ILIKE '%restricted%' THEN 'restricted' ELSE 'verified' END"
        " WHERE id = $1 AND status = 'pending'",
        account_id,
    )
    await _tell(con, "account.updated", account_id)


async def _decline(con: Connection, intent_id: str, card: Card, request: ConfirmIntent) -> None:
    await con.execute(
        "UPDATE sandbox.payment_intents SET last_decline_code = $2 WHERE id = $1",
        intent_id,
        card.decline_code,
    )
    await _tell(
        con,
        "payment_intent.declined",
        intent_id,
        delay_s=request.webhook_delay_s,
        duplicates=request.duplicates,
    )


async def _lock_intent(con: Connection, intent_id: str) -> StoredIntent:
    return _found(await con.fetchrow(_LOCK_INTENT, intent_id), StoredIntent)


async def _tell(
    con: Connection, kind: EventType, subject: str, *, delay_s: int = 0, duplicates: int = 0
) -> None:
    event = WebhookEvent(id=_new_id("evt"), type=kind, created=int(time.time()), object=subject)
    await con.execute(
        "INSERT INTO sandbox.events (id, type, body) VALUES ($1, $2, $3)",
        event.id,
        kind,
        msgspec.json.encode(event).decode(),
    )
    await con.execute(
        "INSERT INTO sandbox.deliveries (event_id, due_at)"
        " SELECT $1, now() + make_interval(secs => $2::float8) FROM generate_series(0, $3::int)",
        event.id,
        float(delay_s),
        duplicates,
    )


def _found(row: asyncpg.Record | None, kind: type[T]) -> T:
    if row is None:
        raise ApiError(404, "not_found", "There is no such object.")
    return msgspec.convert(dict(row), kind)


def _new_id(prefix: str) -> str:
    # Knowing a payment's id is all it takes to see its page.
    return f"{prefix}_{secrets.token_urlsafe(18)}"
