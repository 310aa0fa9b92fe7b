"""Two people who talk on two nodes, and what they may do with what was said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec

from feira.client.thread import Thread
from feira.client.topic_log import Event
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import Topic, conversation_topic
from feira.services.messaging.changes import LoggedChange
from feira.services.messaging.edits import EditMessage, delete_message, edit_message
from feira.services.messaging.history import read_history
from feira.services.messaging.messages import NewMessage
from feira.services.messaging.reactions import React, react
from tests.integration.live import LiveNode, Talk, Watching


@dataclass(frozen=True)
class Chat:
    """A talk on two nodes; `on` says which node carries a command out."""

    nodes: tuple[LiveNode, LiveNode]
    talk: Talk

    @property
    def topic(self) -> Topic:
        return conversation_topic(self.talk.conversation)

    @property
    def buyer(self) -> Principal:
        return self.talk.buyer

    @property
    def seller(self) -> Principal:
        return self.talk.seller

    async def say(
        self, who: Principal, text: str = "Bom dia", *, reply_to: int | None = None, on: int = 0
    ) -> int:
        said = NewMessage(client_id=uuid4(), text=text, reply_to=reply_to)
        place = await self.nodes[on].node.post_message(who, self.talk.conversation, said)
        return place.seq

    async def edit(
        self,
        who: Principal,
        message: int,
        text: str,
        *,
        client_id: UUID | None = None,
        on: int = 0,
    ) -> LoggedChange:
        edit = EditMessage(client_id=client_id or uuid4(), text=text)
        return await self.nodes[on].database.transact(
            lambda tx: edit_message(tx, who, self.talk.conversation, message, edit)
        )

    async def delete(self, who: Principal, message: int, *, on: int = 0) -> LoggedChange:
        return await self.nodes[on].database.transact(
            lambda tx: delete_message(tx, who, self.talk.conversation, message)
        )

    async def react(
        self,
        who: Principal,
        message: int,
        emoji: str = "👍",
        *,
        remove: bool = False,
        client_id: UUID | None = None,
        on: int = 0,
    ) -> LoggedChange:
        wanted = React(client_id=client_id or uuid4(), emoji=emoji, remove=remove)
        return await self.nodes[on].database.transact(
            lambda tx: react(tx, who, self.talk.conversation, message, wanted)
        )

    async def watch(self, who: Principal, *, on: int = 0) -> Watching:
        watching = Watching(who.user_id)
        await self.nodes[on].node.subscribe(self.topic, watching, None)
        return watching

    async def page(self, *, before: int | None = None, limit: int = 100) -> dict[str, Any]:
        """History as a client gets it."""
        async with self.nodes[0].database.connection() as con:
            page = await read_history(
                con, self.buyer.user_id, self.talk.conversation, before=before, limit=limit
            )
        return msgspec.json.decode(msgspec.json.encode(page))

    async def fresh(self) -> list[dict[str, Any]]:
        """All of the history, fetched now, page by page."""
        items: list[dict[str, Any]] = []
        before: int | None = None
        while True:
            page = await self.page(before=before)
            items = page["items"] + items
            before = page["next_before"]
            if before is None:
                return items


def events_of(watching: Watching, topic: Topic) -> list[Event]:
    return [
        Event(topic=str(topic), seq=event["seq"], at=event["at"], body=event["body"])
        for event in watching.of("event")
    ]


def followed(events: list[Event], *, from_page: dict[str, Any] | None = None) -> Thread:
    """What a client has that loaded a page, or nothing, and then heard the events."""
    thread = Thread()
    if from_page is not None:
        thread.load(from_page)
    for event in events:
        if from_page is None or event.seq > from_page["seq"]:
            thread.apply(event)
    return thread
