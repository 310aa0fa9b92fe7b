"""What every part of the Stripe gateway stands on."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from feira.platform.gateways.payments.stripe.connection import PUBLIC_API, StripeConnection


class StripeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`webhook_secrets`: one for each endpoint, of the market's own events and of its shops' accounts."""

    secret_key: str
    webhook_secrets: tuple[str, ...] = ()
    api_url: str = PUBLIC_API
    clock: Callable[[], float] = time.time

    def __repr__(self) -> str:
        return f"StripeSettings(api_url={self.api_url!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("api_url", self.api_url)]


class StripePart:
    """`ties` remembers which of our intents a PaymentIntent came of: that never changes."""

    def __init__(self, settings: StripeSettings) -> None:
        self.settings = settings
        self.stripe = StripeConnection(settings.secret_key, api_url=settings.api_url)
        self.ties: dict[str, str] = {}
