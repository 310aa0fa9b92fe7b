r"""Files in messages: announced, uploaded straight to the store, looked at, sent, and read by members alone.

    awaiting_upload --uploaded, looks right--> ready --named by a message--> sent
          |  \--uploaded, is something else--> refused <--cannot be drawn--/
          '--not sent within a day, or its message deleted--> forgotten

The form's address stays good for a while, so what it points to may change and nobody reads it. The look copies the very
bytes that it saw to a key of its own. Images are shown once a job has drawn them anew, without metadata.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

import msgspec

from feira.platform.domain.attachments import (
    AttachedFile,
    AttachmentType,
    FileName,
    bytes_max,
    is_image,
)
from feira.platform.domain.errors import InvalidInput, NotFound, Rejected
from feira.platform.domain.ids import AttachmentId, ConversationId, UserId
from feira.platform.domain.jobs import DrawAttachment
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import conversation_topic
from feira.services.messaging.conversations import is_member
from feira.services.messaging.messages import not_a_conversation
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one, load_queries

SQL = load_queries("attachments")

# Files of one person that are not sent yet, over all their conversations.
WAITING_MAX: Final = 30
UPLOAD_WITHIN: Final = timedelta(minutes=15)
PAGE_MAX: Final = 100
_BATCH: Final = 200
_DAY_S: Final = 86_400.0
# Files are settled before their time to be forgotten comes, so that none is forgotten that was sent.
_SETTLED_AFTER_S: Final = _DAY_S - 3_600.0

AttachmentState = Literal["awaiting_upload", "ready", "refused"]


class NewAttachment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that is about to be uploaded: JPEG, PNG, WebP or AVIF up to 12 MiB, PDF up to 25 MiB."""

    name: FileName
    content_type: AttachmentType
    size_bytes: int


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it is stored. `width` and `height` are there once an image was drawn."""

    id: AttachmentId
    conversation_id: ConversationId
    sender_id: UserId
    name: str
    content_type: AttachmentType
    size_bytes: int
    state: AttachmentState
    reason: str
    width: int | None
    height: int | None
    claimed: bool

    @property
    def incoming_key(self) -> str:
        return incoming_key(self.id)

    @property
    def key(self) -> str:
        return file_key(self.id)

    @property
    def thumbnail_key(self) -> str:
        return thumbnail_key(self.id)

    @property
    def is_shown(self) -> bool:
        """Whether there is something to read: a file at once, an image once it was drawn."""
        return self.state == "ready" and (not is_image(self.content_type) or self.width is not None)


def incoming_key(attachment: AttachmentId) -> str:
    return f"incoming/attachments/{attachment}"


def file_key(attachment: AttachmentId) -> str:
    return f"attachments/{attachment}"


def thumbnail_key(attachment: AttachmentId) -> str:
    return f"attachments/{attachment}.thumbnail"


async def announce_attachment(
    tx: Tx, principal: Principal, conversation: ConversationId, wanted: NewAttachment
) -> Attachment:
    """Make room for a file in one of the caller's conversations.

    Raises:
        NotFound: `conversation.not_found`.
        InvalidInput: `attachment.too_large`.
        Rejected: `attachment.too_many`.
    """
    if not await is_member(tx.con, conversation, principal.user_id):
        raise not_a_conversation()
    most = bytes_max(wanted.content_type)
    if not 1 <= wanted.size_bytes <= most:
        raise InvalidInput(
            "attachment.too_large",
            f"A file of this type has 1 to {most:,} bytes.",
            field="$.size_bytes",
        )
    if await tx.con.fetchval(SQL["count_waiting"], principal.user_id) >= WAITING_MAX:
        raise Rejected(
            "attachment.too_many",
            f"{WAITING_MAX} files wait to be sent; send them or take some back first.",
        )
    made = await fetch_one(
        tx.con,
        SQL["insert_attachment"],
        Attachment,
        conversation,
        principal.user_id,
        wanted.name,
        wanted.content_type,
        wanted.size_bytes,
        tx.now + UPLOAD_WITHIN,
    )
    assert made is not None, "an insert returns its row"
    return made


async def read_own_attachment(
    con: Connection, user: UserId, attachment: AttachmentId
) -> Attachment:
    """Return a file that the user uploads.

    Raises:
        NotFound: `attachment.not_found`.
    """
    return _found(await fetch_one(con, SQL["read_own"], Attachment, attachment, user))


async def read_attachment(con: Connection, attachment: AttachmentId) -> Attachment | None:
    """Return a file for a job."""
    return await fetch_one(con, SQL["read_attachment"], Attachment, attachment)


async def read_visible_attachment(
    con: Connection, user: UserId, attachment: AttachmentId
) -> Attachment:
    """Return a file that the user may see: one sent in a conversation of theirs, or an own one before that.

    Raises:
        NotFound: `attachment.not_found`.
    """
    return _found(await fetch_one(con, SQL["read_visible"], Attachment, attachment, user))


async def list_sent_attachments(
    con: Connection,
    user: UserId,
    conversation: ConversationId,
    *,
    cursor: AttachmentId | None,
    limit: int,
) -> list[Attachment]:
    """Return the files of a conversation's messages, the newest first, after `cursor`.

    Raises:
        NotFound: `conversation.not_found`.
    """
    if not await is_member(con, conversation, user):
        raise not_a_conversation()
    return await fetch_all(con, SQL["list_sent"], Attachment, conversation, cursor, limit)


async def decide_upload(tx: Tx, attachment: Attachment, reason: str | None) -> Attachment:
    """Write down what the look at an uploaded file found; None is nothing wrong. The first look counts."""
    state = "ready" if reason is None else "refused"
    first = await tx.con.fetchval(SQL["decide_upload"], attachment.id, state, reason or "")
    if first and reason is None and is_image(attachment.content_type):
        tx.enqueue(DrawAttachment(attachment=attachment.id), dedup=f"draw:{attachment.id}")
    return await read_own_attachment(tx.con, attachment.sender_id, attachment.id)


async def take_back(tx: Tx, user: UserId, attachment: AttachmentId) -> None:
    """Take back a file that was not sent; the sweep deletes it.

    Raises:
        NotFound: `attachment.not_found`.
        Rejected: `attachment.sent`: it belongs to a message.
    """
    if not await tx.con.fetchval(SQL["forget_own"], attachment, user):
        await read_own_attachment(tx.con, user, attachment)
        raise Rejected("attachment.sent", "This file was sent; delete the message instead.")


async def set_drawn(tx: Tx, attachment: Attachment, *, width: int, height: int) -> None:
    """An image can be shown from now on; whoever watches the conversation is told."""
    if await tx.con.fetchval(SQL["set_drawn"], attachment.id, width, height):
        _tell(tx, attachment, {"state": "ready", "width": width, "height": height})


async def refuse_drawn(tx: Tx, attachment: Attachment, reason: str) -> None:
    """An image that cannot be drawn is shown to nobody; whoever watches the conversation is told."""
    if await tx.con.fetchval(SQL["refuse_drawn"], attachment.id, reason):
        _tell(tx, attachment, {"state": "refused", "reason": reason})


def _tell(tx: Tx, attachment: Attachment, news: dict[str, object]) -> None:
    topic = conversation_topic(attachment.conversation_id)
    tx.tell(topic, {"attachment": {"topic": str(topic), "id": attachment.id} | news})


async def forget_sent(
    tx: Tx, conversation: ConversationId, files: tuple[AttachedFile, ...]
) -> None:
    """The message that carried these files was deleted: nobody reads them any more, and the sweep deletes them."""
    if files:
        await tx.con.execute(SQL["forget_sent"], [file.id for file in files], conversation)


async def forget_unsent(tx: Tx) -> int:
    """Sweep: files that were not sent within a day can be sent no more. Returns how many."""
    await tx.con.execute(SQL["settle_sent"], _SETTLED_AFTER_S)
    return len(await tx.con.fetch(SQL["forget_unsent"], _DAY_S, _BATCH))


async def list_forgotten(con: Connection) -> list[AttachmentId]:
    """Sweep: files whose objects are to be deleted."""
    return [row["id"] for row in await con.fetch(SQL["list_forgotten"], _BATCH)]


async def end_forgotten(con: Connection, attachments: list[AttachmentId]) -> None:
    await con.execute(SQL["end_forgotten"], attachments)


async def list_ended_uploads(con: Connection) -> list[AttachmentId]:
    """Sweep: files whose forms cannot write any more, and may have written after the look."""
    # The store's clock may be a little behind.
    return [row["id"] for row in await con.fetch(SQL["list_ended_uploads"], 60.0, _BATCH)]


async def end_uploads(con: Connection, attachments: list[AttachmentId]) -> None:
    await con.execute(SQL["end_uploads"], attachments)


def _found(attachment: Attachment | None) -> Attachment:
    if attachment is None:
        raise _no_such_attachment()
    return attachment


def _no_such_attachment() -> NotFound:
    return NotFound("attachment.not_found", "There is no such file among those you may see.")
