"""Rows of the payout service as its queries give them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import PayoutId, ShopId
from feira.platform.domain.payout_events import PayoutMoved
from feira.platform.domain.payout_schedule import Frequency, PayoutSchedule
from feira.platform.domain.payouts import ASKING, Ask, PayoutProgress, PayoutState
from feira.platform.domain.topics import OPS, shop_topic
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one, load_queries

SQL: Final = load_queries("payouts")


class PayoutRow(msgspec.Struct, frozen=True, kw_only=True):
    """A payout as the database holds it."""

    id: PayoutId
    shop_id: ShopId
    currency: str
    amount_minor: int
    slot_at: datetime | None
    gateway: str
    account: str
    state: PayoutState
    transfer_attempt: int
    send_attempt: int
    reverse_attempt: int
    asked_at: datetime | None
    unknown_since: datetime | None
    retry_at: datetime | None
    transfer_reference: str | None
    payout_reference: str | None
    failure_code: str
    arrives_on: date | None
    held_reason: str
    created_at: datetime
    updated_at: datetime

    def attempt(self, ask: Ask) -> int:
        match ask:
            case "transfer":
                return self.transfer_attempt
            case "send":
                return self.send_attempt
            case "reverse":
                return self.reverse_attempt

    def client_reference(self, ask: Ask) -> str:
        """What the provider is told that the current attempt is, so that it can be found there."""
        return f"{self.id}:{ask}:{self.attempt(ask)}"

    @property
    def group(self) -> str:
        return f"payout:{self.id}"

    def progress(self, *, is_payable: bool) -> PayoutProgress:
        ask = ASKING.get(self.state)
        return PayoutProgress(
            state=self.state,
            attempt=0 if ask is None else self.attempt(ask),
            asked_at=self.asked_at,
            retry_at=self.retry_at,
            is_accepted=self.state == "transferring" and self.transfer_reference is not None,
            unknown_since=self.unknown_since,
            is_held=self.held_reason != "",
            is_payable=is_payable,
        )


class SettingsRow(msgspec.Struct, frozen=True, kw_only=True):
    """How a shop is paid."""

    shop_id: ShopId
    frequency: Frequency
    weekday: int
    month_day: int
    zone: str
    next_slot_at: datetime | None
    clearance_s: int | None
    paused_reason: str
    needs_bank_details: bool

    @property
    def schedule(self) -> PayoutSchedule:
        return PayoutSchedule(
            frequency=self.frequency,
            weekday=self.weekday,
            month_day=self.month_day,
            zone=self.zone,
        )


async def load_payout(con: Connection, payout_id: PayoutId) -> PayoutRow:
    """Read a payout.

    Raises:
        NotFound: `payout.not_found`.
    """
    return _found(await fetch_one(con, SQL["read_payout"], PayoutRow, payout_id))


async def lock_payout(tx: Tx, payout_id: PayoutId) -> PayoutRow:
    """Lock a payout, before its shop's balances.

    Raises:
        NotFound: `payout.not_found`.
    """
    return _found(await fetch_one(tx.con, SQL["lock_payout"], PayoutRow, payout_id))


async def store_payout(tx: Tx, row: PayoutRow) -> None:
    """Write a locked payout's progress down, and tell its shop, and operators where they have to look."""
    await tx.con.execute(
        SQL["store_payout"],
        row.id,
        row.state,
        row.transfer_attempt,
        row.send_attempt,
        row.reverse_attempt,
        row.asked_at,
        row.unknown_since,
        row.retry_at,
        row.transfer_reference,
        row.payout_reference,
        row.failure_code,
        row.arrives_on,
        row.held_reason,
    )
    event = moved(row)
    tx.emit(shop_topic(row.shop_id), event)
    if row.failure_code or row.unknown_since:
        tx.emit(OPS, event)


def moved(row: PayoutRow) -> PayoutMoved:
    return PayoutMoved(
        payout=row.id,
        shop=row.shop_id,
        state=row.state,
        amount_minor=row.amount_minor,
        currency=row.currency,
        attempt=row.send_attempt,
        failure_code=row.failure_code,
        retry_at=row.retry_at,
        arrives_on=row.arrives_on,
        is_held=row.held_reason != "",
        is_unknown=row.unknown_since is not None,
    )


def _found(row: PayoutRow | None) -> PayoutRow:
    if row is None:
        raise NotFound("payout.not_found", "There is no such payout.")
    return row
