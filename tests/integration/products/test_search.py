"""The Postgres search engine: relevance, typos, filters, pages, hostile input, and what it is told when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from feira.platform.domain.errors import InvalidInput
from feira.platform.domain.ids import OrderId
from feira.platform.gateways.search.port import SearchDocument, SearchEngine, SearchQuery, Sort
from feira.services.products.editing import ProductChange, archive, update_product
from feira.services.products.stock import release, reserve
from tests.integration.products.goods import Goods, Shop, hold
from tests.integration.products.test_stock import LATER


def document(
    title: str,
    *,
    shop: UUID,
    description: str = "",
    categories: list[str] | None = None,
    price_minor: int = 1_000,
    in_stock: bool = True,
    version: int = 1,
    minutes_ago: int = 0,
) -> SearchDocument:
    return SearchDocument(
        product_id=uuid4(),
        version=version,
        shop_id=shop,
        shop_name="Oficina",
        slug="slug",
        title=title,
        description=description,
        category_slugs=categories or ["home-living", "ceramics"],
        currency="EUR",
        price_min_minor=price_minor,
        in_stock=in_stock,
        image_url=None,
        published_at=datetime(2026, 1, 1, tzinfo=UTC) - timedelta(minutes=minutes_ago),
    )


class Shelf:
    """Documents of one made-up shop, so that tests on the shared database do not see each other's."""

    def __init__(self, engine: SearchEngine) -> None:
        self.engine = engine
        self.shop = uuid4()

    async def put(self, *documents: SearchDocument) -> None:
        for one in documents:
            await self.engine.upsert(one)

    async def titles(self, text: str = "", **filters: object) -> list[str]:
        query = SearchQuery(text=text, shop_id=self.shop)
        page = await self.engine.search(msgspec.structs.replace(query, **filters))
        return [hit.title for hit in page.hits]


@pytest.fixture
def shelf(goods: Goods) -> Shelf:
    return Shelf(goods.market.search)


async def stocked(shelf: Shelf) -> None:
    await shelf.put(
        document(
            "Ceramic vase",
            shop=shelf.shop,
            description="Hand made in Porto",
            price_minor=2_500,
            minutes_ago=1,
        ),
        document(
            "Wooden table",
            shop=shelf.shop,
            description="Room for a ceramic vase",
            categories=["home-living", "furniture"],
            price_minor=30_000,
            minutes_ago=2,
        ),
        document(
            "Crème brûlée torch",
            shop=shelf.shop,
            categories=["food-drink"],
            price_minor=1_500,
            in_stock=False,
            minutes_ago=3,
        ),
    )


async def test_titles_count_more_than_descriptions(shelf: Shelf) -> None:
    await stocked(shelf)
    assert await shelf.titles("ceramic vase") == ["Ceramic vase", "Wooden table"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vases", "Ceramic vase"),  # English plural
        ("CERAMIC", "Ceramic vase"),
        ("ceramic va", "Ceramic vase"),  # still typing
        ("porto", "Ceramic vase"),
        ("creme brulee", "Crème brûlée torch"),
        ("BRÛLÉE", "Crème brûlée torch"),
        ("furniture", "Wooden table"),  # a category
        ("the wooden", "Wooden table"),
    ],
)
async def test_words_are_found_as_people_write_them(shelf: Shelf, text: str, expected: str) -> None:
    await stocked(shelf)
    assert (await shelf.titles(text))[:1] == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("keramik vaze", "Ceramic vase"),
        ("cermic vase", "Ceramic vase"),
        ("ceramci", "Ceramic vase"),
        ("wodden tabel", "Wooden table"),
        ("creme brulle", "Crème brûlée torch"),
        ("cermic vase porto", "Ceramic vase"),  # the last is in the description
    ],
)
async def test_typos_in_titles_are_forgiven(shelf: Shelf, text: str, expected: str) -> None:
    await stocked(shelf)
    assert (await shelf.titles(text))[:1] == [expected]


async def test_typos_are_looked_for_only_where_nothing_is_written_so(shelf: Shelf) -> None:
    await shelf.put(document("Vase", shop=shelf.shop), document("Case", shop=shelf.shop))
    assert await shelf.titles("case") == ["Case"]
    assert await shelf.titles("zzzzqqq") == []


async def test_a_word_that_is_like_nothing_in_a_title_rules_it_out(shelf: Shelf) -> None:
    await shelf.put(document("Office chair", shop=shelf.shop), document("Shirt", shop=shelf.shop))
    assert await shelf.titles("gardn chair") == []
    assert await shelf.titles("shoes") == []
    assert await shelf.titles("ofice chiar") == ["Office chair"]


