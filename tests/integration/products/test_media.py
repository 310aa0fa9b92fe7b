"""Images: what the store refuses, what the job finds, and what the public sees."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest
from aiohttp import ClientSession, FormData

from feira.app import Ground
from feira.jobs.worker import run_worker
from feira.platform.domain.errors import NotFound, Rejected
from feira.platform.domain.images import IMAGE_BYTES_MAX, ImageType
from feira.platform.domain.topics import shop_topic
from feira.platform.gateways.storage.port import PresignedUpload
from feira.platform.gateways.storage.s3 import S3ObjectStore
from feira.platform.runtime.config import Config
from feira.services.products.media import (
    INCOMING_PREFIX,
    Media,
    NewImage,
    announce_upload,
    confirm_upload,
    delete_media,
)
from feira.services.products.views import MediaView, ProductView
from feira.sql.topics import read_events
from tests.integration.products.goods import Goods, Shop, eventually

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 100


@pytest.fixture
def config(config: Config, fresh_database_dsn: str) -> Config:
    """A database of its own: a worker would first do what other tests left to be done."""
    return msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)


@asynccontextmanager
async def working(ground: Ground) -> AsyncGenerator[None]:
    """A worker at work."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_worker(ground.market, ground.doorbell, stop))
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
async def store(goods: Goods) -> S3ObjectStore:
    opened = cast("S3ObjectStore", goods.market.storage)
    await opened.allow_public_reads()
    return opened


async def announce(
    goods: Goods, shop: Shop, product: ProductView, kind: ImageType = "image/png"
) -> tuple[Media, PresignedUpload]:
    image = NewImage(content_type=kind)
    media = await goods.transact(lambda tx: announce_upload(tx, shop.owner, product.id, image))
    upload = await goods.market.storage.presign_upload(
        INCOMING_PREFIX + media.key,
        content_type=media.content_type,
        size_bytes_max=media.size_bytes_max,
    )
    return media, upload


async def post(upload: PresignedUpload, content: bytes, **changed: str | None) -> int:
    """Send the form as a browser does, with fields changed or left out (None)."""
    form = FormData()
    for name, value in {**upload.fields, **changed}.items():
        if value is not None:
            form.add_field(name, value)
    form.add_field("file", io.BytesIO(content), filename="image")
    async with ClientSession() as client, client.post(upload.url, data=form) as answer:
        return answer.status


async def checked(goods: Goods, shop: Shop, product: ProductView) -> MediaView:
    """The product's one image, once the job has decided."""

    async def is_decided() -> bool:
        media = (await goods.read(product.id, shop.owner)).media
        return media[0].state in {"ready", "rejected"}

    await eventually(is_decided)
    return (await goods.read(product.id, shop.owner)).media[0]


async def upload_and_confirm(
    goods: Goods, shop: Shop, product: ProductView, content: bytes, kind: ImageType
) -> Media:
    media, upload = await announce(goods, shop, product, kind)
    assert await post(upload, content) == 204
    await goods.transact(lambda tx: confirm_upload(tx, shop.owner, media.id))
    return media


async def test_an_image_is_shown_once_it_was_checked(
    goods: Goods, ground: Ground, store: S3ObjectStore
) -> None:
    shop = await goods.shop()
    product = await goods.product(shop)
    async with working(ground):
        media = await upload_and_confirm(goods, shop, product, PNG, "image/png")
        image = await checked(goods, shop, product)
    assert image.state == "ready"
    assert image.url is not None
    async with ClientSession() as client, client.get(image.url) as answer:
        assert await answer.read() == PNG
        assert answer.content_type == "image/png"
        assert "immutable" in answer.headers["Cache-Control"]
    assert [shown.url for shown in (await goods.read(product.id)).media] == [image.url]
    assert await store.head(INCOMING_PREFIX + media.key) is None
    last = msgspec.json.decode((await goods.events(product.id))[-1])
    assert last["kind"] == "product.changed"


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (b"<script>alert(1)</script>", "image/png", "not an image"),
        (JPEG, "image/png", "image/jpeg"),
        (b"GIF89a" + b"\0" * 100, "image/webp", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/avif", "not an image"),
    ],
)
async def test_a_file_that_is_not_what_was_announced_is_rejected_and_deleted(
    goods: Goods,
    ground: Ground,
    store: S3ObjectStore,
    content: bytes,
    kind: ImageType,
    reason: str,
) -> None:
    shop = await goods.shop()
    product = await goods.product(shop)
    async with working(ground):
        media = await upload_and_confirm(goods, shop, product, content, kind)
        image = await checked(goods, shop, product)
    assert (image.state, image.url) == ("rejected", None)
    assert reason in image.reason
    assert (await goods.read(product.id)).media == []
    for prefix in ("incoming/", "public/"):
        assert await store.head(prefix + media.key) is None
    async with goods.market.database.connection() as con:
        told = await read_events(con, shop_topic(shop.id), after=0, limit=10)
    assert msgspec.json.decode(told[-1].body)["state"] == "rejected"


