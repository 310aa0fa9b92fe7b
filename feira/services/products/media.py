"""Product images: announced, uploaded straight to the store, checked by a job, then shown.

    awaiting_upload --uploaded--> checking --job--> ready | rejected

An upload's address stays good for a while, so what it points to may change at any time and nobody reads it but
the job. The job copies the very bytes that it checked to where the public reads.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from feira.platform.domain.errors import NotFound, Rejected
from feira.platform.domain.ids import MediaId, ProductId, ShopId
from feira.platform.domain.images import EXTENSIONS, IMAGE_BYTES_MAX, ImageType
from feira.platform.domain.jobs import CheckUploadedMedia
from feira.platform.domain.permissions import Principal
from feira.platform.domain.product_events import MediaChecked, ProductChanged
from feira.platform.domain.topics import product_topic, shop_topic
from feira.services.products.access import require_on_product
from feira.services.products.listings import request_sync
from feira.services.products.rows import SQL, ProductRow, found
from feira.services.products.views import MediaRow, MediaState
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one

INCOMING_PREFIX: Final = "incoming/"
IMAGES_MAX: Final = 12


class NewImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is about to be uploaded."""

    content_type: ImageType


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """An image with all that its check needs."""

    id: MediaId
    product_id: ProductId
    shop_id: ShopId
    key: str
    content_type: ImageType
    size_bytes_max: int
    state: MediaState
    reason: str

    @property
    def row(self) -> MediaRow:
        return MediaRow(
            id=self.id,
            product_id=self.product_id,
            key=self.key,
            content_type=self.content_type,
            state=self.state,
            reason=self.reason,
        )


async def announce_upload(
    tx: Tx, principal: Principal, product_id: ProductId, image: NewImage
) -> Media:
    """Make room for an image of a product.

    Raises:
        NotFound: `product.not_found`.
        Rejected: `media.too_many`.
    """
    product = found(await fetch_one(tx.con, SQL["lock_product"], ProductRow, product_id))
    await require_on_product(tx.con, product.shop_id, principal, "product.write")
    count: int = await tx.con.fetchval(SQL["count_media"], product_id)
    if count >= IMAGES_MAX:
        raise Rejected(
            "media.too_many", f"A product has up to {IMAGES_MAX} images; delete one first."
        )
    record = await tx.con.fetchrow(
        SQL["insert_media"],
        principal.user_id,
        product_id,
        image.content_type,
        EXTENSIONS[image.content_type],
        IMAGE_BYTES_MAX,
        count,
    )
    assert record is not None, "an insert returns its row"
    return await _lock(tx, record["id"])


async def confirm_upload(tx: Tx, principal: Principal, media_id: MediaId) -> Media:
    """Have an uploaded image checked. Doing it again changes nothing.

    Raises:
        NotFound: `media.not_found`.
    """
    media = await _lock_own(tx, principal, media_id)
    if media.state != "awaiting_upload":
        return media
    await tx.con.fetchval(SQL["set_media_state"], media_id, "awaiting_upload", "checking", "", None)
    tx.enqueue(CheckUploadedMedia(media_key=media.key), dedup=f"check_media:{media_id}")
    return await _lock(tx, media_id)


async def read_media(con: Connection, key: str) -> Media | None:
    """Return an image by its key, as it is now."""
    return await fetch_one(con, SQL["read_media_by_key"], Media, key)


async def finish_check(
    tx: Tx, media: Media, *, state: Literal["ready", "rejected"], reason: str, size_bytes: int
) -> None:
    """Write down what the job found. An image that was deleted or decided meanwhile stays as it is."""
    moved = await tx.con.fetchval(
        SQL["set_media_state"], media.id, "checking", state, reason, size_bytes
    )
    if not moved:
        return
    tx.emit(
        shop_topic(media.shop_id),
        MediaChecked(media=media.id, product=media.product_id, state=state, reason=reason),
    )
    if state == "ready":
        await _show(tx, media.product_id)


async def delete_media(tx: Tx, principal: Principal, media_id: MediaId) -> Media:
    """Take an image off its product and return it; its objects are the caller's to delete.

    Raises:
        NotFound: `media.not_found`.
    """
    media = await _lock_own(tx, principal, media_id)
    await tx.con.execute(SQL["delete_media"], media_id)
    if media.state == "ready":
        await _show(tx, media.product_id)
    return media


async def _show(tx: Tx, product_id: ProductId) -> None:
    product = found(await fetch_one(tx.con, SQL["lock_product"], ProductRow, product_id))
    # Not a new version: an image that got ready must not make a seller's open form stale.
    if product.status == "published":
        changed = ProductChanged(product=product_id, version=product.version)
        tx.emit(product_topic(product_id), changed)
    await request_sync(tx, [product_id])


async def _lock_own(tx: Tx, principal: Principal, media_id: MediaId) -> Media:
    media = await fetch_one(tx.con, SQL["lock_media"], Media, media_id)
    if media is None:
        raise _no_such_media()
    try:
        await require_on_product(tx.con, media.shop_id, principal, "product.write")
    except NotFound as error:
        raise _no_such_media() from error
    return media


async def _lock(tx: Tx, media_id: MediaId) -> Media:
    media = await fetch_one(tx.con, SQL["lock_media"], Media, media_id)
    assert media is not None, "this transaction holds it"
    return media


def _no_such_media() -> NotFound:
    return NotFound("media.not_found", "There is no such image among those of your shop.")
