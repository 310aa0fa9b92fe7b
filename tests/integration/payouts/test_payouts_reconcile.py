"""What payouts and chargebacks move at the provider, the ledger says as well, and by the same names."""

from datetime import timedelta

import pytest

from feira.services.ledger.reconciliation import Reconciliation, compare, import_movements
from tests.integration.payouts.test_chargebacks import close, dispute, until
from tests.integration.payouts.till import Till


async def reconcile(till: Till) -> Reconciliation:
    market = till.floor.market
    imported = await import_movements(market)
    return await market.database.transact(
        lambda tx: compare(
            tx, "sandbox", imported_count=imported, settles_within=timedelta(seconds=-1)
        )
    )


async def test_a_payout_that_arrived_agrees(till: Till) -> None:
    _, payout = await till.paid_out()
    await till.until(payout, "paid")
    made = await reconcile(till)
    assert (made.new_count, made.open_count) == (0, 0)


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_chargeback_agrees_while_it_is_open_and_once_it_is_decided(
    till: Till, outcome: str
) -> None:
    bought = await till.sale()
    reference = await dispute(till, bought)
    await until(till, "needs_response")
    assert (await reconcile(till)).open_count == 0
    await close(till, reference, outcome)
    await until(till, outcome)
    assert (await reconcile(till)).open_count == 0