async def test_an_upload_that_never_happened_is_rejected(goods: Goods, ground: Ground) -> None:
    shop = await goods.shop()
    product = await goods.product(shop)
    media, _ = await announce(goods, shop, product)
    await goods.transact(lambda tx: confirm_upload(tx, shop.owner, media.id))
    async with working(ground):
        image = await checked(goods, shop, product)
    assert (image.state, image.reason) == ("rejected", "Nothing was uploaded.")


async def test_what_is_uploaded_after_the_check_is_never_shown(
    goods: Goods, ground: Ground, store: S3ObjectStore
) -> None:
    assert store
    shop = await goods.shop()
    product = await goods.product(shop)
    media, upload = await announce(goods, shop, product)
    assert await post(upload, PNG) == 204
    async with working(ground):
        await goods.transact(lambda tx: confirm_upload(tx, shop.owner, media.id))
        image = await checked(goods, shop, product)
        assert await post(upload, b"something else") == 204
    assert image.url is not None
    async with ClientSession() as client, client.get(image.url) as answer:
        assert await answer.read() == PNG


class TestWhatTheStoreRefuses:
    async def test_too_large_or_empty_files(self, goods: Goods) -> None:
        shop = await goods.shop()
        _, upload = await announce(goods, shop, await goods.draft(shop))
        assert await post(upload, b"x" * (IMAGE_BYTES_MAX + 1)) == 400
        assert await post(upload, b"") == 400
        assert await post(upload, b"x" * IMAGE_BYTES_MAX) == 204

    async def test_another_type_key_or_policy(self, goods: Goods) -> None:
        shop = await goods.shop()
        media, upload = await announce(goods, shop, await goods.draft(shop))
        forged: list[dict[str, str | None]] = [
            {"Content-Type": "text/html"},
            {"Content-Type": None},
            {"key": "public/" + media.key},
            {"key": INCOMING_PREFIX + "products/other.png"},
            {"policy": None},
            {"policy": "e30="},
            {"x-amz-signature": "0" * 64},
        ]
        for changed in forged:
            assert await post(upload, PNG, **changed) in {400, 403}, changed
        assert await goods.market.storage.head(INCOMING_PREFIX + media.key) is None

    async def test_strangers_read_and_write_nothing(
        self, goods: Goods, store: S3ObjectStore
    ) -> None:
        shop = await goods.shop()
        media, upload = await announce(goods, shop, await goods.draft(shop))
        assert await post(upload, PNG) == 204
        incoming = store.public_url(INCOMING_PREFIX + media.key)
        public = store.public_url("public/" + media.key)
        async with ClientSession() as client:
            for method, url in (
                ("GET", incoming),
                ("GET", store.public_url("")),
                ("PUT", public),
                ("DELETE", incoming),
            ):
                async with client.request(method, url, data=b"x") as answer:
                    assert answer.status == 403, (method, url)


async def test_confirming_twice_asks_for_one_check(goods: Goods) -> None:
    shop = await goods.shop()
    media, _ = await announce(goods, shop, await goods.draft(shop))
    for _ in range(2):
        again = await goods.transact(lambda tx: confirm_upload(tx, shop.owner, media.id))
        assert again.state == "checking"
    async with goods.market.database.connection() as con:
        count = await con.fetchval(
            "SELECT count(*) FROM jobs WHERE args ->> 'media_key' = $1", media.key
        )
    assert count == 1


async def test_images_are_the_teams_alone_and_there_are_only_so_many(goods: Goods) -> None:
    shop, stranger = await goods.shop(), await goods.person()
    product = await goods.draft(shop)
    media, _ = await announce(goods, shop, product)
    with pytest.raises(NotFound):
        await goods.transact(
            lambda tx: announce_upload(tx, stranger, product.id, NewImage(content_type="image/png"))
        )
    for verb in (confirm_upload, delete_media):
        with pytest.raises(NotFound):
            await goods.transact(lambda tx, verb=verb: verb(tx, stranger, media.id))
    for _ in range(11):
        await announce(goods, shop, product)
    with pytest.raises(Rejected) as caught:
        await announce(goods, shop, product)
    assert caught.value.code == "media.too_many"
    await goods.transact(lambda tx: delete_media(tx, shop.owner, media.id))
    await announce(goods, shop, product)


async def test_reading_stops_at_the_limit_and_missing_objects_are_none(
    store: S3ObjectStore,
) -> None:
    await store.write("incoming/test", b"0123456789", content_type="image/png")
    assert await store.read("incoming/test", size_bytes_max=4) == b"0123"
    found = await store.head("incoming/test")
    assert found is not None
    assert (found.size_bytes, found.content_type) == (10, "image/png")
    await store.delete("incoming/test")
    await store.delete("incoming/test")
    assert await store.head("incoming/test") is None
    assert await store.read("incoming/test", size_bytes_max=4) is None
