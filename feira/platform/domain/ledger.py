"""Double entry: which accounts there are, and what a transaction is. Debit is positive, credit negative.

Every transaction sums to zero in each currency. Which postings an event makes stands in `postings_orders`,
`postings_refunds`, `postings_payouts`, `postings_chargebacks` and `postings_shops`; docs/money.md shows all of them.

Keys name the effect ("capture:{payment}"), never the message that told us of it, so that the same effect
told twice is one transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from feira.platform.domain.ids import OrderId, ShopId

Side = Literal["debit", "credit"]
AccountKind = Literal[
    "psp",
    "connected",
    "fees",
    "commission",
    "promotion",
    "adjustment",
    "loss",
    "hold",
    "refund_payable",
    "pending",
    "available",
    "in_flight",
    "receivable",
    "dispute_receivable",
    "dispute_hold",
]


class Nature(NamedTuple):
    """Tracked accounts keep a balance that may never go below zero.

    Those of the market itself are in every transaction: a balance row would make all of them wait for each other.
    """

    normal: Side
    tracked: bool


NATURES: Final[dict[AccountKind, Nature]] = {
    # What the provider holds for us, and for a shop after a transfer. News of a payout may overtake news of its
    # transfer, so the latter may be below zero for a moment.
    "psp": Nature("debit", tracked=False),
    "connected": Nature("debit", tracked=False),
    # The market's own costs and income. `promotion`: discounts that the market pays for.
    "fees": Nature("debit", tracked=False),
    "promotion": Nature("debit", tracked=False),
    "loss": Nature("debit", tracked=False),
    "adjustment": Nature("debit", tracked=False),
    "commission": Nature("credit", tracked=False),
    # An order's money, and what of it is promised back to the buyer.
    "hold": Nature("credit", tracked=True),
    "refund_payable": Nature("credit", tracked=True),
    # A shop's money: in clearance, ready, on its way to the bank; and what the shop owes.
    "pending": Nature("credit", tracked=True),
    "available": Nature("credit", tracked=True),
    "in_flight": Nature("credit", tracked=True),
    "receivable": Nature("debit", tracked=True),
    # What a bank took back while it decides, and the shop's part of it, kept aside.
    "dispute_receivable": Nature("debit", tracked=True),
    "dispute_hold": Nature("credit", tracked=True),
}


class LedgerAccount(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`owner`, by kind.

    psp: the provider. hold, refund_payable: the order. pending, available, in_flight, receivable, connected: the shop.
    dispute_receivable, dispute_hold: the chargeback. The market's own have none ("").
    """

    kind: AccountKind
    owner: str
    currency: str

    @property
    def normal(self) -> Side:
        return NATURES[self.kind].normal

    @property
    def tracked(self) -> bool:
        return NATURES[self.kind].tracked

    def in_normal_direction(self, amount_minor: int) -> int:
        """What a posting adds to the account's balance."""
        return amount_minor if self.normal == "debit" else -amount_minor


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """Debit positive, credit negative, never zero."""

    account: LedgerAccount
    amount_minor: int


Entry: TypeAlias = tuple[LedgerAccount, int]
"""An account and what is posted to it; zeros are left out when the transaction is made."""


class LedgerTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """Balanced postings under the key of their effect. `reason` is for what a person decided.

    `provider_reference` is the provider's name of what moved money there: its list of movements and these books meet by it.
    """

    idem_key: str
    kind: str
    order_id: OrderId | None
    postings: tuple[Posting, ...]
    reason: str = ""
    provider_reference: str = ""

    @property
    def body_sha256(self) -> bytes:
        """Tells whether a key came again with the same effect."""
        return hashlib.sha256(
            msgspec.json.encode((self.kind, self.order_id, self.postings, self.reason))
        ).digest()


def balanced(
    idem_key: str,
    kind: str,
    entries: Sequence[Entry],
    *,
    order_id: OrderId | None = None,
    reason: str = "",
    provider_reference: str = "",
) -> LedgerTransaction:
    """Make a transaction of entries that sum to zero in each currency; it is empty where all are zero."""
    postings = tuple(
        Posting(account=account, amount_minor=amount) for account, amount in entries if amount != 0
    )
    sums: dict[str, int] = {}
    for posting in postings:
        currency = posting.account.currency
        sums[currency] = sums.get(currency, 0) + posting.amount_minor
    assert not any(sums.values()), f"{idem_key} does not balance: {sums}"
    return LedgerTransaction(
        idem_key=idem_key,
        kind=kind,
        order_id=order_id,
        postings=postings,
        reason=reason,
        provider_reference=provider_reference,
    )


def psp(gateway: str, currency: str) -> LedgerAccount:
    return LedgerAccount(kind="psp", owner=gateway, currency=currency)


def market_account(
    kind: Literal["fees", "commission", "promotion", "adjustment", "loss"], currency: str
) -> LedgerAccount:
    return LedgerAccount(kind=kind, owner="", currency=currency)


def order_account(
    kind: Literal["hold", "refund_payable"], order_id: OrderId, currency: str
) -> LedgerAccount:
    return LedgerAccount(kind=kind, owner=str(order_id), currency=currency)


def shop_account(
    kind: Literal["pending", "available", "in_flight", "receivable", "connected"],
    shop_id: ShopId,
    currency: str,
) -> LedgerAccount:
    return LedgerAccount(kind=kind, owner=str(shop_id), currency=currency)
