"""Files in messages: announce, upload straight to the store, have it looked at, read by short-lived addresses."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.attachments import SNIFF_BYTES, AttachmentType, is_image, why_not
from feira.platform.domain.errors import Conflict, Rejected
from feira.platform.domain.ids import AttachmentId, ConversationId, UserId
from feira.platform.gateways.storage.port import ObjectStore, PresignedUpload
from feira.services.messaging.attachments import (
    PAGE_MAX,
    Attachment,
    NewAttachment,
    announce_attachment,
    decide_upload,
    list_sent_attachments,
    read_own_attachment,
    read_visible_attachment,
    take_back,
)
from feira.sql.database import Tx

NOTHING: Final = type(None)


class AttachmentView(msgspec.Struct, frozen=True, kw_only=True):
    """A file. `url` and `thumbnail_url` are good for `expires_in_s`, and null while there is nothing to read.

    An image is `drawing` for a moment: it is shown anew without its metadata, `width` by `height` pixels large. The topic
    tells when it is `ready`, or `refused` with a reason.
    """

    id: AttachmentId
    conversation_id: ConversationId
    sender_id: UserId
    name: str
    content_type: AttachmentType
    size_bytes: int
    state: Literal["awaiting_upload", "drawing", "ready", "refused"]
    reason: str
    width: int | None
    height: int | None
    url: str | None
    thumbnail_url: str | None
    expires_in_s: int


class AttachmentUploadView(msgspec.Struct, frozen=True, kw_only=True):
    """Post `upload.fields` and then the file, named `file`, as a form to `upload.url`; then say that it is uploaded."""

    attachment: AttachmentView
    upload: PresignedUpload


class AttachmentPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; `next_cursor` is null on the last page."""

    items: list[AttachmentView]
    next_cursor: str | None


class AttachmentQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor` comes from the page before."""

    cursor: AttachmentId | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 30


@endpoint(
    "POST",
    "/v1/conversations/{conversation}/attachments",
    service="messaging",
    summary="Announce a file and get the form to upload it with.",
    status=201,
)
async def post_attachment(
    call: Call, conversation: ConversationId, body: NewAttachment
) -> AttachmentUploadView:
    """JPEG, PNG, WebP or AVIF up to 12 MiB, PDF up to 25 MiB. The store refuses other types and sizes.

    Then name the file's `id` in the `attachments` of a message within a day.
    """

    async def work(tx: Tx) -> Attachment:
        return await announce_attachment(tx, call.principal, conversation, body)

    storage = call.market.storage
    attachment = await call.transact(Attachment, work)
    upload = await storage.presign_upload(
        attachment.incoming_key,
        content_type=attachment.content_type,
        size_bytes_max=attachment.size_bytes,
    )
    return AttachmentUploadView(attachment=await _view(storage, attachment), upload=upload)


@endpoint(
    "POST",
    "/v1/attachments/{attachment}/uploaded",
    service="messaging",
    summary="Have an uploaded file looked at, so that it can be sent.",
)
async def post_attachment_uploaded(call: Call, attachment: AttachmentId) -> AttachmentView:
    """A file whose bytes are not what was announced is deleted and refused: `attachment.refused` says why."""
    storage = call.market.storage
    async with call.market.database.connection() as con:
        announced = await read_own_attachment(con, call.principal.user_id, attachment)
    looked = announced.state != "awaiting_upload"
    reason = announced.reason or None if looked else await _look(storage, announced)

    async def work(tx: Tx) -> Attachment:
        return await decide_upload(tx, announced, reason)

    decided = await call.transact(Attachment, work)
    if decided.state == "refused":
        raise Rejected("attachment.refused", decided.reason, field="path.attachment")
    return await _view(storage, decided)


@endpoint(
    "GET", "/v1/attachments/{attachment}", service="messaging", summary="Get addresses of a file."
)
async def get_attachment(call: Call, attachment: AttachmentId) -> AttachmentView:
    """For members of the conversation, once its message is sent; before that for whoever uploads it."""
    async with call.market.database.connection() as con:
        found = await read_visible_attachment(con, call.principal.user_id, attachment)
    return await _view(call.market.storage, found)


@endpoint(
    "DELETE",
    "/v1/attachments/{attachment}",
    service="messaging",
    summary="Take back a file that was not sent.",
)
async def delete_attachment(call: Call, attachment: AttachmentId) -> None:
    user = call.principal.user_id
    await call.transact(NOTHING, lambda tx: take_back(tx, user, attachment))


@endpoint(
    "GET",
    "/v1/conversations/{conversation}/attachments",
    service="messaging",
    summary="List the files that were sent in a conversation.",
)
async def get_attachments(
    call: Call, conversation: ConversationId, query: AttachmentQuery
) -> AttachmentPage:
    async with call.market.database.connection() as con:
        rows = await list_sent_attachments(
            con,
            call.principal.user_id,
            conversation,
            cursor=query.cursor,
            limit=query.limit + 1,
        )
    items = rows[: query.limit]
    return AttachmentPage(
        items=[await _view(call.market.storage, one) for one in items],
        next_cursor=str(items[-1].id) if len(rows) > len(items) else None,
    )


async def _look(storage: ObjectStore, announced: Attachment) -> str | None:
    """Look at the uploaded bytes and keep the very ones that were seen; return what is wrong with them."""
    incoming = announced.incoming_key
    stored = await storage.head(incoming)
    start = await storage.read(incoming, size_bytes_max=SNIFF_BYTES)
    if stored is None or start is None:
        raise Conflict("attachment.not_uploaded", "Nothing was uploaded yet; post the form first.")
    reason = why_not(
        start,
        announced=announced.content_type,
        size_bytes=stored.size_bytes,
        announced_bytes=announced.size_bytes,
    )
    if reason is None and not await storage.copy(
        incoming, announced.key, etag=stored.etag, content_type=announced.content_type
    ):
        raise Conflict(
            "attachment.changed", "The file was uploaded again meanwhile; please repeat this."
        )
    await storage.delete(incoming)
    return reason


async def _view(storage: ObjectStore, attachment: Attachment) -> AttachmentView:
    image = is_image(attachment.content_type)
    drawing = attachment.state == "ready" and not attachment.is_shown
    url = thumbnail_url = None
    expires_in_s = 0
    if attachment.is_shown:
        # Nothing but images is shown inside a page. RFC 8187: any name, in ASCII.
        disposition = (
            f"{'inline' if image else 'attachment'}; filename*=UTF-8''{quote(attachment.name)}"
        )
        signed = await storage.presign_download(
            attachment.key, content_type=attachment.content_type, disposition=disposition
        )
        url, expires_in_s = signed.url, signed.expires_in_s
        if image:
            thumbnail = await storage.presign_download(
                attachment.thumbnail_key, content_type="image/webp", disposition="inline"
            )
            thumbnail_url = thumbnail.url
    return AttachmentView(
        id=attachment.id,
        conversation_id=attachment.conversation_id,
        sender_id=attachment.sender_id,
        name=attachment.name,
        content_type=attachment.content_type,
        size_bytes=attachment.size_bytes,
        state="drawing" if drawing else attachment.state,
        reason=attachment.reason,
        width=attachment.width,
        height=attachment.height,
        url=url,
        thumbnail_url=thumbnail_url,
        expires_in_s=expires_in_s,
    )


ENDPOINTS: Final = (
    post_attachment,
    post_attachment_uploaded,
    get_attachment,
    delete_attachment,
    get_attachments,
)
