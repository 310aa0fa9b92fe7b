"""What a refund posts, before the order is completed, in clearance, and after the shop was paid out.

requested   held: hold -> refund_payable
            later: pending of the order, then available, then receivable, and commission -> refund_payable, promotion
succeeded   refund_payable -> psp
failed      refund_payable -> where the money would be without the refund

The market's commission and subsidy of the part go back with it: `c(before + amount) - c(before)` of the frozen sums.
"""

from __future__ import annotations

from feira.platform.domain.ids import OrderId, RefundId
from feira.platform.domain.ledger import (
    Entry,
    LedgerTransaction,
    balanced,
    market_account,
    order_account,
    psp,
)
from feira.platform.domain.shop_funds import Part, Sale, ShopFunds, given_to_shop, taken_from_shop


def refund_requested(
    sale: Sale, *, refund_id: RefundId, amount_minor: int, before_minor: int, funds: ShopFunds
) -> LedgerTransaction:
    """Owe it to the buyer. `before_minor` is what was given back or promised before, and not refused."""
    payable = (order_account("refund_payable", sale.order_id, sale.currency), -amount_minor)
    if funds.stage == "held":
        entries = [(order_account("hold", sale.order_id, sale.currency), amount_minor), payable]
    else:
        part = sale.part(before_minor=before_minor, amount_minor=amount_minor)
        entries = [
            *taken_from_shop(sale.shop_id, sale.currency, part.shop_minor, funds),
            *_market(sale, part, 1),
            payable,
        ]
    return balanced(
        f"refund_requested:{refund_id}", "refund_requested", entries, order_id=sale.order_id
    )


def refund_succeeded(
    *,
    refund_id: RefundId,
    order_id: OrderId,
    gateway: str,
    currency: str,
    amount_minor: int,
    reference: str = "",
) -> LedgerTransaction:
    """The provider gave the buyer the money."""
    return balanced(
        f"refund_succeeded:{refund_id}",
        "refund_succeeded",
        [
            (order_account("refund_payable", order_id, currency), amount_minor),
            (psp(gateway, currency), -amount_minor),
        ],
        order_id=order_id,
        provider_reference=reference,
    )


def refund_failed(
    sale: Sale, *, refund_id: RefundId, amount_minor: int, other_minor: int, funds: ShopFunds
) -> LedgerTransaction:
    """The provider could not. `other_minor` is what the order gives back without this refund.

    `funds` say how the order stands now: it may have been completed since the refund was asked for.
    """
    payable = (order_account("refund_payable", sale.order_id, sale.currency), amount_minor)
    if funds.stage == "held":
        entries = [payable, (order_account("hold", sale.order_id, sale.currency), -amount_minor)]
    else:
        part = sale.part(before_minor=other_minor, amount_minor=amount_minor)
        entries = [
            payable,
            *given_to_shop(sale.shop_id, sale.currency, part.shop_minor, funds),
            *_market(sale, part, -1),
        ]
    return balanced(f"refund_failed:{refund_id}", "refund_failed", entries, order_id=sale.order_id)


def refund_borne_by_market(
    *, refund_id: RefundId, order_id: OrderId, currency: str, amount_minor: int
) -> LedgerTransaction:
    """Owe the buyer something that neither the order nor its shop pays."""
    return balanced(
        f"refund_requested:{refund_id}",
        "refund_requested",
        [
            (market_account("loss", currency), amount_minor),
            (order_account("refund_payable", order_id, currency), -amount_minor),
        ],
        order_id=order_id,
    )


def refund_borne_by_market_failed(
    *, refund_id: RefundId, order_id: OrderId, currency: str, amount_minor: int
) -> LedgerTransaction:
    """The provider could not: the market keeps it."""
    return balanced(
        f"refund_failed:{refund_id}",
        "refund_failed",
        [
            (order_account("refund_payable", order_id, currency), amount_minor),
            (market_account("loss", currency), -amount_minor),
        ],
        order_id=order_id,
    )


def _market(sale: Sale, part: Part, sign: int) -> list[Entry]:
    return [
        (market_account("commission", sale.currency), sign * part.commission_minor),
        (market_account("promotion", sale.currency), -sign * part.subsidy_minor),
    ]
