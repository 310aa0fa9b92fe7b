"""Test cards: what a number makes of a payment. The numbers are those that developers know from other providers."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

RefundsDo = Literal["succeed", "succeed_later", "fail_later", "succeed_then_fail"]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """`decline_code` is empty for a card that pays, `disputed_as` for one whose owner leaves it at that.

    `needs_approval`: its bank asks the buyer on a page of its own (3-D Secure) before it pays.
    """

    number: str
    meaning: str
    decline_code: str = ""
    refunds_do: RefundsDo = "succeed"
    needs_approval: bool = False
    disputed_as: str = ""


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
        Card(
            number="4000000000005423",
            meaning="Pays; its refunds arrive and come back",
            refunds_do="succeed_then_fail",
        ),
        Card(
            number="4000002760003184",
            meaning="Asks for 3-D Secure, then pays",
            needs_approval=True,
        ),
        Card(
            number="4000000000000259",
            meaning="Pays; its owner calls it fraud",
            disputed_as="fraudulent",
        ),
        Card(
            number="4000000000002685",
            meaning="Pays; its owner says nothing came",
            disputed_as="product_not_received",
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
