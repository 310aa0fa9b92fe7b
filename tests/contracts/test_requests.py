"""Requests that a provider would reject fail here: each is judged by the provider's published description."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from feira.platform.gateways.payments.refusal import GatewayRefused
from tests.contracts.company import Asked
from tests.contracts.exercises import EXERCISES, Scene, key, port_operations
from tests.contracts.paypal_provider import PayPalProvider
from tests.contracts.paypal_stage import open_paypal
from tests.contracts.razorpay_provider import RazorpayProvider
from tests.contracts.razorpay_stage import open_razorpay
from tests.contracts.stripe_provider import StripeProvider
from tests.contracts.stripe_stage import open_stripe

STAGES: Final[dict[str, Callable[[Path], AbstractAsyncContextManager[Any]]]] = {
    "stripe": open_stripe,
    "paypal": open_paypal,
    "razorpay": open_razorpay,
}


def test_every_operation_of_the_port_is_exercised() -> None:
    assert port_operations() == EXERCISES.keys()


@pytest.mark.parametrize("operation", EXERCISES)
@pytest.mark.parametrize("provider", STAGES)
async def test_the_provider_would_take_every_request(
    provider: str, operation: str, contracts: Path
) -> None:
    async with STAGES[provider](contracts) as stage:
        scene = Scene(stage=stage, started_at=datetime.now(UTC))
        if operation in stage.cannot:
            with pytest.raises(GatewayRefused) as refused:
                await EXERCISES[operation](scene)
            assert refused.value.reason == "not_supported"
        else:
            await EXERCISES[operation](scene)
        assert stage.company.wrong == []


def test_stripes_judge_finds_what_is_wrong(contracts: Path) -> None:
    judge = StripeProvider(contracts).contract.judge_form
    good = "account=acct_1&type=account_onboarding"
    assert judge("POST", "/v1/account_links", "", good) == []
    assert judge("POST", "/v1/account_links", "", "account=acct_1")
    assert judge("POST", "/v1/account_links", "", f"{good}&color=red")
    assert judge("POST", "/v1/transfers", "", "destination=acct_1&currency=eur&amount=ten")
    assert judge("GET", "/v1/events", "created[gte]=5&size=3", "")
    assert judge("POST", "/v1/nothing", "", good)
    assert judge("GET", f"/v1/events/{key()}", "", "") == []


def test_paypals_judge_finds_what_is_wrong(contracts: Path) -> None:
    provider = PayPalProvider(contracts)

    def judge(path: str, body: str, method: str = "POST", query: str = "") -> list[str]:
        return provider.judge(
            Asked(method=method, path=path, query=query, body=body.encode(), headers={})
        )

    orders = "/v2/checkout/orders"
    amount = '"amount": {"currency_code": "EUR", "value": "10.99"}'
    assert judge(orders, f'{{"intent": "CAPTURE", "purchase_units": [{{{amount}}}]}}') == []
    assert judge(orders, f'{{"intent": "STEAL", "purchase_units": [{{{amount}}}]}}')
    assert judge(orders, '{"intent": "CAPTURE"}')
    assert judge(orders, '{"intent": "CAPTURE", "purchase_units": [{"amount": {"value": "ten"}}]}')
    assert judge("/v1/payments/payouts", "{}")
    assert judge("/v1/notifications/webhooks-events", "", "GET", "limit=3")
    assert judge("/v2/nothing", "{}")


def test_razorpays_documents_find_what_is_wrong(contracts: Path) -> None:
    provider = RazorpayProvider(contracts)

    def judge(path: str, body: str) -> list[str]:
        return provider.judge(
            Asked(method="POST", path=path, query="", body=body.encode(), headers={})
        )

    assert judge("/v1/payment_links", '{"amount": 5, "currency": "INR"}') == []
    assert judge("/v1/payment_links", '{"currency": "INR"}')
    assert judge("/v1/payment_links", '{"amount": "5"}')
    assert judge("/v1/payment_links", '{"amount": 5, "colour": "red"}')
    assert judge("/v1/transfers", '{"account": "acc_1", "amount": 5}')
    assert judge("/v1/payments/pay_1/transfers", '{"transfers": [{"account": "acc_1"}]}')
    assert judge("/v1/payments/pay_1/refund", '{"amount": true}')
    assert judge("/v1/nothing", "{}")
