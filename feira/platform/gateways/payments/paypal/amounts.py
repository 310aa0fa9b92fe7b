"""Our minor units and PayPal's decimal strings; exact, and refused where PayPal has no such amount."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from feira.platform.domain.money import MINOR_DIGITS
from feira.platform.gateways.payments.refusal import GatewayRefused

# PayPal's "Currency codes"; those without decimals there may have them in the world.
_TWO_DECIMALS: Final = frozenset(
    {"AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "MXN", "MYR", "NOK",
     "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD"}
)  # fmt: skip
_WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})


def payout_steps() -> dict[str, int]:
    """Of the market's currencies, those that PayPal moves in whole units only although they have smaller ones."""
    return {
        currency: 10 ** MINOR_DIGITS[currency]
        for currency in _WHOLE & MINOR_DIGITS.keys()
        if MINOR_DIGITS[currency]
    }


def to_value(amount_minor: int, currency: str) -> str:
    """`1099, "EUR"` -> `"10.99"`.

    Raises:
        GatewayRefused: `not_supported` (the currency), `invalid_request` `amount_step`.
    """
    if currency not in _TWO_DECIMALS | _WHOLE:
        raise GatewayRefused(
            "not_supported", f"PayPal does not deal in {currency}.", provider_code="currency"
        )
    digits = MINOR_DIGITS[currency]
    value = Decimal(amount_minor).scaleb(-digits)
    if currency in _WHOLE:
        if value != value.to_integral_value():
            raise GatewayRefused(
                "invalid_request",
                f"PayPal moves {currency} in steps of {10**digits} minor units, and {amount_minor} is between two.",
                provider_code="amount_step",
            )
        return f"{value:.0f}"
    return f"{value:.{digits}f}"


def from_value(value: str, currency: str) -> int:
    """`"10.99", "EUR"` -> `1099`."""
    scaled = Decimal(value).scaleb(MINOR_DIGITS.get(currency, 2))
    assert scaled == scaled.to_integral_value(), f"{value} {currency} is finer than a minor unit"
    return int(scaled)
