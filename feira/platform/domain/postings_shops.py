"""What a shop's account with the market posts apart from orders and payouts, and what the provider charges.

fee charged   fees -> psp
netted        available -> receivable: what the shop owes, from what it may be paid out
adjusted      adjustment -> receivable first, the rest available; or available first, the rest receivable -> adjustment
written off   loss -> receivable
"""

from __future__ import annotations

from feira.platform.domain.ids import AdjustmentId, ShopId
from feira.platform.domain.ledger import (
    LedgerTransaction,
    balanced,
    market_account,
    psp,
    shop_account,
)
from feira.platform.domain.shop_funds import ShopFunds, given_to_shop, taken_from_shop


def fee_charged(
    *, effect: str, gateway: str, currency: str, fee_minor: int, reference: str = ""
) -> LedgerTransaction:
    """The provider took a fee of its own, as for a chargeback or a payout; negative: it gave one back.

    `effect` names what it is for, as "chargeback:{id}".
    """
    return balanced(
        f"fee:{effect}",
        "fee_charged",
        [(market_account("fees", currency), fee_minor), (psp(gateway, currency), -fee_minor)],
        provider_reference=reference,
    )


def receivable_netted(
    *, cause: str, shop_id: ShopId, currency: str, amount_minor: int
) -> LedgerTransaction:
    """Settle what the shop owes from what it has. `cause` names the occasion, as "payout_run:{slot}:{shop}"."""
    return balanced(
        f"netted:{cause}",
        "receivable_netted",
        [
            (shop_account("available", shop_id, currency), amount_minor),
            (shop_account("receivable", shop_id, currency), -amount_minor),
        ],
    )


def adjusted(
    *,
    adjustment_id: AdjustmentId,
    shop_id: ShopId,
    currency: str,
    amount_minor: int,
    funds: ShopFunds,
    reason: str,
) -> LedgerTransaction:
    """Correct by hand: positive in the shop's favour, negative against it. `funds` with no order: stage "cleared"."""
    assert reason, "a correction says why"
    assert funds.stage == "cleared", "no order's money is corrected by hand"
    entries = (
        given_to_shop(shop_id, currency, amount_minor, funds)
        if amount_minor > 0
        else taken_from_shop(shop_id, currency, -amount_minor, funds)
    )
    return balanced(
        f"adjustment:{adjustment_id}",
        "adjusted",
        [(market_account("adjustment", currency), amount_minor), *entries],
        reason=reason,
    )


def receivable_written_off(
    *,
    adjustment_id: AdjustmentId,
    shop_id: ShopId,
    currency: str,
    amount_minor: int,
    reason: str,
) -> LedgerTransaction:
    """Give up on money that a shop owes."""
    assert reason, "a correction says why"
    return balanced(
        f"adjustment:{adjustment_id}",
        "written_off",
        [
            (market_account("loss", currency), amount_minor),
            (shop_account("receivable", shop_id, currency), -amount_minor),
        ],
        reason=reason,
    )
