"""Money from the market's balance to a shop's account, back again, and out to the shop's bank."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from feira.platform.gateways.payments.sandbox.accounts import require_active
from feira.platform.gateways.payments.sandbox.books import (
    MARKET,
    ApiError,
    found,
    move,
    new_id,
    tell,
)
from feira.platform.gateways.payments.sandbox.intents import lock_intent
from feira.platform.gateways.payments.sandbox.wire import (
    Listing,
    PayoutObject,
    ReversalObject,
    TransferObject,
)

if TYPE_CHECKING:
    from feira.platform.gateways.payments.sandbox.books import Connection
    from feira.platform.gateways.payments.sandbox.requests import (
        CreatePayout,
        CreateReversal,
        CreateTransfer,
    )

PAYOUT_TAKES_S: Final = 1.0

_TRANSFER: Final = (
    "SELECT id, account_id AS account, payment_intent_id AS payment_intent, amount_minor, reversed_minor, currency,"
    ' transfer_group AS "group", client_reference FROM sandbox.transfers'
)
_REVERSAL: Final = "SELECT id, transfer_id AS transfer, amount_minor, client_reference FROM sandbox.transfer_reversals"
_PAYOUT: Final = (
    "SELECT id, account_id AS account, state, amount_minor, currency, client_reference, failure_code,"
    " (created_at + interval '2 days')::date AS arrives_on FROM sandbox.payouts"
)


async def create_transfer(con: Connection, request: CreateTransfer) -> TransferObject:
    """Move money to a shop: out of what a payment brought, whenever that is there, or out of what there is now."""
    await require_active(con, request.account)
    if request.payment_intent is not None:
        await _take_of_intent(con, request.payment_intent, request)
    transfer_id = new_id("tr")
    await con.execute(
        "INSERT INTO sandbox.transfers"
        " (id, account_id, payment_intent_id, amount_minor, currency, transfer_group, client_reference)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        transfer_id,
        request.account,
        request.payment_intent,
        request.amount_minor,
        request.currency,
        request.group,
        request.client_reference,
    )
    for account, amount_minor in (
        (MARKET, -request.amount_minor),
        (request.account, request.amount_minor),
    ):
        await move(
            con,
            "transfer",
            account=account,
            currency=request.currency,
            amount_minor=amount_minor,
            source=transfer_id,
            overdraw=request.payment_intent is not None,
        )
    await tell(con, "transfer.created", transfer_id)
    return await read_transfer(con, transfer_id)


async def read_transfer(con: Connection, transfer_id: str) -> TransferObject:
    return found(await con.fetchrow(f"{_TRANSFER} WHERE id = $1", transfer_id), TransferObject)


async def list_transfers(con: Connection, group: str) -> Listing[TransferObject]:
    rows = await con.fetch(f"{_TRANSFER} WHERE transfer_group = $1 ORDER BY created_at", group)
    return Listing(data=[found(row, TransferObject) for row in rows])


async def reverse_transfer(
    con: Connection, transfer_id: str, request: CreateReversal
) -> ReversalObject:
    """Take money back out of a shop's account, as far as it is there."""
    transfer = found(
        await con.fetchrow(f"{_TRANSFER} WHERE id = $1 FOR UPDATE", transfer_id), TransferObject
    )
    left = transfer.amount_minor - transfer.reversed_minor
    if request.amount_minor > left:
        raise ApiError(
            422, "reversal_exceeds_transfer", f"Only {left} minor units are left to reverse."
        )
    await con.execute(
        "UPDATE sandbox.transfers SET reversed_minor = reversed_minor + $2 WHERE id = $1",
        transfer_id,
        request.amount_minor,
    )
    if transfer.payment_intent is not None:
        await con.execute(
            "UPDATE sandbox.payment_intents SET transferred_minor = transferred_minor - $2 WHERE id = $1",
            transfer.payment_intent,
            request.amount_minor,
        )
    reversal_id = new_id("trr")
    await con.execute(
        "INSERT INTO sandbox.transfer_reversals (id, transfer_id, amount_minor, client_reference) VALUES ($1, $2, $3, $4)",
        reversal_id,
        transfer_id,
        request.amount_minor,
        request.client_reference,
    )
    for account, amount_minor in (
        (MARKET, request.amount_minor),
        (transfer.account, -request.amount_minor),
    ):
        await move(
            con,
            "transfer_reversal",
            account=account,
            currency=transfer.currency,
            amount_minor=amount_minor,
            source=transfer_id,
        )
    await tell(con, "transfer.reversed", transfer_id)
    return found(await con.fetchrow(f"{_REVERSAL} WHERE id = $1", reversal_id), ReversalObject)


