"""What a chargeback posts, for each order of the payment that a bank took back.

opened      dispute_receivable -> psp; the shop's share (held: the hold's) -> dispute_hold
won         psp -> dispute_receivable; dispute_hold -> where the money would be without the chargeback
lost        dispute_hold, commission, loss -> dispute_receivable, promotion
reinstated  psp -> the shop, commission: the bank changed its mind after `lost`
"""

from __future__ import annotations

from typing import Literal

import msgspec

from feira.platform.domain.ids import ChargebackId
from feira.platform.domain.ledger import (
    Entry,
    LedgerAccount,
    LedgerTransaction,
    balanced,
    market_account,
    order_account,
    psp,
)
from feira.platform.domain.shop_funds import Part, Sale, ShopFunds, given_to_shop, taken_from_shop


class ChargebackShare(msgspec.Struct, frozen=True, kw_only=True):
    """One order's share of a chargeback. Its room keeps it as it was when the chargeback was opened.

    `part.amount_minor` is within what the order had not given back; `excess_minor` goes beyond it (a bank may take
    back what was refunded as well) and is the market's loss if the chargeback is lost.
    """

    chargeback_id: ChargebackId
    gateway: str
    part: Part
    excess_minor: int = 0
    reference: str = ""

    @property
    def taken_minor(self) -> int:
        """What the bank took for this order."""
        return self.part.amount_minor + self.excess_minor


def chargeback_share(
    sale: Sale,
    *,
    chargeback_id: ChargebackId,
    gateway: str,
    amount_minor: int,
    before_minor: int,
    funds: ShopFunds,
    reference: str = "",
) -> ChargebackShare:
    """Divide what the bank took. `before_minor`: what the order gave back or promised before, and was not refused."""
    within = min(amount_minor, sale.total_minor - before_minor)
    return ChargebackShare(
        chargeback_id=chargeback_id,
        gateway=gateway,
        part=_part(sale, within, before_minor, funds),
        excess_minor=amount_minor - within,
        reference=reference,
    )


def chargeback_opened(sale: Sale, share: ChargebackShare, funds: ShopFunds) -> LedgerTransaction:
    """The bank has the money; the shop's share waits for its decision. The provider's fee is a posting of its own."""
    if funds.stage == "held":
        taken = [(order_account("hold", sale.order_id, sale.currency), share.part.shop_minor)]
    else:
        taken = taken_from_shop(sale.shop_id, sale.currency, share.part.shop_minor, funds)
    return balanced(
        f"chargeback_opened:{share.chargeback_id}:{sale.order_id}",
        "chargeback_opened",
        [
            (_account("dispute_receivable", share, sale), share.taken_minor),
            (psp(share.gateway, sale.currency), -share.taken_minor),
            *taken,
            (_account("dispute_hold", share, sale), -share.part.shop_minor),
        ],
        order_id=sale.order_id,
        provider_reference=share.reference,
    )


def chargeback_won(
    sale: Sale, share: ChargebackShare, *, other_minor: int, funds: ShopFunds
) -> LedgerTransaction:
    """The bank gave it back. `other_minor`: what the order gives back without this chargeback; `funds`: as it is now."""
    now = _part(sale, share.part.amount_minor, other_minor, funds)
    return balanced(
        f"chargeback_won:{share.chargeback_id}:{sale.order_id}",
        "chargeback_won",
        [
            (psp(share.gateway, sale.currency), share.taken_minor),
            (_account("dispute_receivable", share, sale), -share.taken_minor),
            (_account("dispute_hold", share, sale), share.part.shop_minor),
            *_given(sale, now, funds),
            # Completed, refunded or refused in the meantime: the market's part of it is another one.
            (
                market_account("commission", sale.currency),
                share.part.commission_minor - now.commission_minor,
            ),
            (
                market_account("promotion", sale.currency),
                now.subsidy_minor - share.part.subsidy_minor,
            ),
        ],
        order_id=sale.order_id,
        provider_reference=share.reference,
    )


def chargeback_lost(sale: Sale, share: ChargebackShare) -> LedgerTransaction:
    """The buyer keeps it: the shop's share is gone, and the market's commission on it."""
    return balanced(
        f"chargeback_lost:{share.chargeback_id}:{sale.order_id}",
        "chargeback_lost",
        [
            (_account("dispute_hold", share, sale), share.part.shop_minor),
            (market_account("commission", sale.currency), share.part.commission_minor),
            (market_account("promotion", sale.currency), -share.part.subsidy_minor),
            (market_account("loss", sale.currency), share.excess_minor),
            (_account("dispute_receivable", share, sale), -share.taken_minor),
        ],
        order_id=sale.order_id,
    )


def chargeback_reinstated(
    sale: Sale, share: ChargebackShare, *, other_minor: int, funds: ShopFunds
) -> LedgerTransaction:
    """The bank gives back what was lost: the shop and the market have it as if there had been no chargeback."""
    now = _part(sale, share.part.amount_minor, other_minor, funds)
    return balanced(
        f"chargeback_reinstated:{share.chargeback_id}:{sale.order_id}",
        "chargeback_reinstated",
        [
            (psp(share.gateway, sale.currency), share.taken_minor),
            *_given(sale, now, funds),
            (market_account("commission", sale.currency), -now.commission_minor),
            (market_account("promotion", sale.currency), now.subsidy_minor),
            (market_account("loss", sale.currency), -share.excess_minor),
        ],
        order_id=sale.order_id,
        provider_reference=share.reference,
    )


def _part(sale: Sale, amount_minor: int, before_minor: int, funds: ShopFunds) -> Part:
    """While the order is held all of it is the hold's: commission is taken when the order completes."""
    if funds.stage == "held":
        return Part(amount_minor=amount_minor, commission_minor=0, subsidy_minor=0)
    return sale.part(before_minor=before_minor, amount_minor=amount_minor)


def _given(sale: Sale, part: Part, funds: ShopFunds) -> list[Entry]:
    if funds.stage == "held":
        return [(order_account("hold", sale.order_id, sale.currency), -part.shop_minor)]
    return given_to_shop(sale.shop_id, sale.currency, part.shop_minor, funds)


def _account(
    kind: Literal["dispute_receivable", "dispute_hold"], share: ChargebackShare, sale: Sale
) -> LedgerAccount:
    return LedgerAccount(kind=kind, owner=str(share.chargeback_id), currency=sale.currency)
