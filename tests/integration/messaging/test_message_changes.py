"""Edits, deletions, replies and reactions on two nodes: one order, each once, and the same for whoever came when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from feira.actors.mail import Position
from feira.client.topic_log import Event
from feira.platform.domain.errors import FeiraError, NotAllowed, NotFound, Rejected, TooMany
from feira.platform.domain.messages import (
    CHANGES_MAX,
    EDIT_WITHIN_S,
    QUOTE_CHARS_MAX,
    REACTIONS_PER_USER_MAX,
)
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import inbox_topic
from feira.services.messaging.blocks import block
from feira.services.messaging.messages import WantedCursor
from tests.integration.live import Watching, eventually, open_talk
from tests.integration.messaging.stage import Chat, events_of, followed

EMOJI = ("👍", "❤️", "🎉", "😀", "🙏", "🇵🇹", "1️⃣", "🔥", "🐟", "🥳", "🧡")


async def test_changes_of_two_nodes_reach_all_watchers_once_in_one_order(chat: Chat) -> None:
    near, far = await chat.watch(chat.buyer), await chat.watch(chat.seller, on=1)
    first = await chat.say(chat.buyer)
    jobs: list[Awaitable[Any]] = []
    for number in range(8):
        on = number % 2
        jobs += [
            chat.edit(chat.buyer, first, f"edit {number}", on=on),
            chat.react(chat.seller, first, EMOJI[number], on=on),
            chat.say(chat.seller, f"and {number}", reply_to=first, on=1 - on),
        ]
    await asyncio.gather(*jobs)
    await eventually(lambda: len(near.seqs) == len(far.seqs) == 25)
    assert near.seqs == far.seqs == list(range(1, 26))
    assert near.of("event") == far.of("event")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_an_old_page_and_the_events_after_it_are_a_fresh_fetch(chat: Chat, seed: int) -> None:
    dice = random.Random(seed)
    watching = await chat.watch(chat.buyer, on=1)
    # Two messages before anybody looks, so that the first page has something to change.
    said = [await chat.say(chat.buyer, "primeiro"), await chat.say(chat.seller, "x" * 300)]
    pages = [await chat.page()]
    last = said[-1]
    for _ in range(40):
        try:
            last = max(last, await do_something(chat, dice, said))
        except (NotAllowed, Rejected, TooMany):
            continue
        pages.append(await chat.page())
    await eventually(lambda: watching.seqs[-1:] == [last])
    events = events_of(watching, chat.topic)
    fresh = await chat.fresh()
    assert followed(events).items == fresh
    for page in pages:
        assert followed(events, from_page=page).items == fresh, page["seq"]
    # Whoever follows from the start, but only now, hears a log that deletions were taken out of.
    async with chat.nodes[0].database.connection() as con:
        epoch = await con.fetchval("SELECT epoch FROM log_epoch")
    replayed = await chat.nodes[0].node.subscribe(
        chat.topic, Watching(chat.seller.user_id), Position(seq=0, epoch=epoch)
    )
    assert [event.seq for event in replayed.events] == list(range(1, last + 1))
    late = Watching(chat.seller.user_id)
    late.messages = [{"event": as_pushed(event)} for event in replayed.events]
    assert followed(events_of(late, chat.topic)).items == fresh


async def do_something(chat: Chat, dice: random.Random, said: list[int]) -> int:
    """Whatever comes to a member's mind; returns where it stands in the log."""
    who, on = dice.choice((chat.buyer, chat.seller)), dice.randrange(2)
    message, emoji = dice.choice(said), dice.choice(EMOJI[:4])
    match dice.choice(("say", "reply", "edit", "add", "remove", "delete")):
        case "say":
            said.append(await chat.say(who, f"texto {dice.random()}", on=on))
            return said[-1]
        case "reply":
            said.append(await chat.say(who, f"resposta {dice.random()}", reply_to=message, on=on))
            return said[-1]
        case "edit":
            text = dice.choice(("editado", "fala comigo: ana@example.com"))
            return (await chat.edit(who, message, text, on=on)).seq
        case "delete":
            return (await chat.delete(who, message, on=on)).seq
        case change:
            return (await chat.react(who, message, emoji, remove=change == "remove", on=on)).seq


