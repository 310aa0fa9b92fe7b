"""Who is told what, by mail and in the app, on an own database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feira.app import open_ground
from feira.jobs.worker import run_worker
from feira.platform.domain.errors import InvalidInput, Unavailable
from feira.platform.domain.ids import NotificationId, UserId
from feira.platform.domain.notices import Notice, UnreadMessagesNotice
from feira.platform.domain.order_commands import Accept, Ship
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import inbox_topic
from feira.platform.gateways.mail.port import Mail
from feira.platform.runtime.config import Config
from feira.services.market import Market
from feira.services.messaging.messages import Outgoing, WantedCursor, move_cursors, post_messages
from feira.services.notifications.notifications import (
    MarkRead,
    NotificationFilter,
    NotificationPage,
    list_notifications,
    mark_read,
    notify,
)
from tests.integration.jobs_room import perform, until
from tests.integration.live import Talk, message, open_talk
from tests.integration.orders.stage import MemoryGateway, Stage


@dataclass
class Postman:
    """A mail provider in memory: one copy per key, away on request."""

    mails: dict[str, Mail] = field(default_factory=dict[str, Mail])
    sent: int = 0
    fails_after: int | None = None

    async def send(self, mail: Mail) -> None:
        if self.fails_after is not None and self.sent >= self.fails_after:
            raise Unavailable("mail.unavailable", "The provider is away.")
        self.sent += 1
        self.mails.setdefault(mail.idempotency_key, mail)

    async def close(self) -> None:
        pass

    def to(self, address: str) -> list[Mail]:
        return [mail for mail in self.mails.values() if mail.to == address]


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
async def stage(config: Config, fresh_database_dsn: str, postman: Postman) -> AsyncIterator[Stage]:
    gateway = MemoryGateway()
    own = msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)
    async with open_ground(own) as ground:
        market = replace(ground.market, payments=gateway, mail=postman)
        yield Stage(market=market, gateway=gateway)


async def address_of(market: Market, user: UserId) -> str:
    async with market.database.connection() as con:
        return await con.fetchval("SELECT email::text FROM users WHERE id = $1", user)


async def told(market: Market, who: Principal, **wanted: Any) -> NotificationPage:
    async with market.database.connection() as con:
        return await list_notifications(con, who, NotificationFilter(**wanted))


async def inbox(stage: Stage, who: Principal, prefix: str = "notification.") -> list[Any]:
    events = await stage.events(inbox_topic(who.user_id))
    bodies = [msgspec.json.decode(event.body) for event in events]
    return [body for body in bodies if body["kind"].startswith(prefix)]


async def tell(stage: Stage, who: Principal, count: int) -> list[NotificationId]:
    """Some notifications, as jobs make them."""
    for number in range(count):
        notice: Notice = UnreadMessagesNotice(
            conversation=(await _some_id(stage)), sender_name=f"sender {number}", count=1
        )
        await stage.transact(
            lambda tx, n=notice, k=number: notify(tx, {who.user_id: n}, effect=f"test:{k}")
        )
    page = await told(stage.market, who, limit=100)
    return [item.id for item in page.items]


async def _some_id(stage: Stage) -> Any:
    async with stage.database.connection() as con:
        return await con.fetchval("SELECT uuidv7()")


async def test_a_paid_order_is_told_to_the_buyer_and_the_shops_team(
    stage: Stage, postman: Postman
) -> None:
    shop, buyer, staff = await stage.shop(), await stage.buyer(), await stage.person()
    async with stage.database.connection() as con:
        await con.execute(
            "INSERT INTO shop_members VALUES ($1, $2, 'staff')", shop.id, staff.user_id
        )
    made, (order,) = await stage.buy(buyer, await stage.variant(shop, price_minor=1999))
    await stage.pay(made)
    assert await perform(stage.market, f"order_paid:{order}") == "done"

    (mail,) = postman.to(await address_of(stage.market, buyer.principal.user_id))
    assert "is paid" in mail.subject
    assert "19.99 EUR" in mail.text
    assert f"{stage.market.config.public_url}/orders/{order}" in mail.text
    for seller in (shop.owner, staff):
        (mail,) = postman.to(await address_of(stage.market, seller.user_id))
        assert mail.subject.startswith("New order")
    (item,) = (await told(stage.market, buyer.principal)).items
    assert item.kind == "order.paid"
    (item,) = (await told(stage.market, staff)).items
    assert item.kind == "order.received"
    (event,) = await inbox(stage, shop.owner)
    assert event["kind"] == "notification.created"
    assert event["data"]["kind"] == "order.received"
    assert event["data"]["total_minor"] == 1999
    assert event["unread"] == 1


async def test_a_job_that_runs_again_tells_nobody_twice(stage: Stage, postman: Postman) -> None:
    shop, buyer = await stage.shop(), await stage.buyer()
    made, (order,) = await stage.buy(buyer, await stage.variant(shop))
    await stage.pay(made)
    # The first attempt is lost between two mails.
    postman.fails_after = 1
    assert await perform(stage.market, f"order_paid:{order}") == "ready"
    assert (await told(stage.market, buyer.principal)).items == []
    postman.fails_after = None
    assert await perform(stage.market, f"order_paid:{order}") == "done"
    assert await perform(stage.market, f"order_paid:{order}") == "done"
    assert len(postman.mails) == 2
    assert len((await told(stage.market, buyer.principal)).items) == 1
    assert len(await inbox(stage, buyer.principal)) == 1


async def test_a_parcel_is_told_to_the_buyer(stage: Stage, postman: Postman) -> None:
    shop, buyer = await stage.shop(), await stage.buyer()
    made, (order,) = await stage.buy(buyer, await stage.variant(shop))
    await stage.pay(made)
    await stage.do(shop.owner, order, Accept())
    view = await stage.do(shop.owner, order, Ship(carrier="CTT <b>", tracking_number="PT-77"))
    (shipment,) = view.shipments
    assert await perform(stage.market, f"order_shipped:{shipment.id}") == "done"
    (mail,) = postman.to(await address_of(stage.market, buyer.principal.user_id))
    assert "PT-77" in mail.text
    assert "CTT &lt;b&gt;" in mail.html
    (item,) = (await told(stage.market, buyer.principal)).items
    assert item.kind == "order.shipped"


async def test_suspended_and_unconfirmed_people_get_no_mail(stage: Stage, postman: Postman) -> None:
    shop, buyer = await stage.shop(), await stage.buyer()
    made, (order,) = await stage.buy(buyer, await stage.variant(shop))
    await stage.pay(made)
    async with stage.database.connection() as con:
        await con.execute(
            "UPDATE users SET email_verified_at = NULL WHERE id = $1", buyer.principal.user_id
        )
        await con.execute("UPDATE users SET status = 'suspended' WHERE id = $1", shop.owner.user_id)
    assert await perform(stage.market, f"order_paid:{order}") == "done"
    assert postman.mails == {}
    assert len((await told(stage.market, buyer.principal)).items) == 1


async def say(stage: Stage, talk: Talk, who: Principal, text: str = "Bom dia") -> int:
    async with stage.database.connection() as con:
        posted = await post_messages(
            con,
            [Outgoing(conversation=talk.conversation, sender=who.user_id, message=message(text))],
        )
    (place,) = posted[talk.conversation].places.values()
    return place.seq


async def read_up_to(stage: Stage, talk: Talk, who: Principal, seq: int) -> None:
    async with stage.database.connection() as con:
        await move_cursors(
            con, talk.conversation, [WantedCursor(user_id=who.user_id, read_seq=seq)]
        )


async def test_a_message_left_unread_is_mailed_once_a_streak(
    stage: Stage, postman: Postman
) -> None:
    talk = await open_talk(stage.database)
    first = f"unread:{talk.conversation}:{talk.seller.user_id}:0"
    await say(stage, talk, talk.buyer, "secret price")
    await say(stage, talk, talk.buyer, "still there?")
    assert await stage.jobs("notifications.unread_messages") == 1
    assert await perform(stage.market, first) == "done"
    (mail,) = postman.to(await address_of(stage.market, talk.seller.user_id))
    assert mail.subject == "Buyer wrote to you"
    assert "Unread: 2" in mail.text
    # What was said stays in the conversation.
    assert "secret price" not in mail.text + mail.html
    (item,) = (await told(stage.market, talk.seller)).items
    assert item.data == UnreadMessagesNotice(
        conversation=talk.conversation, sender_name="Buyer", count=2
    )
    # More of the same streak makes no more mail; once read, the next streak does.
    await say(stage, talk, talk.buyer)
    assert await stage.jobs("notifications.unread_messages") == 1
    await read_up_to(stage, talk, talk.seller, 3)
    await say(stage, talk, talk.buyer)
    assert (
        await perform(stage.market, f"unread:{talk.conversation}:{talk.seller.user_id}:3") == "done"
    )
    assert len(postman.mails) == 2


async def test_a_message_read_in_time_is_not_mailed(stage: Stage, postman: Postman) -> None:
    talk = await open_talk(stage.database)
    seq = await say(stage, talk, talk.buyer)
    await read_up_to(stage, talk, talk.seller, seq)
    assert (
        await perform(stage.market, f"unread:{talk.conversation}:{talk.seller.user_id}:0") == "done"
    )
    assert postman.mails == {}
    assert (await told(stage.market, talk.seller)).items == []


async def test_the_buyer_hears_from_the_shop_by_its_name(stage: Stage, postman: Postman) -> None:
    talk = await open_talk(stage.database)
    await say(stage, talk, talk.seller)
    assert (
        await perform(stage.market, f"unread:{talk.conversation}:{talk.buyer.user_id}:0") == "done"
    )
    (mail,) = postman.mails.values()
    assert mail.subject.startswith("Shop ")


async def test_pages_follow_each_other_without_gaps_or_doubles(stage: Stage) -> None:
    who, other = await stage.person(), await stage.person()
    ids = await tell(stage, who, 7)
    assert ids == sorted(ids, reverse=True)
    seen: list[NotificationId] = []
    cursor: str | None = None
    while True:
        page = await told(
            stage.market,
            who,
            limit=3,
            cursor=None if cursor is None else NotificationId(_uuid(cursor)),
        )
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids
    assert page.unread == 7
    assert (await told(stage.market, other)).items == []


async def test_what_one_device_read_every_device_knows(stage: Stage) -> None:
    who = await stage.person()
    ids = await tell(stage, who, 5)
    answer = await stage.transact(lambda tx: mark_read(tx, who, MarkRead(ids=[ids[0], ids[3]])))
    assert answer.unread == 3
    # Again, nothing changes and nobody is told.
    again = await stage.transact(lambda tx: mark_read(tx, who, MarkRead(ids=[ids[0]])))
    assert again.unread == 3
    answer = await stage.transact(lambda tx: mark_read(tx, who, MarkRead(up_to=ids[1])))
    assert answer.unread == 0
    first, second = await inbox(stage, who, "notification.read_state")
    assert set(first["ids"]) == {str(ids[0]), str(ids[3])}
    assert first["unread"] == 3
    assert second["ids"] is None
    assert second["up_to"] == str(ids[1])
    assert second["unread"] == 0
    assert (await told(stage.market, who, unread=True)).items == []
    assert len((await told(stage.market, who)).items) == 5


async def test_nobody_reads_for_somebody_else(stage: Stage) -> None:
    who, other = await stage.person(), await stage.person()
    ids = await tell(stage, who, 2)
    answer = await stage.transact(lambda tx: mark_read(tx, other, MarkRead(ids=ids)))
    assert answer.unread == 0
    await stage.transact(lambda tx: mark_read(tx, other, MarkRead(up_to=ids[0])))
    assert (await told(stage.market, who)).unread == 2
    assert await inbox(stage, who, "notification.read_state") == []


async def test_which_were_read_must_be_said_in_one_way(stage: Stage) -> None:
    who = await stage.person()
    ids = await tell(stage, who, 1)
    for command in (MarkRead(), MarkRead(ids=ids, up_to=ids[0])):
        with pytest.raises(InvalidInput, match=r"notifications\.which"):
            await stage.transact(lambda tx, c=command: mark_read(tx, who, c))


async def test_unread_counts_leave_in_the_order_in_which_they_are_true(stage: Stage) -> None:
    who = await stage.person()
    conversation = await _some_id(stage)
    notice = UnreadMessagesNotice(conversation=conversation, sender_name="s", count=1)
    await asyncio.gather(
        *(
            stage.transact(
                lambda tx, k=number: notify(tx, {who.user_id: notice}, effect=f"race:{k}")
            )
            for number in range(12)
        )
    )
    assert [event["unread"] for event in await inbox(stage, who)] == list(range(1, 13))


def _uuid(text: str) -> Any:
    return msgspec.convert(text, NotificationId)


async def test_a_worker_with_every_handler_and_schedule_leaves_nothing_due_undone(
    config: Config, fresh_database_dsn: str, tmp_path: Path
) -> None:
    own = msgspec.structs.replace(
        config, postgres_dsn=fresh_database_dsn, mail_dir=tmp_path / "mail"
    )
    async with open_ground(own) as ground:
        gateway = MemoryGateway()
        stage = Stage(market=replace(ground.market, payments=gateway), gateway=gateway)
        stop = asyncio.Event()
        working = asyncio.create_task(run_worker(stage.market, ground.doorbell, stop))
        shop, buyer = await stage.shop(), await stage.buyer()
        made, _ = await stage.buy(buyer, await stage.variant(shop))
        await stage.pay(made)

        async def all_done() -> bool:
            async with stage.database.connection() as con:
                return not await con.fetchval(
                    # Some wait for their time: the repair of a checkout that its request finished itself.
                    "SELECT EXISTS (SELECT FROM jobs WHERE state <> 'done' AND run_at <= now())"
                    " OR NOT EXISTS (SELECT FROM schedule_fires)"
                )

        await until(all_done)
        stop.set()
        await working
    # The buyer's and the shop's.
    assert len(list((tmp_path / "mail").glob("*.eml"))) == 2
