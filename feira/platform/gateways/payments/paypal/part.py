"""What every part of the PayPal gateway stands on."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.paypal.connection import PayPalConnection, PayPalSettings
from feira.platform.gateways.payments.refusal import GatewayRefused

NAME: Final = "paypal"


class PayPalPart:
    """`orders` remembers which order a capture belongs to: that never changes."""

    def __init__(self, settings: PayPalSettings) -> None:
        self.settings = settings
        self.paypal = PayPalConnection(settings)
        self.orders: dict[str, str] = {}


def not_supported(what: str) -> GatewayRefused:
    return GatewayRefused("not_supported", f"PayPal {what}.", provider_code="")
