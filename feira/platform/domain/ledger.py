"""Double entry: which accounts there are, and which postings each event of an order makes.

Debit is positive, credit negative; every transaction sums to zero in each currency.

    captured            psp -> hold of each order;  fees -> psp
    completed           hold -> pending of the shop, commission
    refund requested    hold -> refund_payable
    refund succeeded    refund_payable -> psp
    refund failed       refund_payable -> hold, or, after completion, -> pending, commission

Keys name the effect ("capture:{payment}"), never the message that told us of it, so that the same effect
told twice is one transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from feira.platform.domain.commission import commission_given_back, commission_part
from feira.platform.domain.ids import OrderId, PaymentId, RefundId, ShopId

Side = Literal["debit", "credit"]
AccountKind = Literal["psp", "fees", "commission", "hold", "pending", "available", "refund_payable"]


class _Nature(NamedTuple):
    normal: Side
    tracked: bool


# Tracked accounts keep a balance that may never go below zero. The platform's own are in every transaction:
# a balance row would make all of them wait for each other.
_NATURES: Final[dict[AccountKind, _Nature]] = {
    "psp": _Nature("debit", tracked=False),
    "fees": _Nature("debit", tracked=False),
    "commission": _Nature("credit", tracked=False),
    "hold": _Nature("credit", tracked=True),
    "pending": _Nature("credit", tracked=True),
    "available": _Nature("credit", tracked=True),
    "refund_payable": _Nature("credit", tracked=True),
}


class LedgerAccount(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`owner` is the provider (psp), order (hold, refund_payable), shop (pending, available) or empty."""

    kind: AccountKind
    owner: str
    currency: str

    @property
    def normal(self) -> Side:
        return _NATURES[self.kind].normal

    @property
    def tracked(self) -> bool:
        return _NATURES[self.kind].tracked

    def in_normal_direction(self, amount_minor: int) -> int:
        """What a posting adds to the account's balance."""
        return amount_minor if self.normal == "debit" else -amount_minor


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """Debit positive, credit negative, never zero."""

    account: LedgerAccount
    amount_minor: int


class LedgerTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """Balanced postings under the key of their effect."""

    idem_key: str
    kind: str
    order_id: OrderId | None
    postings: tuple[Posting, ...]

    @property
    def body_sha256(self) -> bytes:
        """Tells whether a key came again with the same effect."""
        return hashlib.sha256(
            msgspec.json.encode((self.kind, self.order_id, self.postings))
        ).digest()


class OrderShare(msgspec.Struct, frozen=True, kw_only=True):
    """An order's part of the one payment of its group."""

    order_id: OrderId
    total_minor: int


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order the ledger needs: frozen sums and the shop that sells."""

    order_id: OrderId
    shop_id: ShopId
    currency: str
    total_minor: int
    commission_minor: int


def captured(
    *,
    payment_id: PaymentId,
    gateway: str,
    currency: str,
    orders: Sequence[OrderShare],
    fee_minor: int,
) -> LedgerTransaction:
    """The provider took the buyer's money: it is owed to the orders until they complete."""
    psp = LedgerAccount(kind="psp", owner=gateway, currency=currency)
    fees = LedgerAccount(kind="fees", owner="", currency=currency)
    total = sum(order.total_minor for order in orders)
    holds = [(_hold(order.order_id, currency), -order.total_minor) for order in orders]
    return _balanced(
        f"capture:{payment_id}",
        "captured",
        None,
        [(psp, total), *holds, (fees, fee_minor), (psp, -fee_minor)],
    )


def completed(sale: Sale, *, refunded_minor: int) -> LedgerTransaction:
    """The order is done: what is left of its hold goes to the shop and the market."""
    left = sale.total_minor - refunded_minor
    commission = sale.commission_minor - commission_part(
        sale.total_minor, sale.commission_minor, refunded_minor
    )
    return _balanced(
        f"complete:{sale.order_id}",
        "completed",
        sale.order_id,
        [
            (_hold(sale.order_id, sale.currency), left),
            (_pending(sale), commission - left),
            (_commission(sale.currency), -commission),
        ],
    )


def refund_requested(
    *, refund_id: RefundId, order_id: OrderId, currency: str, amount_minor: int
) -> LedgerTransaction:
    """Before the order is completed: its hold now owes this to the buyer."""
    return _balanced(
        f"refund_requested:{refund_id}",
        "refund_requested",
        order_id,
        [
            (_hold(order_id, currency), amount_minor),
            (_refund_payable(order_id, currency), -amount_minor),
        ],
    )


def refund_succeeded(
    *, refund_id: RefundId, order_id: OrderId, gateway: str, currency: str, amount_minor: int
) -> LedgerTransaction:
    """The provider gave the buyer the money."""
    psp = LedgerAccount(kind="psp", owner=gateway, currency=currency)
    return _balanced(
        f"refund_succeeded:{refund_id}",
        "refund_succeeded",
        order_id,
        [(_refund_payable(order_id, currency), amount_minor), (psp, -amount_minor)],
    )


def refund_failed(
    sale: Sale, *, refund_id: RefundId, amount_minor: int, other_refunds_minor: int, released: bool
) -> LedgerTransaction:
    """The provider could not: the money is the order's again, or, once it is completed, the shop's and the market's."""
    if not released:
        back = [(_hold(sale.order_id, sale.currency), -amount_minor)]
    else:
        commission = commission_given_back(
            total_minor=sale.total_minor,
            commission_minor=sale.commission_minor,
            refunded_before_minor=other_refunds_minor,
            refund_minor=amount_minor,
        )
        back = [
            (_pending(sale), commission - amount_minor),
            (_commission(sale.currency), -commission),
        ]
    payable = _refund_payable(sale.order_id, sale.currency)
    return _balanced(
        f"refund_failed:{refund_id}",
        "refund_failed",
        sale.order_id,
        [(payable, amount_minor), *back],
    )


def _hold(order_id: OrderId, currency: str) -> LedgerAccount:
    return LedgerAccount(kind="hold", owner=str(order_id), currency=currency)


def _refund_payable(order_id: OrderId, currency: str) -> LedgerAccount:
    return LedgerAccount(kind="refund_payable", owner=str(order_id), currency=currency)


def _pending(sale: Sale) -> LedgerAccount:
    return LedgerAccount(kind="pending", owner=str(sale.shop_id), currency=sale.currency)


def _commission(currency: str) -> LedgerAccount:
    return LedgerAccount(kind="commission", owner="", currency=currency)


def _balanced(
    idem_key: str, kind: str, order_id: OrderId | None, amounts: Sequence[tuple[LedgerAccount, int]]
) -> LedgerTransaction:
    postings = tuple(
        Posting(account=account, amount_minor=amount) for account, amount in amounts if amount != 0
    )
    sums: dict[str, int] = {}
    for posting in postings:
        currency = posting.account.currency
        sums[currency] = sums.get(currency, 0) + posting.amount_minor
    assert not any(sums.values()), f"{idem_key} does not balance: {sums}"
    return LedgerTransaction(idem_key=idem_key, kind=kind, order_id=order_id, postings=postings)
