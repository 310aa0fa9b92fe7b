"""Which changes of an order its sides are told of beyond the open page, who is, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal

from feira.platform.domain.money import format_money
from feira.platform.domain.order_commands import DeadlineKind
from feira.platform.domain.order_state import Fact

Side = Literal["buyer", "seller"]

_BUYER: Final[frozenset[Side]] = frozenset({"buyer"})
_SELLER: Final[frozenset[Side]] = frozenset({"seller"})
_BOTH: Final = _BUYER | _SELLER

NEWS: Final[Mapping[Fact, tuple[frozenset[Side], str]]] = {
    "cancelled": (_BOTH, "Order {number} was cancelled."),
    "rest_cancelled": (_BOTH, "What was not shipped of order {number} was cancelled."),
    "cancel_requested": (_SELLER, "The buyer of order {number} asks to cancel it; please answer."),
    "cancel_declined": (_BUYER, "The shop does not cancel order {number}."),
    "ship_by_missed": (_BOTH, "Order {number} was not shipped in time; the buyer may cancel it."),
    "more_time_requested": (_BUYER, "The shop asks for more time to ship order {number}."),
    "ship_by_extended": (_SELLER, "There is more time to ship order {number}."),
    "dispute_opened": (_SELLER, "The buyer opened a dispute about order {number}; say your side."),
    "settlement_proposed": (_BOTH, "A settlement is proposed for order {number}."),
    "dispute_withdrawn": (_SELLER, "The dispute about order {number} was withdrawn."),
    "dispute_settled": (_BOTH, "The dispute about order {number} was settled."),
    "dispute_decided": (_BOTH, "Support decided the dispute about order {number}."),
    "charged_back": (_SELLER, "The buyer's bank took back what was paid for order {number}."),
    "chargeback_won": (_SELLER, "The money for order {number} is back."),
    "chargeback_lost": (_SELLER, "The buyer's bank kept the money for order {number}."),
}

REMINDERS: Final[Mapping[DeadlineKind, tuple[Side, timedelta, str]]] = {
    "ship_by": ("seller", timedelta(days=1), "Order {number} has to be shipped within a day."),
    "auto_accept": (
        "buyer",
        timedelta(days=2),
        "Order {number} counts as accepted in two days; say so now if something is wrong.",
    ),
}
"""Whose deadlines are announced how long before; shorter ones are not."""


def news_text(fact: Fact, *, number: int, refund_minor: int, currency: str) -> str:
    """What happened, in a sentence or two."""
    text = NEWS[fact][1].format(number=number)
    if refund_minor > 0:
        text += f" {format_money(refund_minor, currency)} goes back to the buyer."
    return text
