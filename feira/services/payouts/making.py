"""Making payouts: the money leaves what is available in the transaction of the payout's row and its job.

Whoever makes one holds the shop's settings, then its balances, in this order. A slot makes at most one payout for
each currency, whoever gets there first: the settings' lock says so, and a unique key. Slots that nobody was there
for are made up for by the next one, which pays all that there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import Conflict, Rejected
from feira.platform.domain.ids import PayoutId, ShopId, UserId
from feira.platform.domain.ledger import AccountKind
from feira.platform.domain.payout_jobs import AdvancePayout
from feira.platform.domain.payout_schedule import latest_due, next_slot
from feira.platform.domain.postings_payouts import payout_started
from feira.platform.domain.postings_shops import receivable_netted
from feira.platform.domain.topics import shop_topic
from feira.platform.runtime.failpoints import failpoint
from feira.services.market import Market
from feira.services.payments import ledger
from feira.services.payouts.rows import SQL, SettingsRow, load_payout, moved
from feira.sql.database import Tx
from feira.sql.loader import fetch_all, fetch_one

SHOPS_A_TIME: Final = 20


class _DueShop(SettingsRow, frozen=True, kw_only=True):
    account: str


class _Payee(msgspec.Struct, frozen=True, kw_only=True):
    account: str | None
    is_in_order: bool
    is_paused: bool


class _Balance(msgspec.Struct, frozen=True, kw_only=True):
    kind: AccountKind
    currency: str
    balance_minor: int


class _Minimum(msgspec.Struct, frozen=True, kw_only=True):
    currency: str
    minimum_minor: int


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """The provider that payouts are made at. `steps`: currencies in which banks take multiples of more than 1."""

    gateway: str
    steps: Mapping[str, int]

    @classmethod
    def of(cls, market: Market) -> Payer:
        provider = market.payments
        return cls(gateway=provider.name, steps=provider.capabilities.payout_steps)


async def pay_due_shops(tx: Tx, payer: Payer) -> int:
    """Pay some shops whose slot has come, and return how many had one; 0 when none is left."""
    shops = await fetch_all(tx.con, SQL["lock_due_shops"], _DueShop, SHOPS_A_TIME)
    # Balances of several shops are locked: by whomever, in this order.
    for shop in sorted(shops, key=lambda shop: shop.shop_id):
        slot = latest_due(shop.schedule, awaited=shop.next_slot_at, now=tx.now)
        assert slot is not None, "the query asked for slots that have come"
        minimums = await fetch_all(tx.con, SQL["read_minimums"], _Minimum, shop.shop_id)
        await _pay(
            tx,
            shop.shop_id,
            payer=payer,
            account=shop.account,
            slot=slot,
            minimums={row.currency: row.minimum_minor for row in minimums},
        )
        await tx.con.execute(SQL["store_next_slot"], shop.shop_id, next_slot(shop.schedule, tx.now))
    return len(shops)


async def run_payouts(market: Market) -> int:
    """Pay all shops whose slot has come, a batch in each transaction, and return how many had one.

    Nothing is kept from one batch to the next: memory stays as it is, however many shops there are.
    """
    shops = 0
    payer = Payer.of(market)
    while paid := await market.database.transact(lambda tx: pay_due_shops(tx, payer)):
        shops += paid
        failpoint("payouts.batch_made")
    return shops


async def pay_now(
    tx: Tx, shop_id: ShopId, *, payer: Payer, requested_by: UserId, currency: str | None
) -> list[PayoutId]:
    """Pay a shop what is available, though no slot has come. No minimum holds.

    Raises:
        Conflict: `payout.paused`, `payout.shop_not_in_order`, `payout.needs_bank_details`.
        Rejected: `payout.nothing_available`.
    """
    await tx.con.execute(SQL["ensure_settings"], shop_id, None)
    settings = await fetch_one(tx.con, SQL["lock_settings"], SettingsRow, shop_id)
    payee = await fetch_one(tx.con, SQL["read_payee"], _Payee, shop_id)
    assert settings is not None, "they are there by now"
    assert payee is not None, "the caller found the shop"
    if payee.is_paused:
        raise Conflict("payout.paused", "Payouts are paused by the market's operators.")
    if not payee.is_in_order or payee.account is None:
        raise Conflict(
            "payout.shop_not_in_order",
            "A shop is paid while it is approved and its account at the payment provider is verified.",
        )
    if settings.needs_bank_details:
        raise Conflict(
            "payout.needs_bank_details",
            "The last payout came back: look at the bank details, then save the payout settings.",
        )
    made = await _pay(
        tx,
        shop_id,
        payer=payer,
        account=payee.account,
        slot=None,
        requested_by=requested_by,
        only=currency,
    )
    if not made:
        raise Rejected(
            "payout.nothing_available", "Nothing is available to be paid out.", field="$.currency"
        )
    return made


async def _pay(
    tx: Tx,
    shop_id: ShopId,
    *,
    payer: Payer,
    account: str,
    slot: datetime | None,
    minimums: dict[str, int] | None = None,
    requested_by: UserId | None = None,
    only: str | None = None,
) -> list[PayoutId]:
    balances = await fetch_all(tx.con, SQL["lock_funds"], _Balance, shop_id)
    made: list[PayoutId] = []
    for currency in sorted({balance.currency for balance in balances}):
        if only not in {None, currency}:
            continue
        available = await _net(tx, shop_id, currency, balances)
        # What does not make a whole step stays for the next payout.
        amount = available - available % payer.steps.get(currency, 1)
        if amount <= 0 or amount < (minimums or {}).get(currency, 1):
            continue
        payout_id = PayoutId(
            await tx.con.fetchval(
                SQL["insert_payout"],
                shop_id,
                currency,
                amount,
                slot,
                requested_by,
                payer.gateway,
                account,
                available - amount,
            )
        )
        await _take(tx, payout_id, shop_id, currency, amount)
        made.append(payout_id)
    return made


async def _net(tx: Tx, shop_id: ShopId, currency: str, balances: Sequence[_Balance]) -> int:
    """Settle what the shop owes from what it has, and return what is left of that."""
    have = {row.kind: row.balance_minor for row in balances if row.currency == currency}
    available, owed = have.get("available", 0), have.get("receivable", 0)
    settled = min(available, owed)
    if settled > 0:
        await ledger.post(
            tx,
            receivable_netted(
                cause=f"payout:{shop_id}:{currency}:{tx.now.isoformat()}",
                shop_id=shop_id,
                currency=currency,
                amount_minor=settled,
            ),
        )
    return available - settled


async def _take(
    tx: Tx, payout_id: PayoutId, shop_id: ShopId, currency: str, amount_minor: int
) -> None:
    lines_minor = await tx.con.fetchval(SQL["insert_lines"], payout_id, shop_id, currency)
    assert lines_minor == amount_minor, (
        f"payout {payout_id}: lines and carried {lines_minor}, amount {amount_minor}"
    )
    await ledger.post(
        tx,
        payout_started(
            payout_id=payout_id, shop_id=shop_id, currency=currency, amount_minor=amount_minor
        ),
    )
    tx.enqueue(AdvancePayout(payout=payout_id), dedup=f"payout:{payout_id}")
    tx.emit(shop_topic(shop_id), moved(await load_payout(tx.con, payout_id)))
    failpoint("payouts.making")
