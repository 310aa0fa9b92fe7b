"""Calls to Razorpay's REST API, and what its refusals mean in the port's words."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from feira.platform.domain.errors import FeiraError
from feira.platform.gateways.payments.direct import Answer, DirectHttp, away
from feira.platform.gateways.payments.razorpay import wire
from feira.platform.gateways.payments.refusal import GatewayRefused, RefusalReason

T = TypeVar("T")

PUBLIC_API: Final = "https://api.razorpay.com"

# Razorpay has one code for all that is wrong with a request: only the sentence tells what.
_REASONS: Final[tuple[tuple[str, RefusalReason], ...]] = (
    (r"does not exist|not a valid id|no db records found|not found", "not_found"),
    (r"insufficient|not have enough balance|low balance", "balance_insufficient"),
    (r"fully refunded|fully reversed|greater than|exceeds?\b|more than", "amount_too_large"),
    (r"account.*(not activated|suspended|on hold|deactivated)", "account_restricted"),
    (r"already (been )?(captured|paid|cancelled|expired)|not captured|only.*captured|status", "unexpected_state"),
    (r"reference_id.*already exists|given reference", "idempotency_key_reused"),
    (r"declined|risk", "declined"),
)  # fmt: skip
_TRY_LATER: Final = frozenset({"balance_insufficient", "account_restricted"})


class RazorpaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """`transfer_hold_s`: how long a transfer stays reversible before it is settled to the seller's bank."""

    key_id: str
    key_secret: str
    webhook_secret: str
    transfer_hold_s: int = 0
    api_url: str = PUBLIC_API

    def __repr__(self) -> str:
        return f"RazorpaySettings(api_url={self.api_url!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("api_url", self.api_url)]


class RazorpayConnection:
    """Signed in with the key pair on every call."""

    def __init__(self, settings: RazorpaySettings) -> None:
        self._http = DirectHttp(settings.api_url)
        pair = f"{settings.key_id}:{settings.key_secret}".encode()
        self._headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    async def get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        answer = await self._http.send("GET", path, headers=self._headers, query=query)
        return _read(answer, kind)

    async def post(self, path: str, body: object, kind: type[T]) -> T:
        """Razorpay knows no keys of requests: who repeats has to look first."""
        headers = {**self._headers, "Content-Type": "application/json"}
        raw = msgspec.json.encode(body)
        return _read(await self._http.send("POST", path, headers=headers, body=raw), kind)

    async def close(self) -> None:
        await self._http.close()


def _read(answer: Answer, kind: type[T]) -> T:
    if not answer.is_success:
        raise _port_error(answer)
    return answer.read(kind)


def _port_error(answer: Answer) -> FeiraError:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return away("it does not know our key, see razorpay_key_id and razorpay_key_secret")
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in {
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }:
        return away(f"it could not do this now ({answer.status})")
    try:
        error = msgspec.json.decode(answer.body, type=wire.ErrorAnswer).error
    except msgspec.DecodeError:
        return away(f"it answered {answer.status} with something else")
    reason = _reason(answer.status, error.description)
    return GatewayRefused(
        reason,
        error.description[:300] or "it gave no reason.",
        provider_code=error.reason or error.code,
        try_later=reason in _TRY_LATER,
    )


def _reason(status: int, description: str) -> RefusalReason:
    if status == HTTPStatus.NOT_FOUND:
        return "not_found"
    for pattern, reason in _REASONS:
        if re.search(pattern, description, re.IGNORECASE):
            return reason
    return "invalid_request" if status == HTTPStatus.BAD_REQUEST else "other"
