"""Test cards: what a number makes of a payment. The numbers are those that developers know from other providers."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

RefundsDo = Literal["succeed", "succeed_later", "fail_later"]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """`decline_code` is empty for a card that pays."""

    number: str
    meaning: str
    decline_code: str = ""
    refunds_do: RefundsDo = "succeed"


GOOD_CARD: Final = "4242424242424242"

CARDS: Final = {
    card.number: card
    for card in (
        Card(number=GOOD_CARD, meaning="Pays"),
        Card(
            number="4000000000007726",
            meaning="Pays; its refunds take a moment",
            refunds_do="succeed_later",
        ),
        Card(
            number="4000000000005126",
            meaning="Pays; its refunds fail in the end",
            refunds_do="fail_later",
        ),
        Card(number="4000000000000002", meaning="Declined", decline_code="card_declined"),
        Card(
            number="4000000000009995",
            meaning="Not enough money",
            decline_code="insufficient_funds",
        ),
        Card(number="4000000000000069", meaning="Expired", decline_code="expired_card"),
        Card(number="4000000000000127", meaning="Wrong CVC", decline_code="incorrect_cvc"),
        Card(number="4000000000000119", meaning="Bank is away", decline_code="processing_error"),
        Card(number="4000000000009987", meaning="Lost card", decline_code="lost_card"),
    )
}


def fee_minor(amount_minor: int) -> int:
    """The company's price: 2.9 %, rounded half-up, and 30 minor units, never more than the payment itself."""
    return min(amount_minor, (amount_minor * 29 + 500) // 1000 + 30)
