"""Rows of the payment service as its queries give them."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import OrderGroupId, OrderId, PaymentId, RefundId, ShopId
from feira.platform.domain.order_state import RELEASED, OrderStatus, PaymentStatus
from feira.platform.domain.postings_orders import OrderShare
from feira.platform.domain.refunds import RefundState
from feira.platform.domain.shop_funds import Sale
from feira.sql.database import Tx
from feira.sql.loader import fetch_all, fetch_one, load_queries

SQL: Final = load_queries("payments")

PaymentState = Literal["created", "pending", "failed", "authorized", "captured", "canceled"]


class LockedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """`gateway` and `gateway_reference` are null until the provider was asked and has answered."""

    id: PaymentId
    group_id: OrderGroupId
    gateway: str | None
    gateway_reference: str | None
    currency: str
    amount_minor: int
    fee_minor: int
    state: PaymentState
    decline_code: str


class OrderForMoney(msgspec.Struct, frozen=True, kw_only=True):
    """A locked order as far as money goes."""

    order_id: OrderId
    group_id: OrderGroupId
    shop_id: ShopId
    currency: str
    total_minor: int
    commission_minor: int
    subsidy_minor: int
    status: OrderStatus
    payment_status: PaymentStatus

    @property
    def is_released(self) -> bool:
        """Whether what was left of the order's hold went to its shop and the market."""
        return self.status in RELEASED

    @property
    def sale(self) -> Sale:
        return Sale(
            order_id=self.order_id,
            shop_id=self.shop_id,
            currency=self.currency,
            total_minor=self.total_minor,
            commission_minor=self.commission_minor,
            subsidy_minor=self.subsidy_minor,
        )


class RefundRow(msgspec.Struct, frozen=True, kw_only=True):
    id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    amount_minor: int
    currency: str
    state: RefundState
    gateway_reference: str | None
    gateway: str
    intent_reference: str
    attempt: int
    asked_at: datetime | None
    is_key_spent: bool


class RefundSums(msgspec.Struct, frozen=True, kw_only=True):
    """What was promised back and not refused, or taken back by banks; of it, which refunds have arrived."""

    of_order_minor: int
    succeeded_of_order_minor: int
    of_payment_minor: int


async def lock_order(tx: Tx, order_id: OrderId) -> OrderForMoney:
    """Lock an order, before its payment.

    Raises:
        NotFound: `order.not_found`.
    """
    order = await fetch_one(tx.con, SQL["lock_order"], OrderForMoney, order_id)
    if order is None:
        raise NotFound("order.not_found", "There is no such order.")
    return order


async def lock_group_orders(tx: Tx, group_id: OrderGroupId) -> list[OrderShare]:
    """Lock a group's orders, before their payment, and return what each has of it."""
    return await fetch_all(tx.con, SQL["lock_group_orders"], OrderShare, group_id)


async def lock_payment(tx: Tx, payment_id: PaymentId) -> LockedPayment:
    """Lock a payment, after its orders.

    Raises:
        NotFound: `payment.not_found`.
    """
    payment = await fetch_one(tx.con, SQL["lock_payment"], LockedPayment, payment_id)
    if payment is None:
        raise NotFound("payment.not_found", "There is no such payment.")
    return payment


async def sum_refunds(tx: Tx, payment_id: PaymentId, order_id: OrderId) -> RefundSums:
    """Sum up refunds. The caller holds the payment's lock, so that no other sum is taken meanwhile."""
    sums = await fetch_one(tx.con, SQL["sum_refunds"], RefundSums, payment_id, order_id)
    assert sums is not None, "an aggregate gives one row"
    return sums
