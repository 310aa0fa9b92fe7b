"""Everybody answers at once, connections die in the middle: an offer ends once, and the books balance."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec
import pytest

from feira.platform.domain.errors import Conflict, FeiraError, Unavailable
from feira.platform.domain.ids import UserId
from feira.platform.domain.offers import AcceptOffer
from feira.services.deals.offers import OfferView, command_offer
from feira.sql.database import Tx
from feira.sql.idempotency import once
from tests.integration.deals.bargain import ACCEPT, DECLINE, WITHDRAW, Bargain, open_bargain
from tests.integration.orders.stage import Stage, eventually, patiently

ROUNDS = 5


@pytest.fixture
async def bargain(stage: Stage) -> Bargain:
    return await open_bargain(stage, on_hand=100)


async def all_at_once(
    *works: Callable[[], Awaitable[OfferView | int]],
) -> list[OfferView | int | FeiraError]:
    return await asyncio.gather(*(patiently(work) for work in works))


def winners(outcomes: list[OfferView | int | FeiraError]) -> list[OfferView]:
    return [outcome for outcome in outcomes if isinstance(outcome, OfferView)]


async def test_an_offer_that_many_devices_accept_at_once_is_one_order(
    stage: Stage, bargain: Bargain
) -> None:
    made = await bargain.offers(quantity=2)
    outcomes = await all_at_once(
        *(lambda: bargain.do(bargain.seller, made, ACCEPT) for _ in range(5))
    )
    [taken] = winners(outcomes)
    late = [outcome for outcome in outcomes if isinstance(outcome, FeiraError)]
    assert {(type(error), error.code) for error in late} == {(Conflict, "offer.accepted")}
    # Who came too late is told of the order that there is.
    assert [error.details for error in late] == [{"offer": taken.offer}] * 4
    assert await bargain.orders() == 1
    assert await stage.stock(bargain.variant) == (100, 2)
    assert await bargain.story() == ["offer.made", "offer.accepted"]
    await bargain.require_sound()


async def test_of_a_yes_a_no_a_withdrawal_a_counter_and_the_timer_exactly_one_happens(
    stage: Stage, bargain: Bargain
) -> None:
    buyer, seller = bargain.buyer.principal, bargain.seller
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        made = await bargain.offers()
        async with stage.database.connection() as con:
            # Over in a moment: some of them see it valid, and some the other way.
            await con.execute(
                "UPDATE offers SET expires_at = clock_timestamp() + interval '15 ms' WHERE id = $1",
                made.offer.id,
            )
        before = len(await bargain.log())
        outcomes = await all_at_once(
            lambda o=made: bargain.do(seller, o, ACCEPT),
            lambda o=made: bargain.do(seller, o, DECLINE),
            lambda o=made: bargain.do(buyer, o, WITHDRAW),
            lambda o=made: bargain.do(seller, o, bargain.counter(950)),
            bargain.sweep,
        )
        if not winners(outcomes):
            await eventually(lambda o=made: _is_over(bargain, o))
        status = await bargain.status(made)
        seen[status] += 1
        assert len(winners(outcomes)) == (status != "expired")
        [step] = (await bargain.story())[before:]
        assert step == f"offer.{status}"
        if status == "countered":
            [counter] = winners(outcomes)
            await bargain.do(buyer, counter, DECLINE)
    assert sum(seen.values()) == ROUNDS
    assert await bargain.orders() == seen["accepted"]
    assert await stage.stock(bargain.variant) == (100, seen["accepted"])
    await bargain.require_sound()


async def _is_over(bargain: Bargain, made: OfferView) -> bool:
    await bargain.sweep()
    return await bargain.status(made) != "open"


async def test_the_price_of_an_offer_that_is_being_countered_is_never_paid(
    bargain: Bargain,
) -> None:
    """The buyer raises the price at the moment at which the shop would have taken the lower one."""
    buyer, seller = bargain.buyer.principal, bargain.seller
    yes = AcceptOffer(address=bargain.buyer.address)
    for _ in range(ROUNDS):
        asked = await bargain.proposes(950)
        outcomes = await all_at_once(
            lambda o=asked: bargain.do(buyer, o, yes),
            lambda o=asked: bargain.do(
                buyer, o, bargain.counter(900, address=bargain.buyer.address)
            ),
        )
        [won] = winners(outcomes)
        if won.offer.answers is None:
            assert (won.offer.status, won.offer.total_minor) == ("accepted", 950)
        else:
            assert await bargain.status(asked) == "countered"
            await bargain.do(seller, won, DECLINE)
    await bargain.require_sound()


async def test_the_last_one_goes_to_one_of_two_buyers_and_the_others_offer_stays_open(
    stage: Stage,
) -> None:
    shop = await stage.shop()
    variant = await stage.variant(shop, on_hand=1)
    bargains = [await open_bargain(stage, shop=shop, variant=variant) for _ in range(2)]
    offers = [await bargain.offers() for bargain in bargains]
    outcomes = await all_at_once(
        *(
            lambda b=bargain, o=offer: b.do(shop.owner, o, ACCEPT)
            for bargain, offer in zip(bargains, offers, strict=True)
        )
    )
    [taken] = winners(outcomes)
    [late] = [outcome for outcome in outcomes if isinstance(outcome, FeiraError)]
    assert (type(late), late.code) == (Conflict, "offer.out_of_stock")
    statuses = [
        await bargain.status(offer) for bargain, offer in zip(bargains, offers, strict=True)
    ]
    assert sorted(statuses) == ["accepted", "open"]
    assert await stage.stock(variant) == (1, 1)
    # It can be had after all: the other offer still stands.
    async with stage.database.connection() as con:
        await con.execute("UPDATE stock SET on_hand = 2 WHERE variant_id = $1", variant)
        await con.execute(
            "INSERT INTO stock_movements (variant_id, quantity, cause) VALUES ($1, 1, 'adjusted')",
            variant,
        )
    still = statuses.index("open")
    assert taken.offer.id == offers[1 - still].offer.id
    await bargains[still].do(shop.owner, offers[still], ACCEPT)
    for bargain in bargains:
        assert await bargain.orders() == 1
        await bargain.require_sound()


async def test_two_devices_put_one_offer_on_the_table(bargain: Bargain) -> None:
    outcomes = await all_at_once(*(bargain.offers for _ in range(4)), bargain.proposes)
    assert len(winners(outcomes)) == 1
    assert {e.code for e in outcomes if isinstance(e, FeiraError)} == {"offer.already_open"}
    assert await bargain.story() == ["offer.made"]


async def test_a_connection_that_dies_before_the_commit_leaves_the_offer_open(
    stage: Stage, bargain: Bargain
) -> None:
    made = await bargain.offers(quantity=3)

    async def dies(tx: Tx) -> OfferView:
        await command_offer(tx, stage.market.config, bargain.seller, made.offer.id, ACCEPT)
        pid = await tx.con.fetchval("SELECT pg_backend_pid()")
        other = await asyncpg.connect(stage.market.config.postgres_dsn)
        await other.execute("SELECT pg_terminate_backend($1)", pid)
        await other.close()
        await tx.con.execute("SELECT 1")
        raise AssertionError("unreachable: the connection is dead")

    with pytest.raises(Unavailable):
        await stage.transact(dies)
    assert await bargain.status(made) == "open"
    assert await bargain.orders() == 0
    assert await stage.stock(bargain.variant) == (100, 0)
    assert await bargain.story() == ["offer.made"]
    await bargain.do(bargain.seller, made, ACCEPT)
    assert await bargain.story() == ["offer.made", "offer.accepted"]
    await bargain.require_sound()


async def test_an_answer_that_was_lost_after_the_commit_comes_again_with_the_same_key(
    stage: Stage, bargain: Bargain
) -> None:
    made = await bargain.offers()
    user: UserId = bargain.seller.user_id

    async def accept() -> OfferView:
        return await stage.transact(
            lambda tx: once(
                tx,
                user=user,
                key="the same",
                request_sha256=b"-",
                returns=OfferView,
                work=lambda tx: command_offer(
                    tx, stage.market.config, bargain.seller, made.offer.id, ACCEPT
                ),
            )
        )

    outcomes = await all_at_once(*(accept for _ in range(4)))
    assert {msgspec.json.encode(outcome) for outcome in winners(outcomes)} == {
        msgspec.json.encode(await accept())
    }
    assert len(winners(outcomes)) == 4
    assert await bargain.orders() == 1
    assert await bargain.story() == ["offer.made", "offer.accepted"]


async def test_words_and_offers_of_both_sides_stand_in_one_row(bargain: Bargain) -> None:
    """No number twice and none missing, however many write at once."""
    variants = [await bargain.stage.variant(bargain.shop) for _ in range(6)]
    await asyncio.gather(
        *(patiently(lambda v=variant: bargain.offers(variant=v)) for variant in variants),
        *(bargain.say(bargain.buyer.principal) for _ in range(6)),
        *(bargain.say(bargain.seller) for _ in range(6)),
    )
    assert Counter(await bargain.story()) == {"message": 12, "offer.made": 6}