async def list_reversals(con: Connection, transfer_id: str) -> Listing[ReversalObject]:
    rows = await con.fetch(f"{_REVERSAL} WHERE transfer_id = $1 ORDER BY created_at", transfer_id)
    return Listing(data=[found(row, ReversalObject) for row in rows])


async def create_payout(con: Connection, request: CreatePayout) -> PayoutObject:
    await require_active(con, request.account)
    payout_id = new_id("po")
    await con.execute(
        "INSERT INTO sandbox.payouts (id, account_id, amount_minor, currency, client_reference, state, does, moves_at)"
        " SELECT $1, id, $3, $4, $5, 'pending', payouts_do, now() + make_interval(secs => $6::float8)"
        " FROM sandbox.accounts WHERE id = $2",
        payout_id,
        request.account,
        request.amount_minor,
        request.currency,
        request.client_reference,
        PAYOUT_TAKES_S,
    )
    await move(
        con,
        "payout",
        account=request.account,
        currency=request.currency,
        amount_minor=-request.amount_minor,
        source=payout_id,
    )
    await tell(con, "payout.created", payout_id, account=request.account)
    return await read_payout(con, payout_id)


async def read_payout(con: Connection, payout_id: str) -> PayoutObject:
    return found(await con.fetchrow(f"{_PAYOUT} WHERE id = $1", payout_id), PayoutObject)


async def list_payouts(con: Connection, account: str, since: datetime) -> Listing[PayoutObject]:
    rows = await con.fetch(
        f"{_PAYOUT} WHERE account_id = $1 AND created_at >= $2 ORDER BY created_at", account, since
    )
    return Listing(data=[found(row, PayoutObject) for row in rows])


async def step_payout(con: Connection, payout_id: str) -> None:
    """Bring a locked payout one step on: paid, or failed with its money back on the shop's account."""
    row = await con.fetchrow(
        "UPDATE sandbox.payouts SET"
        " state = CASE WHEN does = 'fail' OR state = 'paid' THEN 'failed' ELSE 'paid' END,"
        " failure_code = CASE WHEN does = 'fail' OR state = 'paid' THEN 'account_closed' ELSE '' END,"
        " moves_at = CASE WHEN does = 'pay_then_fail' AND state = 'pending' THEN now() + make_interval(secs => $2::float8) END"
        " WHERE id = $1 AND moves_at IS NOT NULL RETURNING state, account_id, currency, amount_minor",
        payout_id,
        PAYOUT_TAKES_S,
    )
    if row is None:
        return
    if row["state"] == "failed":
        await move(
            con,
            "payout_failure",
            account=row["account_id"],
            currency=row["currency"],
            amount_minor=row["amount_minor"],
            source=payout_id,
        )
    await tell(con, f"payout.{row['state']}", payout_id, account=row["account_id"])


async def _take_of_intent(con: Connection, intent_id: str, request: CreateTransfer) -> None:
    intent = await lock_intent(con, intent_id)
    if intent.state != "succeeded" or intent.currency != request.currency:
        raise ApiError(
            422,
            "not_captured",
            "Only a payment of this currency that succeeded has money to transfer.",
        )
    left = intent.captured_minor - intent.transferred_minor
    if request.amount_minor > left:
        raise ApiError(
            422, "transfer_exceeds_payment", f"Only {left} minor units are left to transfer."
        )
    await con.execute(
        "UPDATE sandbox.payment_intents SET transferred_minor = transferred_minor + $2 WHERE id = $1",
        intent_id,
        request.amount_minor,
    )
