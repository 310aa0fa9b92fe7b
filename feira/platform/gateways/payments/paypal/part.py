"""What every part of the PayPal gateway stands on."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.paypal.connection import PayPalConnection, PayPalSettings

NAME: Final = "paypal"


class PayPalPart:
    """`orders` remembers which order a capture belongs to: that never changes."""

    def __init__(self, settings: PayPalSettings) -> None:
        self.settings = settings
        self.paypal = PayPalConnection(settings)
        self.orders: dict[str, str] = {}