@pytest.mark.parametrize(
    "title", ["Чайник большой", "陶器の花瓶", "Größe Ψηλό", "½ Löffel №5", "e1000 10cm 3.5"]
)
async def test_titles_of_all_scripts_are_found_by_their_own_words(shelf: Shelf, title: str) -> None:
    await shelf.put(document(title, shop=shelf.shop))
    for word in title.split():
        assert await shelf.titles(word) == [title]
    assert await shelf.titles(title.upper()) == [title]


async def test_a_category_includes_those_below_it(shelf: Shelf) -> None:
    await stocked(shelf)
    assert await shelf.titles(category="home-living") == ["Ceramic vase", "Wooden table"]
    assert await shelf.titles(category="furniture") == ["Wooden table"]
    assert await shelf.titles("vase", category="food-drink") == []
    assert await shelf.titles(category="nothing") == []


async def test_prices_and_stock_narrow_a_search(shelf: Shelf) -> None:
    await stocked(shelf)
    assert await shelf.titles(price_min_minor=2_000, price_max_minor=2_500) == ["Ceramic vase"]
    assert await shelf.titles(in_stock=True) == ["Ceramic vase", "Wooden table"]
    assert await shelf.titles(in_stock=False) == ["Crème brûlée torch"]


@pytest.mark.parametrize("sort", ["relevance", "newest", "price_asc", "price_desc"])
@pytest.mark.parametrize("text", ["", "vase", "vaze"])
async def test_pages_join_without_gap_or_repeat_in_every_order(
    shelf: Shelf, sort: Sort, text: str
) -> None:
    # Equal prices, dates and titles: only the product's id tells them apart.
    await shelf.put(
        *(
            document("Vase", shop=shelf.shop, price_minor=100 * (n % 3), minutes_ago=n % 2)
            for n in range(11)
        )
    )
    query = SearchQuery(text=text, shop_id=shelf.shop, sort=sort)
    whole = await shelf.engine.search(query)
    assert len(whole.hits) == 11
    assert whole.next_cursor is None
    seen: list[UUID] = []
    cursor = None
    while True:
        page = await shelf.engine.search(msgspec.structs.replace(query, limit=2, cursor=cursor))
        seen += [hit.product_id for hit in page.hits]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [hit.product_id for hit in whole.hits]
    prices = [hit.price_min_minor for hit in whole.hits]
    if sort.startswith("price"):
        assert prices == sorted(prices, reverse=sort == "price_desc")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "AAAA", "////", "é", "lKVleGFjdKZuZXdlc3Q", "=" * 9, "k" * 200, "_" * 64, "\0"],
)
async def test_a_made_up_cursor_is_refused(shelf: Shelf, cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await shelf.engine.search(SearchQuery(cursor=cursor))
    assert caught.value.code == "search.bad_cursor"


async def test_a_cursor_of_another_order_or_beyond_time_is_refused(shelf: Shelf) -> None:
    await shelf.put(*(document("Vase", shop=shelf.shop) for _ in range(2)))
    page = await shelf.engine.search(SearchQuery(sort="price_asc", limit=1))
    assert page.next_cursor is not None
    import base64

    forged = [
        page.next_cursor,
        base64.urlsafe_b64encode(
            msgspec.msgpack.encode(["exact", "newest", 2**62, str(uuid4())])
        ).decode(),
        base64.urlsafe_b64encode(
            msgspec.msgpack.encode(["exact", "newest", -1, str(uuid4())])
        ).decode(),
    ]
    for cursor in forged:
        with pytest.raises(InvalidInput) as caught:
            await shelf.engine.search(SearchQuery(sort="newest", cursor=cursor))
        assert caught.value.code == "search.bad_cursor"


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE search_documents; --",
        "vase' OR '1'='1",
        "vase & | ! ( ) <-> :* :A",
        "\\",
        "%_%",
        "'' \"\" $$ $1 {}",
        "🎁🎄",
        "🎁 vase",
        "\u202e" + "vase\u200b",
        "!",
        "   ",
        "a" * 200,
        "é" * 200,
        "\u0301" * 50,
    ],
)
async def test_hostile_text_is_only_text(shelf: Shelf, text: str) -> None:
    await shelf.put(document("Vase", shop=shelf.shop))
    found = await shelf.titles(text)
    assert found in ([], ["Vase"])
    assert await shelf.titles("vase") == ["Vase"]


