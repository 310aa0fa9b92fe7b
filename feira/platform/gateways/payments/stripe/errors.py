"""What Stripe's refusals and silences mean in the port's words."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

import stripe

from feira.platform.domain.errors import FeiraError, Unavailable
from feira.platform.gateways.payments.refusal import GatewayRefused, RefusalReason

_REASONS: Final[dict[str, RefusalReason]] = {
    "resource_missing": "not_found",
    "payment_intent_unexpected_state": "unexpected_state",
    "intent_invalid_state": "unexpected_state",
    "charge_already_captured": "unexpected_state",
    "charge_expired_for_capture": "unexpected_state",
    "charge_disputed": "unexpected_state",
    "charge_already_refunded": "amount_too_large",
    "amount_too_large": "amount_too_large",
    "balance_insufficient": "balance_insufficient",
    "insufficient_funds": "balance_insufficient",
    "account_closed": "account_restricted",
    "account_invalid": "account_restricted",
    "insufficient_capabilities_for_transfer": "account_restricted",
    "payouts_limit_exceeded": "account_restricted",
    "payouts_not_allowed": "account_restricted",
    "transfers_not_allowed": "account_restricted",
}
_TRY_LATER: Final = frozenset({"balance_insufficient", "account_restricted"})
# Stripe masks keys in what it says to us; we make sure.
_SECRET: Final = re.compile(r"\b(sk|rk|pk|whsec)_[A-Za-z0-9_*]+")
_MESSAGE_LENGTH_MAX: Final = 300


def port_error(error: stripe.StripeError) -> FeiraError:
    """The error of the port; never with a key in it."""
    match error:
        case stripe.APIConnectionError():
            return _away("Stripe did not answer; the outcome is unknown.")
        case stripe.AuthenticationError():
            return _away("Stripe does not know our key: see stripe_secret_key.")
        case stripe.RateLimitError():
            return _away("Stripe asks for fewer requests.")
        case stripe.PermissionError():
            # The account left the platform, or the key is a restricted one that may not do this.
            return _refused("account_restricted", error)
        case stripe.IdempotencyError():
            return _refused("idempotency_key_reused", error)
        case stripe.CardError():
            return _refused("declined", error)
        case stripe.InvalidRequestError():
            return _refused(_reason(error), error)
        case _ if (error.headers or {}).get("Idempotent-Replayed") == "true":
            # Stripe keeps a failure under its key like any other answer, and what it did before it failed is done.
            return Unavailable(
                "payment.outcome_unknown",
                "Stripe failed at this and will answer this key with that for ever: look whether it was done.",
            )
        case _:
            return _away(f"Stripe could not do this now ({error.http_status}).")


def _reason(error: stripe.InvalidRequestError) -> RefusalReason:
    if error.code is None:
        # Too much to refund, reverse or transfer out of a charge has no code, only the parameter's name.
        if error.param == "amount":
            return "amount_too_large"
        return "not_found" if error.http_status == HTTPStatus.NOT_FOUND else "invalid_request"
    if error.code.startswith("parameter_"):
        return "invalid_request"
    return _REASONS.get(error.code, "other")


def _refused(reason: RefusalReason, error: stripe.StripeError) -> GatewayRefused:
    text = _SECRET.sub(r"\1_...", error.user_message or "it gave no reason.")
    code = getattr(error.error, "decline_code", None) or error.code or ""
    return GatewayRefused(
        reason,
        text[:_MESSAGE_LENGTH_MAX],
        provider_code=code,
        try_later=reason in _TRY_LATER,
    )


def _away(message: str) -> Unavailable:
    return Unavailable("payment.provider_unavailable", message, retry_after_s=5)
