"""A provider's no."""

from __future__ import annotations

from typing import Literal

from feira.platform.domain.errors import Rejected

RefusalReason = Literal[
    "invalid_request",  # a bug of ours
    "idempotency_key_reused",  # a bug of ours: the key came before with another body
    "not_found",
    "not_supported",  # this provider cannot do it
    "unexpected_state",  # the object has moved on, or is not there yet: fetch it
    "amount_too_large",  # more than is left to capture, refund or reverse
    "balance_insufficient",  # the money is not there now; it may be later
    "account_restricted",  # the shop's account may not receive or send money
    "declined",  # the provider's risk rules, or a bank
    "other",
]


class GatewayRefused(Rejected):
    """The provider understood and will not, and nothing was done.

    `code` is `gateway.{reason}`, the same for every provider; `provider_code` is its own word. `try_later` says
    whether the same request can succeed another time, under a new key.
    """

    def __init__(
        self, reason: RefusalReason, message: str, *, provider_code: str, try_later: bool = False
    ) -> None:
        super().__init__(
            f"gateway.{reason}",
            f"The payment provider refused: {message}",
            details={"provider_code": provider_code, "try_later": try_later},
        )
        self.reason = reason
        self.provider_code = provider_code
        self.try_later = try_later
