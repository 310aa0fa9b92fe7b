"""Books in memory: balances by account, which no tracked account may overdraw."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from feira.platform.domain import postings_orders
from feira.platform.domain.ids import OrderId, PaymentId, ShopId
from feira.platform.domain.ledger import AccountKind, LedgerAccount, LedgerTransaction
from feira.platform.domain.postings_orders import OrderShare
from feira.platform.domain.shop_funds import HELD, Sale, ShopFunds, Stage

ORDER = OrderId(UUID("0198f2c4-0000-7000-8000-000000000001"))
SHOP = ShopId(UUID("0198f2c4-0000-7000-8000-000000000002"))
PAYMENT = PaymentId(UUID("0198f2c4-0000-7000-8000-000000000003"))


def sale(
    total: int = 10_000,
    commission: int = 1_000,
    *,
    subsidy: int = 0,
    currency: str = "EUR",
    order: OrderId = ORDER,
) -> Sale:
    return Sale(
        order_id=order,
        shop_id=SHOP,
        currency=currency,
        total_minor=total,
        commission_minor=commission,
        subsidy_minor=subsidy,
    )


def capture(*sales: Sale, fee: int = 0, payment: PaymentId = PAYMENT) -> LedgerTransaction:
    return postings_orders.captured(
        payment_id=payment,
        gateway="sandbox",
        currency=sales[0].currency,
        orders=[OrderShare(order_id=one.order_id, total_minor=one.total_minor) for one in sales],
        fee_minor=fee,
    )


class Book:
    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.accounts: defaultdict[LedgerAccount, int] = defaultdict(int)
        self._pending: defaultdict[OrderId | None, int] = defaultdict(int)

    def post(self, *transactions: LedgerTransaction) -> Book:
        for transaction in transactions:
            assert transaction.idem_key not in self.keys, "an effect is posted once"
            self.keys.add(transaction.idem_key)
            assert sum(posting.amount_minor for posting in transaction.postings) == 0
            touched: set[LedgerAccount] = set()
            for posting in transaction.postings:
                assert posting.amount_minor != 0
                amount = posting.account.in_normal_direction(posting.amount_minor)
                self.accounts[posting.account] += amount
                touched.add(posting.account)
                if posting.account.kind == "pending":
                    self._pending[transaction.order_id] += amount
            for account in touched:
                assert not account.tracked or self.accounts[account] >= 0, f"{account} overdrawn"
            assert all(amount >= 0 for amount in self._pending.values())
        return self

    def of(self, kind: AccountKind) -> int:
        return sum(amount for account, amount in self.accounts.items() if account.kind == kind)

    def kinds(self) -> dict[str, int]:
        """Balances by kind, in the accounts' normal direction, without zeros."""
        sums = {account.kind: self.of(account.kind) for account in self.accounts}
        return {kind: amount for kind, amount in sums.items() if amount}

    def funds(self, stage: Stage, order: OrderId = ORDER) -> ShopFunds:
        """What the service reads under lock."""
        if stage == "held":
            return HELD
        return ShopFunds(
            stage=stage,
            pending_minor=self._pending[order],
            available_minor=self.of("available"),
            owed_minor=self.of("receivable"),
        )
