"""The payment port over the sandbox company's HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
import msgspec

from feira.platform.domain.errors import FeiraError, InvalidInput, NotAllowed, Rejected, Unavailable
from feira.platform.gateways.payments.port import Account, Intent, ProviderEvent, ProviderRefund
from feira.platform.gateways.payments.sandbox import signature, wire

T = TypeVar("T")

TIMEOUT: Final = aiohttp.ClientTimeout(total=8.0, sock_connect=2.0)
# Nothing is wrong with the request: our key, our load, or the same request still running.
_TRY_AGAIN: Final = frozenset({401, 403, 408, 409, 429})

_EVENT_TYPES: Final = {
    "account.updated": "account.updated",
    "payment_intent.succeeded": "intent.succeeded",
    "payment_intent.declined": "intent.declined",
    "payment_intent.canceled": "intent.canceled",
    "refund.updated": "refund.updated",
}


class SandboxGateway:
    """Speaks to the sandbox at the first of `base_urls` that takes connections.

    They are asked for at each call, because a test's port is known only once it is bound. Trying another
    address is safe: nothing was sent to the one that did not answer, and keys guard the rest.
    """

    name = "sandbox"

    def __init__(
        self,
        base_urls: Callable[[], Sequence[str]],
        *,
        webhook_secret: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._base_urls = base_urls
        self._webhook_secret = webhook_secret
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def create_account(self, *, shop_name: str, idempotency_key: str) -> Account:
        body = wire.CreateAccount(name=shop_name)
        answer = await self._post("/v1/accounts", body, wire.AccountObject, idempotency_key)
        return _account(answer)

    async def fetch_account(self, reference: str) -> Account:
        return _account(await self._get(f"/v1/accounts/{reference}", wire.AccountObject))

    async def create_intent(
        self,
        *,
        amount_minor: int,
        currency: str,
        return_url: str,
        metadata: Mapping[str, str],
        idempotency_key: str,
    ) -> Intent:
        body = wire.CreateIntent(
            amount_minor=amount_minor,
            currency=currency,
            return_url=return_url,
            metadata=dict(metadata),
        )
        answer = await self._post("/v1/payment_intents", body, wire.IntentObject, idempotency_key)
        return _intent(answer)

    async def fetch_intent(self, reference: str) -> Intent:
        return _intent(await self._get(f"/v1/payment_intents/{reference}", wire.IntentObject))

    async def cancel_intent(self, reference: str, *, idempotency_key: str) -> Intent:
        """Cancel it where that is still possible, and return it as it is then: it may have succeeded before."""
        try:
            answer = await self._post(
                f"/v1/payment_intents/{reference}/cancel",
                wire.CancelIntent(),
                wire.IntentObject,
                idempotency_key,
            )
        except Rejected as error:
            if error.code != "gateway.intent_unexpected_state":
                raise
            return await self.fetch_intent(reference)
        return _intent(answer)

    async def refund(
        self, intent_reference: str, *, amount_minor: int, idempotency_key: str
    ) -> ProviderRefund:
        body = wire.CreateRefund(payment_intent=intent_reference, amount_minor=amount_minor)
        return _refund(await self._post("/v1/refunds", body, wire.RefundObject, idempotency_key))

    async def fetch_refund(self, reference: str) -> ProviderRefund:
        return _refund(await self._get(f"/v1/refunds/{reference}", wire.RefundObject))

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """See the port; `webhook.stale` is a right signature from another time.

        Raises:
            NotAllowed: `webhook.bad_signature`, `webhook.stale`.
            InvalidInput: `webhook.malformed`: signed, but not an event we know.
        """
        header = headers.get(wire.SIGNATURE_HEADER, "")
        try:
            signature.verify(header, body, secret=self._webhook_secret, now=self._clock())
        except signature.BadSignature:
            raise NotAllowed(
                "webhook.bad_signature",
                f"The {wire.SIGNATURE_HEADER} header does not fit this body.",
            ) from None
        except signature.StaleSignature:
            raise NotAllowed(
                "webhook.stale", "The signature's time is more than five minutes away from now."
            ) from None
        try:
            event = msgspec.json.decode(body, type=wire.WebhookEvent)
        except msgspec.DecodeError as error:
            raise InvalidInput("webhook.malformed", f"{error}.") from error
        return msgspec.convert(
            {
                "provider": self.name,
                "account": "",
                "event_id": event.id,
                "type": _EVENT_TYPES[event.type],
                "subject": event.object,
            },
            ProviderEvent,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, path: str, kind: type[T]) -> T:
        return await self._request("GET", path, kind, body=None, headers={})

    async def _post(self, path: str, body: msgspec.Struct, kind: type[T], key: str) -> T:
        return await self._request(
            "POST",
            path,
            kind,
            body=msgspec.json.encode(body),
            headers={wire.IDEMPOTENCY_HEADER: key, "Content-Type": "application/json"},
        )

    async def _request(
        self, method: str, path: str, kind: type[T], *, body: bytes | None, headers: dict[str, str]
    ) -> T:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        headers["Authorization"] = f"Bearer {signature.api_key(self._webhook_secret)}"
        unreachable: Exception | None = None
        for base_url in self._base_urls():
            try:
                async with self._session.request(
                    method, base_url + path, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    return _decode(answer.status, await answer.read(), kind)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                unreachable = error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                # It may have been carried out: another address could not tell either, only the same key can.
                raise _away(
                    "The payment provider did not answer; the outcome is unknown."
                ) from error
        raise _away("The payment provider cannot be reached.") from unreachable


def sandbox_base_urls(*, host: str, port: int, public_url: str) -> list[str]:
    """Where the sandbox may be: at the serve process of this machine, else behind the public address."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    local = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return list(dict.fromkeys((f"{local}/sandbox", f"{public_url}/sandbox")))


def _decode(status: int, raw: bytes, kind: type[T]) -> T:
    try:
        if status == HTTPStatus.OK:
            return msgspec.json.decode(raw, type=kind)
        error = msgspec.json.decode(raw, type=wire.ErrorAnswer).error
    except msgspec.DecodeError as problem:
        raise _away(
            f"The payment provider answered {status} with something unreadable."
        ) from problem
    raise _refusal(status, error)


def _refusal(status: int, error: wire.ErrorBody) -> FeiraError:
    # A 409 that says what state the object is in is an answer, not a reason to try again.
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or (
        status in _TRY_AGAIN and error.code != "intent_unexpected_state"
    ):
        return _away(f"The payment provider could not do this now ({error.code}).")
    return Rejected(f"gateway.{error.code}", f"The payment provider refused: {error.message}")


def _away(message: str) -> Unavailable:
    return Unavailable("payment.provider_unavailable", message, retry_after_s=5)


def _account(account: wire.AccountObject) -> Account:
    return Account(reference=account.id, status=account.status)


def _intent(intent: wire.IntentObject) -> Intent:
    return Intent(
        reference=intent.id,
        state=intent.state,
        amount_minor=intent.amount_minor,
        currency=intent.currency,
        fee_minor=intent.fee_minor,
        decline_code=intent.last_decline_code,
        payment_page_url=intent.payment_page_url,
    )


def _refund(refund: wire.RefundObject) -> ProviderRefund:
    return ProviderRefund(
        reference=refund.id,
        intent_reference=refund.payment_intent,
        state=refund.state,
        amount_minor=refund.amount_minor,
    )
