"""What a refund gives back: all that is left, an amount, or so many units of lines, with or without the shipping.

A line's share of what the buyer paid is frozen with the order: items, tax and discount are shared out over the lines
by what they cost (largest remainder), shipping stays apart. Units of a line are priced cumulatively, so that a line
given back unit by unit gives back exactly its share, and an order given back part by part exactly its total.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from feira.platform.domain.ids import ConversationId, OrderLineId
from feira.platform.domain.money import AMOUNT_MINOR_MAX, allocate, portion
from feira.platform.domain.order_commands import LineQuantity, Reason
from feira.platform.domain.order_rejections import Rejection

RefundCause = Literal[
    "order",  # a cancellation, a dispute's end, money that came too late: the order's events say
    "return",
    "claim",
    "exchange",
    "goodwill",
    "damaged",
    "not_as_described",
    "not_arrived",
    "incomplete",
    "other",
]
StatedCause = Literal[
    "goodwill", "damaged", "not_as_described", "not_arrived", "incomplete", "other"
]
"""Those that people choose from."""
RefundState = Literal["requested", "succeeded", "failed"]
RefundRole = Literal["buyer", "seller", "support", "market"]
LINES_MAX: Final = 200


class RefundOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give money back: `amount_minor`, or `lines` and `shipping`, or, with none of these, all that is left.

    `conversation` is where both sides see it happen, if it happened while talking.
    """

    amount_minor: Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)] | None = None
    lines: Annotated[list[LineQuantity], Meta(min_length=1, max_length=LINES_MAX)] | None = None
    shipping: bool = False
    cause: StatedCause = "goodwill"
    reason: Reason
    conversation: ConversationId | None = None


class SoldLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it was sold; `total_minor` weighs it against the others. What was given back by line so far."""

    line: OrderLineId
    quantity: int
    total_minor: int
    back: int = 0
    back_minor: int = 0


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """An order as far as giving back goes. `left_minor` is neither given back nor promised."""

    total_minor: int
    shipping_minor: int
    shipping_back_minor: int
    left_minor: int
    lines: tuple[SoldLine, ...]


class LinePart(msgspec.Struct, frozen=True, kw_only=True):
    """So many units of a line, and what the buyer gets for them."""

    line: OrderLineId
    quantity: int
    amount_minor: int


class RefundPrice(msgspec.Struct, frozen=True, kw_only=True):
    """`amount_minor` is the sum of the parts where there are any."""

    amount_minor: int
    lines: tuple[LinePart, ...] = ()
    shipping_minor: int = 0


def price_refund(sold: Sold, wanted: RefundOrder) -> RefundPrice | Rejection:
    """Say what `wanted` comes to. Has no effect of its own."""
    by_part = wanted.lines is not None or wanted.shipping
    if wanted.amount_minor is not None and by_part:
        return _rule(
            "refund.amount_or_lines",
            "Give either an amount, or lines and shipping, or nothing of these for all that is left.",
            "$.amount_minor",
        )
    if sold.left_minor == 0:
        return _conflict("refund.nothing_left", "All of this order's money was given back already.")
    if wanted.amount_minor is not None:
        return _within(sold, RefundPrice(amount_minor=wanted.amount_minor), "$.amount_minor")
    if not by_part:
        return RefundPrice(amount_minor=sold.left_minor)
    lines = price_units(sold, wanted.lines or ())
    if isinstance(lines, Rejection):
        return lines
    shipping_minor = shipping_left(sold) if wanted.shipping else 0
    amount_minor = sum(part.amount_minor for part in lines) + shipping_minor
    if amount_minor == 0:
        return _conflict(
            "refund.nothing_left", "Nothing of what you name is left to give back.", "$.lines"
        )
    price = RefundPrice(amount_minor=amount_minor, lines=lines, shipping_minor=shipping_minor)
    return _within(sold, price, "$.lines")


def price_units(sold: Sold, units: Sequence[LineQuantity]) -> tuple[LinePart, ...] | Rejection:
    """Price units of lines that were not given back before."""
    shares = line_shares(sold)
    lines = {line.line: line for line in sold.lines}
    seen: set[OrderLineId] = set()
    parts: list[LinePart] = []
    for index, unit in enumerate(units):
        line = lines.get(unit.line)
        field = f"$.lines[{index}]"
        if line is None:
            return _rule(
                "order.unknown_line",
                "The order has no such line; take the lines from the order.",
                f"{field}.line",
            )
        if unit.line in seen:
            return _rule(
                "order.line_twice", "A line stands there twice; add its quantities up.", field
            )
        seen.add(unit.line)
        if unit.quantity > line.quantity - line.back:
            return _rule(
                "refund.too_many_units",
                f"Only {line.quantity - line.back} of this line were not given back yet.",
                f"{field}.quantity",
            )
        due = portion(shares[line.line], line.back + unit.quantity, line.quantity)
        # A refund that failed meanwhile may have left a unit more or less than its own rounding.
        amount_minor = max(0, due - line.back_minor)
        parts.append(LinePart(line=unit.line, quantity=unit.quantity, amount_minor=amount_minor))
    return tuple(parts)


def price_return(
    sold: Sold, units: Sequence[LineQuantity], *, wanted_minor: int | None = None
) -> RefundPrice:
    """What the buyer gets for units that came back, or never came; 0 where nothing of them is left to give back.

    Units that were given back by line meanwhile are left out. Where all units of the order are back with these, so is
    the shipping. `wanted_minor`, at most that, is shared out over the same parts, and so is what is left of the order
    where that is less.
    """
    left = {line.line: line.quantity - line.back for line in sold.lines}
    counted = [
        LineQuantity(line=unit.line, quantity=min(unit.quantity, left[unit.line]))
        for unit in units
        if left[unit.line] > 0 and unit.quantity > 0
    ]
    lines = price_units(sold, counted)
    assert not isinstance(lines, Rejection), "what is left can be priced"
    back = {part.line: part.quantity for part in lines}
    whole = all(left[line.line] == back.get(line.line, 0) for line in sold.lines)
    parts = [part.amount_minor for part in lines] + [shipping_left(sold) if whole else 0]
    total = min(sum(parts), sold.left_minor)
    if wanted_minor is not None:
        assert wanted_minor <= total, "the caller asked before"
        total = wanted_minor
    if total < sum(parts):
        parts = allocate(total, parts)
    return RefundPrice(
        amount_minor=total,
        lines=tuple(
            msgspec.structs.replace(part, amount_minor=amount)
            for part, amount in zip(lines, parts[:-1], strict=True)
        ),
        shipping_minor=parts[-1],
    )


def line_shares(sold: Sold) -> dict[OrderLineId, int]:
    """What the buyer paid for each line: all but the shipping, shared out by what the lines cost."""
    shares = allocate(
        sold.total_minor - sold.shipping_minor, [line.total_minor for line in sold.lines]
    )
    return {line.line: share for line, share in zip(sold.lines, shares, strict=True)}


def shipping_left(sold: Sold) -> int:
    return max(0, sold.shipping_minor - sold.shipping_back_minor)


def _within(sold: Sold, price: RefundPrice, field: str) -> RefundPrice | Rejection:
    if price.amount_minor <= sold.left_minor:
        return price
    return exceeds_order(sold.left_minor, sold.total_minor, field)


def exceeds_order(left_minor: int, total_minor: int, field: str = "$.amount_minor") -> Rejection:
    """More than is left of the order's money."""
    return _rule(
        "refund.exceeds_order",
        f"Only {left_minor} of {total_minor} minor units of this order are left to give back.",
        field,
    )


def _rule(code: str, message: str, field: str) -> Rejection:
    return Rejection(kind="rule", code=code, message=message, field=field)


def _conflict(code: str, message: str, field: str | None = None) -> Rejection:
    return Rejection(kind="conflict", code=code, message=message, field=field)
