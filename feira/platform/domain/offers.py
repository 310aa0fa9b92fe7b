"""The offer machine: haggling over one variant inside a conversation.

    (made) --> open --counter--> countered   by the other side; the counter-offer is a new open offer that answers it
                |-----accept---> accepted    by the other side: an order is placed at this price
                |----decline---> declined    by the other side
                |---withdraw---> withdrawn   by the side that made it
                '----expire----> expired     by the timer, once its time is over

An offer's terms never change: whoever accepts one accepts exactly what they saw. Five ways lead out of `open` and
none back, so of any number of devices that answer an offer at once, one is right and the others learn how it ended.
From `expires_at` on nothing but `expire` is possible, whether or not the timer came round already.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.ids import AddressId, VariantId
from feira.platform.domain.money import AMOUNT_MINOR_MAX
from feira.platform.domain.order_commands import QUANTITY_MAX
from feira.platform.domain.order_rejections import Rejection

OfferStatus = Literal["open", "countered", "accepted", "declined", "withdrawn", "expired"]
Side = Literal["buyer", "seller"]
Action = Literal["accept", "counter", "decline", "withdraw"]
OfferStep = Literal["made", "countered", "accepted", "declined", "withdrawn", "expired"]
"""What a conversation's log tells, each as `offer.` and this word."""

VALID_S_MIN: Final = 60
VALID_S_MAX: Final = 14 * 24 * 3600
VALID_S_DEFAULT: Final = 24 * 3600

Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
UnitPrice = Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]
ValidFor = Annotated[int, Meta(ge=VALID_S_MIN, le=VALID_S_MAX)]


class MakeOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Offer to buy, or to sell, so many units of a variant at a price each, for `valid_s` seconds.

    A buyer says where it shall go (`address`, of their own book): the shop's "yes" then is an order. A seller does not.
    `currency` has to be the product's: it says what the price means.
    """

    variant: VariantId
    quantity: Quantity = 1
    unit_price_minor: UnitPrice
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    valid_s: ValidFor = VALID_S_DEFAULT
    address: AddressId | None = None


class Command(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="action", forbid_unknown_fields=True
):
    """Base of what may be done about an offer."""


class AcceptOffer(Command, frozen=True, kw_only=True, tag="accept"):
    """Take it: the order is placed. The buyer says where it goes, unless they did on the way here."""

    address: AddressId | None = None


class CounterOffer(Command, frozen=True, kw_only=True, tag="counter"):
    """Not so, but so: the same variant in the same currency at other terms."""

    quantity: Quantity = 1
    unit_price_minor: UnitPrice
    valid_s: ValidFor = VALID_S_DEFAULT
    address: AddressId | None = None


class DeclineOffer(Command, frozen=True, kw_only=True, tag="decline"):
    """No, and nothing instead."""


class WithdrawOffer(Command, frozen=True, kw_only=True, tag="withdraw"):
    """Take one's own offer back."""


OfferCommand = AcceptOffer | CounterOffer | DeclineOffer | WithdrawOffer


class ExpireOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Its time is over. Nobody asks for this but the timer."""


class OfferState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision depends on; `side` is the one that made the offer."""

    side: Side
    status: OfferStatus
    expires_at: datetime


_BECOMES: Final[Mapping[type[OfferCommand], OfferStatus]] = {
    AcceptOffer: "accepted",
    CounterOffer: "countered",
    DeclineOffer: "declined",
    WithdrawOffer: "withdrawn",
}
_ACTIONS: Final[Mapping[Action, type[OfferCommand]]] = {
    "accept": AcceptOffer,
    "counter": CounterOffer,
    "decline": DeclineOffer,
    "withdraw": WithdrawOffer,
}
_OVER: Final[Mapping[OfferStatus, str]] = {
    "countered": "This offer was answered with another one; look at that.",
    "accepted": "This offer was accepted already; the order is placed.",
    "declined": "This offer was declined; make a new one.",
    "withdrawn": "This offer was taken back.",
    "expired": "This offer's time is over; make a new one.",
}


def other_side(side: Side) -> Side:
    return "seller" if side == "buyer" else "buyer"


def allowed_actions(state: OfferState, side: Side, now: datetime) -> tuple[Action, ...]:
    """Return the commands that `decide` would accept from this side."""
    if state.status != "open" or now >= state.expires_at:
        return ()
    return tuple(action for action, command in _ACTIONS.items() if _acts(command, state) == side)


def decide(
    state: OfferState, command: OfferCommand | ExpireOffer, side: Side | None, now: datetime
) -> OfferStatus | Rejection:
    """Say what becomes of the offer, or why nothing. `side` is None for the timer. Has no effect of its own."""
    if state.status != "open":
        return _over(state.status)
    if isinstance(command, ExpireOffer):
        if side is None and now >= state.expires_at:
            return "expired"
        return Rejection(
            kind="conflict", code="offer.not_due", message="The offer's time is not over yet."
        )
    if now >= state.expires_at:
        return _over("expired")
    if side != _acts(type(command), state):
        return Rejection(
            kind="role", code="offer.not_yours_to_answer", message=_wrong_side(command)
        )
    return _BECOMES[type(command)]


def _acts(command: type[OfferCommand], state: OfferState) -> Side:
    return state.side if command is WithdrawOffer else other_side(state.side)


def _over(status: OfferStatus) -> Rejection:
    return Rejection(kind="conflict", code=f"offer.{status}", message=_OVER[status])


def _wrong_side(command: OfferCommand) -> str:
    if isinstance(command, WithdrawOffer):
        return "Only the side that made an offer takes it back; decline it instead."
    return "This is your own side's offer: the other one answers it. You may withdraw it."
