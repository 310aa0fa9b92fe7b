"""Images of products: announce, upload straight to the store, confirm."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.http.call import Call
from feira.http.endpoint import endpoint
from feira.platform.domain.ids import MediaId, ProductId
from feira.platform.gateways.storage.port import PresignedUpload
from feira.services.products.media import (
    INCOMING_PREFIX,
    Media,
    NewImage,
    announce_upload,
    confirm_upload,
    delete_media,
)
from feira.services.products.views import PUBLIC_PREFIX, MediaView, view_media
from feira.sql.database import Tx


class UploadView(msgspec.Struct, frozen=True, kw_only=True):
    """Post `upload.fields` and then the file, named `file`, as a form to `upload.url`; then confirm."""

    media: MediaView
    upload: PresignedUpload


@endpoint(
    "POST",
    "/v1/products/{product}/media",
    service="products",
    summary="Announce an image and get the form to upload it with.",
    status=201,
)
async def post_media(call: Call, product: ProductId, body: NewImage) -> UploadView:
    """JPEG, PNG, WebP or AVIF, up to 8 MiB. The store refuses other types and sizes."""

    async def work(tx: Tx) -> Media:
        return await announce_upload(tx, call.principal, product, body)

    storage = call.market.storage
    media = await call.transact(Media, work)
    upload = await storage.presign_upload(
        INCOMING_PREFIX + media.key,
        content_type=media.content_type,
        size_bytes_max=media.size_bytes_max,
    )
    return UploadView(media=view_media(media.row, storage.public_url), upload=upload)


@endpoint(
    "POST",
    "/v1/media/{media}/uploaded",
    service="products",
    summary="Have an uploaded image checked and shown.",
    status=202,
)
async def post_uploaded(call: Call, media: MediaId) -> MediaView:
    """The outcome is on the product, and comes over the shop's topic as `media.checked`."""

    async def work(tx: Tx) -> Media:
        return await confirm_upload(tx, call.principal, media)

    confirmed = await call.transact(Media, work)
    return view_media(confirmed.row, call.market.storage.public_url)


@endpoint(
    "DELETE",
    "/v1/media/{media}",
    service="products",
    summary="Take an image off its product.",
)
async def delete_image(call: Call, media: MediaId) -> None:
    async def work(tx: Tx) -> Media:
        return await delete_media(tx, call.principal, media)

    deleted = await call.transact(Media, work)
    for prefix in (INCOMING_PREFIX, PUBLIC_PREFIX):
        await call.market.storage.delete(prefix + deleted.key)


ENDPOINTS: Final = (post_media, post_uploaded, delete_image)
