"""Requests that Stripe would reject fail here: each is judged by its published description."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feira.platform.gateways.payments.stripe.connection import API_VERSION
from tests.contracts.exercises import EXERCISES, Scene, key, port_operations
from tests.contracts.stripe_stage import SECRET_KEY, StripeStage


def test_every_operation_of_the_port_is_exercised() -> None:
    assert port_operations() == EXERCISES.keys()


@pytest.mark.parametrize("operation", EXERCISES)
async def test_stripe_would_take_every_request(operation: str, stage: StripeStage) -> None:
    scene = Scene(stage=stage, started_at=datetime.now(UTC))
    await EXERCISES[operation](scene)
    assert stage.company.asked
    assert stage.company.wrong == []
    for asked in stage.company.asked:
        assert asked.headers["Authorization"] == f"Bearer {SECRET_KEY}"
        assert asked.headers["Stripe-Version"] == API_VERSION
        assert "X-Stripe-Client-Telemetry" not in asked.headers


async def test_the_judge_finds_a_wrong_field(stage: StripeStage) -> None:
    judge = stage.provider.contract.judge_form
    good = "account=acct_1&type=account_onboarding"
    assert judge("POST", "/v1/account_links", "", good) == []
    assert judge("POST", "/v1/account_links", "", "account=acct_1")
    assert judge("POST", "/v1/account_links", "", f"{good}&color=red")
    assert judge("POST", "/v1/transfers", "", "destination=acct_1&currency=eur&amount=ten")
    assert judge("GET", "/v1/events", "created[gte]=5&size=3", "")
    assert judge("POST", "/v1/nothing", "", good)
    assert judge("GET", f"/v1/events/{key()}", "", "") == []
