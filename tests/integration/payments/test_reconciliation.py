"""The ledger against the sandbox company's own list of movements, both ways."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from feira.platform.domain.errors import Conflict
from feira.platform.domain.permissions import Principal
from feira.platform.domain.postings_shops import fee_charged
from feira.services.ledger.reconciliation import (
    Acknowledge,
    Difference,
    DifferenceQuery,
    DifferenceState,
    Reconciliation,
    acknowledge,
    compare,
    import_movements,
    list_differences,
)
from feira.services.payments import ledger
from tests.integration.payments.floor import Floor


async def reconcile(floor: Floor) -> Reconciliation:
    imported = await import_movements(floor.market)
    return await floor.market.database.transact(
        lambda tx: compare(
            tx, "sandbox", imported_count=imported, settles_within=timedelta(seconds=-1)
        )
    )


async def differences(floor: Floor, state: DifferenceState = "open") -> list[Difference]:
    finance = await floor.stage.person("finance")
    async with floor.market.database.connection() as con:
        page = await list_differences(con, finance, DifferenceQuery(state=state))
    return page.items


async def explain(floor: Floor, finance: Principal, difference: Difference) -> Difference:
    return await floor.market.database.transact(
        lambda tx: acknowledge(tx, finance, difference.id, Acknowledge(reason="Theirs; told them."))
    )


async def company(floor: Floor, statement: str, *args: Any) -> None:
    """The company's own books, which only it writes."""
    con = await asyncpg.connect(floor.market.config.postgres_dsn)
    try:
        await con.execute(statement, *args)
    finally:
        await con.close()


async def moved(floor: Floor, source: str, amount_minor: int) -> None:
    await company(
        floor,
        "INSERT INTO sandbox.balance_transactions (id, account, type, amount_minor, fee_minor, currency, source)"
        " VALUES ($1, '', 'charge', $2, 0, 'EUR', $3)",
        f"txn_{uuid4().hex}",
        amount_minor,
        source,
    )


async def test_what_went_through_the_market_agrees(floor: Floor) -> None:
    bought = await floor.paid()
    refund = await floor.refund(bought.order, 4_000)

    async def is_back() -> bool:
        return await floor.refund_state(refund) == "succeeded"

    await floor.until(is_back)
    first = await reconcile(floor)
    assert first.imported_count >= 2
    assert (first.new_count, first.open_count) == (0, 0)
    second = await reconcile(floor)
    assert (second.imported_count, second.new_count) == (0, 0)


async def test_a_refund_on_its_way_is_no_difference(floor: Floor) -> None:
    bought = await floor.purchase()
    await floor.confirm(bought.payment, "4000000000007726")
    await floor.settled(bought.payment, "captured")
    refund = await floor.refund(bought.order, 4_000)
    await floor.run_jobs()
    was_on_its_way = await floor.refund_state(refund) == "requested"
    open_count = (await reconcile(floor)).open_count
    # It may have arrived in between.
    assert open_count == 0 or not was_on_its_way


async def test_money_that_moved_there_alone_is_found_explained_and_opens_when_it_grows(
    floor: Floor,
) -> None:
    finance = await floor.stage.person("finance")
    await moved(floor, "pi_unknown", 700)
    assert (await reconcile(floor)).new_count == 1
    (difference,) = await differences(floor)
    assert (difference.source, difference.provider_minor, difference.ledger_minor) == (
        "pi_unknown",
        700,
        0,
    )
    told = await floor.value("SELECT body::text FROM topic_events WHERE topic = 'ops'")
    assert "ledger.differences_found" in told

    await explain(floor, finance, difference)
    assert (await reconcile(floor)).open_count == 0
    (known,) = await differences(floor, "acknowledged")
    assert known.acknowledged_by == finance.user_id

    await moved(floor, "pi_unknown", 1)
    again = await reconcile(floor)
    assert (again.new_count, again.open_count) == (0, 1)
    assert (await differences(floor))[0].acknowledged_at is None

    await moved(floor, "pi_unknown", -701)
    settled = await reconcile(floor)
    assert (settled.settled_count, settled.open_count) == (1, 0)
    with pytest.raises(Conflict, match="difference_settled"):
        await explain(floor, finance, difference)


async def test_what_only_the_ledger_says_is_found_and_settles_when_the_provider_says_it_too(
    floor: Floor,
) -> None:
    named = fee_charged(
        effect="test:1", gateway="sandbox", currency="EUR", fee_minor=5, reference="fee_1"
    )
    nameless = fee_charged(effect="test:2", gateway="sandbox", currency="EUR", fee_minor=7)
    for transaction in (named, nameless):
        await floor.market.database.transact(lambda tx, one=transaction: ledger.post(tx, one))
    assert (await reconcile(floor)).new_count == 2
    found = {one.source: one.ledger_minor for one in await differences(floor)}
    assert found == {"fee_1": -5, "ledger:fee:test:2": -7}
    await moved(floor, "fee_1", -5)
    made = await reconcile(floor)
    assert (made.settled_count, made.open_count) == (1, 1)


async def test_what_is_fresh_is_left_for_the_next_time(floor: Floor) -> None:
    await moved(floor, "pi_fresh", 700)
    await import_movements(floor.market)
    made = await floor.market.database.transact(lambda tx: compare(tx, "sandbox", imported_count=1))
    assert (made.new_count, made.open_count) == (0, 0)


async def test_operators_ask_for_it_over_http(floor: Floor) -> None:
    finance = await floor.stage.person("finance")
    await floor.paid()
    status, _ = await floor.api("POST", "/v1/operations/ledger/reconciliations", finance)
    assert status == 204
    await floor.run_jobs()
    status, page = await floor.api("GET", "/v1/operations/ledger/reconciliations", finance)
    assert status == 200
    assert page["items"][0]["imported_count"] >= 1
