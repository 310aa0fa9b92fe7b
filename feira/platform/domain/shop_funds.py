"""A shop's money as one order sees it: where a refund takes from, and where what comes back goes to."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from feira.platform.domain.ids import OrderId, ShopId
from feira.platform.domain.ledger import Entry, shop_account
from feira.platform.domain.money import portion, portion_half_down

Stage = Literal[
    "held",  # not completed: the money is the order's
    "clearing",  # completed: the shop's, and not yet to be paid out
    "cleared",  # ready to be paid out, or paid out
]


class ShopFunds(msgspec.Struct, frozen=True, kw_only=True):
    """Balances of a shop in one currency, read under lock.

    `pending_minor` is what of this one order is still in clearance: other orders' money there has a clearance of
    its own. `owed_minor` is the balance of `receivable`.
    """

    stage: Stage
    pending_minor: int = 0
    available_minor: int = 0
    owed_minor: int = 0


HELD: Final = ShopFunds(stage="held")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a sale: what the buyer paid for it, the market's commission on it, and the market's subsidy of it."""

    amount_minor: int
    commission_minor: int
    subsidy_minor: int

    @property
    def shop_minor(self) -> int:
        return self.amount_minor + self.subsidy_minor - self.commission_minor


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What of an order the ledger needs: frozen sums and the shop that sells.

    `total_minor` is what the buyer paid; `subsidy_minor` what the market adds to it for the shop, for discounts that
    the market pays for. The shop's share of it all is `total + subsidy - commission`.
    """

    order_id: OrderId
    shop_id: ShopId
    currency: str
    total_minor: int
    commission_minor: int
    subsidy_minor: int = 0

    def part(self, *, before_minor: int, amount_minor: int) -> Part:
        """How `amount_minor` of the total divides, where `before_minor` of it was divided already.

        Each is `c(before + amount) - c(before)` of its frozen whole, so that parts add up to the whole. Commission
        is rounded half-up and the shop's share half-down, so that neither ever shrinks as the part grows: nobody
        gives back what they never had, whatever the three are. The subsidy is what makes them add up.
        """
        before, after = before_minor, before_minor + amount_minor
        commission = self._commission(after) - self._commission(before)
        shop = self._shop(after) - self._shop(before)
        return Part(
            amount_minor=amount_minor,
            commission_minor=commission,
            subsidy_minor=shop + commission - amount_minor,
        )

    def left(self, refunded_minor: int) -> Part:
        """What is the shop's and the market's once `refunded_minor` of the total was given back."""
        given_back = self.part(before_minor=0, amount_minor=refunded_minor)
        return Part(
            amount_minor=self.total_minor - refunded_minor,
            commission_minor=self.commission_minor - given_back.commission_minor,
            subsidy_minor=self.subsidy_minor - given_back.subsidy_minor,
        )

    def _commission(self, part_minor: int) -> int:
        return portion(self.commission_minor, part_minor, self.total_minor)

    def _shop(self, part_minor: int) -> int:
        whole = self.total_minor + self.subsidy_minor - self.commission_minor
        return portion_half_down(whole, part_minor, self.total_minor)


def taken_from_shop(
    shop_id: ShopId, currency: str, amount_minor: int, funds: ShopFunds
) -> list[Entry]:
    """Debits of a shop: of the order's money in clearance first, then of what is available; the rest the shop owes."""
    assert amount_minor >= 0, "take or give, by the right name"
    assert funds.stage != "held", "what is held is the order's, not the shop's"
    from_pending = min(amount_minor, funds.pending_minor)
    from_available = min(amount_minor - from_pending, funds.available_minor)
    return [
        (shop_account("pending", shop_id, currency), from_pending),
        (shop_account("available", shop_id, currency), from_available),
        (
            shop_account("receivable", shop_id, currency),
            amount_minor - from_pending - from_available,
        ),
    ]


def given_to_shop(
    shop_id: ShopId, currency: str, amount_minor: int, funds: ShopFunds
) -> list[Entry]:
    """Credits of a shop: into clearance with the order's other money, or, past it, first what the shop owes."""
    assert amount_minor >= 0, "take or give, by the right name"
    assert funds.stage != "held", "what is held is the order's, not the shop's"
    if funds.stage == "clearing":
        return [(shop_account("pending", shop_id, currency), -amount_minor)]
    settled = min(amount_minor, funds.owed_minor)
    return [
        (shop_account("receivable", shop_id, currency), -settled),
        (shop_account("available", shop_id, currency), settled - amount_minor),
    ]
