r"""The node's writer of chat messages: what waits in many conversations is committed in one statement.

    waiting --a writer is free--> under way --committed--> announced, then the next of its conversation

A quiet node commits each message at once; a busy one commits more of them at a time, and each costs a fraction.
A conversation has at most one batch under way, so that its messages are announced in the order of their numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from feira.actors import metrics
from feira.platform.domain.errors import FeiraError, Unavailable
from feira.platform.domain.ids import ConversationId
from feira.platform.runtime.tasks import TaskOwner
from feira.services.messaging.attaching import MessageKey, attach, key_of
from feira.services.messaging.hearing import refusals_of
from feira.services.messaging.messages import (
    Outgoing,
    PostedBatch,
    PostedMessage,
    post_messages,
)
from feira.sql.database import Database
from feira.sql.kept_connection import KeptConnection

log = structlog.get_logger("feira.actors")

WRITERS: Final = 2
BATCH_MAX: Final = 128
WAITING_MAX: Final = 10_000
WAITING_IN_CONVERSATION_MAX: Final = 1_024

Posted = PostedMessage | FeiraError


@dataclass(frozen=True, slots=True)
class Post:
    """Say something. `answered` is called after the commit, and must not raise."""

    outgoing: Outgoing
    answered: Callable[[Posted], None]


class GroupCommit:
    """`committed(conversation, batch)` is called for what is new, right after its senders were answered."""

    def __init__(
        self,
        database: Database,
        *,
        tasks: TaskOwner,
        committed: Callable[[ConversationId, PostedBatch], None],
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._committed = committed
        self._waiting: dict[ConversationId, list[Post]] = {}
        self._waiting_count = 0
        # Conversations that have something waiting and nothing under way, the longest waiting first.
        self._ready: dict[ConversationId, None] = {}
        self._under_way: set[ConversationId] = set()
        self._idle: list[asyncio.Future[None]] = []

    def start(self) -> None:
        for number in range(WRITERS):
            self._tasks.start(self._write_for_ever(), name=f"group-commit-{number}")

    def post(self, post: Post) -> None:
        """Accept a message; it is answered when it is committed, or could not be.

        Raises:
            Unavailable: `actor.overloaded`: too many are waiting, nothing was accepted.
        """
        conversation = post.outgoing.conversation
        waiting = self._waiting.setdefault(conversation, [])
        if self._waiting_count >= WAITING_MAX or len(waiting) >= WAITING_IN_CONVERSATION_MAX:
            metrics.POSTS_REFUSED.inc()
            raise Unavailable(
                "actor.overloaded",
                "Too much is happening here at once; please try again.",
                retry_after_s=1,
            )
        waiting.append(post)
        self._waiting_count += 1
        if conversation not in self._under_way:
            self._ready[conversation] = None
            self._wake_a_writer()

    def _wake_a_writer(self) -> None:
        while self._idle:
            writer = self._idle.pop()
            if not writer.done():
                writer.set_result(None)
                return

    async def _write_for_ever(self) -> None:
        kept = self._database.keep_connection()
        try:
            while True:
                await self._write_next(kept)
        finally:
            await kept.give_back()

    async def _write_next(self, kept: KeptConnection) -> None:
        batch = self._take()
        if not batch:
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle
            return
        conversations = {post.outgoing.conversation for post in batch}
        metrics.COMMIT_MESSAGES.observe(len(batch))
        try:
            await self._commit(batch, kept)
        finally:
            self._under_way -= conversations
            for conversation in conversations & self._waiting.keys():
                self._ready[conversation] = None

    def _take(self) -> list[Post]:
        """Take what waits in conversations that have nothing under way, whole conversations while they fit."""
        batch: list[Post] = []
        while self._ready and len(batch) < BATCH_MAX:
            conversation = next(iter(self._ready))
            del self._ready[conversation]
            waiting = self._waiting.pop(conversation)
            room = BATCH_MAX - len(batch)
            batch += waiting[:room]
            if len(waiting) > room:
                self._waiting[conversation] = waiting[room:]
            self._under_way.add(conversation)
        self._waiting_count -= len(batch)
        return batch

    async def _commit(self, batch: list[Post], kept: KeptConnection) -> None:
        silenced: list[Post] = []
        try:
            async with kept as con:
                attaching = await attach(con, [post.outgoing for post in batch])
                posted = await post_messages(con, attaching.whole) if attaching.whole else {}
            silenced = self._tell(batch, posted, attaching.refused)
        except FeiraError as error:
            # Also when the connection broke around the commit: the resend with the same client id finds out.
            for post in batch:
                post.answered(error)
        except Exception as error:
            if len(batch) > 1:
                # One bad message does not fail its neighbours: each goes alone.
                log.warning("group_commit_split", messages=len(batch), error=type(error).__name__)
                for post in batch:
                    await self._commit([post], kept)
                return
            log.exception("message_not_posted")
            batch[0].answered(
                Unavailable("actor.restarted", "Something went wrong here; please try again.")
            )
        if silenced:
            await self._explain(silenced, kept)

    async def _explain(self, posts: list[Post], kept: KeptConnection) -> None:
        """Answer those that found no place: no members, blocked, or kept from posting."""
        try:
            async with kept as con:
                refusals = await refusals_of(con, [post.outgoing for post in posts])
        except FeiraError as error:
            for post in posts:
                post.answered(error)
            return
        for post, refusal in zip(posts, refusals, strict=True):
            post.answered(refusal)

    def _tell(
        self,
        batch: list[Post],
        posted: dict[ConversationId, PostedBatch],
        refused: dict[MessageKey, FeiraError],
    ) -> list[Post]:
        """Answer what is decided, and return what found no place and has to learn why."""
        silenced: list[Post] = []
        for post in batch:
            conversation, sender, client_id = key = key_of(post.outgoing)
            places = posted.get(conversation)
            place = None if places is None else places.places.get((sender, client_id))
            answer = place or refused.get(key)
            if answer is None:
                silenced.append(post)
            else:
                post.answered(answer)
        for conversation, places in posted.items():
            if places.events:
                self._committed(conversation, places)
        return silenced
