"""The market's share of a sale, and how much of it a refund gives back.

A line's commission is frozen when the order is placed; a refund gives back the part that belongs to the
refunded part of the frozen whole, so the parts always add up to it, whatever the rule is by then.
"""

from __future__ import annotations

from feira.platform.domain.money import portion, share


def commission_on(amount_minor: int, basis_points: int) -> int:
    """Commission on an amount, rounded half-up, never more than the amount."""
    assert amount_minor >= 0, "commission is taken on sales"
    return min(amount_minor, share(amount_minor, basis_points))


def commission_part(total_minor: int, commission_minor: int, part_minor: int) -> int:
    """`c(part)`: how much of a frozen commission belongs to the first `part_minor` of a frozen total."""
    assert 0 <= commission_minor <= total_minor, "commission is within the total"
    return portion(commission_minor, part_minor, total_minor)


def commission_given_back(
    *, total_minor: int, commission_minor: int, refunded_before_minor: int, refund_minor: int
) -> int:
    """`c(before + refund) - c(before)`: what one more refund gives back of the commission."""
    after = commission_part(total_minor, commission_minor, refunded_before_minor + refund_minor)
    return after - commission_part(total_minor, commission_minor, refunded_before_minor)
