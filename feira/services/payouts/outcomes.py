"""What came of asking the provider about a payout, applied under its lock and only forwards.

Answers and news may come twice, late or out of order. An answer counts while the row stands where it was asked
from; news of a payout counts for the sending that it speaks of.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from feira.platform.domain.errors import Rejected
from feira.platform.domain.ids import PayoutId
from feira.platform.domain.payout_jobs import AdvancePayout, NotifyPayoutFailed
from feira.platform.domain.payouts import (
    ASKING,
    Ask,
    after_refusal,
    after_return,
    wait_before,
)
from feira.platform.domain.postings_payouts import (
    payout_given_up,
    payout_paid,
    payout_returned,
    transfer_made,
)
from feira.platform.gateways.payments.objects import Payout, Transfer
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.services.payments import ledger
from feira.services.payouts.rows import SQL, PayoutRow, lock_payout, store_payout
from feira.sql.database import Tx

RETRY_FIRST: Final = timedelta(hours=1)
# Another try would end the same way: somebody has to correct the bank details, or the account.
_FOR_GOOD: Final = frozenset(
    {
        "account_closed",
        "account_frozen",
        "account_restricted",
        "bank_account_restricted",
        "bank_ownership_changed",
        "debit_not_authorized",
        "incorrect_account_holder_details",
        "incorrect_account_holder_name",
        "incorrect_account_holder_tax_id",
        "invalid_account_number",
        "invalid_currency",
        "no_account",
    }
)


async def begin(tx: Tx, payout_id: PayoutId, ask: Ask) -> bool:
    """Write down that something is about to be asked for; False where the payout has moved meanwhile."""
    row = await lock_payout(tx, payout_id)
    match ask:
        case "transfer" if row.state == "created" and not row.held_reason:
            row = replace(row, state="transferring", transfer_attempt=row.transfer_attempt + 1)
        case "send" if row.state == "transferred" and not row.held_reason:
            row = replace(row, state="sending", send_attempt=row.send_attempt + 1)
            # It is the next sending's to have one.
            row = replace(row, payout_reference=None)
        case _:
            return False
    await store_payout(tx, replace(row, asked_at=tx.now, retry_at=None, failure_code=""))
    return True


async def apply_transfer(tx: Tx, payout_id: PayoutId, transfer: Transfer) -> None:
    """Bring the payout to where its transfer is at the provider.

    Raises:
        Rejected: `payout.amount_mismatch`.
    """
    row = await lock_payout(tx, payout_id)
    if row.state != "transferring":
        return
    _require_same_money(row, transfer.amount_minor, transfer.currency)
    row = replace(row, transfer_reference=transfer.reference, unknown_since=None)
    match transfer.state:
        case "pending":
            await store_payout(tx, row)
        case "made":
            await ledger.post(
                tx,
                transfer_made(
                    payout_id=row.id,
                    gateway=row.gateway,
                    shop_id=row.shop_id,
                    currency=row.currency,
                    amount_minor=row.amount_minor,
                    reference=transfer.reference,
                ),
            )
            await store_payout(tx, replace(row, state="transferred", asked_at=None))
        case "failed" | "reversed":
            await _give_up(
                tx, replace(row, failure_code=transfer.failure_code or "transfer_failed")
            )


async def apply_payout(tx: Tx, payout_id: PayoutId, payout: Payout) -> None:
    """Bring the payout to where its sending to the bank is at the provider.

    Raises:
        Rejected: `payout.amount_mismatch`.
    """
    row = await lock_payout(tx, payout_id)
    if row.state == "sending":
        if payout.client_reference != row.client_reference("send"):
            return
        row = replace(row, payout_reference=payout.reference, unknown_since=None, asked_at=None)
    elif row.state not in {"sent", "paid"} or payout.reference != row.payout_reference:
        return
    _require_same_money(row, payout.amount_minor, payout.currency)
    match payout.state:
        case "pending" if row.state == "sending":
            await store_payout(tx, replace(row, state="sent", arrives_on=payout.arrives_on))
        case "paid" if row.state != "paid":
            await _paid(tx, replace(row, arrives_on=payout.arrives_on))
        case "failed" | "canceled":
            await _returned(tx, row, payout.failure_code or payout.state)
        case _:
            pass


async def end_at_account(tx: Tx, payout_id: PayoutId) -> None:
    """The transfer was all: the provider sends what is in shops' accounts to their banks by itself."""
    row = await lock_payout(tx, payout_id)
    if row.state == "transferred":
        await _paid(tx, replace(row, send_attempt=row.send_attempt + 1))


async def apply_reversal(tx: Tx, payout_id: PayoutId) -> None:
    """The transfer is undone: the shop has its money as before."""
    row = await lock_payout(tx, payout_id)
    if row.state == "reversing":
        await _give_up(tx, row, transferred=True)


