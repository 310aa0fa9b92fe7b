"""What PayPal's refusals mean in the port's words."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from feira.platform.domain.errors import FeiraError
from feira.platform.gateways.payments.direct import Answer, away
from feira.platform.gateways.payments.paypal.wire import Refusal
from feira.platform.gateways.payments.refusal import GatewayRefused, RefusalReason

_REASONS: Final[dict[str, RefusalReason]] = {
    "RESOURCE_NOT_FOUND": "not_found",
    "INVALID_RESOURCE_ID": "not_found",
    "ORDER_NOT_APPROVED": "unexpected_state",
    "ORDER_ALREADY_CAPTURED": "unexpected_state",
    "ORDER_ALREADY_AUTHORIZED": "unexpected_state",
    "AUTHORIZATION_ALREADY_CAPTURED": "unexpected_state",
    "AUTHORIZATION_VOIDED": "unexpected_state",
    "AUTHORIZATION_EXPIRED": "unexpected_state",
    "PREVIOUSLY_CAPTURED": "unexpected_state",
    "PREVIOUSLY_VOIDED": "unexpected_state",
    "PENDING_CAPTURE": "unexpected_state",
    "CAPTURE_FULLY_REFUNDED": "amount_too_large",
    "REFUND_AMOUNT_EXCEEDED": "amount_too_large",
    "MAX_CAPTURE_AMOUNT_EXCEEDED": "amount_too_large",
    "INSTRUMENT_DECLINED": "declined",
    "PAYER_CANNOT_PAY": "declined",
    "TRANSACTION_REFUSED": "declined",
    "COMPLIANCE_VIOLATION": "declined",
    "REFUND_FAILED_INSUFFICIENT_FUNDS": "balance_insufficient",
    "INSUFFICIENT_FUNDS": "balance_insufficient",
    "PAYEE_ACCOUNT_RESTRICTED": "account_restricted",
    "PAYEE_ACCOUNT_LOCKED_OR_CLOSED": "account_restricted",
    "RECEIVER_UNREGISTERED": "account_restricted",
    "DUPLICATE_REQUEST_ID": "idempotency_key_reused",
    "INVALID_REQUEST": "invalid_request",
    "VALIDATION_ERROR": "invalid_request",
    "MALFORMED_REQUEST_JSON": "invalid_request",
}
_TRY_LATER: Final = frozenset({"balance_insufficient", "account_restricted"})
# The same request is still running, or there are too many.
_AGAIN: Final = frozenset(
    {"PREVIOUS_REQUEST_IN_PROGRESS", "RESOURCE_CONFLICT", "RATE_LIMIT_REACHED"}
)


def refusal_of(answer: Answer) -> Refusal:
    """Its error answer; an empty one where it is none."""
    try:
        return msgspec.json.decode(answer.body, type=Refusal)
    except msgspec.DecodeError:
        return Refusal()


def port_error(answer: Answer) -> FeiraError:
    """The error of the port for an answer that is no success."""
    refusal = refusal_of(answer)
    words = [one.issue for one in refusal.details if one.issue] + [refusal.name]
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return away("it does not know our key, see paypal_client_id and paypal_client_secret")
    if (
        answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or answer.status in {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
        or not _AGAIN.isdisjoint(words)
        or not refusal.name
    ):
        return away(f"it could not do this now ({answer.status} {words[0]})")
    reason = _reason(answer.status, words)
    return GatewayRefused(
        reason,
        f"{refusal.message[:300]} ({words[0]})",
        provider_code=words[0],
        try_later=reason in _TRY_LATER,
    )


def _reason(status: int, words: list[str]) -> RefusalReason:
    if status == HTTPStatus.NOT_FOUND:
        return "not_found"
    for word in words:
        if word in _REASONS:
            return _REASONS[word]
    return "other"
