"""Calls to the payment provider: before and after each stands a commit, and every repeat has the same key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from feira.jobs.chargebacks import look_at_dispute
from feira.jobs.payouts import look_at_payout, look_at_transfer
from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.errors import Rejected
from feira.platform.domain.jobs import (
    CancelPaymentIntent,
    CapturePayment,
    CreatePaymentIntent,
    HandleWebhook,
    IntroducePayments,
    RefundPayment,
    SweepProviderEvents,
)
from feira.platform.gateways.payments.objects import Intent, SubjectKind
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.services.payments import (
    event_sweep,
    introduction,
    outcomes,
    payments,
    refund_asking,
    refunds,
    webhooks,
)
from feira.services.payments.webhooks import WebhookRow
from feira.services.users.shops import apply_account
from feira.sql.database import Tx

# A bug of ours, not the provider's word on a refund: somebody has to look before money is moved again.
_NOT_ABOUT_THE_REFUND: Final = frozenset(
    {"gateway.idempotency_key_reused", "gateway.invalid_request", "gateway.not_found"}
)


async def handle_create_intent(run: JobRun, job: CreatePaymentIntent) -> None:
    await introduction.introduce_or_close(run.market, job.payment)


async def handle_introduce(run: JobRun, _job: IntroducePayments) -> None:
    await run.commit(payments.introduce_forgotten)


async def handle_capture(run: JobRun, job: CapturePayment) -> None:
    """What the provider answers decides: an authorisation may have run out or been released since."""
    market = run.market
    async with market.database.connection() as con:
        payment = await payments.load_payment(con, job.payment)
    if payment.state != "authorized":
        return
    payments.require_same_gateway(market, payment.gateway)
    reference = payment.gateway_reference
    assert reference is not None, "the provider authorised it"

    async def look() -> Intent | None:
        intent = await market.payments.fetch_intent(reference)
        return None if intent.state == "authorized" else intent

    try:
        intent = await payments.once(
            "capture",
            payment.id,
            lambda key: market.payments.capture_intent(reference, idempotency_key=key),
            look,
        )
    except GatewayRefused as refused:
        if refused.reason != "unexpected_state":
            raise
        intent = await market.payments.fetch_intent(reference)
    await run.commit(lambda tx: outcomes.apply_intent(tx, intent))


async def handle_cancel_intent(run: JobRun, job: CancelPaymentIntent) -> None:
    """What the provider answers decides: a payment that succeeded first is captured, and then refunded."""
    market = run.market
    async with market.database.connection() as con:
        payment = await payments.load_payment(con, job.payment)
    if payment.gateway is None:
        await run.commit(lambda tx: outcomes.give_up(tx, job.payment))
        return
    payments.require_same_gateway(market, payment.gateway)
    if payment.gateway_reference is None:
        # Its call was made, and the answer never came: there may be something to cancel.
        payment = await introduction.introduce_or_close(market, job.payment)
        if payment.state == "canceled":
            return
    reference = payment.gateway_reference
    assert reference is not None, "a payment is given up before it is introduced, or after"

    async def look() -> Intent | None:
        intent = await market.payments.fetch_intent(reference)
        return intent if intent.state in {"succeeded", "canceled"} else None

    try:
        intent = await payments.once(
            "cancel_intent",
            payment.id,
            lambda key: market.payments.cancel_intent(reference, idempotency_key=key),
            look,
        )
    except GatewayRefused as refusal:
        if refusal.reason != "not_found":
            raise
        await run.commit(lambda tx: outcomes.close_forgotten(tx, job.payment))
        return
    await run.commit(lambda tx: outcomes.apply_intent(tx, intent))


async def handle_refund(run: JobRun, job: RefundPayment) -> None:
    async with run.market.database.connection() as con:
        refund = await refunds.load_refund(con, job.refund)
    if refund.state != "requested":
        return
    try:
        answer = await refund_asking.ask_provider(run.market, refund.id)
    except Rejected as error:
        if error.code in _NOT_ABOUT_THE_REFUND:
            raise
        reason = error.message
        await run.commit(lambda tx: outcomes.apply_refused_refund(tx, job.refund, reason))
        return
    await run.commit(lambda tx: outcomes.apply_refund(tx, job.refund, answer))


async def handle_webhook(run: JobRun, job: HandleWebhook) -> None:
    """The event only says what to look at; what counts is how it is at the provider now."""
    async with run.market.database.connection() as con:
        event = await webhooks.load_event(con, job)
    if event.handled_at is not None:
        return
    look = _LOOKS.get(event.kind)
    if look is None:
        await run.commit(lambda tx: webhooks.mark_handled(tx, event))
        return
    await look(run, event)


async def handle_sweep_events(run: JobRun, _job: SweepProviderEvents) -> None:
    await event_sweep.sweep_events(run.market)


async def _look_at_account(run: JobRun, event: WebhookRow) -> None:
    account = await run.market.payments.fetch_account(event.subject)

    async def apply(tx: Tx) -> None:
        await apply_account(tx, account)
        await webhooks.mark_handled(tx, event)

    await run.commit(apply)


async def _look_at_intent(run: JobRun, event: WebhookRow) -> None:
    intent = await run.market.payments.fetch_intent(event.subject)

    async def apply(tx: Tx) -> None:
        await outcomes.apply_intent(tx, intent)
        await webhooks.mark_handled(tx, event)

    await run.commit(apply)


async def _look_at_refund(run: JobRun, event: WebhookRow) -> None:
    answer = await run.market.payments.fetch_refund(event.subject)

    async def apply(tx: Tx) -> None:
        await outcomes.apply_refund(tx, await outcomes.find_refund(tx, answer), answer)
        await webhooks.mark_handled(tx, event)

    await run.commit(apply)


# News of other kinds, and of none that we know, is kept and changes nothing.
_LOOKS: Final[Mapping[SubjectKind | None, Callable[[JobRun, WebhookRow], Awaitable[None]]]] = {
    "account": _look_at_account,
    "intent": _look_at_intent,
    "refund": _look_at_refund,
    "transfer": look_at_transfer,
    "payout": look_at_payout,
    "dispute": look_at_dispute,
}

HANDLERS: Final[Handlers] = {
    CreatePaymentIntent: handle_create_intent,
    IntroducePayments: handle_introduce,
    CapturePayment: handle_capture,
    CancelPaymentIntent: handle_cancel_intent,
    RefundPayment: handle_refund,
    HandleWebhook: handle_webhook,
    SweepProviderEvents: handle_sweep_events,
}
