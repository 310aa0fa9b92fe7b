"""Stripe's webhooks: signed just now with a secret of ours, or refused; and what each tells us to look at."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import pytest
from stripe import WebhookSignature

from feira.platform.domain.errors import InvalidInput, NotAllowed
from feira.platform.gateways.payments.stripe.gateway import StripeGateway
from feira.platform.gateways.payments.stripe.part import StripeSettings

WEBHOOK_SECRET = "whsec_market"


@pytest.fixture
def gateway() -> StripeGateway:
    """Verifying needs nobody else."""
    return StripeGateway(
        StripeSettings(
            secret_key="sk_test_unit",
            webhook_secrets=(WEBHOOK_SECRET, "whsec_connect"),
            api_url="http://127.0.0.1:9",
        )
    )


def _signed(
    body: bytes, *, secret: str = WEBHOOK_SECRET, at: float | None = None
) -> dict[str, str]:
    header = WebhookSignature.generate_signature_header(
        body.decode(), secret, timestamp=int(at or time.time())
    )
    return {"Stripe-Signature": header}


def _event(kind: str, about: Mapping[str, object], **fields: object) -> bytes:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "created": 1,
        "data": {"object": about},
    }
    return json.dumps({**event, **fields}).encode()


REFUND = {"object": "refund", "id": "re_1", "payment_intent": "pi_1"}


@pytest.mark.parametrize("shift_s", [-310, 310])
async def test_a_signature_from_another_time_is_stale(gateway: StripeGateway, shift_s: int) -> None:
    body = _event("refund.updated", REFUND)
    with pytest.raises(NotAllowed) as stale:
        await gateway.verify_webhook(_signed(body, at=time.time() + shift_s), body)
    assert stale.value.code == "webhook.stale"
    near = _signed(body, at=time.time() + shift_s * 0.9)
    assert (await gateway.verify_webhook(near, body)).subject == "re_1"


async def test_a_forged_webhook_is_refused_whatever_its_time(gateway: StripeGateway) -> None:
    body = _event("refund.updated", REFUND)
    good = _signed(body)["Stripe-Signature"]
    forged = (
        _signed(body, secret="whsec_other"),
        _signed(body, secret="whsec_other", at=1),
        _signed(body + b" "),
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=1,v1="},
        {"Stripe-Signature": "nonsense"},
        {"Stripe-Signature": f"t=1,{good}"},
        {"Stripe-Signature": good.replace("v1=", "v0=")},
    )
    for headers in (*forged, dict[str, str]()):
        with pytest.raises(NotAllowed) as refused:
            await gateway.verify_webhook(headers, body)
        assert refused.value.code == "webhook.bad_signature"
    with pytest.raises(NotAllowed):
        await gateway.verify_webhook({"Stripe-Signature": good}, b"\xff" + body)


async def test_both_endpoints_secrets_fit(gateway: StripeGateway) -> None:
    body = _event("payout.paid", {"object": "payout", "id": "po_1"}, account="acct_1")
    event = await gateway.verify_webhook(_signed(body, secret="whsec_connect"), body)
    assert (event.kind, event.subject, event.account) == ("payout", "po_1", "acct_1")


@pytest.mark.parametrize(
    ("kind", "about", "expected"),
    [
        ("charge.updated", {"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, ("intent", "pi_1")),
        ("charge.dispute.closed", {"object": "dispute", "id": "du_1"}, ("dispute", "du_1")),
        ("charge.refund.updated", REFUND, ("refund", "re_1")),
        ("capability.updated", {"object": "capability", "id": "transfers", "account": "acct_9"}, ("account", "acct_9")),
        ("account.application.deauthorized", {"object": "application", "id": "ca_1"}, ("account", "acct_1")),
        ("account.updated", {"object": "account", "id": "acct_1"}, ("account", "acct_1")),
        ("transfer.reversed", {"object": "transfer", "id": "tr_1"}, ("transfer", "tr_1")),
        ("checkout.session.expired", {"object": "checkout.session", "id": "cs_1"}, ("intent", "cs_1")),
        ("balance.available", {"object": "balance", "id": None, "account": {}}, (None, "")),
        ("customer.created", {"object": "customer", "id": "cus_1"}, (None, "")),
    ],
)  # fmt: skip
async def test_news_names_what_to_look_at(
    gateway: StripeGateway, kind: str, about: Mapping[str, object], expected: tuple[str | None, str]
) -> None:
    body = _event(kind, about, account="acct_1")
    event = await gateway.verify_webhook(_signed(body), body)
    assert (event.kind, event.subject) == expected


async def test_what_is_signed_and_no_event_is_malformed(gateway: StripeGateway) -> None:
    for body in (b"[]", b"{", b'{"id": "evt_1"}'):
        with pytest.raises(InvalidInput) as malformed:
            await gateway.verify_webhook(_signed(body), body)
        assert malformed.value.code == "webhook.malformed"