async def apply_refusal(
    tx: Tx, payout_id: PayoutId, ask: Ask, attempt: int, refused: GatewayRefused
) -> None:
    """The provider will not, and did nothing: wait and try again, or give up."""
    row = await lock_payout(tx, payout_id)
    if ASKING.get(row.state) != ask or row.attempt(ask) != attempt:
        return
    row = replace(
        row, failure_code=refused.provider_code or refused.reason, unknown_since=None, asked_at=None
    )
    match after_refusal(ask, attempt, try_later=refused.try_later):
        case "created":
            await _later(tx, replace(row, state="created"), attempt)
        case "transferred":
            await _later(tx, replace(row, state="transferred"), attempt)
        case "failed":
            await _give_up(tx, row)
        case _:
            await _reverse(tx, row, again=ask == "reverse")


async def mark_unknown(tx: Tx, payout_id: PayoutId, ask: Ask, attempt: int) -> None:
    """Nobody can say under this key whether it was done: it has to be looked for."""
    row = await lock_payout(tx, payout_id)
    if ASKING.get(row.state) == ask and row.attempt(ask) == attempt and not row.unknown_since:
        await store_payout(tx, replace(row, unknown_since=tx.now))


async def apply_absence(tx: Tx, payout_id: PayoutId, ask: Ask, attempt: int) -> None:
    """It was looked for, and is not there: it may be asked for again, as a new attempt."""
    row = await lock_payout(tx, payout_id)
    if ASKING.get(row.state) != ask or row.attempt(ask) != attempt:
        return
    row = replace(row, unknown_since=None, asked_at=None)
    match ask:
        case "transfer":
            await store_payout(tx, replace(row, state="created"))
        case "send":
            await store_payout(tx, replace(row, state="transferred"))
        case "reverse":
            await _reverse(tx, row, again=False)


async def cancel(tx: Tx, row: PayoutRow) -> None:
    """Give a locked payout up that nobody was asked to make."""
    await _release(tx, row, transferred=False)
    await store_payout(tx, replace(row, state="canceled", retry_at=None))


def payout_of(client_reference: str) -> PayoutId | None:
    """Which payout of ours the provider speaks of; None where it is nobody's, as what a seller sent by hand there."""
    identifier, _, _ = client_reference.partition(":")
    try:
        return PayoutId(UUID(identifier))
    except ValueError:
        return None


async def _paid(tx: Tx, row: PayoutRow) -> None:
    await ledger.post(
        tx,
        payout_paid(
            payout_id=row.id,
            attempt=row.send_attempt,
            shop_id=row.shop_id,
            currency=row.currency,
            amount_minor=row.amount_minor,
        ),
    )
    await store_payout(
        tx, replace(row, state="paid", asked_at=None, retry_at=None, failure_code="")
    )


async def _returned(tx: Tx, row: PayoutRow, failure_code: str) -> None:
    if row.state == "paid":
        await ledger.post(
            tx,
            payout_returned(
                payout_id=row.id,
                attempt=row.send_attempt,
                shop_id=row.shop_id,
                currency=row.currency,
                amount_minor=row.amount_minor,
            ),
        )
    row = replace(row, failure_code=failure_code, asked_at=None, arrives_on=None)
    if failure_code in _FOR_GOOD or after_return(row.send_attempt) == "reversing":
        await _reverse(tx, row, again=False)
    else:
        await _later(tx, replace(row, state="transferred"), row.send_attempt)


async def _later(tx: Tx, row: PayoutRow, attempt: int) -> None:
    retry_at = tx.now + wait_before(attempt, RETRY_FIRST)
    tx.enqueue(AdvancePayout(payout=row.id), run_at=retry_at)
    await store_payout(tx, replace(row, retry_at=retry_at))


async def _reverse(tx: Tx, row: PayoutRow, *, again: bool) -> None:
    """Ask for the transfer's money back. A refusal waits first: the shop's account may have less for a while."""
    retry_at = tx.now + RETRY_FIRST if again else None
    tx.enqueue(AdvancePayout(payout=row.id), run_at=retry_at)
    await store_payout(
        tx,
        replace(
            row,
            state="reversing",
            reverse_attempt=row.reverse_attempt + 1,
            asked_at=retry_at or tx.now,
            retry_at=retry_at,
        ),
    )


async def _give_up(tx: Tx, row: PayoutRow, *, transferred: bool = False) -> None:
    await _release(tx, row, transferred=transferred)
    if transferred or row.failure_code in _FOR_GOOD:
        await tx.con.execute(SQL["require_bank_details"], row.shop_id)
    tx.enqueue(NotifyPayoutFailed(payout=row.id), dedup=f"payout_failed:{row.id}")
    await store_payout(tx, replace(row, state="failed", asked_at=None, retry_at=None))


async def _release(tx: Tx, row: PayoutRow, *, transferred: bool) -> None:
    await ledger.post(
        tx,
        payout_given_up(
            payout_id=row.id,
            gateway=row.gateway,
            shop_id=row.shop_id,
            currency=row.currency,
            amount_minor=row.amount_minor,
            transferred=transferred,
            reference=row.transfer_reference or "",
        ),
    )


def _require_same_money(row: PayoutRow, amount_minor: int, currency: str) -> None:
    if (amount_minor, currency) != (row.amount_minor, row.currency):
        raise Rejected(
            "payout.amount_mismatch",
            f"The provider speaks of {amount_minor} {currency}, payout {row.id} of "
            f"{row.amount_minor} {row.currency}.",
        )
