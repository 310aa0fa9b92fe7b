"""Offers in a conversation: made, answered, and turned into orders."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY
from uuid import uuid4

import msgspec
import pytest

from feira.platform.domain.errors import Conflict, FeiraError, InvalidInput, NotAllowed, NotFound
from feira.platform.domain.ids import AddressId, OfferId, VariantId
from feira.platform.domain.offer_events import AnyOfferEvent
from feira.platform.domain.offers import AcceptOffer, MakeOffer
from feira.platform.domain.order_commands import Cancel
from feira.platform.domain.topics import order_topic, product_topic
from feira.services.deals.offers import get_offer
from feira.services.messaging.conversations import read_conversation
from feira.services.messaging.history import read_history
from feira.services.orders.checkout import CheckedOut
from feira.services.payments.commission import platform_basis_points
from feira.services.users.addresses import delete_address
from tests.integration.deals.bargain import ACCEPT, DECLINE, WITHDRAW, Bargain, open_bargain
from tests.integration.orders.stage import Stage, kind


@pytest.fixture
async def bargain(stage: Stage) -> Bargain:
    return await open_bargain(stage)


async def refused(work: Any) -> FeiraError:
    with pytest.raises(FeiraError) as caught:
        await work
    return caught.value


async def test_the_shop_says_yes_and_the_buyer_owes_the_agreed_price(
    stage: Stage, bargain: Bargain
) -> None:
    made = await bargain.offers(800, quantity=3)
    assert (made.offer.total_minor, made.offer.status, made.actions) == (
        2_400,
        "open",
        ["withdraw"],
    )
    taken = await bargain.do(bargain.seller, made, ACCEPT)
    assert (taken.offer.status, taken.actions) == ("accepted", [])
    assert taken.offer.order is not None
    order = await stage.order(taken.offer.order, bargain.buyer.principal)
    assert (order.status, order.total_minor, order.currency) == ("pending_payment", 2_400, "EUR")
    assert [(line.variant_id, line.quantity, line.unit_price_minor) for line in order.lines] == [
        (bargain.variant, 3, 800)
    ]
    assert order.shipping_address.name == "Ana Buyer"
    assert await stage.stock(bargain.variant) == (10, 3)
    await bargain.require_sound()


async def test_the_buyer_says_yes_and_says_where_it_goes(stage: Stage, bargain: Bargain) -> None:
    made = await bargain.proposes(900)
    assert made.actions == ["withdraw"]
    nowhere = await refused(bargain.do(bargain.buyer.principal, made, ACCEPT))
    assert (type(nowhere), nowhere.code, nowhere.field) == (
        InvalidInput,
        "offer.address_needed",
        "$.address",
    )
    yes = AcceptOffer(address=bargain.buyer.address)
    taken = await bargain.do(bargain.buyer.principal, made, yes)
    assert taken.offer.order is not None
    order = await stage.order(taken.offer.order, bargain.buyer.principal)
    assert (order.total_minor, order.shipping_address.city) == (900, "Lisboa")
    # Here to pay, the buyer has as long as after any checkout; else there is a day.
    [mine] = order.deadlines
    assert mine.due_at - order.created_at < (await _hold_of_the_shops_yes(stage))


async def _hold_of_the_shops_yes(stage: Stage) -> Any:
    bargain = await open_bargain(stage)
    taken = await bargain.do(bargain.seller, await bargain.offers(), ACCEPT)
    assert taken.offer.order is not None
    order = await stage.order(taken.offer.order, bargain.buyer.principal)
    return order.deadlines[0].due_at - order.created_at


async def test_a_deal_is_paid_and_shared_like_any_order(stage: Stage, bargain: Bargain) -> None:
    taken = await bargain.do(bargain.seller, await bargain.offers(800, quantity=2), ACCEPT)
    assert taken.offer.group is not None
    assert taken.offer.order is not None
    async with stage.database.connection() as con:
        payment = await con.fetchval(
            "SELECT id FROM payments WHERE group_id = $1", taken.offer.group
        )
        share = await platform_basis_points(con)
    await stage.pay(CheckedOut(group_id=taken.offer.group, payment_id=payment))
    order = await stage.order(taken.offer.order, bargain.seller)
    assert (order.status, order.payment_status) == ("paid", "captured")
    assert order.commission_minor == 1_600 * share // 10_000
    assert await stage.stock(bargain.variant) == (8, 0)
    await bargain.require_sound()


async def test_haggling_goes_on_until_somebody_agrees_and_the_thread_tells_it_in_order(
    bargain: Bargain,
) -> None:
    buyer, seller = bargain.buyer.principal, bargain.seller
    await bargain.say(buyer, "Quanto custa?")
    low = await bargain.offers(700)
    high = await bargain.do(seller, low, bargain.counter(950))
    assert (high.offer.answers, high.offer.side, high.actions) == (
        low.offer.id,
        "seller",
        ["withdraw"],
    )
    assert await bargain.status(low) == "countered"
    middle = await bargain.do(buyer, high, bargain.counter(850, quantity=2))
    await bargain.say(seller, "Está bem")
    taken = await bargain.do(seller, middle, ACCEPT)
    assert (taken.offer.unit_price_minor, taken.offer.quantity) == (850, 2)
    assert await bargain.story() == [
        "message",
        "offer.made",
        "offer.countered",
        "offer.countered",
        "message",
        "offer.accepted",
    ]
    entries = [
        msgspec.json.decode(entry.body, type=AnyOfferEvent)
        for entry in await bargain.log()
        if kind(entry).startswith("offer.")
    ]
    assert [entry.offer for entry in entries] == [
        low.offer,
        high.offer,
        middle.offer,
        taken.offer,
    ]
    assert [entry.actor for entry in entries] == [
        buyer.user_id,
        seller.user_id,
        buyer.user_id,
        seller.user_id,
    ]


async def test_an_address_that_was_named_once_holds_for_the_whole_haggling(
    stage: Stage, bargain: Bargain
) -> None:
    """Also when the address book has forgotten it since."""
    buyer = bargain.buyer.principal
    high = await bargain.do(bargain.seller, await bargain.offers(700), bargain.counter(950))
    await stage.transact(lambda tx: delete_address(tx, buyer.user_id, bargain.buyer.address))
    middle = await bargain.do(buyer, high, bargain.counter(850))
    last = await bargain.do(bargain.seller, middle, bargain.counter(875))
    taken = await bargain.do(buyer, last, ACCEPT)
    assert taken.offer.order is not None
    order = await stage.order(taken.offer.order, buyer)
    assert order.shipping_address.line1 == "Rua 1"


@pytest.mark.parametrize(
    ("ending", "told"), [("decline", "offer.declined"), ("withdraw", "offer.withdrawn")]
)
async def test_an_offer_that_is_over_makes_room_for_the_next(
    bargain: Bargain, ending: str, told: str
) -> None:
    made = await bargain.offers()
    twice = await refused(bargain.proposes())
    assert (type(twice), twice.code) == (Conflict, "offer.already_open")
    assert twice.details == {"offer": made.offer.id}
    who = bargain.seller if ending == "decline" else bargain.buyer.principal
    await bargain.do(who, made, DECLINE if ending == "decline" else WITHDRAW)
    late = await refused(bargain.do(bargain.seller, made, ACCEPT))
    assert (type(late), late.code) == (Conflict, told)
    again = await bargain.proposes()
    assert again.offer.status == "open"
    assert await bargain.story() == ["offer.made", told, "offer.made"]
    assert await bargain.orders() == 0


async def test_an_offer_ends_with_its_time_whether_or_not_the_sweep_has_come(
    bargain: Bargain,
) -> None:
    made = await bargain.offers()
    assert await bargain.sweep() == 0
    await bargain.run_out(made)
    assert (await bargain.look(bargain.seller, made)).actions == []
    late = await refused(bargain.do(bargain.seller, made, ACCEPT))
    assert late.code == "offer.expired"
    assert late.details == {
        "offer": msgspec.structs.replace(made.offer, status="expired", expires_at=ANY)
    }
    assert await bargain.sweep() == 1
    assert await bargain.sweep() == 0
    assert await bargain.status(made) == "expired"
    [_, told] = await bargain.log()
    event = msgspec.json.decode(told.body, type=AnyOfferEvent)
    assert (kind(told), event.actor, event.offer.status) == ("offer.expired", None, "expired")


async def test_an_expired_offer_is_cleared_away_by_the_next_one(bargain: Bargain) -> None:
    await bargain.run_out(await bargain.offers())
    await bargain.proposes()
    assert await bargain.story() == ["offer.made", "offer.expired", "offer.made"]
    assert await bargain.sweep() == 0


async def test_only_the_two_sides_deal_and_each_only_as_its_own(
    stage: Stage, bargain: Bargain
) -> None:
    made = await bargain.offers()
    own = await refused(bargain.do(bargain.buyer.principal, made, ACCEPT))
    assert (type(own), own.code) == (NotAllowed, "offer.not_yours_to_answer")
    theirs = await refused(bargain.do(bargain.seller, made, WITHDRAW))
    assert theirs.code == "offer.not_yours_to_answer"
    stranger = await stage.person()
    for work in (bargain.do(stranger, made, ACCEPT), bargain.look(stranger, made)):
        unseen = await refused(work)
        assert (type(unseen), unseen.code) == (NotFound, "offer.not_found")
    unseen = await refused(bargain.make(stranger, 800))
    assert (type(unseen), unseen.code) == (NotFound, "conversation.not_found")
    async with stage.database.connection() as con:
        nothing = await refused(get_offer(con, bargain.seller, OfferId(uuid4())))
    assert nothing.code == "offer.not_found"
    assert await bargain.status(made) == "open"


async def test_a_seller_who_left_the_team_reads_on_but_deals_no_more(
    stage: Stage, bargain: Bargain
) -> None:
    made = await bargain.offers()
    async with stage.database.connection() as con:
        await con.execute("DELETE FROM shop_members WHERE shop_id = $1", bargain.shop.id)
    for work in (bargain.do(bargain.seller, made, ACCEPT), bargain.proposes()):
        left = await refused(work)
        assert (type(left), left.code) == (NotAllowed, "auth.not_allowed")


async def test_an_offer_is_for_something_that_the_shop_sells_in_its_currency(
    stage: Stage, bargain: Bargain
) -> None:
    foreign = await stage.variant(await stage.shop())
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"variant": foreign}, "offer.unknown_variant"),
        ({"variant": VariantId(uuid4())}, "offer.unknown_variant"),
        ({"currency": "USD"}, "offer.currency_changed"),
    )
    for terms, code in cases:
        assert (await refused(bargain.proposes(**terms))).code == code
    nowhere = await refused(bargain.make(bargain.buyer.principal, 800))
    assert nowhere.code == "offer.address_needed"
    wrong = await refused(bargain.make(bargain.buyer.principal, 800, address=AddressId(uuid4())))
    assert wrong.code == "address.not_found"
    meddling = await refused(bargain.proposes(address=bargain.buyer.address))
    assert meddling.code == "offer.not_your_address"


@pytest.mark.parametrize(
    "terms",
    [
        {"unit_price_minor": 0},
        {"unit_price_minor": 10**12 + 1},
        {"quantity": 0},
        {"quantity": 1000},
        {"valid_s": 59},
        {"valid_s": 14 * 24 * 3600 + 1},
        {"currency": "eur"},
        {"unit_price_minor": 9.5},
        {"price": 1},
    ],
    ids=str,
)
def test_terms_out_of_bounds_are_refused_where_they_come_in(terms: dict[str, Any]) -> None:
    sound = {"variant": str(uuid4()), "unit_price_minor": 900, "currency": "EUR"}
    msgspec.json.decode(msgspec.json.encode(sound), type=MakeOffer)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(sound | terms), type=MakeOffer)


async def test_the_highest_price_times_the_largest_quantity_is_still_exact(
    stage: Stage, bargain: Bargain
) -> None:
    async with stage.database.connection() as con:
        await con.execute("UPDATE stock SET on_hand = 999 WHERE variant_id = $1", bargain.variant)
    taken = await bargain.do(bargain.seller, await bargain.offers(10**12, quantity=999), ACCEPT)
    assert taken.offer.total_minor == 999 * 10**12
    assert taken.offer.order is not None
    order = await stage.order(taken.offer.order, bargain.buyer.principal)
    assert order.total_minor == 999 * 10**12


ENDS = {
    "shop": ("UPDATE shops SET status = 'suspended' WHERE id = $1", "offer.shop_closed"),
    "product": (
        "UPDATE products SET status = 'archived' WHERE shop_id = $1",
        "offer.not_sellable",
    ),
    "variant": ("UPDATE variants SET active = false WHERE shop_id = $1", "offer.not_sellable"),
    "currency": (
        "UPDATE products SET currency = 'USD' WHERE shop_id = $1",
        "offer.currency_changed",
    ),
    "stock": (
        "UPDATE stock SET on_hand = 1 WHERE variant_id IN (SELECT id FROM variants WHERE shop_id = $1)",
        "offer.out_of_stock",
    ),
    "buyer": (
        "UPDATE users SET status = 'suspended' WHERE id = (SELECT buyer_id FROM conversations WHERE shop_id = $1)",
        "offer.buyer_unavailable",
    ),
}


@pytest.mark.parametrize("what", ENDS)
async def test_what_cannot_be_had_any_more_is_a_conflict_and_the_offer_stays_open(
    stage: Stage, bargain: Bargain, what: str
) -> None:
    made = await bargain.offers(quantity=2)
    change, code = ENDS[what]
    async with stage.database.connection() as con:
        await con.execute(change, bargain.shop.id)
    gone = await refused(bargain.do(bargain.seller, made, ACCEPT))
    assert (type(gone), gone.code) == (Conflict, code)
    assert await bargain.status(made) == "open"
    assert await bargain.orders() == 0
    assert (await stage.stock(bargain.variant))[1] == 0
    assert await bargain.story() == ["offer.made"]


async def test_a_deal_that_nobody_pays_gives_the_stock_back(stage: Stage, bargain: Bargain) -> None:
    taken = await bargain.do(bargain.seller, await bargain.offers(quantity=4), ACCEPT)
    assert taken.offer.order is not None
    assert await stage.stock(bargain.variant) == (10, 4)
    changed_mind = Cancel(reason="Too dear after all.")
    await stage.do(bargain.buyer.principal, taken.offer.order, changed_mind)
    assert await stage.stock(bargain.variant) == (10, 0)
    assert await bargain.status(taken) == "accepted"
    await bargain.require_sound()


async def test_watchers_of_the_order_and_the_product_hear_of_it_as_from_any_checkout(
    stage: Stage, bargain: Bargain
) -> None:
    product = product_topic(stage.product_of(bargain.variant))
    before = len(await stage.events(product))
    taken = await bargain.do(bargain.seller, await bargain.offers(), ACCEPT)
    assert taken.offer.order is not None
    [created] = await stage.events(order_topic(taken.offer.order))
    body = msgspec.json.decode(created.body)
    assert (body["kind"], body["actor_role"], body["actor"]) == (
        "order.created",
        "seller",
        str(bargain.seller.user_id),
    )
    assert [kind(event) for event in (await stage.events(product))[before:]] == [
        "product.stock_changed"
    ]


async def test_a_step_counts_as_unread_for_the_other_side_and_as_read_by_who_took_it(
    stage: Stage, bargain: Bargain
) -> None:
    buyer, seller = bargain.buyer.principal, bargain.seller

    async def unread() -> tuple[int, int]:
        async with stage.database.connection() as con:
            views = [
                await read_conversation(con, who.user_id, bargain.conversation)
                for who in (buyer, seller)
            ]
        return views[0].unread, views[1].unread

    await bargain.say(buyer)
    made = await bargain.offers()
    assert await unread() == (0, 2)
    await bargain.do(seller, made, bargain.counter(950))
    assert await unread() == (1, 0)
    # One reminder a streak, whether a message or an offer began it.
    reminders = await stage.jobs(
        "notifications.unread_messages", conversation=str(bargain.conversation)
    )
    assert reminders == 2


async def test_what_the_timer_does_is_seen_in_the_thread_and_is_nothing_to_be_read(
    stage: Stage, bargain: Bargain
) -> None:
    made = await bargain.offers()
    await bargain.run_out(made)
    await bargain.sweep()
    async with stage.database.connection() as con:
        mine = await read_conversation(con, bargain.buyer.principal.user_id, bargain.conversation)
        theirs = await read_conversation(con, bargain.seller.user_id, bargain.conversation)
        page = await read_history(
            con, bargain.seller.user_id, bargain.conversation, before=None, limit=10
        )
    assert (mine.unread, theirs.unread) == (0, 1)
    kinds = [msgspec.json.decode(item.body)["kind"] for item in page.items]
    assert kinds == ["offer.made", "offer.expired"]


async def test_two_variants_are_haggled_over_side_by_side(stage: Stage, bargain: Bargain) -> None:
    other = await stage.variant(bargain.shop)
    first = await bargain.offers()
    second = await bargain.offers(variant=other)
    await bargain.do(bargain.seller, second, ACCEPT)
    await bargain.do(bargain.seller, first, ACCEPT)
    assert await bargain.orders() == 2