def as_pushed(event: Any) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(event))


async def test_a_change_happens_once_per_client_id_wherever_it_is_repeated(chat: Chat) -> None:
    message = await chat.say(chat.buyer)
    edit, tap = uuid4(), uuid4()
    edits = await asyncio.gather(
        *(chat.edit(chat.buyer, message, "once", client_id=edit, on=n % 2) for n in range(8))
    )
    taps = await asyncio.gather(
        *(chat.react(chat.seller, message, client_id=tap, on=n % 2) for n in range(8))
    )
    assert {change.seq for change in edits} == {2}
    assert {change.seq for change in taps} == {3}
    assert (await chat.page())["seq"] == 3


async def test_one_client_id_for_two_messages_at_once_changes_one_of_them(chat: Chat) -> None:
    messages = [await chat.say(chat.buyer), await chat.say(chat.buyer)]
    tap = uuid4()
    done = await asyncio.gather(
        *(
            chat.react(chat.buyer, message, client_id=tap, on=on)
            for on, message in enumerate(messages)
        ),
        return_exceptions=True,
    )
    assert {type(each).__name__ for each in done} <= {"LoggedChange", "Conflict"}
    assert sum(len(item["reactions"]) for item in await chat.fresh()) == 1


async def test_a_late_repeat_does_not_undo_the_next_tap(chat: Chat) -> None:
    message = await chat.say(chat.buyer)
    await chat.react(chat.seller, message)
    again = uuid4()
    # It stands already, so this changes nothing; then it is taken back; then the first answer was lost after all.
    first = await chat.react(chat.seller, message, client_id=again)
    await chat.react(chat.seller, message, remove=True)
    repeat = await chat.react(chat.seller, message, client_id=again, on=1)
    assert repeat == first
    assert (await chat.fresh())[0]["reactions"] == []


async def test_what_was_deleted_is_nowhere(chat: Chat) -> None:
    secret = f"my card is {uuid4()}"
    watching = await chat.watch(chat.seller)
    message = await chat.say(chat.buyer, secret)
    await chat.edit(chat.buyer, message, f"{secret}, and its code")
    reply = await chat.say(chat.seller, "Please delete this!", reply_to=message)
    assert (await chat.page())["items"][-1]["reply"]["text"].startswith(secret)
    await chat.react(chat.seller, message)
    gone = await chat.delete(chat.buyer, message)
    assert await chat.delete(chat.buyer, message, on=1) == gone
    tables = (
        "messages", "conversation_changes", "conversations", "topic_events", "jobs", "message_reactions",
    )  # fmt: skip
    async with chat.nodes[0].database.connection() as con:
        for table in tables:
            found = await con.fetchval(
                f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%' || $1 || '%'",  # noqa: S608
                secret,
            )
            assert found == 0, table
    tombstone, answer = await chat.fresh()
    assert tombstone["body"].keys() == {"kind", "sender", "client_id", "deleted_at"}
    assert tombstone["reactions"] == []
    assert answer["reply"] == {
        "seq": message,
        "sender": str(chat.buyer.user_id),
        "text": None,
        "deleted": True,
    }
    await eventually(lambda: watching.seqs[-1:] == [gone.seq])
    assert followed(events_of(watching, chat.topic)).items == [tombstone, answer]
    assert await chat.say(chat.buyer, "There.", reply_to=message) == gone.seq + 1
    assert reply == answer["seq"]


async def test_a_quote_reads_as_its_message_reads_now(chat: Chat) -> None:
    message = await chat.say(chat.buyer, "á" * 500)
    await chat.say(chat.seller, "Hm?", reply_to=message)
    assert (await chat.fresh())[1]["reply"]["text"] == "á" * QUOTE_CHARS_MAX
    await chat.edit(chat.buyer, message, "Short.")
    assert (await chat.fresh())[1]["reply"]["text"] == "Short."


