"""Disputes on real stores: rows, evidence, files, support, money, and the countdowns that everybody sees."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
import pytest

from feira.jobs.orders import handle_fire_deadlines
from feira.jobs.run import JobRun
from feira.platform.domain.errors import Conflict, FeiraError, NotAllowed, NotFound, Rejected
from feira.platform.domain.ids import AttachmentId, ConversationId, JobId, OrderId
from feira.platform.domain.jobs import FireOrderDeadlines
from feira.platform.domain.order_commands import (
    Accept,
    AcceptSettlement,
    AddEvidence,
    Complete,
    DecideDispute,
    Deliver,
    OpenDispute,
    ProposeSettlement,
    Ship,
    WithdrawDispute,
)
from feira.platform.domain.topics import order_topic
from feira.services.messaging.attachments import (
    NewAttachment,
    announce_attachment,
    decide_upload,
    read_own_attachment,
    read_visible_attachment,
)
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.messaging.members import list_support_requests
from feira.services.orders.disputes import (
    DisputeFilter,
    DisputeView,
    claim,
    list_disputes,
    list_queue,
)
from feira.services.orders.orders import (
    mark_chargeback_won,
    mark_charged_back,
)
from feira.services.orders.views import OrderView
from feira.sql.database import Tx
from tests.integration.orders.stage import Buyer, Shop, Stage, kind

SHIP = Ship(carrier="DHL", tracking_number="1Z9")
DISPUTE = OpenDispute(problem="damaged", text="It came in two pieces.")
SPLIT = DecideDispute(outcome="split", refund_minor=1_000, reason="half of it is fine")


async def delivered(stage: Stage) -> tuple[Shop, Buyer, OrderId]:
    """An order of 25.00, commission 2.50."""
    shop, buyer, order = await stage.placed()
    await stage.do(shop.owner, order, Accept())
    await stage.do(shop.owner, order, SHIP)
    await stage.do(buyer.principal, order, Deliver())
    return shop, buyer, order


async def disputed(stage: Stage) -> tuple[Shop, Buyer, OrderId]:
    shop, buyer, order = await delivered(stage)
    await stage.do(buyer.principal, order, DISPUTE)
    return shop, buyer, order


async def the_dispute(stage: Stage, order: OrderId, shop: Shop) -> DisputeView:
    async with stage.database.connection() as con:
        return (await list_disputes(con, order, shop.owner)).items[-1]


async def fire(stage: Stage) -> None:
    await handle_fire_deadlines(JobRun(stage.market, JobId(UUID(int=1)), 1), FireOrderDeadlines())


async def pass_time(stage: Stage, order: OrderId, kind: str) -> None:
    """Let one deadline of an order be over."""
    async with stage.database.connection() as con:
        await con.execute(
            "UPDATE order_deadlines SET due_at = now() - interval '1 second'"
            " WHERE order_id = $1 AND kind = $2",
            order,
            kind,
        )


async def test_opening_freezes_the_countdown_keeps_what_was_said_and_calls_support(
    stage: Stage,
) -> None:
    shop, buyer, order = await delivered(stage)
    opened = await stage.do(buyer.principal, order, DISPUTE)
    stands = {deadline.kind: deadline.paused_at is not None for deadline in opened.deadlines}
    assert stands == {"auto_accept": True, "dispute_decision": False}
    assert opened.actions == ("add_evidence", "propose_settlement", "withdraw_dispute")

    dispute = await the_dispute(stage, order, shop)
    assert (dispute.state, dispute.problem, dispute.proposal) == ("open", "damaged", None)
    assert [(piece.side, piece.text) for piece in dispute.evidence] == [("buyer", DISPUTE.text)]
    async with stage.database.connection() as con:
        wanted = await list_support_requests(con, await stage.person("support"), limit=100)
    asked = {request.conversation_id: request for request in wanted.items}
    assert asked[dispute.conversation_id].subject_id == order

    # Time passes, but not for the shop's money.
    await pass_time(stage, order, "auto_accept")
    await fire(stage)
    view = await stage.order(order, shop.owner)
    assert (view.status, await stage.ledger("hold", str(order))) == ("disputed", 2_500)
    with pytest.raises(Conflict) as error:
        await stage.do(buyer.principal, order, Complete())
    assert error.value.code == "order.disputed"


async def test_a_withdrawn_dispute_lets_the_countdown_go_on_where_it_stood(stage: Stage) -> None:
    shop, buyer, order = await delivered(stage)
    before = await stage.order(order, buyer.principal)
    opened = await stage.do(buyer.principal, order, DISPUTE)
    withdrawn = await stage.do(buyer.principal, order, WithdrawDispute(reason="glued it"))
    (was,), (now) = before.deadlines, withdrawn.deadlines
    stood = withdrawn.updated_at - opened.updated_at
    assert [(one.kind, one.due_at, one.paused_at) for one in now] == [
        ("auto_accept", was.due_at + stood, None)
    ]
    dispute = await the_dispute(stage, order, shop)
    assert (dispute.state, dispute.why, dispute.outcome) == ("withdrawn", "glued it", None)
    again = await stage.do(buyer.principal, order, DISPUTE)
    assert again.status == "disputed"
    await pass_time(stage, order, "auto_accept")


@pytest.mark.parametrize(
    ("decision", "refund_minor", "pending_minor"),
    [
        (DecideDispute(outcome="completed", reason="it is whole"), 0, 2_250),
        (DecideDispute(outcome="refunded", reason="it is not"), 2_500, 0),
        (SPLIT, 1_000, 1_350),
    ],
)
async def test_a_decision_shares_out_the_money_to_the_cent(
    stage: Stage, decision: DecideDispute, refund_minor: int, pending_minor: int
) -> None:
    shop, _, order = await disputed(stage)
    support = await stage.person("support")
    decided = await stage.do(support, order, decision)
    assert (decided.status, decided.deadlines, decided.actions) == (decision.outcome, (), ())
    if refund_minor:
        await stage.run_refunds(order)
    view = await stage.order(order, shop.owner)
    assert view.refunded_minor == refund_minor
    for account in ("hold", "refund_payable"):
        assert await stage.ledger(account, str(order)) == 0
    assert await stage.ledger("pending", str(shop.id)) == pending_minor
    dispute = await the_dispute(stage, order, shop)
    assert (dispute.state, dispute.outcome, dispute.refund_minor, dispute.ended_by) == (
        "decided",
        decision.outcome,
        refund_minor,
        support.user_id,
    )
    (told,) = [
        msgspec.json.decode(entry.body)
        for entry in await stage.events(order_topic(order))
        if kind(entry) == "order.dispute_decided"
    ]
    moved = (told["refund_minor"], told["released_minor"], told["reason"], told["actor_role"])
    assert moved == (refund_minor, 2_500 - refund_minor, decision.reason, "support")


async def test_the_sides_settle_between_themselves(stage: Stage) -> None:
    shop, buyer, order = await disputed(stage)
    proposal = ProposeSettlement(refund_minor=500, reason="keep it for less")
    proposed = await stage.do(shop.owner, order, proposal)
    assert "accept_settlement" not in proposed.actions
    dispute = await the_dispute(stage, order, shop)
    assert dispute.proposal is not None
    assert (dispute.proposal.by, dispute.proposal.refund_minor) == ("seller", 500)
    with pytest.raises(Conflict) as error:
        await stage.do(buyer.principal, order, AcceptSettlement(refund_minor=600))
    assert error.value.code == "dispute.proposal_changed"
    settled = await stage.do(buyer.principal, order, AcceptSettlement(refund_minor=500))
    assert settled.status == "split"
    await stage.run_refunds(order)
    assert await stage.ledger("hold", str(order)) == 0
    assert await stage.ledger("pending", str(shop.id)) == 1_800
    assert (await the_dispute(stage, order, shop)).state == "settled"


async def test_of_a_decision_a_settlement_and_a_withdrawal_at_once_one_counts(
    stage: Stage,
) -> None:
    shop, buyer, order = await disputed(stage)
    support = await stage.person("support")
    await stage.do(shop.owner, order, ProposeSettlement(refund_minor=500, reason="keep it"))
    results = await asyncio.gather(
        stage.do(support, order, SPLIT),
        stage.do(buyer.principal, order, AcceptSettlement(refund_minor=500)),
        stage.do(buyer.principal, order, WithdrawDispute(reason="never mind")),
        stage.do(support, order, DecideDispute(outcome="refunded", reason="broken")),
        fire(stage),
        return_exceptions=True,
    )
    assert len([view for view in results if isinstance(view, OrderView)]) == 1
    assert all(isinstance(one, OrderView | Conflict) or one is None for one in results), results
    await stage.run_refunds(order)
    view = await stage.order(order, shop.owner)
    held = await stage.ledger("hold", str(order))
    assert held == (2_500 if view.status == "delivered" else 0)
    assert (await the_dispute(stage, order, shop)).state != "open"


async def test_support_that_was_slow_is_reminded_and_decides_about_what_it_saw(
    stage: Stage,
) -> None:
    _, buyer, order = await disputed(stage)
    support = await stage.person("support")
    seen = await stage.order(order, support)
    await pass_time(stage, order, "dispute_decision")
    await asyncio.gather(*(fire(stage) for _ in range(3)))
    view = await stage.order(order, support)
    assert (view.status, view.version) == ("disputed", seen.version + 1)
    due = next(one for one in view.deadlines if one.kind == "dispute_decision")
    assert (due.due_at - view.updated_at).days == 7

    await stage.do(buyer.principal, order, AddEvidence(text="Here is another picture."))
    hasty = msgspec.structs.replace(SPLIT, expected_version=view.version)
    with pytest.raises(Conflict) as error:
        await stage.do(support, order, hasty)
    assert error.value.code == "order.version_conflict"
    current = error.value.details["current"]
    assert isinstance(current, OrderView)
    assert current == await stage.order(order, support)
    kinds = [kind(entry) for entry in await stage.events(order_topic(order))]
    assert kinds[-3:] == ["order.dispute_opened", "order.dispute_overdue", "order.evidence_added"]


async def upload(
    stage: Stage, who: Buyer, conversation: ConversationId, *, is_there: bool = True
) -> AttachmentId:
    file = NewAttachment(name="bill.pdf", content_type="application/pdf", size_bytes=100)
    made = await stage.transact(
        lambda tx: announce_attachment(tx, who.principal, conversation, file)
    )
    if is_there:

        async def look(tx: Tx) -> None:
            own = await read_own_attachment(tx.con, who.principal.user_id, made.id)
            await decide_upload(tx, own, None)

        await stage.transact(look)
    return made.id


async def test_evidence_brings_files_along_that_support_reads_once_it_looks_after_it(
    stage: Stage,
) -> None:
    shop, buyer, order = await delivered(stage)
    about = OpenConversation(shop=shop.id, order=order)
    conversation = await stage.transact(lambda tx: open_conversation(tx, buyer.principal, about))
    bill = await upload(stage, buyer, conversation)
    missing = await upload(stage, buyer, conversation, is_there=False)
    with pytest.raises(Rejected) as not_there:
        await stage.do(
            buyer.principal, order, msgspec.structs.replace(DISPUTE, attachments=(missing,))
        )
    assert (not_there.value.code, not_there.value.field) == (
        "attachment.not_uploaded",
        "$.attachments[0]",
    )
    await stage.do(buyer.principal, order, msgspec.structs.replace(DISPUTE, attachments=(bill,)))
    again = AddEvidence(text="The same once more.", attachments=(bill,))
    with pytest.raises(Conflict) as used:
        await stage.do(buyer.principal, order, again)
    assert used.value.code == "attachment.used"

    dispute = await the_dispute(stage, order, shop)
    assert dispute.conversation_id == conversation
    assert [file.name for file in dispute.evidence[0].attachments] == ["bill.pdf"]
    support, finance = await stage.person("support"), await stage.person("finance")
    async with stage.database.connection() as con:
        assert (await read_visible_attachment(con, shop.owner.user_id, bill)).name == "bill.pdf"
        with pytest.raises(NotFound):
            await read_visible_attachment(con, support.user_id, bill)
        queue = await list_queue(con, support, DisputeFilter(limit=100))
    waiting = {one.id: one for one in queue.items}
    assert (waiting[dispute.id].number > 0, waiting[dispute.id].claimed_by) == (True, None)
    with pytest.raises(NotAllowed):
        await stage.transact(lambda tx: claim(tx, finance, dispute.id))
    for _ in range(2):
        mine = (await stage.transact(lambda tx: claim(tx, support, dispute.id))).items[-1]
        assert mine.claimed_by == support.user_id
    async with stage.database.connection() as con:
        assert (await read_visible_attachment(con, support.user_id, bill)).name == "bill.pdf"
    await stage.do(support, order, SPLIT)
    with pytest.raises(Conflict) as over:
        await stage.transact(lambda tx: claim(tx, support, dispute.id))
    assert over.value.code == "dispute.over"


async def test_a_chargeback_freezes_the_order_and_a_won_one_lets_it_go_on(stage: Stage) -> None:
    _, buyer, order = await delivered(stage)
    for _ in range(2):
        await stage.transact(lambda tx: mark_charged_back(tx, order))
    frozen = await stage.order(order, buyer.principal)
    assert (frozen.payment_status, frozen.actions) == ("charged_back", ())
    await pass_time(stage, order, "auto_accept")
    await fire(stage)
    with pytest.raises(FeiraError) as error:
        await stage.do(buyer.principal, order, Complete())
    assert error.value.code == "order.charged_back"
    await stage.transact(lambda tx: mark_chargeback_won(tx, order))
    going = await stage.order(order, buyer.principal)
    assert (going.status, going.payment_status) == ("delivered", "captured")
    assert [one.paused_at for one in going.deadlines] == [None]
