"""What a payout posts on its way to the shop's bank, and back.

started        available -> in_flight, in the transaction that makes the payout and its job
transfer made  connected -> psp
paid           in_flight -> connected
returned       connected -> in_flight: the bank sent it back, also after `paid`
given up       in_flight -> available; psp -> connected where the transfer was made, and is reversed
recouped       psp -> receivable: a transfer was reversed for what the shop owes;
               where the transfer's money was still in flight, it is that: psp -> connected, in_flight -> receivable
"""

from __future__ import annotations

from feira.platform.domain.ids import PayoutId, ShopId
from feira.platform.domain.ledger import LedgerTransaction, balanced, psp, shop_account


def payout_started(
    *, payout_id: PayoutId, shop_id: ShopId, currency: str, amount_minor: int
) -> LedgerTransaction:
    """The money is nobody else's from now on."""
    return balanced(
        f"payout_started:{payout_id}",
        "payout_started",
        [
            (shop_account("available", shop_id, currency), amount_minor),
            (shop_account("in_flight", shop_id, currency), -amount_minor),
        ],
    )


def transfer_made(
    *,
    payout_id: PayoutId,
    gateway: str,
    shop_id: ShopId,
    currency: str,
    amount_minor: int,
    reference: str = "",
) -> LedgerTransaction:
    """The provider moved it from our account there to the shop's."""
    return balanced(
        f"transfer_made:{payout_id}",
        "transfer_made",
        [
            (shop_account("connected", shop_id, currency), amount_minor),
            (psp(gateway, currency), -amount_minor),
        ],
        provider_reference=reference,
    )


def payout_paid(
    *, payout_id: PayoutId, attempt: int, shop_id: ShopId, currency: str, amount_minor: int
) -> LedgerTransaction:
    """It left the shop's account at the provider for the bank. `attempt` counts sendings to the bank from 1."""
    return balanced(
        f"payout_paid:{payout_id}:{attempt}",
        "payout_paid",
        [
            (shop_account("in_flight", shop_id, currency), amount_minor),
            (shop_account("connected", shop_id, currency), -amount_minor),
        ],
    )


def payout_returned(
    *, payout_id: PayoutId, attempt: int, shop_id: ShopId, currency: str, amount_minor: int
) -> LedgerTransaction:
    """The bank sent back what was paid in this attempt. One that failed before it was paid posts nothing."""
    return balanced(
        f"payout_returned:{payout_id}:{attempt}",
        "payout_returned",
        [
            (shop_account("connected", shop_id, currency), amount_minor),
            (shop_account("in_flight", shop_id, currency), -amount_minor),
        ],
    )


def payout_given_up(
    *,
    payout_id: PayoutId,
    gateway: str,
    shop_id: ShopId,
    currency: str,
    amount_minor: int,
    transferred: bool,
    reference: str = "",
) -> LedgerTransaction:
    """No further attempt: the shop has it as before. `transferred`: the transfer was made, and is reversed by now.

    `reference` is the transfer's.
    """
    back = amount_minor if transferred else 0
    return balanced(
        f"payout_given_up:{payout_id}",
        "payout_given_up",
        [
            (psp(gateway, currency), back),
            (shop_account("connected", shop_id, currency), -back),
            (shop_account("in_flight", shop_id, currency), amount_minor),
            (shop_account("available", shop_id, currency), -amount_minor),
        ],
        provider_reference=reference,
    )


def transfer_recouped(
    *,
    reversal_id: str,
    gateway: str,
    shop_id: ShopId,
    currency: str,
    amount_minor: int,
    from_in_flight: bool,
    reference: str = "",
) -> LedgerTransaction:
    """A transfer was reversed in part to settle what the shop owes.

    `from_in_flight`: its payout has not left for the bank, and is smaller by this from now on. Otherwise the
    provider took it from other money that the shop has there, of which these books know nothing.
    """
    moved = amount_minor if from_in_flight else 0
    return balanced(
        f"transfer_recouped:{reversal_id}",
        "transfer_recouped",
        [
            (psp(gateway, currency), amount_minor),
            (shop_account("connected", shop_id, currency), -moved),
            (shop_account("in_flight", shop_id, currency), moved),
            (shop_account("receivable", shop_id, currency), -amount_minor),
        ],
        provider_reference=reference,
    )
