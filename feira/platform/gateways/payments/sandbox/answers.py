"""The sandbox company's objects in the payment port's terms."""

from __future__ import annotations

from typing import Final

from feira.platform.gateways.payments.objects import (
    Account,
    BalanceTransaction,
    Dispute,
    Intent,
    Payout,
    ProviderEvent,
    ProviderRefund,
    SubjectKind,
    Transfer,
    TransferReversal,
)
from feira.platform.gateways.payments.sandbox import wire

NAME: Final = "sandbox"

# What the first part of an event's type speaks of.
_KINDS: Final[dict[str, SubjectKind]] = {
    "account": "account",
    "payment_intent": "intent",
    "refund": "refund",
    "transfer": "transfer",
    "payout": "payout",
    "dispute": "dispute",
}


def account_of(account: wire.AccountObject) -> Account:
    return Account(
        reference=account.id,
        status=account.status,
        requirements=tuple(account.requirements),
        disabled_reason=account.disabled_reason,
    )


def intent_of(intent: wire.IntentObject) -> Intent:
    return Intent(
        reference=intent.id,
        state=intent.state,
        amount_minor=intent.amount_minor,
        currency=intent.currency,
        fee_minor=intent.fee_minor,
        decline_code=intent.last_decline_code,
        payment_page_url=intent.payment_page_url,
        capture=intent.capture,
        captured_minor=intent.captured_minor,
        authorized_until=intent.authorized_until,
    )


def refund_of(refund: wire.RefundObject) -> ProviderRefund:
    return ProviderRefund(
        reference=refund.id,
        intent_reference=refund.payment_intent,
        state=refund.state,
        amount_minor=refund.amount_minor,
        client_reference=refund.client_reference,
        failure_code=refund.failure_code,
    )


def transfer_of(transfer: wire.TransferObject) -> Transfer:
    return Transfer(
        reference=transfer.id,
        account=transfer.account,
        state="reversed" if transfer.reversed_minor == transfer.amount_minor else "made",
        amount_minor=transfer.amount_minor,
        reversed_minor=transfer.reversed_minor,
        currency=transfer.currency,
        group=transfer.group,
        client_reference=transfer.client_reference,
    )


def reversal_of(reversal: wire.ReversalObject) -> TransferReversal:
    return TransferReversal(
        reference=reversal.id,
        transfer_reference=reversal.transfer,
        amount_minor=reversal.amount_minor,
        client_reference=reversal.client_reference,
    )


def payout_of(payout: wire.PayoutObject) -> Payout:
    return Payout(
        reference=payout.id,
        account=payout.account,
        state=payout.state,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        client_reference=payout.client_reference,
        failure_code=payout.failure_code,
        arrives_on=payout.arrives_on,
    )


def dispute_of(dispute: wire.DisputeObject) -> Dispute:
    return Dispute(
        reference=dispute.id,
        intent_reference=dispute.payment_intent,
        state=dispute.state,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        fee_minor=dispute.fee_minor,
        reason=dispute.reason,
        evidence_due_at=dispute.evidence_due_at,
    )


def movement_of(movement: wire.BalanceTransactionObject) -> BalanceTransaction:
    return BalanceTransaction(
        reference=movement.id,
        kind=movement.type,
        provider_kind=movement.type,
        amount_minor=movement.amount_minor,
        fee_minor=movement.fee_minor,
        net_minor=movement.amount_minor - movement.fee_minor,
        currency=movement.currency,
        source=movement.source,
        account=movement.account,
        created_at=movement.created_at,
    )


def event_of(event: wire.WebhookEvent) -> ProviderEvent:
    return ProviderEvent(
        provider=NAME,
        account=event.account,
        event_id=event.id,
        type=event.type,
        kind=_KINDS.get(event.type.partition(".")[0]),
        subject=event.object,
    )
