"""What an order's way from payment to clearance posts.

captured        psp -> hold of each order;  fees -> psp
completed       hold, promotion -> pending of the shop, commission
clearance over  pending -> receivable first, the rest available
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from feira.platform.domain.ids import OrderId, PaymentId
from feira.platform.domain.ledger import (
    LedgerTransaction,
    balanced,
    market_account,
    order_account,
    psp,
    shop_account,
)
from feira.platform.domain.shop_funds import Sale, ShopFunds, given_to_shop


class OrderShare(msgspec.Struct, frozen=True, kw_only=True):
    """An order's part of the one payment of its group."""

    order_id: OrderId
    total_minor: int


def captured(
    *,
    payment_id: PaymentId,
    gateway: str,
    currency: str,
    orders: Sequence[OrderShare],
    fee_minor: int,
    reference: str = "",
) -> LedgerTransaction:
    """The provider took the buyer's money: it is owed to the orders until they complete.

    `reference` is, here and elsewhere, the provider's name of what moved money there.
    """
    total = sum(order.total_minor for order in orders)
    holds = [
        (order_account("hold", order.order_id, currency), -order.total_minor) for order in orders
    ]
    return balanced(
        f"capture:{payment_id}",
        "captured",
        [
            (psp(gateway, currency), total),
            *holds,
            (market_account("fees", currency), fee_minor),
            (psp(gateway, currency), -fee_minor),
        ],
        provider_reference=reference,
    )


def completed(sale: Sale, *, refunded_minor: int) -> LedgerTransaction:
    """The order is done: what is left of its hold goes to the shop and the market.

    `refunded_minor` is all that left the hold before: refunds that did not fail, and chargebacks that were not won.
    Empty for an order that was given back whole, or was free.
    """
    left = sale.left(refunded_minor)
    return balanced(
        f"complete:{sale.order_id}",
        "completed",
        [
            (order_account("hold", sale.order_id, sale.currency), left.amount_minor),
            (market_account("promotion", sale.currency), left.subsidy_minor),
            (shop_account("pending", sale.shop_id, sale.currency), -left.shop_minor),
            (market_account("commission", sale.currency), -left.commission_minor),
        ],
        order_id=sale.order_id,
    )


def clearance_over(sale: Sale, funds: ShopFunds) -> LedgerTransaction:
    """What is left of this order in clearance settles what the shop owes; the rest may be paid out.

    Empty where nothing is left.
    """
    assert funds.stage == "clearing", "clearance is over once"
    cleared = msgspec.structs.replace(funds, stage="cleared")
    return balanced(
        f"clearance:{sale.order_id}",
        "cleared",
        [
            (shop_account("pending", sale.shop_id, sale.currency), funds.pending_minor),
            *given_to_shop(sale.shop_id, sale.currency, funds.pending_minor, cleared),
        ],
        order_id=sale.order_id,
    )
