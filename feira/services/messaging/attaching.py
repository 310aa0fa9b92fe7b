"""Gives files to the messages that name them, right before those are committed.

A file is claimed by a message's client id. So a resend finds its own files, another message finds them taken, and a
claim whose message never came is forgotten with the file.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import msgspec

from feira.platform.domain.attachments import AttachedFile, AttachmentType
from feira.platform.domain.errors import Conflict, FeiraError, NotFound, Rejected
from feira.platform.domain.ids import AttachmentId, ConversationId, EvidenceId, UserId
from feira.services.messaging.attachments import SQL, AttachmentState
from feira.services.messaging.messages import Outgoing
from feira.sql.loader import Connection, fetch_all


class MessageKey(NamedTuple):
    """Who claims files: a message by its client id, or a piece of evidence by its own."""

    conversation: ConversationId
    sender: UserId
    client_id: UUID


class Attaching(NamedTuple):
    """Messages that have all their files, in the order in which they came, and why the others have not."""

    whole: list[Outgoing]
    refused: dict[MessageKey, FeiraError]


class _Claimed(msgspec.Struct, frozen=True, kw_only=True):
    message: int
    id: AttachmentId
    name: str
    content_type: AttachmentType
    size_bytes: int


class _Claimable(msgspec.Struct, frozen=True, kw_only=True):
    id: AttachmentId
    state: AttachmentState
    reason: str
    taken: bool


def key_of(outgoing: Outgoing) -> MessageKey:
    return MessageKey(outgoing.conversation, outgoing.sender, outgoing.message.client_id)


async def attach(con: Connection, batch: list[Outgoing]) -> Attaching:
    """Claim the files that a batch's messages name. Without any, nothing is asked."""
    if not any(outgoing.message.attachments for outgoing in batch):
        return Attaching(batch, {})
    # Of two with one client id, the first one counts.
    firsts = {key_of(outgoing): outgoing for outgoing in reversed(batch)}
    messages = list(firsts.values())
    rows = [
        (number, wanted, *key_of(outgoing))
        for number, outgoing in enumerate(messages)
        for wanted in outgoing.message.attachments
    ]
    files: dict[int, dict[AttachmentId, AttachedFile]] = {}
    for row in await fetch_all(con, SQL["claim"], _Claimed, *map(list, zip(*rows, strict=True))):
        files.setdefault(row.message, {})[row.id] = AttachedFile(
            id=row.id, name=row.name, content_type=row.content_type, size_bytes=row.size_bytes
        )
    refused: dict[MessageKey, FeiraError] = {}
    for number, outgoing in enumerate(messages):
        wanted = outgoing.message.attachments
        if wanted and number not in files:
            refused[key_of(outgoing)] = await _why_not(con, wanted, key_of(outgoing))
        elif wanted:
            claimed = tuple(files[number][one] for one in wanted)
            firsts[key_of(outgoing)] = msgspec.structs.replace(outgoing, files=claimed)
    keys = [key_of(outgoing) for outgoing in batch]
    return Attaching([firsts[key] for key in keys if key not in refused], refused)


async def attach_evidence(
    con: Connection,
    evidence: EvidenceId,
    wanted: tuple[AttachmentId, ...],
    *,
    conversation: ConversationId,
    sender: UserId,
) -> tuple[AttachedFile, ...]:
    """Claim files of a conversation for a piece of evidence, and return them as they were named.

    Raises:
        NotFound: `attachment.not_found`.
        Conflict: `attachment.used`, `attachment.changed`.
        Rejected: `attachment.not_uploaded`, `attachment.refused`.
    """
    if not wanted:
        return ()
    rows = await fetch_all(
        con, SQL["claim_for_evidence"], AttachedFile, evidence, list(wanted), conversation, sender
    )
    files = {row.id: row for row in rows}
    if any(one not in files for one in wanted):
        raise await _why_not(con, wanted, MessageKey(conversation, sender, evidence))
    return tuple(files[one] for one in dict.fromkeys(wanted))


async def _why_not(
    con: Connection, attachments: tuple[AttachmentId, ...], claimer: MessageKey
) -> FeiraError:
    rows = await fetch_all(con, SQL["read_claimable"], _Claimable, list(attachments), *claimer)
    known = {row.id: row for row in rows}
    for place, wanted in enumerate(attachments):
        error = _fault(known.get(wanted), f"$.attachments[{place}]")
        if error is not None:
            return error
    return Conflict("attachment.changed", "A file changed just now; please send this again.")


def _fault(file: _Claimable | None, field: str) -> FeiraError | None:
    if file is None:
        return NotFound(
            "attachment.not_found",
            "There is no such file of yours in this conversation; upload it here first.",
            field=field,
        )
    if file.taken:
        return Conflict(
            "attachment.used", "This file was sent with another message already.", field=field
        )
    if file.state == "awaiting_upload":
        return Rejected(
            "attachment.not_uploaded",
            "This file is not there yet; upload it, then say that it is uploaded.",
            field=field,
        )
    if file.state == "refused":
        return Rejected("attachment.refused", file.reason, field=field)
    return None
