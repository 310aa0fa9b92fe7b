"""Editing and deleting what was said."""

from __future__ import annotations

from uuid import UUID

import msgspec

from feira.platform.domain.contact_details import warnings_of
from feira.platform.domain.ids import ConversationId
from feira.platform.domain.messages import MessageText, require_changeable, require_editable
from feira.platform.domain.messaging_events import MessageDeleted, MessageEdited, MessagePosted
from feira.platform.domain.permissions import (
    Principal,
    Role,
    is_allowed,
    is_privileged,
    require,
)
from feira.platform.domain.spam import require_few_links
from feira.services.audit.recording import record
from feira.services.messaging.attachments import forget_sent
from feira.services.messaging.changes import (
    SQL,
    LockedMessage,
    LoggedChange,
    append_change,
    find_change,
    lock_message,
    require_calm,
)
from feira.services.messaging.conversations import is_member
from feira.services.messaging.hearing import require_heard
from feira.services.messaging.messages import not_a_conversation
from feira.sql.database import Tx


class EditMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new text for one of one's own messages. `client_id` is made once per edit by the device, a UUID."""

    client_id: UUID
    text: MessageText


async def edit_message(
    tx: Tx, principal: Principal, conversation: ConversationId, message: int, edit: EditMessage
) -> LoggedChange:
    """Give a message a new text, once per client id. The log keeps the old one; see `delete_message`.

    Raises:
        NotFound: `conversation.not_found`, `message.not_found`.
        NotAllowed: it is somebody else's; see `permissions.require`.
        Rejected: `message.deleted`, `message.not_text`, `message.edit_too_late`, `message.too_many_links`, `conversation.blocked`, `posting.limited`.
        TooMany: `message.too_many_changes`.
    """
    if not await is_member(tx.con, conversation, principal.user_id):
        raise not_a_conversation()
    found = await lock_message(tx, conversation, message)
    known = await find_change(tx.con, conversation, principal.user_id, edit.client_id)
    if known is not None:
        return known
    require("message.edit", principal, _relations(found, principal))
    require_editable(found.state, tx.now)
    await require_heard(tx.con, conversation, principal.user_id)
    await require_calm(tx.con, conversation, principal.user_id)
    require_few_links(edit.text)
    warnings = warnings_of(edit.text)
    revised = msgspec.structs.replace(
        found.posted, text=edit.text, warnings=warnings, edited_at=tx.now
    )
    await tx.con.execute(
        SQL["revise_message"], conversation, message, msgspec.Raw(msgspec.json.encode(revised))
    )
    edited = MessageEdited(
        message=message,
        by=principal.user_id,
        client_id=edit.client_id,
        text=edit.text,
        warnings=warnings,
    )
    return await append_change(
        tx,
        conversation,
        edited,
        actor=principal.user_id,
        client_id=edit.client_id,
        edited=message,
    )


async def delete_message(
    tx: Tx, principal: Principal, conversation: ConversationId, message: int
) -> LoggedChange:
    """Leave a tombstone where a message was. Its text is gone from the log as well: no later replay has it.

    Deleting again is answered as the first time. Moderators need not be members.

    Raises:
        NotFound: `conversation.not_found`, `message.not_found`.
        NotAllowed: it is somebody else's; see `permissions.require`.
        Rejected: `message.not_text`.
    """
    if not is_allowed("message.delete", principal) and not await is_member(
        tx.con, conversation, principal.user_id
    ):
        raise not_a_conversation()
    found = await lock_message(tx, conversation, message)
    relations = _relations(found, principal)
    require("message.delete", principal, relations)
    change = await leave_tombstone(tx, principal, conversation, message, found)
    if found.deleted_seq is None and is_privileged("message.delete", principal, relations):
        await record(
            tx,
            principal,
            "message.delete",
            "message",
            f"{conversation}/{message}",
            after={"sender": found.sender, "tombstone": change.seq},
        )
    return change


async def leave_tombstone(
    tx: Tx,
    principal: Principal,
    conversation: ConversationId,
    message: int,
    found: LockedMessage | None = None,
) -> LoggedChange:
    """Take a message's text away, for whoever was asked whether they may.

    Raises:
        NotFound: `message.not_found`.
        Rejected: `message.not_text`.
    """
    found = found or await lock_message(tx, conversation, message)
    if found.deleted_seq is not None:
        deleted_at = found.posted.deleted_at
        assert deleted_at is not None, "a tombstone says since when"
        return LoggedChange(seq=found.deleted_seq, at=deleted_at)
    require_changeable(found.state)
    deleted = MessageDeleted(message=message, by=principal.user_id)
    change = await append_change(tx, conversation, deleted, actor=principal.user_id)
    await forget_sent(tx, conversation, found.posted.attachments)
    tombstone = MessagePosted(
        sender=found.sender, client_id=found.posted.client_id, deleted_at=change.at
    )
    await tx.con.execute(
        SQL["delete_message"],
        conversation,
        message,
        msgspec.Raw(msgspec.json.encode(tombstone)),
        change.seq,
    )
    return change


def _relations(message: LockedMessage, principal: Principal) -> frozenset[Role]:
    return frozenset({"self"} if message.sender == principal.user_id else ())
