"""What every part of the Razorpay gateway stands on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

from feira.platform.domain.money import MINOR_DIGITS
from feira.platform.gateways.payments.razorpay.connection import (
    RazorpayConnection,
    RazorpaySettings,
)
from feira.platform.gateways.payments.refusal import GatewayRefused

NAME: Final = "razorpay"
_THREE_DECIMALS: Final = 3
# Of a currency with three decimals Razorpay moves only the first two.
_STEP: Final = 10


class RazorpayPart:
    """`links` remembers which payment link a payment came of: that never changes."""

    def __init__(self, settings: RazorpaySettings) -> None:
        self.settings = settings
        self.razorpay = RazorpayConnection(settings)
        self.links: dict[str, str] = {}
        self._at_work: dict[str, _Turn] = {}

    @contextlib.asynccontextmanager
    async def one_at_a_time(self, key: str) -> AsyncGenerator[None]:
        """Looking and then doing is one step for everybody of this process who has the same key."""
        turn = self._at_work.setdefault(key, _Turn())
        turn.wanted_by += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted_by -= 1
            if not turn.wanted_by:
                del self._at_work[key]


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted_by: int = 0


def payout_steps() -> dict[str, int]:
    """Of the market's currencies, those that do not move to the minor unit."""
    return {
        currency: _STEP for currency, digits in MINOR_DIGITS.items() if digits == _THREE_DECIMALS
    }


def require_step(amount_minor: int, currency: str) -> int:
    """Return the amount as it is.

    Raises:
        GatewayRefused: `invalid_request`, `amount_step`.
    """
    step = payout_steps().get(currency, 1)
    if amount_minor % step:
        raise GatewayRefused(
            "invalid_request",
            f"Razorpay moves {currency} in steps of {step} minor units, and {amount_minor} is between two.",
            provider_code="amount_step",
        )
    return amount_minor


def require_same(made_minor: int, asked_minor: int) -> None:
    """What was found under a key is what is asked for now.

    Raises:
        GatewayRefused: `idempotency_key_reused`.
    """
    if made_minor != asked_minor:
        raise GatewayRefused(
            "idempotency_key_reused", "this key moved another amount.", provider_code=""
        )
