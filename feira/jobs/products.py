"""Search follows the catalogue, uploads are checked, forgotten holds are let go."""

from __future__ import annotations

from functools import partial
from typing import Final

from feira.jobs.run import Handlers, JobRun
from feira.platform.domain.images import check_image
from feira.platform.domain.jobs import (
    CheckUploadedMedia,
    ReleaseExpiredReservations,
    SyncProductToSearch,
)
from feira.services.products.listings import read_listing
from feira.services.products.media import INCOMING_PREFIX, Media, finish_check, read_media
from feira.services.products.stock import release_expired
from feira.services.products.views import PUBLIC_PREFIX

_SKUS_A_BATCH: Final = 100
# A run ends even when holds expire as fast as they are let go; the next slot goes on.
_BATCHES_MAX: Final = 100


async def handle_sync_product_to_search(run: JobRun, job: SyncProductToSearch) -> None:
    """Show search the product as it is by now, with the version of exactly that state.

    Two of these may overlap: the engine keeps the higher version, which is the newer state.
    """
    market = run.market
    async with market.database.connection() as con:
        listing = await read_listing(con, job.product, market.storage.public_url)
    if listing.document is None:
        await market.search.remove(job.product, listing.version)
    else:
        await market.search.upsert(listing.document)


async def handle_check_uploaded_media(run: JobRun, job: CheckUploadedMedia) -> None:
    """Look at the bytes that were uploaded, and copy those very bytes to where the public reads."""
    market = run.market
    async with market.database.connection() as con:
        media = await read_media(con, job.media_key)
    if media is None or media.state != "checking":
        # Deleted, or decided by an earlier attempt.
        return
    incoming = INCOMING_PREFIX + media.key
    # One byte more than allowed tells that there is more.
    content = await market.storage.read(incoming, size_bytes_max=media.size_bytes_max + 1)
    reason = _why_not(media, content)
    if content is None or reason is not None:
        await market.storage.delete(incoming)
        await run.commit(
            partial(
                finish_check,
                media=media,
                state="rejected",
                reason=reason or "",
                size_bytes=len(content or b""),
            )
        )
        return
    await market.storage.write(PUBLIC_PREFIX + media.key, content, content_type=media.content_type)
    await run.commit(
        partial(finish_check, media=media, state="ready", reason="", size_bytes=len(content))
    )
    await market.storage.delete(incoming)


async def handle_release_expired_reservations(
    run: JobRun, _job: ReleaseExpiredReservations
) -> None:
    """Every batch is a transaction of its own, so that no stock is held while others are worked off."""
    batch = partial(release_expired, skus_max=_SKUS_A_BATCH)
    for _ in range(_BATCHES_MAX):
        if await run.market.database.transact(batch) < _SKUS_A_BATCH:
            return


def _why_not(media: Media, content: bytes | None) -> str | None:
    if content is None:
        return "Nothing was uploaded."
    return check_image(content, media.content_type)


HANDLERS: Final[Handlers] = {
    SyncProductToSearch: handle_sync_product_to_search,
    CheckUploadedMedia: handle_check_uploaded_media,
    ReleaseExpiredReservations: handle_release_expired_reservations,
}
