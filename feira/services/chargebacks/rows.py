"""Rows of the chargeback service as its queries give them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from feira.platform.domain.chargebacks import ChargebackState
from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import ChargebackId, OrderId, PaymentId, ShopId, UserId
from feira.platform.domain.postings_chargebacks import ChargebackShare
from feira.platform.domain.shop_funds import Part
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL: Final = load_queries("chargebacks")


class ChargebackRow(msgspec.Struct, frozen=True, kw_only=True):
    """A chargeback as the database holds it."""

    id: ChargebackId
    payment_id: PaymentId
    gateway: str
    gateway_reference: str
    amount_minor: int
    currency: str
    fee_minor: int
    reason: str
    state: ChargebackState
    evidence_due_at: datetime | None
    evidence: str | None
    """The JSON of an `Evidence`."""
    evidence_by: UserId | None
    evidence_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None


class ShareRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order's share, frozen when the money went."""

    order_id: OrderId
    number: int
    shop_id: ShopId
    amount_minor: int
    commission_minor: int
    subsidy_minor: int
    excess_minor: int

    @property
    def taken_minor(self) -> int:
        return self.amount_minor + self.excess_minor

    def of(self, row: ChargebackRow) -> ChargebackShare:
        return ChargebackShare(
            chargeback_id=row.id,
            gateway=row.gateway,
            part=Part(
                amount_minor=self.amount_minor,
                commission_minor=self.commission_minor,
                subsidy_minor=self.subsidy_minor,
            ),
            excess_minor=self.excess_minor,
            reference=row.gateway_reference,
        )


async def load_chargeback(con: Connection, chargeback_id: ChargebackId) -> ChargebackRow:
    """Read a chargeback.

    Raises:
        NotFound: `chargeback.not_found`.
    """
    return found(await fetch_one(con, SQL["read_chargeback"], ChargebackRow, chargeback_id))


async def read_shares(con: Connection, chargeback_id: ChargebackId) -> list[ShareRow]:
    return await fetch_all(con, SQL["read_shares"], ShareRow, chargeback_id)


def found(row: ChargebackRow | None) -> ChargebackRow:
    if row is None:
        raise NotFound("chargeback.not_found", "There is no such chargeback.")
    return row
