"""Sellers' money: a payout batch of one item, which ends in the seller's PayPal account.

`sender_batch_id` is our key: PayPal takes each once in 30 days, and answers a second one with where the first is. An
item that nobody claims comes back after 30 days. There is nothing to reverse, and no bank that we would pay out to.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Final

from feira.platform.gateways.payments.lacking import not_supported
from feira.platform.gateways.payments.objects import (
    Transfer,
    TransferReversal,
    TransferState,
)
from feira.platform.gateways.payments.paypal import amounts, wire
from feira.platform.gateways.payments.paypal.accounts import PayPalAccounts
from feira.platform.gateways.payments.paypal.errors import port_error, refusal_of
from feira.platform.gateways.payments.refusal import GatewayRefused

_STATES: Final[dict[str, TransferState]] = {
    "SUCCESS": "made",
    "PENDING": "pending",
    "UNCLAIMED": "pending",
    "ONHOLD": "pending",
    "FAILED": "failed",
    "BLOCKED": "failed",
    "RETURNED": "failed",
    "REFUNDED": "reversed",
    "REVERSED": "reversed",
}
_DEAD_BATCHES: Final = frozenset({"DENIED", "CANCELED"})
_NAME_LENGTH_MAX: Final = 63


class PayPalTransfers(PayPalAccounts):
    """Payouts, in PayPal's word."""

    async def transfer(
        self,
        *,
        account: str,
        amount_minor: int,
        currency: str,
        group: str,
        client_reference: str,
        idempotency_key: str,
        intent_reference: str | None = None,  # noqa: ARG002 - paid out of the one balance
    ) -> Transfer:
        item = {
            "recipient_type": "PAYPAL_ID",
            "receiver": await self.merchant_id(account),
            "amount": {
                "currency": currency,
                "value": amounts.to_value(amount_minor, currency),
            },
            "sender_item_id": client_reference[:_NAME_LENGTH_MAX],
            # The seller reads it, and we do: batches have no field for what they are of.
            "note": f"{group} {account}".strip(),
        }
        body = {"sender_batch_header": {"sender_batch_id": idempotency_key}, "items": [item]}
        answer = await self.paypal.send(
            "POST", "/v1/payments/payouts", body=body, key=idempotency_key
        )
        if answer.is_success:
            reference = answer.read(wire.Batch).batch_header.payout_batch_id
        else:
            reference = _existing(answer.status, refusal_of(answer))
            if not reference:
                raise port_error(answer)
        made = _transfer(await self._batch(reference))
        asked = Transfer(
            reference=reference,
            account=account,
            state=made.state,
            amount_minor=amount_minor,
            reversed_minor=made.reversed_minor,
            currency=currency,
            group=group,
            client_reference=client_reference[:_NAME_LENGTH_MAX],
            failure_code=made.failure_code,
        )
        if made.account and made != asked:
            raise GatewayRefused(
                "idempotency_key_reused",
                "this key made another payout.",
                provider_code="SENDER_BATCH_ID",
            )
        return asked

    async def fetch_transfer(self, reference: str) -> Transfer:
        return _transfer(await self._batch(reference))

    async def list_transfers(self, group: str, *, since: datetime) -> list[Transfer]:  # noqa: ARG002
        """PayPal has no list of batches; the key is what finds one again, for `key_lifetime_s`."""
        raise not_supported("PayPal lists no payouts")

    async def reverse_transfer(
        self,
        reference: str,  # noqa: ARG002
        *,
        amount_minor: int,  # noqa: ARG002
        client_reference: str,  # noqa: ARG002
        idempotency_key: str,  # noqa: ARG002
    ) -> TransferReversal:
        raise not_supported("PayPal takes nothing back from sellers")

    async def list_reversals(self, transfer_reference: str) -> list[TransferReversal]:  # noqa: ARG002
        return []

    async def _batch(self, reference: str) -> wire.Batch:
        return await self.paypal.get(f"/v1/payments/payouts/{reference}", wire.Batch)


def _existing(status: int, refusal: wire.Refusal) -> str:
    """The batch that this sender_batch_id made before."""
    known = any("SENDER_BATCH_ID" in one.field.upper() for one in refusal.details)
    if status != HTTPStatus.BAD_REQUEST or not known:
        return ""
    return wire.link(refusal.links, "self").rpartition("/")[2]


def _transfer(batch: wire.Batch) -> Transfer:
    """Items are there a moment after their batch; until then only the sum is known."""
    header = batch.batch_header
    if not batch.items:
        total = header.amount or wire.PayoutMoney(currency="", value="0")
        return Transfer(
            reference=header.payout_batch_id,
            account="",
            state="failed" if header.batch_status in _DEAD_BATCHES else "pending",
            amount_minor=amounts.from_value(total.value, total.currency),
            reversed_minor=0,
            currency=total.currency,
            group="",
            client_reference="",
            failure_code="" if header.batch_status not in _DEAD_BATCHES else "batch_denied",
        )
    [item] = batch.items
    sent = item.payout_item
    amount_minor = amounts.from_value(sent.amount.value, sent.amount.currency)
    state = _STATES.get(item.transaction_status, "pending")
    group, _, account = sent.note.rpartition(" ")
    return Transfer(
        reference=header.payout_batch_id,
        account=account,
        state=state,
        amount_minor=amount_minor,
        reversed_minor=amount_minor if state == "reversed" else 0,
        currency=sent.amount.currency,
        group=group,
        client_reference=sent.sender_item_id,
        failure_code=(item.errors.name or item.transaction_status).lower()
        if state == "failed"
        else "",
    )
