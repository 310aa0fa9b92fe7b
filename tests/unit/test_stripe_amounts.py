"""Our minor units in Stripe's, exactly: zero-decimal, three-decimal and special currencies."""

from __future__ import annotations

import pytest

from feira.platform.domain.money import MINOR_DIGITS
from feira.platform.gateways.payments.refusal import GatewayRefused
from feira.platform.gateways.payments.stripe.amounts import (
    Flow,
    fee_minor,
    from_units,
    payout_steps,
    step_minor,
    to_units,
)
from feira.platform.gateways.payments.stripe.wire import BalanceEntry


@pytest.mark.parametrize(
    ("currency", "flow", "step"),
    [
        ("EUR", "charge", 1),
        ("EUR", "payout", 1),
        ("JPY", "charge", 1),
        ("KRW", "payout", 1),
        ("KWD", "charge", 10),
        ("KWD", "payout", 10),
        ("HUF", "charge", 1),
        ("HUF", "payout", 100),
        ("TWD", "payout", 100),
        ("ISK", "charge", 100),
        ("UGX", "payout", 100),
        ("MGA", "charge", 1),
    ],
)
def test_each_currency_moves_in_its_steps(currency: str, flow: Flow, step: int) -> None:
    assert step_minor(currency, flow) == step
    assert to_units(step * 7, currency, flow) == step * 7
    if step > 1:
        with pytest.raises(GatewayRefused) as refused:
            to_units(step * 7 + 1, currency, flow)
        assert refused.value.provider_code == "amount_step"


def test_the_gateway_tells_which_currencies_are_paid_out_in_steps() -> None:
    steps = payout_steps()
    assert {currency: steps[currency] for currency in ("KWD", "HUF")} == {"KWD": 10, "HUF": 100}
    assert not steps.keys() & {"EUR", "USD", "JPY"}


def test_every_currency_of_the_market_comes_back_as_it_went() -> None:
    for currency in MINOR_DIGITS:
        for flow in ("charge", "payout"):
            step = step_minor(currency, flow)
            for amount_minor in (step, 999 * step, 10**9 * step):
                assert from_units(to_units(amount_minor, currency, flow), currency) == amount_minor


@pytest.mark.parametrize(
    ("fee", "amount", "currency", "of_units", "expected"),
    [
        (320, 10_000, "eur", 10_000, 320),
        (209, 6_150, "usd", 10_000, 340),
        (1, 2, "usd", 1, 1),
        (1, 3, "usd", 1, 0),
        (1500, 0, "usd", 10_000, 0),
        (1500, -10_000, "eur", 10_000, 1500),
        (1500, -5_000, "usd", 10_000, 3000),
    ],
)
def test_a_fee_is_told_in_the_currency_that_was_charged(
    fee: int, amount: int, currency: str, of_units: int, expected: int
) -> None:
    entry = BalanceEntry(
        id="txn_1",
        amount=amount,
        fee=fee,
        net=amount - fee,
        currency=currency,
        created=1,
        type="charge",
    )
    assert fee_minor(entry, of_units=of_units, currency="eur") == expected
