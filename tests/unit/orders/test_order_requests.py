"""Late shops, buyers who change their mind, and time that is given."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from feira.platform.domain.order_commands import (
    Accept,
    ApproveCancel,
    DeclineCancel,
    Deliver,
    ExtendShipBy,
    LineQuantity,
    RequestMoreTime,
)
from feira.platform.domain.order_state import Deadline
from feira.platform.domain.orders import allowed_actions
from tests.unit.orders.paper import (
    ACCEPTED,
    ASK,
    CANCEL,
    DAY,
    LINES,
    NOW,
    PAID,
    SHIP,
    after,
    decided,
    evolve,
    kinds,
    late,
    part,
    rejected,
)

DECLINE = DeclineCancel(reason="it is packed")


def test_a_buyer_cancels_at_once_until_the_shop_has_accepted_and_asks_from_then_on() -> None:
    assert decided(after(*PAID), CANCEL, "buyer").status == "cancelled"
    asked = after(*ACCEPTED, (ASK, "buyer"))
    assert (asked.status, asked.is_cancel_requested) == ("accepted", True)
    assert allowed_actions(asked, {"seller"}) == (
        "cancel",
        "approve_cancel",
        "decline_cancel",
        "request_more_time",
    )
    assert rejected(asked, SHIP, "seller").code == "order.cancel_requested"
    assert rejected(asked, ASK, "buyer").code == "order.cancel_requested"
    agreed = decided(asked, ApproveCancel(), "seller")
    assert (agreed.status, agreed.refund_minor, agreed.deadlines) == ("cancelled", 10_000, ())


def test_a_request_that_nobody_answers_is_granted() -> None:
    asked = after(*ACCEPTED, (ASK, "buyer"))
    assert late("cancel_answer", asked).status == "cancelled"


def test_a_declined_request_gives_the_shop_back_the_time_that_it_took() -> None:
    asked = after(*ACCEPTED, (ASK, "buyer"))
    ship_by = asked.deadline("ship_by")
    assert ship_by is not None
    assert ship_by.paused_at == NOW
    declined = decided(asked, DECLINE, "seller", NOW + timedelta(hours=5))
    due_at = NOW + 3 * DAY + timedelta(hours=5)
    assert declined.deadlines == (Deadline(kind="ship_by", due_at=due_at),)
    again = evolve(asked, declined, DECLINE)
    assert decided(again, ASK, "buyer").fact == "cancel_requested"


def test_after_a_broken_promise_the_buyer_may_cancel_and_after_a_while_it_happens_by_itself() -> (
    None
):
    missed = late("ship_by", after(*ACCEPTED))
    assert (missed.status, kinds(missed.deadlines)) == ("accepted", ["late_cancel"])
    assert rejected(missed, ASK, "buyer").code == "order.may_cancel"
    assert decided(missed, CANCEL, "buyer").refund_minor == 10_000
    assert decided(missed, SHIP, "seller").status == "shipped"
    assert late("late_cancel", missed).status == "cancelled"


def test_a_shop_that_never_accepts_is_late_as_well() -> None:
    missed = late("ship_by", after(*PAID))
    assert late("late_cancel", missed).status == "cancelled"
    accepted = after((Accept(), "seller"), state=missed)
    assert kinds(accepted.deadlines) == ["late_cancel"]


def test_cancelling_the_rest_of_a_partly_shipped_order_pays_back_what_did_not_leave() -> None:
    state = after(*ACCEPTED, (part(1, 1), "seller"))
    rest = decided(state, CANCEL, "seller")
    first, second = LINES
    assert rest.cancelled == (
        LineQuantity(line=first, quantity=1),
        LineQuantity(line=second, quantity=2),
    )
    # One of two for 60.00, and two of three for 30.00; what was paid for shipping was spent.
    assert (rest.fact, rest.status, rest.refund_minor) == ("rest_cancelled", "shipped", 5_000)
    assert (rest.fulfilment_status, rest.stock) == ("full", "restock")
    assert kinds(rest.deadlines) == ["arrival"]


def test_cancelling_the_rest_pays_nothing_back_twice() -> None:
    state = after(*ACCEPTED, (part(1, 1), "seller"))
    much = msgspec.structs.replace(state, promised_minor=8_000)
    assert decided(much, CANCEL, "seller").refund_minor == 2_000
    # Two of the three for 30.00 were given back by line: one of the two that did not leave is left to pay.
    first, second = state.lines
    back = msgspec.structs.replace(second, back=2, back_minor=2_000)
    by_line = msgspec.structs.replace(state, lines=(first, back), promised_minor=2_000)
    assert decided(by_line, CANCEL, "seller").refund_minor == 3_000 + 1_000


def test_cancelling_the_rest_when_all_parcels_are_there_leaves_a_delivered_order() -> None:
    state = after(*ACCEPTED, (part(1, 3), "seller"), (Deliver(), "buyer"))
    rest = decided(state, CANCEL, "support")
    assert (rest.status, rest.fulfilment_status) == ("delivered", "delivered")
    assert (rest.refund_minor, kinds(rest.deadlines)) == (3_000, ["auto_accept"])


def test_a_buyer_gives_a_shop_more_time_and_it_is_not_late_any_more() -> None:
    missed = late("ship_by", after(*ACCEPTED))
    now = NOW + 4 * DAY
    wanted = RequestMoreTime(ship_by=now + 5 * DAY, reason="the glue has to dry")
    asked = decided(missed, wanted, "seller", now)
    assert (asked.fact, asked.deadlines) == ("more_time_requested", missed.deadlines)
    given = decided(missed, ExtendShipBy(ship_by=now + 5 * DAY), "buyer", now)
    assert given.deadlines == (Deadline(kind="ship_by", due_at=now + 5 * DAY),)


@pytest.mark.parametrize(
    ("days", "code"), [(3, "order.ship_by_not_later"), (91, "order.ship_by_too_late")]
)
def test_more_time_is_later_than_before_and_not_for_ever(days: int, code: str) -> None:
    for command in (
        ExtendShipBy(ship_by=NOW + days * DAY),
        RequestMoreTime(ship_by=NOW + days * DAY, reason="x"),
    ):
        actor = "support" if isinstance(command, ExtendShipBy) else "seller"
        rejection = rejected(after(*ACCEPTED), command, actor)
        assert (rejection.kind, rejection.code, rejection.field) == ("rule", code, "$.ship_by")
