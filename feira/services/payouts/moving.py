"""Bringing a payout as far as it goes now: commit what is asked, ask, commit the answer, look again.

Any number of these may be at work on one payout: all ask under the same keys, and whoever is overtaken changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Final, TypeVar

import msgspec

from feira.platform.domain.errors import Unavailable
from feira.platform.domain.ids import PayoutId
from feira.platform.domain.payouts import Ask, Step, next_step
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.services.payments.payments import outside_key, require_same_gateway
from feira.services.payouts import outcomes
from feira.services.payouts.rows import SQL, PayoutRow, load_payout
from feira.sql.loader import fetch_one

T = TypeVar("T")

# Clocks of the provider and ours may differ: lists begin a bit earlier than what was asked for.
LOOK_BACK: Final = timedelta(hours=1)
# A payout takes at most so many steps at once: two for each commit and call, and a few that look.
STEPS_MAX: Final = 20


class _Payee(msgspec.Struct, frozen=True, kw_only=True):
    account: str | None
    is_in_order: bool
    is_paused: bool


async def advance(market: Market, payout_id: PayoutId) -> None:
    """Bring a payout as far as it goes now. Safe to repeat, to race and to die in.

    Raises:
        Unavailable: the provider or the database is away; come again.
        NotFound: `payout.not_found`.
    """
    for _ in range(STEPS_MAX):
        async with market.database.connection() as con:
            row = await load_payout(con, payout_id)
            payee = await fetch_one(con, SQL["read_payee"], _Payee, row.shop_id)
            now = await con.fetchval("SELECT now()")
        assert payee is not None, "a payout has a shop"
        capabilities = market.payments.capabilities
        step = next_step(
            row.progress(is_payable=payee.is_in_order and not payee.is_paused),
            now=now,
            key_lifetime=timedelta(seconds=capabilities.key_lifetime_s),
            has_payouts=capabilities.payouts,
        )
        if step == "none":
            return
        require_same_gateway(market, row.gateway)
        await _take(market, row, step)
        if step in {"watch", "watch_transfer"}:
            # However it is, it is that way until the provider has news.
            return
    raise AssertionError(f"payout {payout_id} does not come to rest")


async def _take(market: Market, row: PayoutRow, step: Step) -> None:
    match step:
        case "ask_transfer":
            await market.database.transact(lambda tx: outcomes.begin(tx, row.id, "transfer"))
            failpoint("payouts.transfer_asked")
        case "ask_send":
            await market.database.transact(lambda tx: outcomes.begin(tx, row.id, "send"))
            failpoint("payouts.send_asked")
        case "repeat_transfer":
            await _transfer(market, row)
        case "repeat_send":
            await _send(market, row)
        case "repeat_reverse":
            await _reverse(market, row)
        case "find_transfer":
            await _find_transfer(market, row)
        case "find_send":
            await _find_sent(market, row)
        case "find_reverse":
            await _find_reversal(market, row)
        case "end_at_account":
            await market.database.transact(lambda tx: outcomes.end_at_account(tx, row.id))
        case "watch_transfer":
            assert row.transfer_reference is not None, "the provider took it"
            transfer = await market.payments.fetch_transfer(row.transfer_reference)
            await market.database.transact(lambda tx: outcomes.apply_transfer(tx, row.id, transfer))
        case "watch":
            assert row.payout_reference is not None, "it was sent"
            payout = await market.payments.fetch_payout(row.payout_reference, account=row.account)
            await market.database.transact(lambda tx: outcomes.apply_payout(tx, row.id, payout))
        case "none":
            pass


async def _transfer(market: Market, row: PayoutRow) -> None:
    transfer = await _asked(
        market,
        row,
        "transfer",
        market.payments.transfer(
            account=row.account,
            amount_minor=row.amount_minor,
            currency=row.currency,
            group=row.group,
            client_reference=row.client_reference("transfer"),
            idempotency_key=outside_key("payout_transfer", row.id, row.transfer_attempt),
        ),
    )
    failpoint("payouts.transfer_made")
    if transfer is not None:
        await market.database.transact(lambda tx: outcomes.apply_transfer(tx, row.id, transfer))
        failpoint("payouts.transfer_kept")


async def _send(market: Market, row: PayoutRow) -> None:
    payout = await _asked(
        market,
        row,
        "send",
        market.payments.payout(
            account=row.account,
            amount_minor=row.amount_minor,
            currency=row.currency,
            client_reference=row.client_reference("send"),
            idempotency_key=outside_key("payout_send", row.id, row.send_attempt),
        ),
    )
    failpoint("payouts.sent")
    if payout is not None:
        await market.database.transact(lambda tx: outcomes.apply_payout(tx, row.id, payout))
        failpoint("payouts.send_kept")


async def _reverse(market: Market, row: PayoutRow) -> None:
    assert row.transfer_reference is not None, "only what was made is reversed"
    reversal = await _asked(
        market,
        row,
        "reverse",
        market.payments.reverse_transfer(
            row.transfer_reference,
            amount_minor=row.amount_minor,
            client_reference=row.client_reference("reverse"),
            idempotency_key=outside_key("payout_reverse", row.id, row.reverse_attempt),
        ),
    )
    failpoint("payouts.reversed")
    if reversal is not None:
        await market.database.transact(lambda tx: outcomes.apply_reversal(tx, row.id))
        failpoint("payouts.reversal_kept")


async def _find_transfer(market: Market, row: PayoutRow) -> None:
    """A payout has one transfer: whichever of its group was not refused is the one."""
    listed = await market.payments.list_transfers(row.group, since=row.created_at - LOOK_BACK)
    found = [transfer for transfer in listed if transfer.state != "failed"]
    assert len(found) <= 1, f"payout {row.id} was transferred {len(found)} times"
    if found:
        await market.database.transact(lambda tx: outcomes.apply_transfer(tx, row.id, found[0]))
    else:
        await _absent(market, row, "transfer")


async def _find_sent(market: Market, row: PayoutRow) -> None:
    listed = await market.payments.list_payouts(row.account, since=row.created_at - LOOK_BACK)
    reference = row.client_reference("send")
    found = next((payout for payout in listed if payout.client_reference == reference), None)
    if found is not None:
        await market.database.transact(lambda tx: outcomes.apply_payout(tx, row.id, found))
    else:
        await _absent(market, row, "send")


async def _find_reversal(market: Market, row: PayoutRow) -> None:
    assert row.transfer_reference is not None, "only what was made is reversed"
    listed = await market.payments.list_reversals(row.transfer_reference)
    if any(reversal.amount_minor == row.amount_minor for reversal in listed):
        await market.database.transact(lambda tx: outcomes.apply_reversal(tx, row.id))
    else:
        await _absent(market, row, "reverse")


async def _absent(market: Market, row: PayoutRow, ask: Ask) -> None:
    await market.database.transact(
        lambda tx: outcomes.apply_absence(tx, row.id, ask, row.attempt(ask))
    )


async def _asked(market: Market, row: PayoutRow, ask: Ask, call: Awaitable[T]) -> T | None:
    """What the provider answered; None where it refused, or where nobody can know: that is written down."""
    try:
        return await call
    except GatewayRefused as refused:
        failure = refused
    except Unavailable as error:
        if error.code != "payment.outcome_unknown":
            raise
        await market.database.transact(
            lambda tx: outcomes.mark_unknown(tx, row.id, ask, row.attempt(ask))
        )
        return None
    if failure.reason in {"invalid_request", "idempotency_key_reused"}:
        # A bug of ours: somebody has to look before money is moved again.
        raise failure
    await market.database.transact(
        lambda tx: outcomes.apply_refusal(tx, row.id, ask, row.attempt(ask), failure)
    )
    return None
