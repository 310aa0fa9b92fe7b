"""Our minor units and Stripe's, which are the same for all currencies but a few.

Sources: Stripe's "Supported currencies", sections on zero-decimal, three-decimal and special-case currencies.
Nothing is ever rounded here: an amount that Stripe cannot express is refused before it is sent.
"""

from __future__ import annotations

from math import gcd
from typing import Final, Literal

from feira.platform.domain.money import MINOR_DIGITS
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.gateways.payments.stripe.wire import BalanceEntry

Flow = Literal["charge", "payout"]

_ZERO_DECIMAL: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)  # fmt: skip
_THREE_DECIMAL: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
# Without a minor unit in the world, with two digits in Stripe's API for the sake of old programs.
_ALWAYS_WHOLE: Final = frozenset({"ISK", "UGX"})
# Charged in hundredths and paid out in whole units.
_WHOLE_IN_PAYOUTS: Final = frozenset({"HUF", "TWD"})


def stripe_digits(currency: str) -> int:
    """Decimal digits of an amount in Stripe's API."""
    if currency in _ZERO_DECIMAL:
        return 0
    return 3 if currency in _THREE_DECIMAL else 2


def step_minor(currency: str, flow: Flow) -> int:
    """The smallest amount, in our minor units, of which every amount of this flow is a multiple."""
    step_units = 1
    if currency in _THREE_DECIMAL:
        step_units = 10
    elif currency in _ALWAYS_WHOLE or (flow == "payout" and currency in _WHOLE_IN_PAYOUTS):
        step_units = 100
    up, down = _ratio(currency)
    return step_units * down // gcd(step_units, up)


def payout_steps() -> dict[str, int]:
    """Of the market's currencies, those that are not paid out to the minor unit."""
    steps = {currency: step_minor(currency, "payout") for currency in MINOR_DIGITS}
    return {currency: step for currency, step in steps.items() if step > 1}


def to_units(amount_minor: int, currency: str, flow: Flow) -> int:
    """The amount as Stripe wants it.

    Raises:
        GatewayRefused: `invalid_request`, `amount_step`: Stripe has no way to say this amount.
    """
    step = step_minor(currency, flow)
    if amount_minor % step:
        raise GatewayRefused(
            "invalid_request",
            f"Stripe moves {currency} in steps of {step} minor units, and {amount_minor} is between two.",
            provider_code="amount_step",
        )
    up, down = _ratio(currency)
    return amount_minor * up // down


def from_units(units: int, currency: str) -> int:
    """An amount of Stripe's in our minor units."""
    up, down = _ratio(currency)
    assert units * down % up == 0, f"{units} of Stripe's {currency} is no whole minor unit"
    return units * down // up


def fee_minor(entry: BalanceEntry, *, of_units: int, currency: str) -> int:
    """What a movement of `of_units` cost, in the currency that was charged.

    Fees are taken in the currency of Stripe's balance. Where that is another one, the fee's part of the entry
    is taken of what was charged, half-up: `fee * of_units / amount`.
    """
    if entry.currency == currency.lower():
        return from_units(entry.fee, currency.upper())
    if entry.amount == 0:
        return 0
    fee, whole = abs(entry.fee * of_units), abs(entry.amount)
    return from_units((2 * fee + whole) // (2 * whole), currency.upper())


def _ratio(currency: str) -> tuple[int, int]:
    """Stripe's units for a number of our minor units."""
    theirs = stripe_digits(currency)
    # Stripe's own balances may be in currencies that no shop here trades in.
    ours = MINOR_DIGITS.get(currency, theirs)
    return 10 ** max(theirs - ours, 0), 10 ** max(ours - theirs, 0)