async def test_changes_leave_unread_counts_exact_on_every_device(chat: Chat) -> None:
    devices = [Watching(chat.seller.user_id), Watching(chat.seller.user_id)]
    for on, device in enumerate(devices):
        await chat.nodes[on].node.subscribe(inbox_topic(chat.seller.user_id), device, None)

    async def unread(count: int, *, seq: int) -> None:
        await eventually(
            lambda: all(
                (device.of("unread") or [{}])[-1].get("unread") == count
                and device.of("unread")[-1]["seq"] == seq
                for device in devices
            )
        )

    async def read(seq: int) -> None:
        await chat.nodes[1].node.move_cursor(
            chat.talk.conversation, WantedCursor(user_id=chat.seller.user_id, read_seq=seq)
        )

    first, second = await chat.say(chat.buyer, "1"), await chat.say(chat.buyer, "2")
    await chat.edit(chat.buyer, first, "one")
    await chat.react(chat.buyer, second)
    third = await chat.say(chat.buyer, "3")
    assert third == 5
    await unread(3, seq=5)
    await read(first)
    await unread(2, seq=5)
    # The edit and the reaction stand between the messages: nothing to read in them.
    await read(4)
    await unread(1, seq=5)
    await chat.delete(chat.buyer, second)
    await unread(1, seq=6)
    await read(6)
    await unread(0, seq=6)
    await chat.react(chat.buyer, third)
    fourth = await chat.say(chat.buyer, "4")
    await unread(1, seq=fourth)
    # Whoever speaks has read everything, changes included.
    await unread(0, seq=await chat.say(chat.seller, "Read."))


async def test_a_streak_that_begins_after_a_change_is_still_reminded_of(chat: Chat) -> None:
    message = await chat.say(chat.buyer)
    await chat.nodes[0].node.move_cursor(
        chat.talk.conversation, WantedCursor(user_id=chat.seller.user_id, read_seq=message)
    )
    await chat.react(chat.buyer, message)
    seq = await chat.say(chat.buyer, "Are you there?")
    async with chat.nodes[0].database.connection() as con:
        wanted = await con.fetch(
            "SELECT (args ->> 'seq')::bigint AS seq FROM jobs WHERE args ->> 'conversation' = $1"
            " AND args ->> 'user' = $2",
            str(chat.talk.conversation),
            str(chat.seller.user_id),
        )
    assert {row["seq"] for row in wanted} == {message, seq}


async def _edit(chat: Chat, who: Principal, message: int) -> Any:
    return await chat.edit(who, message, "Something else")


async def _delete(chat: Chat, who: Principal, message: int) -> Any:
    return await chat.delete(who, message)


async def _react(chat: Chat, who: Principal, message: int) -> Any:
    return await chat.react(who, message)


ACTIONS = [_edit, _delete, _react]


@pytest.mark.parametrize("action", ACTIONS)
async def test_strangers_and_unknown_numbers_change_nothing(
    chat: Chat, action: Callable[[Chat, Principal, int], Awaitable[Any]]
) -> None:
    message = await chat.say(chat.buyer)
    change = await chat.react(chat.seller, message)
    stranger = (await open_talk(chat.nodes[0].database)).buyer
    with pytest.raises(NotFound) as caught:
        await action(chat, stranger, message)
    assert caught.value.code == "conversation.not_found"
    # A number that is not there yet, and one that is no message.
    for number in (change.seq + 1, change.seq, 2**53):
        with pytest.raises(NotFound) as caught:
            await action(chat, chat.buyer, number)
        assert caught.value.code == "message.not_found"
    assert (await chat.page())["seq"] == change.seq


