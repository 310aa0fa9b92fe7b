"""Money: integer minor units with a currency, exact shares, half-up rounding. No floats."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.platform.domain.errors import InvalidInput

# ISO 4217 minor digits of the currencies a shop may trade in. Adding one is adding a row.
MINOR_DIGITS: Final[dict[str, int]] = {
    "AUD": 2, "BHD": 3, "BRL": 2, "CAD": 2, "CHF": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2,
    "HUF": 2, "INR": 2, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3, "MXN": 2, "NOK": 2, "NZD": 2,
    "OMR": 3, "PLN": 2, "RON": 2, "SEK": 2, "SGD": 2, "TND": 3, "USD": 2, "ZAR": 2,
}  # fmt: skip

# Keeps every sum of a basket far inside PostgreSQL's bigint: 10^12 minor units a price.
AMOUNT_MINOR_MAX: Final = 1_000_000_000_000
BASIS_POINTS: Final = 10_000


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of one currency, in its minor unit (cent, yen, fils)."""

    amount_minor: int
    currency: str


def require_currency(currency: str, *, field: str = "$.currency") -> str:
    """Return the currency code unchanged.

    Raises:
        InvalidInput: `money.unknown_currency` when the market does not trade in it.
    """
    if currency not in MINOR_DIGITS:
        raise InvalidInput(
            "money.unknown_currency",
            f"{currency!r} is not a currency of this market; use one of {', '.join(MINOR_DIGITS)}.",
            field=field,
        )
    return currency


def share(amount_minor: int, basis_points: int) -> int:
    """`amount_minor * basis_points / 10,000`, rounded half away from zero."""
    scaled = abs(amount_minor) * basis_points
    rounded = (2 * scaled + BASIS_POINTS) // (2 * BASIS_POINTS)
    return rounded if amount_minor >= 0 else -rounded


def portion(whole_minor: int, part: int, total: int) -> int:
    """`whole_minor * part / total`, rounded half-up: what of a whole belongs to a part of some total. 0 of nothing."""
    assert whole_minor >= 0, "portions are of something"
    assert 0 <= part <= total, "a part is within its total"
    return (2 * whole_minor * part + total) // (2 * total) if total else 0


def portion_half_down(whole_minor: int, part: int, total: int) -> int:
    """`portion` with half a unit rounded down: what is left of a part of which another portion was rounded up."""
    assert whole_minor >= 0, "portions are of something"
    assert 0 <= part <= total, "a part is within its total"
    return -((total - 2 * whole_minor * part) // (2 * total)) if total else 0


def allocate(amount_minor: int, weights: list[int]) -> list[int]:
    """Split an amount in proportion to `weights` so that the parts add up to it exactly.

    Largest-remainder method (Hamilton): floors first, then one unit each to the largest remainders,
    earlier parts first among equals. `allocate(10000, [1, 1, 1]) == [3334, 3333, 3333]`.
    All-zero weights split evenly.
    """
    assert amount_minor >= 0, "allocate a non-negative amount"
    assert weights, "there must be something to allocate to"
    assert all(weight >= 0 for weight in weights), "weights are non-negative"
    total = sum(weights)
    if total == 0:
        return allocate(amount_minor, [1] * len(weights))
    parts = [amount_minor * weight // total for weight in weights]
    remainders = [amount_minor * weight % total for weight in weights]
    left = amount_minor - sum(parts)
    by_remainder = sorted(range(len(weights)), key=lambda index: (-remainders[index], index))
    for index in by_remainder[:left]:
        parts[index] += 1
    assert sum(parts) == amount_minor, "the parts add up to the whole"
    return parts


def format_money(amount_minor: int, currency: str) -> str:
    """`1999, "EUR"` -> `"19.99 EUR"`, for logs, e-mail and CSV; pages format by locale themselves."""
    digits = MINOR_DIGITS[currency]
    sign = "-" if amount_minor < 0 else ""
    if digits == 0:
        return f"{sign}{abs(amount_minor)} {currency}"
    whole, fraction = divmod(abs(amount_minor), 10**digits)
    return f"{sign}{whole}.{fraction:0{digits}d} {currency}"
