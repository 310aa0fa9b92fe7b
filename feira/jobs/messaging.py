"""Attached images are drawn anew; files that were never sent are deleted."""

from __future__ import annotations

from functools import partial
from typing import Final, cast

from feira.jobs.run import Handlers, JobRun, until_none_is_left
from feira.platform.domain.attachments import IMAGE_BYTES_MAX, is_image
from feira.platform.domain.images import ImageType
from feira.platform.domain.jobs import DrawAttachment, SweepAttachments
from feira.platform.runtime.pictures import BadImage, draw
from feira.services.messaging.attachments import (
    end_forgotten,
    end_uploads,
    file_key,
    forget_unsent,
    incoming_key,
    list_ended_uploads,
    list_forgotten,
    read_attachment,
    refuse_drawn,
    set_drawn,
    thumbnail_key,
)


async def handle_draw_attachment(run: JobRun, job: DrawAttachment) -> None:
    """Put a picture without metadata in the place of what was uploaded, and a thumbnail beside it.

    An attempt that comes after half of this draws the drawn picture again, which does no harm.
    """
    storage = run.market.storage
    async with run.market.database.connection() as con:
        attachment = await read_attachment(con, job.attachment)
    if attachment is None or attachment.state != "ready" or attachment.width is not None:
        return
    assert is_image(attachment.content_type), "only images are drawn"
    content = await storage.read(attachment.key, size_bytes_max=IMAGE_BYTES_MAX)
    try:
        if content is None:
            raise BadImage("The file is gone.")
        picture = await draw(content, cast("ImageType", attachment.content_type))
    except BadImage as error:
        await storage.delete(attachment.key)
        await run.commit(partial(refuse_drawn, attachment=attachment, reason=str(error)))
        return
    await storage.write(attachment.key, picture.content, content_type=attachment.content_type)
    await storage.write(attachment.thumbnail_key, picture.thumbnail, content_type="image/webp")
    await run.commit(
        partial(set_drawn, attachment=attachment, width=picture.width, height=picture.height)
    )


async def handle_sweep_attachments(run: JobRun, _job: SweepAttachments) -> None:
    """Objects first, then their rows: what dies in between is swept again."""
    await until_none_is_left(run, forget_unsent)
    await _sweep_forgotten(run)
    await _sweep_uploads(run)


async def _sweep_forgotten(run: JobRun) -> None:
    while True:
        async with run.market.database.connection() as con:
            forgotten = await list_forgotten(con)
        if not forgotten:
            return
        await _delete(run, [key(one) for one in forgotten for key in _KEYS])
        async with run.market.database.connection() as con:
            await end_forgotten(con, forgotten)


async def _sweep_uploads(run: JobRun) -> None:
    while True:
        async with run.market.database.connection() as con:
            ended = await list_ended_uploads(con)
        if not ended:
            return
        await _delete(run, [incoming_key(one) for one in ended])
        async with run.market.database.connection() as con:
            await end_uploads(con, ended)


async def _delete(run: JobRun, keys: list[str]) -> None:
    for key in keys:
        await run.market.storage.delete(key)


_KEYS: Final = (incoming_key, file_key, thumbnail_key)

HANDLERS: Final[Handlers] = {
    DrawAttachment: handle_draw_attachment,
    SweepAttachments: handle_sweep_attachments,
}
