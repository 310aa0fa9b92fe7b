"""Requests to the sandbox company, and what its answers mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
import msgspec

from feira.platform.domain.errors import FeiraError, Unavailable
from feira.platform.gateways.payments.refusal import GatewayRefused, RefusalReason
from feira.platform.gateways.payments.sandbox import wire

T = TypeVar("T")

TIMEOUT: Final = aiohttp.ClientTimeout(total=8.0, sock_connect=2.0)
RETRY_AFTER_S: Final = 5.0
# Nothing is wrong with the request: our key, our load, or the same request still running.
_TRY_AGAIN: Final = frozenset({401, 403, 408, 409, 429})

# Its own codes, and what they are called here. Those that say what state an object is in are answers, not
# reasons to try again, though they come with 409.
_REASONS: Final[dict[str, RefusalReason]] = {
    "invalid_request": "invalid_request",
    "unknown_card": "invalid_request",
    "idempotency_key_reused": "idempotency_key_reused",
    "not_found": "not_found",
    "intent_unexpected_state": "unexpected_state",
    "dispute_unexpected_state": "unexpected_state",
    "not_captured": "unexpected_state",
    "capture_exceeds_payment": "amount_too_large",
    "refund_exceeds_payment": "amount_too_large",
    "transfer_exceeds_payment": "amount_too_large",
    "reversal_exceeds_transfer": "amount_too_large",
    "balance_insufficient": "balance_insufficient",
    "account_restricted": "account_restricted",
    "not_allowed": "declined",
}
_LATER: Final[frozenset[RefusalReason]] = frozenset({"balance_insufficient", "account_restricted"})


class SandboxConnection:
    """Speaks to the sandbox at the first of `base_urls` that takes connections.

    They are asked for at each call, because a test's port is known only once it is bound. Trying another
    address is safe: nothing was sent to the one that did not answer, and keys guard the rest.
    """

    def __init__(self, base_urls: Callable[[], Sequence[str]], key: str) -> None:
        self._base_urls = base_urls
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, kind: type[T], **query: str) -> T:
        """Read; empty parts of the query are left out."""
        return await self._request(
            "GET", path, kind, query={name: value for name, value in query.items() if value}
        )

    async def post(
        self, path: str, body: msgspec.Struct, kind: type[T], idempotency_key: str | None
    ) -> T:
        headers = {"Content-Type": "application/json"}
        if idempotency_key is not None:
            headers[wire.IDEMPOTENCY_HEADER] = idempotency_key
        return await self._request(
            "POST", path, kind, body=msgspec.json.encode(body), headers=headers
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _request(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        unreachable: Exception | None = None
        for base_url in self._base_urls():
            try:
                async with self._session.request(
                    method,
                    base_url + path,
                    params=query,
                    data=body,
                    headers={**(headers or {}), "Authorization": f"Bearer {self._key}"},
                    allow_redirects=False,
                ) as answer:
                    return _decode(answer.status, answer.headers, await answer.read(), kind)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                unreachable = error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                # It may have been carried out: another address could not tell either, only the same key can.
                raise _away(
                    "The payment provider did not answer; the outcome is unknown."
                ) from error
        raise _away("The payment provider cannot be reached.") from unreachable


def _decode(status: int, headers: Mapping[str, str], raw: bytes, kind: type[T]) -> T:
    try:
        if status == HTTPStatus.OK:
            return msgspec.json.decode(raw, type=kind)
        error = msgspec.json.decode(raw, type=wire.ErrorAnswer).error
    except msgspec.DecodeError as problem:
        raise _away(
            f"The payment provider answered {status} with something unreadable."
        ) from problem
    raise _failure(status, headers, error)


def _failure(status: int, headers: Mapping[str, str], error: wire.ErrorBody) -> FeiraError:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if headers.get(wire.REPLAYED_HEADER) == "true":
            return Unavailable(
                "payment.outcome_unknown",
                "The payment provider answers this key with a failure it has saved; look whether it is done.",
            )
        return _away(f"The payment provider could not do this now ({error.code}).")
    reason = _REASONS.get(error.code, "other")
    if status in _TRY_AGAIN and reason == "other":
        given = headers.get("Retry-After", "")
        return _away(
            f"The payment provider could not do this now ({error.code}).",
            float(given) if given.isascii() and given.isdecimal() else RETRY_AFTER_S,
        )
    return GatewayRefused(
        reason, error.message, provider_code=error.code, try_later=reason in _LATER
    )


def _away(message: str, retry_after_s: float = RETRY_AFTER_S) -> Unavailable:
    return Unavailable("payment.provider_unavailable", message, retry_after_s=retry_after_s)