async def test_only_authors_edit_and_only_they_and_moderators_delete(chat: Chat) -> None:
    message = await chat.say(chat.buyer)
    for action in (_edit, _delete):
        with pytest.raises(NotAllowed):
            await action(chat, chat.seller, message)
    moderator = chat_moderator(await open_talk(chat.nodes[0].database))
    with pytest.raises(NotFound):
        await chat.edit(moderator, message, "Moderated")
    await chat.delete(moderator, message)
    assert "deleted_at" in (await chat.fresh())[0]["body"]


def chat_moderator(talk: Any) -> Principal:
    return msgspec.structs.replace(talk.seller, roles=talk.seller.roles | {"support"})


async def test_the_blocked_change_nothing_but_what_they_take_back(chat: Chat) -> None:
    message = await chat.say(chat.buyer)
    await chat.react(chat.buyer, message)
    await chat.nodes[0].database.transact(lambda tx: block(tx, chat.seller, chat.buyer.user_id))
    for action in (_edit, _react):
        with pytest.raises(Rejected) as caught:
            await action(chat, chat.buyer, message)
        assert caught.value.code == "conversation.blocked"
    await chat.react(chat.buyer, message, remove=True)
    await chat.delete(chat.buyer, message)
    await chat.react(chat.seller, await chat.say(chat.seller))


@pytest.mark.parametrize("action", [_edit, _react])
async def test_what_was_deleted_does_not_change(
    chat: Chat, action: Callable[[Chat, Principal, int], Awaitable[Any]]
) -> None:
    message = await chat.say(chat.buyer)
    await chat.delete(chat.buyer, message)
    with pytest.raises(Rejected) as caught:
        await action(chat, chat.buyer, message)
    assert caught.value.code == "message.deleted"


async def test_an_edit_may_come_late_only_as_a_repeat(chat: Chat) -> None:
    message = await chat.say(chat.buyer)
    edit = uuid4()
    first = await chat.edit(chat.buyer, message, "In time", client_id=edit)
    async with chat.nodes[0].database.connection() as con:
        await con.execute(
            "UPDATE messages SET at = at - make_interval(secs => $2) WHERE conversation_id = $1",
            chat.talk.conversation,
            float(EDIT_WITHIN_S + 1),
        )
    with pytest.raises(Rejected) as caught:
        await chat.edit(chat.buyer, message, "Too late")
    assert caught.value.code == "message.edit_too_late"
    assert await chat.edit(chat.buyer, message, "In time", client_id=edit) == first
    assert (await chat.fresh())[0]["body"]["text"] == "In time"


async def test_reactions_have_a_number_and_a_pace(chat: Chat) -> None:
    message, other = await chat.say(chat.buyer), await chat.say(chat.buyer)
    for emoji in EMOJI[:REACTIONS_PER_USER_MAX]:
        await chat.react(chat.seller, message, emoji)
    with pytest.raises(Rejected) as full:
        await chat.react(chat.seller, message, EMOJI[-1])
    assert full.value.code == "reaction.too_many"
    await chat.react(chat.seller, message, EMOJI[0])
    accepted = REACTIONS_PER_USER_MAX + 1
    flood: list[FeiraError] = []
    for number in range(CHANGES_MAX):
        try:
            await chat.react(chat.seller, other, remove=number % 2 == 1)
            accepted += 1
        except TooMany as error:
            flood.append(error)
    assert accepted == CHANGES_MAX
    assert {error.code for error in flood} == {"message.too_many_changes"}
    assert all(error.retry_after_s for error in flood)
    # Whoever floods pays alone.
    await chat.react(chat.buyer, other)
    await chat.say(chat.seller, "Still talking")


def test_an_event_is_what_a_thread_is_made_of() -> None:
    """A guard for the tests above: a thread that ignored its events would equal nothing."""
    said = Event(
        topic="t", seq=1, at="now", body={"kind": "message", "sender": "a", "client_id": "c", "text": "x"}
    )  # fmt: skip
    edited = Event(
        topic="t", seq=2, at="then", body={"kind": "message.edited", "message": 1, "by": "a", "text": "y"}
    )  # fmt: skip
    assert followed([said, edited]).items[0]["body"]["text"] == "y"
