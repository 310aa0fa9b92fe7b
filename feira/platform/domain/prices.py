"""Prices as people write them, read exactly: `19.99` in a currency's own digits, never through a float."""

from __future__ import annotations

import re
from typing import Final

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.money import AMOUNT_MINOR_MAX, MINOR_DIGITS

# Three digits after a comma are thousands to some and fractions to others.
_THOUSANDS: Final = 3
_DECIMAL: Final = re.compile(r"(?P<whole>[0-9]{1,13})(?:(?P<point>[.,])(?P<fraction>[0-9]{1,6}))?")


def parse_price(text: str, currency: str, *, field: str = "price") -> int:
    """`"19.99", "EUR"` -> 1999. A decimal comma is fine; thousands separators are not, as nobody could tell.

    Raises:
        InvalidInput: `price.malformed`, `price.too_many_digits`, `price.out_of_range`.
    """
    digits = MINOR_DIGITS[currency]
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(
            "price.malformed",
            f"{text[:40]!r} is not a price; write digits with a decimal point, such as 19.99.",
            field=field,
        )
    fraction = match["fraction"] or ""
    # Not even zeros: `1,200` euros may be a thousand and two hundred to whoever wrote it.
    if len(fraction) > digits or (match["point"] == "," and digits == _THOUSANDS):
        raise InvalidInput(
            "price.too_many_digits",
            f"{currency} has {digits} digits after the decimal point, not those of {text[:40]!r}.",
            field=field,
        )
    amount_minor = int(match["whole"] + fraction[:digits].ljust(digits, "0"))
    if not 1 <= amount_minor <= AMOUNT_MINOR_MAX:
        raise InvalidInput(
            "price.out_of_range", "A price is more than nothing and below ten billion.", field=field
        )
    return amount_minor