async def test_emoji_beside_a_word_do_not_hide_it(shelf: Shelf) -> None:
    await shelf.put(document("Vase 🎁", shop=shelf.shop))
    assert await shelf.titles("🎁 vase") == ["Vase 🎁"]


@pytest.mark.parametrize("text", ["v" * 201, "v" * 10_000, "\0"])
async def test_text_beyond_the_limit_is_refused(shelf: Shelf, text: str) -> None:
    with pytest.raises(InvalidInput):
        await shelf.titles(text)


async def test_a_late_version_never_replaces_or_revives_a_newer_one(shelf: Shelf) -> None:
    newer = document("Newer", shop=shelf.shop, version=5)
    older = msgspec.structs.replace(newer, title="Older", version=4)
    await shelf.put(newer, older)
    assert await shelf.titles() == ["Newer"]
    await shelf.engine.remove(newer.product_id, 4)
    assert await shelf.titles() == ["Newer"]
    await shelf.engine.remove(newer.product_id, 6)
    await shelf.put(newer, older)
    assert await shelf.titles() == []
    await shelf.put(msgspec.structs.replace(newer, title="Back", version=7))
    assert await shelf.titles() == ["Back"]


async def test_versions_in_any_order_at_once_end_with_the_newest(shelf: Shelf) -> None:
    base = document("Version 0", shop=shelf.shop)
    versions = [
        msgspec.structs.replace(base, title=f"Version {n}", version=n) for n in range(1, 21)
    ]
    await asyncio.gather(*(shelf.engine.upsert(one) for one in reversed(versions)))
    assert await shelf.titles() == ["Version 20"]


class TestSync:
    """From a change in the catalogue to what search shows, by the job."""

    async def shown(self, goods: Goods, shop: Shop) -> list[SearchDocument]:
        return (await goods.market.search.search(SearchQuery(shop_id=shop.id))).hits

    async def test_search_shows_published_products_and_nothing_else(self, goods: Goods) -> None:
        shop = await goods.shop()
        draft = await goods.draft(shop)
        product = await goods.product(shop, "Blue vase", description="Tall")
        await goods.sync(draft.id, product.id)
        (hit,) = await self.shown(goods, shop)
        assert hit.title == "Blue vase"
        assert hit.category_slugs == ["home-living", "ceramics"]
        assert (hit.price_min_minor, hit.currency, hit.in_stock) == (1_999, "EUR", True)
        seen = await goods.read(product.id, shop.owner)
        await goods.transact(lambda tx: archive(tx, shop.owner, product.id, seen.version))
        await goods.sync(product.id)
        assert await self.shown(goods, shop) == []

    async def test_selling_out_and_restocking_flip_in_stock(self, goods: Goods) -> None:
        shop = await goods.shop()
        product = await goods.product(shop, on_hand=1)
        order = OrderId(uuid4())
        mine = [hold(product.variants[0].id, order=order)]
        await goods.transact(lambda tx: reserve(tx, mine, LATER))
        await goods.sync(product.id)
        assert [hit.in_stock for hit in await self.shown(goods, shop)] == [False]
        await goods.transact(lambda tx: release(tx, [order]))
        await goods.sync(product.id)
        assert [hit.in_stock for hit in await self.shown(goods, shop)] == [True]

    async def test_suspending_a_shop_asks_search_to_drop_all_it_sells(self, goods: Goods) -> None:
        shop = await goods.shop()
        products = [await goods.product(shop) for _ in range(3)]
        await goods.sync(*(product.id for product in products))
        await goods.decide(shop, "suspend")
        for product in products:
            keys = await goods.sync_jobs(product.id)
            assert keys == [f"search:{product.id}:1", f"search:{product.id}:2"]
        await goods.sync(*(product.id for product in products))
        assert await self.shown(goods, shop) == []
        await goods.decide(shop, "reinstate")
        await goods.sync(*(product.id for product in products))
        assert len(await self.shown(goods, shop)) == 3

    async def test_a_job_that_read_before_a_change_and_wrote_after_it_loses(
        self, goods: Goods
    ) -> None:
        from feira.services.products.listings import read_listing

        shop = await goods.shop()
        product = await goods.product(shop, "Old title")
        async with goods.market.database.connection() as con:
            stale = await read_listing(con, product.id, goods.market.storage.public_url)
        change = ProductChange(version=product.version, title="New title")
        await goods.transact(lambda tx: update_product(tx, shop.owner, product.id, change))
        await goods.sync(product.id)
        assert stale.document is not None
        await goods.market.search.upsert(stale.document)
        assert [hit.title for hit in await self.shown(goods, shop)] == ["New title"]
